// The three members that tie a log line to its span, as OpenTelemetry's "Trace Context in non-OTLP Log Formats"
// names them. The loggers' files ask here what to add; a line that has a trace_id of its own is never touched.
import type { SpanIds } from '../core/context.ts';

/** Asks for the ids of the active span; `undefined` outside a request. */
export type ActiveIds = () => SpanIds | undefined;

/** The members of a correlated log line. */
export interface TraceFields {
  /** 32 lower-case hex digits. */
  trace_id: string;
  /** 16 lower-case hex digits. */
  span_id: string;
  /** Two lower-case hex digits; `01` is sampled. */
  trace_flags: string;
}

const FLAGS: readonly string[] = Array.from({ length: 256 }, (_, flags) => flags.toString(16).padStart(2, '0'));
const INVALID_TRACE_ID = '0'.repeat(32);

/** The ids of the active span if they are valid: an application may have made a span context without ids active. */
export function validIds(activeIds: ActiveIds): SpanIds | undefined {
  const ids = activeIds();
  return ids !== undefined && ids.traceId.length === 32 && ids.traceId !== INVALID_TRACE_ID ? ids : undefined;
}

/** The fields for a logger that writes objects. */
export function traceFields(ids: SpanIds): TraceFields {
  return { trace_id: ids.traceId, span_id: ids.spanId, trace_flags: FLAGS[ids.traceFlags & 0xff] as string };
}

/** The same as JSON text without braces, for a line that is text already. */
export function traceMembers(ids: SpanIds): string {
  return `"trace_id":"${ids.traceId}","span_id":"${ids.spanId}","trace_flags":"${FLAGS[ids.traceFlags & 0xff]}"`;
}

/** The object that a JSON text stands for; `undefined` when it is not the text of an object. */
export function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
  } catch {
    // Most text is not JSON; there is no cheaper way to ask.
    return undefined;
  }
}
