// Operations of export/: a finished server span of 13 attributes as OTLP, for a request of 512. The spans' attributes are
// settled for ours and for OpenTelemetry's encoder alike; what asking for them costs is an operation of its own.
import { JsonTraceSerializer, ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-node';
import { spanBatch } from '../../../src/export/otlp-spans.ts';
import type { Span } from '../../../src/trace/span.ts';
import { ROUTES, type Exchanges } from '../exchanges.ts';
import { inTurn, keep, operation, subject, type Operation } from '../operation.ts';
import { wireParts } from '../parts.ts';
import { begunSpan } from './span.ts';

const SPANS_PER_REQUEST = 512;
const ATTRIBUTES = 13;

export function otlpEncode(exchanges: Exchanges, protocol: 'http/protobuf' | 'http/json'): Operation {
  const { spans, resource } = finishedSpans(exchanges);
  const serializer = protocol === 'http/json' ? JsonTraceSerializer : ProtobufTraceSerializer;
  const peer = (): Uint8Array => serializer.serializeRequest(spans as unknown as ReadableSpan[])!;
  const expectedBytes = peer().length;
  // Fields that hold their default differ, no more.
  const isWhole = (request: unknown): boolean => Math.abs((request as Uint8Array).length / expectedBytes - 1) < 0.1;
  const batch = spanBatch(protocol, resource);
  const template = Buffer.alloc(Math.round(expectedBytes / SPANS_PER_REQUEST), 'x');
  const out = Buffer.alloc(template.length * SPANS_PER_REQUEST);
  return operation({
    unitsPerCall: SPANS_PER_REQUEST,
    ours: subject(
      () => {
        for (const span of spans) batch.append(span);
        return keep(batch.take());
      },
      { isRight: isWhole },
    ),
    bound: subject(
      () => {
        for (let at = 0; at < out.length; at += template.length) out.set(template, at);
        return keep(Buffer.from(out));
      },
      { isRight: isWhole },
    ),
    boundIs: 'as many bytes copied from a template into one buffer for each span, and all of them once more for the request',
    peers: { 'OpenTelemetry otlp-transformer': subject(() => keep(peer()), { isRight: isWhole }) },
  });
}

function finishedSpans(exchanges: Exchanges): { spans: Span[]; resource: ReturnType<typeof wireParts>['tracing']['resource'] } {
  const { requests, tracing } = wireParts();
  const route = inTurn(ROUTES);
  const spans = Array.from({ length: SPANS_PER_REQUEST }, () => {
    const exchange = exchanges.received();
    const span = begunSpan(requests, exchange);
    requests.named(exchange.res, route());
    exchanges.answer(exchange);
    // Before the end, which lets the request go.
    span.settle();
    requests.end(exchange.res);
    if (Object.keys(span.attributes).length !== ATTRIBUTES)
      throw new Error(`a server span has ${Object.keys(span.attributes).length} attributes`);
    return span;
  });
  return { spans, resource: tracing.resource };
}
