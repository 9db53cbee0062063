// Log records as OTLP has them. What Sonde itself has to say are events: records with a name. Called by otlp-logs.ts,
// which queues them, and by otlp-codec.ts, which encodes them.
import type { Attributes, HrTime } from '@opentelemetry/api';
import type { InstrumentationScope } from '@opentelemetry/core';
import type { ProtobufLogsSerializer } from '@opentelemetry/otlp-transformer';
import type { Resource } from '@opentelemetry/resources';

/** A log record; one with a name is an event (OpenTelemetry logs data model). */
export interface LogEvent {
  /** As `sonde.leak`; empty for a record that is no event. */
  readonly name: string;
  /** 1 to 24: 9 INFO, 13 WARN, 17 ERROR, 21 FATAL. */
  readonly severityNumber: number;
  /** What people read. */
  readonly body: string;
  readonly attributes: Attributes;
  /** When it happened; it may be long before it is told. */
  readonly epochMillis: number;
}

/** Records of one request. */
export interface LogBatch {
  readonly events: readonly LogEvent[];
  readonly resource: Resource;
  readonly scope: InstrumentationScope;
  /** When they were handed over. */
  readonly observedEpochMillis: readonly number[];
}

/** What the serialisers take; named here because they take it from a package that is not ours to name. */
type ReadableLogRecord = Parameters<(typeof ProtobufLogsSerializer)['serializeRequest']>[0][number];

/** First numbers of the ranges of severities, and what they are called (data model, "SeverityNumber"). */
const SEVERITY_TEXTS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'] as const;
const SEVERITIES_PER_TEXT = 4;

export function toLogRecords({ events, resource, scope, observedEpochMillis }: LogBatch): ReadableLogRecord[] {
  return events.map(({ name, severityNumber, body, attributes, epochMillis }, index) => ({
    hrTime: toHrTime(epochMillis),
    hrTimeObserved: toHrTime(observedEpochMillis[index] ?? epochMillis),
    severityNumber,
    severityText: SEVERITY_TEXTS[Math.floor((severityNumber - 1) / SEVERITIES_PER_TEXT)] ?? '',
    body,
    // Receivers from before eventName became a field (OTLP 1.5) show attributes only.
    ...(name === '' ? { attributes } : { eventName: name, attributes: { 'event.name': name, ...attributes } }),
    droppedAttributesCount: 0,
    resource,
    instrumentationScope: scope,
  }));
}

function toHrTime(epochMillis: number): HrTime {
  const seconds = Math.trunc(epochMillis / 1000);
  return [seconds, Math.round((epochMillis - seconds * 1000) * 1e6)];
}
