// What the OTLP tests share: loopback receivers that behave as told, spans made by OpenTelemetry's own SDK, and a
// clock that only moves when told.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { hrTimeToMilliseconds } from '@opentelemetry/core';
import { resourceFromAttributes, type Resource } from '@opentelemetry/resources';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor, type ReadableSpan } from '@opentelemetry/sdk-trace-node';
import { StderrDiag, type Diag } from '../../src/core/diag.ts';
import { Guard } from '../../src/core/guard.ts';
import type { OtlpLogsOptions } from '../../src/export/otlp-logs.ts';
import type { OtlpMetricsOptions, OtlpTraceOptions } from '../../src/export/otlp.ts';
import type { EncodableSpan } from '../../src/export/otlp-spans.ts';
import { ManualClock } from './manual-clock.ts';

export const RESOURCE: Resource = resourceFromAttributes({ 'service.name': 'shop', 'process.pid': 4711 });

/** What an exporter is handed, and the lines it says. */
export function otlpDeps(): { clock: ManualClock; diag: Diag; guard: Guard; resource: Resource; lines: string[] } {
  const lines: string[] = [];
  const diag = new StderrDiag('info', (line) => lines.push(line));
  return { clock: new ManualClock(), diag, guard: new Guard(diag), resource: RESOURCE, lines };
}

export function traceOptions(url: string, overrides: Partial<OtlpTraceOptions> = {}): OtlpTraceOptions {
  return {
    url,
    headers: {},
    protocol: 'http/protobuf',
    compression: 'none',
    timeoutMillis: 10_000,
    scheduleDelayMillis: 5000,
    maxQueueSize: 2048,
    maxExportBatchSize: 512,
    ...overrides,
  };
}

export function metricsOptions(url: string, overrides: Partial<OtlpMetricsOptions> = {}): OtlpMetricsOptions {
  const { headers, protocol, compression, timeoutMillis } = traceOptions(url);
  return { url, headers, protocol, compression, timeoutMillis, intervalMillis: 60_000, ...overrides };
}

export function logsOptions(url: string, overrides: Partial<OtlpLogsOptions> = {}): OtlpLogsOptions {
  return { ...traceOptions(url), scheduleDelayMillis: 1000, ...overrides };
}

/** Ended spans as OpenTelemetry's SDK exports them. */
export function sdkSpans(make: (provider: BasicTracerProvider) => void): ReadableSpan[] {
  const memory = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ resource: RESOURCE, spanProcessors: [new SimpleSpanProcessor(memory)] });
  make(provider);
  return memory.getFinishedSpans();
}

/** A span of the SDK's as the exporter takes it. */
export function encodable(span: ReadableSpan): EncodableSpan {
  const { name, kind, attributes, events, links, status, parentSpanContext, instrumentationScope } = span;
  const { traceId, spanId, traceFlags, traceState } = span.spanContext();
  const { droppedAttributesCount, droppedEventsCount, droppedLinksCount } = span;
  return {
    traceId,
    spanId,
    traceFlags,
    name,
    kind,
    attributes,
    events,
    links,
    instrumentationScope,
    droppedAttributesCount,
    droppedEventsCount,
    droppedLinksCount,
    parentSpanId: parentSpanContext?.spanId,
    parentIsRemote: parentSpanContext?.isRemote === true,
    traceState: traceState?.serialize() ?? '',
    startEpochMillis: hrTimeToMilliseconds(span.startTime),
    durationMillis: hrTimeToMilliseconds(span.duration),
    statusCode: status.code,
    statusMessage: status.message,
  };
}

/** `count` plain spans as the SDK exports them. */
export function plainSdkSpans(count: number): ReadableSpan[] {
  return sdkSpans((provider) => {
    const tracer = provider.getTracer('test');
    for (let i = 0; i < count; i++) tracer.startSpan(`span ${i}`).end();
  });
}

/** The same as the exporter takes them. */
export function plainSpans(count: number): EncodableSpan[] {
  return plainSdkSpans(count).map(encodable);
}

/** A request as a receiver got it, its body decompressed. */
interface ReceivedRequest {
  readonly request: IncomingMessage;
  readonly body: Buffer;
}

/** A loopback receiver. */
export interface Receiver {
  readonly url: string;
  readonly requests: ReceivedRequest[];
  readonly server: Server;
  close(): Promise<void>;
}

/** Starts a receiver that reads each request to its end and then answers as told; `index` counts the requests. */
export async function startReceiver(answer: (response: ServerResponse, index: number) => void, port = 0): Promise<Receiver> {
  const requests: ReceivedRequest[] = [];
  const listener: RequestListener = (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const bytes = Buffer.concat(chunks);
      requests.push({ request, body: request.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes });
      answer(response, requests.length - 1);
    });
  };
  const server = createServer(listener);
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`, requests, server, close };
}

/** Lets the event loop turn until `condition` holds; the test's own time limit ends it otherwise. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
