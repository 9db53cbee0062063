// Evidence of a process that runs out of memory, or has, as an event of the logs signal. Pure. Attributes are the semantic
// conventions' where there are such, and our own for what only such an end has.
import type { Attributes } from '@opentelemetry/api';
import { type Evidence, headline, culpritOf } from './evidence.ts';

/** What export/otlp-logs.ts takes. */
export interface EvidenceEvent {
  readonly name: 'sonde.memory_limit_near' | 'sonde.out_of_memory';
  readonly severityNumber: number;
  readonly body: string;
  readonly attributes: Attributes;
  readonly epochMillis: number;
}

/** The OpenTelemetry log data model's ERROR and FATAL. */
const SEVERITIES = { 'sonde.memory_limit_near': 17, 'sonde.out_of_memory': 21 } as const;

export function evidenceEvent(name: EvidenceEvent['name'], evidence: Evidence): EvidenceEvent {
  const { epochMillis, reason, forecastSeconds, pid, host, oldGeneration, container, verdict } = evidence;
  const site = culpritOf(evidence);
  return {
    name,
    severityNumber: SEVERITIES[name],
    body: headline(evidence),
    epochMillis,
    attributes: {
      'sonde.evidence.reason': reason,
      ...(typeof forecastSeconds === 'number' ? { 'sonde.evidence.forecast': forecastSeconds } : {}),
      'sonde.evidence.heap.used': oldGeneration.usedBytes,
      'sonde.evidence.heap.limit': oldGeneration.limitBytes,
      // Those of the process that died, which is not the one that tells.
      'sonde.evidence.process.pid': pid,
      'sonde.evidence.host.name': host,
      ...(container === null
        ? {}
        : { 'sonde.evidence.container.used': container.usedBytes, 'sonde.evidence.container.limit': container.limitBytes }),
      ...(verdict === null ? {} : { 'sonde.leak.level': verdict.level }),
      ...(site === undefined ? {} : { 'code.function.name': site.function, 'code.file.path': site.file, 'code.line.number': site.line }),
    },
  };
}
