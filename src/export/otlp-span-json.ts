// A span as JSON (proto3's JSON mapping as OTLP/HTTP has it: ids in hex, 64-bit integers as text, enums as numbers), and the
// request around it. Called by otlp-spans.ts. For receivers that take nothing else, so plain rather than fast (5.5 us a
// span with 13 attributes); like protobuf, only bytes are left of a span when `write` returns.
import type { Attributes, Link } from '@opentelemetry/api';
import type { Resource } from '@opentelemetry/resources';
import type { TimedEvent } from '@opentelemetry/sdk-trace-node';
import {
  asText,
  epochNanos,
  isInt64,
  linkSpanId,
  linkTraceId,
  linkTraceState,
  nanosOf,
  secondsOf,
  spanFlags,
  spanKind,
} from './otlp-span-values.ts';
import type { EncodableSpan, ScopeGroup, SpanFormat } from './otlp-spans.ts';
import type { ProtobufWriter } from '../core/protobuf-writer.ts';

const LONE_SURROGATE = /\p{Surrogate}/gu;
const SEPARATOR = ',';

export function jsonFormat(resource: Resource): SpanFormat {
  return {
    write(out, span) {
      writeText(out, SEPARATOR + toJson(spanMessage(span)));
    },
    frame: (groups) => frame(resource, groups),
  };
}

function writeText(out: ProtobufWriter, text: string): void {
  out.reserve(Buffer.byteLength(text));
  out.utf8(text);
}

function frame(resource: Resource, groups: readonly ScopeGroup[]): Uint8Array[] {
  const parts: Uint8Array[] = [];
  const resourceMessage = toJson({ attributes: keyValues(resource.attributes) });
  parts.push(Buffer.from(`{"resourceSpans":[{"resource":${resourceMessage},"scopeSpans":[`));
  for (const [index, { scope, spans }] of groups.entries()) {
    const { name, version } = scope;
    const scopeMessage = toJson({ name: asText(name), version: asText(version) || undefined });
    const [first, ...others] = spans;
    parts.push(Buffer.from(`${index === 0 ? '' : SEPARATOR}{"scope":${scopeMessage},"spans":[`));
    parts.push(first!.subarray(SEPARATOR.length), ...others);
    parts.push(Buffer.from(`]${schemaUrl(scope.schemaUrl)}}`));
  }
  parts.push(Buffer.from(`]${schemaUrl(resource.schemaUrl)}}]}`));
  return parts;
}

function schemaUrl(url: unknown): string {
  const text = asText(url);
  return text === '' ? '' : `,"schemaUrl":${toJson(text)}`;
}

/** Fields that are undefined are left out. Half a surrogate pair, for which some receivers refuse the request, becomes U+FFFD. */
function toJson(message: unknown): string {
  const json = JSON.stringify(message);
  if (!json.includes('\\ud')) return json;
  return JSON.stringify(message, (_, value: unknown) => (typeof value === 'string' ? value.replace(LONE_SURROGATE, '\ufffd') : value));
}

function spanMessage(span: EncodableSpan): object {
  const startMillis = span.startEpochMillis;
  const endMillis = startMillis + span.durationMillis;
  return {
    traceId: span.traceId,
    spanId: span.spanId,
    traceState: span.traceState || undefined,
    parentSpanId: span.parentSpanId,
    flags: spanFlags(span.traceFlags, span.parentIsRemote),
    name: asText(span.name),
    kind: spanKind(span.kind),
    startTimeUnixNano: String(epochNanos(secondsOf(startMillis), nanosOf(startMillis))),
    endTimeUnixNano: String(epochNanos(secondsOf(endMillis), nanosOf(endMillis))),
    attributes: keyValues(span.attributes),
    droppedAttributesCount: span.droppedAttributesCount || undefined,
    events: nonEmpty(span.events.map(eventMessage)),
    droppedEventsCount: span.droppedEventsCount || undefined,
    links: nonEmpty(span.links.map(linkMessage)),
    droppedLinksCount: span.droppedLinksCount || undefined,
    status: { code: span.statusCode || undefined, message: span.statusMessage || undefined },
  };
}

function eventMessage(event: TimedEvent): object {
  return {
    timeUnixNano: String(epochNanos(event.time[0], event.time[1])),
    name: asText(event.name),
    attributes: keyValues(event.attributes ?? {}),
    droppedAttributesCount: event.droppedAttributesCount || undefined,
  };
}

function linkMessage(link: Link): object {
  const { context } = link;
  return {
    traceId: linkTraceId(link),
    spanId: linkSpanId(link),
    traceState: linkTraceState(link) || undefined,
    attributes: keyValues(link.attributes ?? {}),
    droppedAttributesCount: link.droppedAttributesCount || undefined,
    flags: spanFlags(context.traceFlags, context.isRemote),
  };
}

function nonEmpty(list: object[]): object[] | undefined {
  return list.length === 0 ? undefined : list;
}

function keyValues(attributes: Attributes): object[] {
  return Object.keys(attributes).map((key) => ({ key, value: anyValue(attributes[key]) }));
}

/** What is none of the kinds of value is an empty one. */
function anyValue(value: unknown): object {
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  if (typeof value === 'number') return isInt64(value) ? { intValue: int64Text(value) } : { doubleValue: jsonDouble(value) };
  // Not by `map`, which keeps the holes of a list as holes.
  return Array.isArray(value) ? { arrayValue: { values: Array.from(value, anyValue) } } : {};
}

/** With all digits, also beyond 2^53 where a number as text has rounded ones. */
function int64Text(value: number): string {
  return String(Number.isSafeInteger(value) ? value : BigInt(value));
}

/** JSON has no number for these; proto3 has words. */
function jsonDouble(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}
