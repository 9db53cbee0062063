// DATA PLANE. What both encodings of a span read from it in the same way. Called by otlp-span-protobuf.ts and otlp-span-json.ts.
import type { Link } from '@opentelemetry/api';
import { isUnixNanos } from '../core/protobuf-writer.ts';

/** Integers from -2^63 to below 2^63 are int64 in OTLP, other numbers double. */
const INT64_END = 2 ** 63;

const TRACE_ID = /^[0-9a-f]{32}$/i;
const SPAN_ID = /^[0-9a-f]{16}$/i;

// Bits of `flags` above the 8 of the trace flags: that it is known whether the parent (or the link) is remote, and that it is.
const HAS_IS_REMOTE = 0x100;
const IS_REMOTE = 0x200;

export function isInt64(value: number): boolean {
  return Number.isInteger(value) && value >= -INT64_END && value < INT64_END;
}

export function spanFlags(traceFlags: number, isRemote: boolean | undefined): number {
  return (traceFlags & 0xff) | (isRemote === true ? HAS_IS_REMOTE | IS_REMOTE : HAS_IS_REMOTE);
}

/** OTLP's SpanKind has 0 for unspecified before the api's. */
export function spanKind(kind: number): number {
  return Number.isInteger(kind) && kind >= 0 && kind <= 4 ? kind + 1 : 0;
}

/** What should be a text: the api lets the application pass anything for the name of a span or an event. */
export function asText(value: unknown): string {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
}

/** Empty when invalid: the api takes any link, and for an id of another length a receiver would refuse the whole request. */
export function linkTraceId(link: Link): string {
  return TRACE_ID.test(link.context.traceId) ? link.context.traceId : '';
}

export function linkSpanId(link: Link): string {
  return SPAN_ID.test(link.context.spanId) ? link.context.spanId : '';
}

export function linkTraceState(link: Link): string {
  return asText(link.context.traceState?.serialize());
}

export function secondsOf(epochMillis: number): number {
  return Math.trunc(epochMillis / 1000);
}

/** The rest of `secondsOf`, which may round up to a whole second. */
export function nanosOf(epochMillis: number): number {
  return Math.round((epochMillis - secondsOf(epochMillis) * 1000) * 1e6);
}

/** Nanoseconds since 1970. What an unsigned 64-bit integer does not hold, as a time before, is 0: unknown. */
export function epochNanos(seconds: number, nanos: number): bigint {
  return isUnixNanos(seconds, nanos) ? BigInt(seconds) * 1_000_000_000n + BigInt(nanos) : 0n;
}
