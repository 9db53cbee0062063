// OTLP metrics and logs to bytes and answers back, by the serialisers of OpenTelemetry's otlp-transformer. Loaded by otlp.ts
// when the first request is due, so that a process without an endpoint never pays for it.
import {
  JsonLogsSerializer,
  JsonMetricsSerializer,
  JsonTraceSerializer,
  ProtobufLogsSerializer,
  ProtobufMetricsSerializer,
  ProtobufTraceSerializer,
} from '@opentelemetry/otlp-transformer';
import type { PartialSuccess, Protocol } from './delivery.ts';
import { toLogRecords, type LogBatch } from './otlp-log-records.ts';
import { toResourceMetrics, type MetricsSnapshot } from './otlp-metrics.ts';
import type { OtlpProtocol } from './otlp.ts';

const CONTENT_TYPES: Readonly<Record<OtlpProtocol, string>> = {
  'http/protobuf': 'application/x-protobuf',
  'http/json': 'application/json',
};

/** Answers after which the same request may be sent again (OTLP specification, retryable response codes). */
const RETRYABLE_STATUSES: ReadonlySet<number> = new Set([429, 502, 503, 504]);

const ADVICE: Readonly<Record<string, string>> = {
  headers: 'check OTEL_EXPORTER_OTLP_HEADERS',
  '401': 'check OTEL_EXPORTER_OTLP_HEADERS',
  '403': 'check OTEL_EXPORTER_OTLP_HEADERS',
  '404': 'check the path of the endpoint',
  '415': 'check OTEL_EXPORTER_OTLP_PROTOCOL',
  ECONNREFUSED: 'check that a collector is listening there',
  ENOTFOUND: 'check the host name of the endpoint',
  HPE: 'check that this is not the gRPC port; OTLP/HTTP has 4318',
};

/** The spans are encoded as they end (otlp-spans.ts). */
export function traceProtocol(protocol: OtlpProtocol): Protocol<Uint8Array> {
  const serializer = protocol === 'http/json' ? JsonTraceSerializer : ProtobufTraceSerializer;
  return {
    contentType: CONTENT_TYPES[protocol],
    retryableStatuses: RETRYABLE_STATUSES,
    advice: { ...ADVICE, '413': 'lower OTEL_BSP_MAX_EXPORT_BATCH_SIZE' },
    serialize: (request) => request,
    partialSuccess: (answer) => {
      const partial = decode(() => serializer.deserializeResponse(answer).partialSuccess);
      return complaint(partial?.rejectedSpans, partial?.errorMessage);
    },
  };
}

export function metricsProtocol(protocol: OtlpProtocol): Protocol<MetricsSnapshot> {
  const serializer = protocol === 'http/json' ? JsonMetricsSerializer : ProtobufMetricsSerializer;
  return {
    contentType: CONTENT_TYPES[protocol],
    retryableStatuses: RETRYABLE_STATUSES,
    advice: ADVICE,
    serialize: (snapshot) => serializer.serializeRequest(toResourceMetrics(snapshot)),
    partialSuccess: (answer) => {
      const partial = decode(() => serializer.deserializeResponse(answer).partialSuccess);
      return complaint(partial?.rejectedDataPoints, partial?.errorMessage);
    },
  };
}

export function logsProtocol(protocol: OtlpProtocol): Protocol<LogBatch> {
  const serializer = protocol === 'http/json' ? JsonLogsSerializer : ProtobufLogsSerializer;
  return {
    contentType: CONTENT_TYPES[protocol],
    retryableStatuses: RETRYABLE_STATUSES,
    advice: { ...ADVICE, '404': 'check the path of the endpoint, or set OTEL_LOGS_EXPORTER=none where no logs are taken' },
    serialize: (batch) => serializer.serializeRequest(toLogRecords(batch)),
    partialSuccess: (answer) => {
      const partial = decode(() => serializer.deserializeResponse(answer).partialSuccess);
      return complaint(partial?.rejectedLogRecords, partial?.errorMessage);
    },
  };
}

/** The profiles are encoded when they are taken (otlp-profiles.ts). */
export function profilesProtocol(protocol: OtlpProtocol): Protocol<Uint8Array> {
  return {
    contentType: CONTENT_TYPES[protocol],
    retryableStatuses: RETRYABLE_STATUSES,
    advice: { ...ADVICE, '404': 'check that it takes profiles, as a Collector does with --feature-gates=+service.profilesSupport' },
    serialize: (request) => request,
    partialSuccess: (answer) => {
      const partial = decode(() => profilesAnswer(protocol, answer));
      return complaint(partial?.rejectedProfiles, partial?.errorMessage);
    },
  };
}

/** On the wire the answer for profiles is that for spans; in JSON a field has another name. */
function profilesAnswer(protocol: OtlpProtocol, answer: Uint8Array): { rejectedProfiles?: unknown; errorMessage?: unknown } | undefined {
  if (protocol === 'http/json') {
    return (JSON.parse(Buffer.from(answer).toString()) as { partialSuccess?: { rejectedProfiles?: unknown } }).partialSuccess;
  }
  const partial = ProtobufTraceSerializer.deserializeResponse(answer).partialSuccess;
  return { rejectedProfiles: partial?.rejectedSpans, errorMessage: partial?.errorMessage };
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
