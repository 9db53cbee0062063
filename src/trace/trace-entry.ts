// A trace as /debug/traces and `sonde.traces` show it: plain data, part of the public types.
import type { Attributes } from '@opentelemetry/api';

/** Kinds and status codes by OpenTelemetry's numbers. */
export const KINDS: readonly ['INTERNAL', 'SERVER', 'CLIENT', 'PRODUCER', 'CONSUMER'] = [
  'INTERNAL',
  'SERVER',
  'CLIENT',
  'PRODUCER',
  'CONSUMER',
];
export const STATUSES: readonly ['UNSET', 'OK', 'ERROR'] = ['UNSET', 'OK', 'ERROR'];

/** One span as /debug/traces shows it. Times are epoch milliseconds, durations milliseconds. */
export interface SpanEntry {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly name: string;
  readonly kind: (typeof KINDS)[number];
  readonly startEpochMillis: number;
  readonly durationMillis: number;
  readonly status: { readonly code: (typeof STATUSES)[number]; readonly message?: string | undefined };
  readonly attributes: Attributes;
  readonly events: readonly { readonly name: string; readonly epochMillis: number; readonly attributes: Attributes }[];
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly scope: string;
}

/** The spans of one trace that this process holds, in order of their start; name and duration are the first one's. */
export interface TraceEntry {
  readonly traceId: string;
  readonly name: string;
  readonly startEpochMillis: number;
  readonly durationMillis: number;
  readonly error: boolean;
  readonly spans: readonly SpanEntry[];
}
