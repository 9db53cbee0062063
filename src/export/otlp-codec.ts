// OTLP metrics to bytes and answers back, by the serialisers of OpenTelemetry's otlp-transformer. Loaded by otlp.ts
// when the first request is due, so that a process without an endpoint never pays for it.
import {
  JsonMetricsSerializer,
  JsonTraceSerializer,
  ProtobufMetricsSerializer,
  ProtobufTraceSerializer,
} from '@opentelemetry/otlp-transformer';
import { toResourceMetrics, type MetricsSnapshot } from './otlp-metrics.ts';
import type { OtlpProtocol } from './otlp.ts';

/** What a receiver did not take of a request that it accepted (`partial_success`). */
export interface PartialSuccess {
  /** Spans or data points; 0 with a message is a warning. */
  readonly rejected: number;
  readonly message: string;
}

/** The two directions of one signal. */
export interface OtlpCodec<T> {
  readonly contentType: string;
  /** Throws when `value` cannot be serialised. */
  serialize(value: T): Uint8Array | undefined;
  /** What the answer complains about; undefined when nothing, or when it is not an answer of OTLP. */
  partialSuccess(answer: Uint8Array): PartialSuccess | undefined;
}

const CONTENT_TYPES: Readonly<Record<OtlpProtocol, string>> = {
  'http/protobuf': 'application/x-protobuf',
  'http/json': 'application/json',
};

/** The spans are encoded as they end (otlp-spans.ts). */
export function traceCodec(protocol: OtlpProtocol): OtlpCodec<Uint8Array> {
  const serializer = protocol === 'http/json' ? JsonTraceSerializer : ProtobufTraceSerializer;
  return {
    contentType: CONTENT_TYPES[protocol],
    serialize: (request) => request,
    partialSuccess: (answer) => {
      const partial = decode(() => serializer.deserializeResponse(answer).partialSuccess);
      return complaint(partial?.rejectedSpans, partial?.errorMessage);
    },
  };
}

export function metricsCodec(protocol: OtlpProtocol): OtlpCodec<MetricsSnapshot> {
  const serializer = protocol === 'http/json' ? JsonMetricsSerializer : ProtobufMetricsSerializer;
  return {
    contentType: CONTENT_TYPES[protocol],
    serialize: (snapshot) => serializer.serializeRequest(toResourceMetrics(snapshot)),
    partialSuccess: (answer) => {
      const partial = decode(() => serializer.deserializeResponse(answer).partialSuccess);
      return complaint(partial?.rejectedDataPoints, partial?.errorMessage);
    },
  };
}

/** Reads an answer; anything may stand in it, and the request has been accepted whatever it says. */
function decode<P>(read: () => P): P | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

function complaint(rejected: unknown, message: unknown): PartialSuccess | undefined {
  // In JSON a 64-bit count may come as a number or a string (proto3 JSON mapping).
  const count = Number(rejected ?? 0);
  const text = typeof message === 'string' ? message : '';
  if (!(count > 0) && text === '') return undefined;
  return { rejected: count > 0 ? count : 0, message: text };
}
