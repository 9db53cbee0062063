// A span as JSON (proto3's JSON mapping as OTLP/HTTP has it: ids in hex, 64-bit integers as text, enums as numbers), and the
// request around it. Called by otlp-spans.ts. For receivers that take nothing else, so plain rather than fast (5.5 us a
// span with 13 attributes); like protobuf, only bytes are left of a span when `write` returns.
import type { Link } from '@opentelemetry/api';
import type { Resource } from '@opentelemetry/resources';
import type { TimedEvent } from '@opentelemetry/sdk-trace-node';
import { keyValues, resourceJson, schemaUrlJson, scopeJson, toJson } from './otlp-json.ts';
import {
  asText,
  epochNanos,
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
  parts.push(Buffer.from(`{"resourceSpans":[{"resource":${resourceJson(resource)},"scopeSpans":[`));
  for (const [index, { scope, spans }] of groups.entries()) {
    const [first, ...others] = spans;
    parts.push(Buffer.from(`${index === 0 ? '' : SEPARATOR}{"scope":${scopeJson(scope)},"spans":[`));
    parts.push(first!.subarray(SEPARATOR.length), ...others);
    parts.push(Buffer.from(`]${schemaUrlJson(scope.schemaUrl)}}`));
  }
  parts.push(Buffer.from(`]${schemaUrlJson(resource.schemaUrl)}}]}`));
  return parts;
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
