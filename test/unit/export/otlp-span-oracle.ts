// Spans for the tests of their encoding, and OpenTelemetry's own serialiser to compare with. A span is one plain object
// that both sides read: what Sonde encodes, and the SDK's ReadableSpan.
import { createRequire } from 'node:module';
import type { SpanContext } from '@opentelemetry/api';
import { ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer';
import type { Resource } from '@opentelemetry/resources';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-node';
import type { EncodableSpan } from '../../../src/export/otlp-spans.ts';
import { TraceStateHeader } from '../../../src/trace/propagation.ts';
import { toHrTime } from '../../../src/trace/time.ts';
import { RESOURCE } from '../../helpers/otlp.ts';

export type Json = Record<string, any>;
/** Read by both sides. */
export type TestSpan = EncodableSpan & ReadableSpan;

const DEFAULTS: EncodableSpan = {
  traceId: '0af7651916cd43dd8448eb211c80319c',
  spanId: 'b7ad6b7169203331',
  parentSpanId: undefined,
  parentIsRemote: false,
  traceFlags: 1,
  traceState: '',
  name: 'GET /orders/{id}',
  kind: 1,
  startEpochMillis: 1_700_000_000_123.25,
  durationMillis: 12.5,
  attributes: {},
  events: [],
  links: [],
  statusCode: 0,
  statusMessage: undefined,
  droppedAttributesCount: 0,
  droppedEventsCount: 0,
  droppedLinksCount: 0,
  instrumentationScope: { name: 'sonde/http' },
};

/** A span with these fields. */
export function testSpan(fields: Partial<EncodableSpan> = {}, resource: Resource = RESOURCE): TestSpan {
  const span = { ...DEFAULTS, ...fields };
  const context = (spanId: string, isRemote: boolean): SpanContext => ({
    traceId: span.traceId,
    spanId,
    traceFlags: span.traceFlags,
    ...(isRemote ? { isRemote } : {}),
    ...(span.traceState === '' ? {} : { traceState: new TraceStateHeader(span.traceState) }),
  });
  return {
    ...span,
    resource,
    spanContext: () => context(span.spanId, false),
    ...(span.parentSpanId === undefined ? {} : { parentSpanContext: context(span.parentSpanId, span.parentIsRemote) }),
    startTime: toHrTime(span.startEpochMillis),
    endTime: toHrTime(span.startEpochMillis + span.durationMillis),
    duration: toHrTime(span.durationMillis),
    ended: true,
    status: { code: span.statusCode, ...(span.statusMessage === undefined ? {} : { message: span.statusMessage }) },
  } as TestSpan;
}

interface MessageType {
  decode(bytes: Uint8Array): unknown;
  encode(message: unknown): { finish(): Uint8Array };
  toObject(message: unknown, options: object): Json;
}

const require = createRequire(import.meta.url);
const { getProtoRoot } = require('@elastic/mockotlpserver/lib/proto.js') as { getProtoRoot(): { lookupType(name: string): MessageType } };
/** By the official proto files. */
const REQUEST = getProtoRoot().lookupType('opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest');

/** What a protobuf request says. */
export function decodeProtobuf(bytes: Uint8Array): Json {
  return said(REQUEST.toObject(REQUEST.decode(bytes), { longs: String }));
}

/** What a JSON request says. */
export function decodeJson(bytes: Uint8Array): Json {
  return said(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
}

/** The request as protobufjs writes it: fields in order, no varint longer than it must be. */
export function rewritten(bytes: Uint8Array): Uint8Array {
  return REQUEST.encode(REQUEST.decode(bytes)).finish();
}

/** What OpenTelemetry's serialiser says of spans. */
export function oracle(spans: readonly TestSpan[]): Json {
  return decodeProtobuf(ProtobufTraceSerializer.serializeRequest([...spans])!);
}

/** The one form of both encodings: without fields that have their default, which may be written or not. */
function said(message: unknown): Json {
  return plain(message) as Json;
}

function plain(value: unknown, key = ''): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map((item) => plain(item));
  if (key === 'intValue') return String(BigInt(value as string | number));
  if (key === 'doubleValue') return Number(value);
  if (key === 'traceId' || key === 'spanId' || key === 'parentSpanId') return String(value).toLowerCase();
  if (value === null || typeof value !== 'object') return value;
  const fields = Object.entries(value).map(([name, item]) => [name, plain(item, name)] as const);
  return Object.fromEntries(fields.filter(([name, item]) => name.endsWith('Value') || name === 'value' || !isDefault(name, item)));
}

function isDefault(name: string, value: unknown): boolean {
  if (value === undefined || value === 0 || value === '' || (value === '0' && name.endsWith('UnixNano'))) return true;
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}
