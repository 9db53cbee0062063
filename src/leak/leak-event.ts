// A finding as an event of the logs signal: told at each change of level. Pure. The attributes are the semantic
// conventions' where there are such (code.*, http.*), and our own for what only a leak has.
import type { Attributes } from '@opentelemetry/api';
import type { Site } from './site.ts';
import type { LeakFinding } from './finding.ts';
import { leakSentence } from './leak-text.ts';

/** What export/otlp-logs.ts takes. */
export interface LeakEvent {
  readonly name: 'sonde.leak';
  readonly severityNumber: number;
  readonly body: string;
  readonly attributes: Attributes;
  readonly epochMillis: number;
}

/** The OpenTelemetry log data model's INFO, WARN, ERROR. */
const SEVERITIES: Readonly<Record<LeakFinding['level'], number>> = { growing: 9, gone: 9, suspect: 13, leak: 17 };

export function leakEvent(finding: LeakFinding): LeakEvent {
  const { kind, level, share, grownBytes, bytesPerHour, grownCount, countPerHour, resourceType, className, note } = finding;
  const isCount = kind === 'resources';
  return {
    name: 'sonde.leak',
    severityNumber: SEVERITIES[level],
    body: leakSentence(finding),
    epochMillis: finding.levelEpochMillis,
    attributes: {
      'sonde.leak.kind': kind,
      'sonde.leak.level': level,
      'sonde.leak.growth': isCount ? grownCount : grownBytes,
      'sonde.leak.growth_per_hour': isCount ? countPerHour : bytesPerHour,
      'sonde.leak.share': share,
      ...present('sonde.leak.resource.type', resourceType),
      ...present('sonde.leak.class', className),
      ...present('sonde.leak.note', note === '' ? null : note),
      ...present('sonde.leak.forecast.heap', finding.heapLimit?.seconds ?? null),
      ...present('sonde.leak.forecast.container', finding.containerLimit?.seconds ?? null),
      ...siteAttributes(finding),
      ...routeAttributes(finding.route),
    },
  };
}

function siteAttributes({ site, stack }: LeakFinding): Attributes {
  if (site === null) return {};
  return {
    'code.function.name': site.function,
    'code.file.path': site.file,
    'code.line.number': site.line,
    ...(stack.length === 0 ? {} : { 'code.stacktrace': stack.map(frame).join('\n') }),
  };
}

/** In the layout of a stack trace of V8, which backends know. */
function frame({ function: name, file, line }: Site): string {
  return `    at ${name} (${file}:${line})`;
}

/** The method apart from the template, where the route is told with one. */
function routeAttributes(route: string | null): Attributes {
  const [, method, template] = /^([A-Z]+) (\/.*)$/.exec(route ?? '') ?? [];
  if (method !== undefined && template !== undefined) return { 'http.request.method': method, 'http.route': template };
  return present('http.route', route);
}

function present(name: string, value: string | number | null): Attributes {
  return value === null ? {} : { [name]: value };
}
