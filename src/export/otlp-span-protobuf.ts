// DATA PLANE. A span as protobuf (opentelemetry-proto, trace v1), straight from the record into a buffer that is used
// again, and the request around it. Called by otlp-spans.ts. Fields come in the order of their numbers; a field that has
// its default value is not written.
import type { Link } from '@opentelemetry/api';
import type { Resource } from '@opentelemetry/resources';
import type { TimedEvent } from '@opentelemetry/sdk-trace-node';
import { AttributeEncoder } from './otlp-attribute-protobuf.ts';
import { messageHead, resourceField, schemaUrlField, scopeField } from './otlp-resource-protobuf.ts';
import { asText, linkSpanId, linkTraceId, linkTraceState, nanosOf, secondsOf, spanFlags, spanKind } from './otlp-span-values.ts';
import type { EncodableSpan, ScopeGroup, SpanFormat } from './otlp-spans.ts';
import type { ProtobufWriter } from '../core/protobuf-writer.ts';

// Tags: number of the field times 8, plus 0 for a varint, 1 for 8 bytes, 2 for a length and that many bytes, 5 for 4 bytes.
const RESOURCE_SPANS = 0x0a;
const SCOPE_SPANS = 0x12;
const SPANS = 0x12;

const TRACE_ID = 0x0a;
const SPAN_ID = 0x12;
const TRACE_STATE = 0x1a;
const PARENT_SPAN_ID = 0x22;
const NAME = 0x2a;
const KIND = 0x30;
const START_TIME = 0x39;
const END_TIME = 0x41;
const ATTRIBUTES = 0x4a;
const DROPPED_ATTRIBUTES = 0x50;
const EVENTS = 0x5a;
const DROPPED_EVENTS = 0x60;
const LINKS = 0x6a;
const DROPPED_LINKS = 0x70;
const STATUS = 0x7a;
const FLAGS = 0x85;

const EVENT_TIME = 0x09;
const EVENT_NAME = 0x12;
const EVENT_ATTRIBUTES = 0x1a;
const EVENT_DROPPED_ATTRIBUTES = 0x20;

const LINK_ATTRIBUTES = 0x22;
const LINK_DROPPED_ATTRIBUTES = 0x28;
const LINK_FLAGS = 0x35;

const STATUS_MESSAGE = 0x12;
const STATUS_CODE = 0x18;

/** A span of 128 bytes to 16 KiB, which nearly all are. */
const SPAN_LENGTH_BYTES = 2;

export function protobufFormat(resource: Resource): SpanFormat {
  return new ProtobufFormat(resource);
}

class ProtobufFormat implements SpanFormat {
  readonly #attributes = new AttributeEncoder();
  readonly #resource: Resource;
  #resourceBytes: Uint8Array | undefined;

  constructor(resource: Resource) {
    this.#resource = resource;
  }

  write(out: ProtobufWriter, span: EncodableSpan): void {
    const start = out.begin(SPANS, SPAN_LENGTH_BYTES);
    out.hexField(TRACE_ID, span.traceId);
    out.hexField(SPAN_ID, span.spanId);
    if (span.traceState !== '') out.textField(TRACE_STATE, span.traceState);
    if (span.parentSpanId !== undefined) out.hexField(PARENT_SPAN_ID, span.parentSpanId);
    out.textField(NAME, asText(span.name));
    out.uint32Field(KIND, spanKind(span.kind));
    const startMillis = span.startEpochMillis;
    const endMillis = startMillis + span.durationMillis;
    out.timeField(START_TIME, secondsOf(startMillis), nanosOf(startMillis));
    out.timeField(END_TIME, secondsOf(endMillis), nanosOf(endMillis));
    this.#attributes.write(out, ATTRIBUTES, span.attributes);
    out.uint32Field(DROPPED_ATTRIBUTES, span.droppedAttributesCount);
    for (const event of span.events) this.#writeEvent(out, event);
    out.uint32Field(DROPPED_EVENTS, span.droppedEventsCount);
    for (const link of span.links) this.#writeLink(out, link);
    out.uint32Field(DROPPED_LINKS, span.droppedLinksCount);
    if (span.statusCode !== 0 || span.statusMessage) writeStatus(out, span);
    out.fixed32Field(FLAGS, spanFlags(span.traceFlags, span.parentIsRemote));
    out.end(start, SPAN_LENGTH_BYTES);
  }

  frame(groups: readonly ScopeGroup[]): Uint8Array[] {
    this.#resourceBytes ??= resourceField(this.#resource, this.#attributes);
    const inside = [this.#resourceBytes, ...groups.flatMap(scopeSpans), schemaUrlField(this.#resource.schemaUrl)];
    return [messageHead(RESOURCE_SPANS, inside), ...inside];
  }

  #writeEvent(out: ProtobufWriter, event: TimedEvent): void {
    const start = out.begin(EVENTS);
    out.timeField(EVENT_TIME, event.time[0], event.time[1]);
    out.textField(EVENT_NAME, asText(event.name));
    if (event.attributes) this.#attributes.write(out, EVENT_ATTRIBUTES, event.attributes);
    out.uint32Field(EVENT_DROPPED_ATTRIBUTES, event.droppedAttributesCount ?? 0);
    out.end(start);
  }

  #writeLink(out: ProtobufWriter, link: Link): void {
    const { context } = link;
    const traceState = linkTraceState(link);
    const start = out.begin(LINKS);
    out.hexField(TRACE_ID, linkTraceId(link));
    out.hexField(SPAN_ID, linkSpanId(link));
    if (traceState !== '') out.textField(TRACE_STATE, traceState);
    if (link.attributes) this.#attributes.write(out, LINK_ATTRIBUTES, link.attributes);
    out.uint32Field(LINK_DROPPED_ATTRIBUTES, link.droppedAttributesCount ?? 0);
    out.fixed32Field(LINK_FLAGS, spanFlags(context.traceFlags, context.isRemote));
    out.end(start);
  }
}

function writeStatus(out: ProtobufWriter, span: EncodableSpan): void {
  const start = out.begin(STATUS);
  if (span.statusMessage) out.textField(STATUS_MESSAGE, span.statusMessage);
  out.uint32Field(STATUS_CODE, span.statusCode);
  out.end(start);
}

function scopeSpans({ scope, spans }: ScopeGroup): Uint8Array[] {
  const inside = [scopeField(scope), ...spans, schemaUrlField(scope.schemaUrl)];
  return [messageHead(SCOPE_SPANS, inside), ...inside];
}
