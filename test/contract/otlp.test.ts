// What an OTLP receiver of somebody else (Elastic's, with the official .proto files) makes of what we send.
import { createRequire } from 'node:module';
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, trace } from '@opentelemetry/api';
import { TraceState } from '@opentelemetry/core';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-node';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { OtlpLogsExporter } from '../../src/export/otlp-logs.ts';
import { OtlpMetricsExporter, OtlpTraceExporter, type OtlpProtocol } from '../../src/export/otlp.ts';
import type { EncodableSpan } from '../../src/export/otlp-spans.ts';
import type { Family } from '../../src/metrics/family.ts';
import { Span } from '../../src/trace/span.ts';
import {
  encodable,
  logsOptions,
  metricsOptions,
  otlpDeps,
  plainSpans,
  RESOURCE,
  sdkSpans,
  startReceiver,
  traceOptions,
  until,
} from '../helpers/otlp.ts';

// The package has no declarations of its own.
interface MockOtlpServer {
  readonly httpUrl: URL;
  start(): Promise<void>;
  close(): Promise<void>;
}
interface MockOtlpModule {
  MockOtlpServer: new (options: Record<string, unknown>) => MockOtlpServer;
}

type Decoded = Record<string, any>;

const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';
const PARENT_ID = 'b7ad6b7169203331';

let server: MockOtlpServer;
let received: Decoded[] = [];
let headers: Record<string, string>[] = [];

beforeAll(async () => {
  const require = createRequire(import.meta.url);
  const { MockOtlpServer: Server } = require('@elastic/mockotlpserver') as MockOtlpModule;
  server = new Server({
    services: ['http'],
    httpHostname: '127.0.0.1',
    httpPort: 0,
    logLevel: 'error',
    onTrace: (message: Decoded) => received.push(message),
    onMetrics: (message: Decoded) => received.push(message),
    onLogs: (message: Decoded) => received.push(message),
    onRequest: (request: { headers: Record<string, string> }) => headers.push(request.headers),
  });
  await server.start();
});

afterAll(() => server.close());

beforeEach(() => {
  received = [];
  headers = [];
});

/** The same plain object for a decoded protobuf message and for JSON: ids in hex, 64-bit integers as text. */
function plain(value: unknown, key = ''): any {
  if (Buffer.isBuffer(value)) return value.toString('hex');
  if (Array.isArray(value)) return value.map((item) => plain(item, key));
  if (value !== null && typeof value === 'object') {
    if ('low' in value && 'high' in value) return (value as { toString(): string }).toString();
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plain(item, name)]));
  }
  return ['intValue', 'count', 'bucketCounts'].includes(key) ? String(value) : value;
}

function attributes(list: { key: string; value: unknown }[]): Record<string, unknown> {
  return Object.fromEntries(list.map(({ key, value }) => [key, value]));
}

async function exportSpans(protocol: OtlpProtocol, spans: readonly EncodableSpan[]): Promise<Decoded> {
  const exporter = new OtlpTraceExporter(traceOptions(`${server.httpUrl.href}v1/traces`, { protocol }), otlpDeps());
  for (const span of spans) exporter.enqueue(span);
  await exporter.shutdown(5000);
  expect(exporter.stats()).toEqual({ exported: spans.length, dropped: new Map(), queueSize: 0 });
  await until(() => received.length > 0);
  return plain(received[0]);
}

function serverSpan(): ReadableSpan {
  const spans = sdkSpans((provider) => {
    const remote = {
      traceId: TRACE_ID,
      spanId: PARENT_ID,
      traceFlags: TraceFlags.SAMPLED,
      isRemote: true,
      traceState: new TraceState('vendor=1'),
    };
    const span = provider.getTracer('sonde', '0.1.0').startSpan(
      'GET /orders/{id}',
      {
        kind: SpanKind.SERVER,
        startTime: [1_700_000_000, 123_250_000],
        attributes: {
          'http.request.method': 'GET',
          'http.response.status_code': 500,
          'url.path': '/orders/7é',
          ratio: 0.25,
          cached: false,
          negative: -3,
          large: 2 ** 53,
          'http.request.header.accept': ['a', 'b'],
          numbers: [1, 2.5],
        },
        links: [{ context: { traceId: TRACE_ID, spanId: '00f067aa0ba902b7', traceFlags: 1 }, attributes: { why: 'batch' } }],
      },
      trace.setSpanContext(ROOT_CONTEXT, remote),
    );
    span.addEvent('exception', { 'exception.type': 'TypeError', line: 12 }, [1_700_000_000, 200_000_000]);
    span.setStatus({ code: SpanStatusCode.ERROR, message: 'no such order' });
    span.end([1_700_000_001, 125_000_000]);
  });
  return spans[0]!;
}

describe.each<OtlpProtocol>(['http/protobuf', 'http/json'])('over %s', (protocol) => {
  it('a span arrives attribute for attribute', async () => {
    const span = serverSpan();

    const message = await exportSpans(protocol, [encodable(span)]);

    const [resourceSpans] = message['resourceSpans'];
    expect(attributes(resourceSpans.resource.attributes)).toEqual({
      'service.name': { stringValue: 'shop' },
      'process.pid': { intValue: '4711' },
    });
    expect(resourceSpans.scopeSpans[0].scope).toMatchObject({ name: 'sonde', version: '0.1.0' });
    const [decoded] = resourceSpans.scopeSpans[0].spans;
    expect(decoded).toMatchObject({
      traceId: TRACE_ID,
      spanId: span.spanContext().spanId,
      parentSpanId: PARENT_ID,
      traceState: 'vendor=1',
      name: 'GET /orders/{id}',
      kind: 2,
      startTimeUnixNano: '1700000000123250000',
      endTimeUnixNano: '1700000001125000000',
      status: { code: 2, message: 'no such order' },
      // Sampled, and the parent is known to be remote.
      flags: 0x301,
    });
    expect(attributes(decoded.attributes)).toEqual({
      'http.request.method': { stringValue: 'GET' },
      'http.response.status_code': { intValue: '500' },
      'url.path': { stringValue: '/orders/7é' },
      ratio: { doubleValue: 0.25 },
      cached: { boolValue: false },
      negative: { intValue: '-3' },
      large: { intValue: '9007199254740992' },
      'http.request.header.accept': { arrayValue: { values: [{ stringValue: 'a' }, { stringValue: 'b' }] } },
      numbers: { arrayValue: { values: [{ intValue: '1' }, { doubleValue: 2.5 }] } },
    });
    expect(decoded.events[0]).toMatchObject({ name: 'exception', timeUnixNano: '1700000000200000000' });
    expect(attributes(decoded.events[0].attributes)).toEqual({
      'exception.type': { stringValue: 'TypeError' },
      line: { intValue: '12' },
    });
    expect(decoded.links[0]).toMatchObject({ traceId: TRACE_ID, spanId: '00f067aa0ba902b7' });
    expect(attributes(decoded.links[0].attributes)).toEqual({ why: { stringValue: 'batch' } });
  });

  it('a span of Sonde arrives like one of the SDK', async () => {
    const spans: Span[] = [];
    const { clock } = otlpDeps();
    const limits = {
      attributeCount: 128,
      attributeValueLength: Infinity,
      eventCount: 128,
      linkCount: 128,
      attributePerEventCount: 128,
      attributePerLinkCount: 128,
    };
    const owner = { clock, limits, resource: RESOURCE, slowMillis: Infinity, slow: () => {}, ended: (ended: Span) => spans.push(ended) };
    const span = new Span(owner, { name: 'sonde/http' }, SpanKind.SERVER);
    span.begunAs('GET /orders/{id}', undefined);
    span.continueFrom({ traceId: TRACE_ID, spanId: PARENT_ID, traceFlags: 1 }, true, 'vendor=1');
    span.traceFlags = 1;
    span.setAttributes({ 'http.response.status_code': 500, 'url.path': '/orders/7' });
    span.setStatus({ code: SpanStatusCode.ERROR });
    clock.advance(12.5);
    span.end();
    span.settle();

    const message = await exportSpans(protocol, spans);

    const { scope, spans: decoded } = message['resourceSpans'][0].scopeSpans[0];
    expect(scope.name).toBe('sonde/http');
    expect(decoded[0]).toMatchObject({
      traceId: TRACE_ID,
      spanId: span.spanId,
      parentSpanId: PARENT_ID,
      traceState: 'vendor=1',
      name: 'GET /orders/{id}',
      kind: 2,
      startTimeUnixNano: '1700001000000000000',
      endTimeUnixNano: '1700001000012500000',
      status: { code: 2 },
      flags: 0x301,
    });
    expect(attributes(decoded[0].attributes)).toEqual({
      'http.response.status_code': { intValue: '500' },
      'url.path': { stringValue: '/orders/7' },
    });
  });

  it('a root span has no parent, and kinds and states arrive as their numbers', async () => {
    const spans = sdkSpans((provider) => {
      const tracer = provider.getTracer('test');
      tracer.startSpan('internal').end();
      tracer.startSpan('client', { kind: SpanKind.CLIENT }).setStatus({ code: SpanStatusCode.OK }).end();
    });

    const message = await exportSpans(protocol, spans.map(encodable));

    const [internal, client] = message['resourceSpans'][0].scopeSpans[0].spans;
    expect(internal.parentSpanId ?? '').toBe('');
    expect([internal.kind, internal.status?.code ?? 0]).toEqual([1, 0]);
    expect([client.kind, client.status.code]).toEqual([3, 1]);
  });

  it('an event arrives with its name, severity, body, attributes and times', async () => {
    const deps = otlpDeps();
    const scope = { name: 'sonde', version: '0.1.0' };
    const exporter = new OtlpLogsExporter(logsOptions(`${server.httpUrl.href}v1/logs`, { protocol }), { ...deps, scope });
    deps.clock.advance(2500);
    const attributesOfIt = { 'sonde.leak.kind': 'heap', 'code.line.number': 41, 'sonde.leak.share': 0.84 };
    const event = { name: 'sonde.leak', body: 'leak of heap: é', attributes: attributesOfIt };
    exporter.event({ ...event, severityNumber: 17, epochMillis: 1_700_000_001_250 });
    exporter.event({ ...event, severityNumber: 9, name: '', attributes: {}, epochMillis: 1_700_000_001_250 });

    await exporter.shutdown(5000);
    await until(() => received.length > 0);

    expect(exporter.stats()).toEqual({ exported: 2, dropped: new Map(), queueSize: 0 });
    const [resourceLogs, ...others] = plain(received[0])['resourceLogs'];
    expect(others).toEqual([]);
    expect(attributes(resourceLogs.resource.attributes)['service.name']).toEqual({ stringValue: 'shop' });
    expect(resourceLogs.scopeLogs).toHaveLength(1);
    expect(resourceLogs.scopeLogs[0].scope).toMatchObject(scope);
    const [leak, unnamed] = resourceLogs.scopeLogs[0].logRecords;
    expect(leak).toMatchObject({
      timeUnixNano: '1700000001250000000',
      observedTimeUnixNano: '1700001002500000000',
      severityText: 'ERROR',
      body: { stringValue: 'leak of heap: é' },
    });
    expect([17, 'SEVERITY_NUMBER_ERROR']).toContain(leak.severityNumber);
    expect(attributes(leak.attributes)).toEqual({
      'event.name': { stringValue: 'sonde.leak' },
      'sonde.leak.kind': { stringValue: 'heap' },
      'code.line.number': { intValue: '41' },
      'sonde.leak.share': { doubleValue: 0.84 },
    });
    expect(unnamed.severityText).toBe('INFO');
    expect(unnamed.attributes ?? []).toEqual([]);
  });

  it('every kind of metric arrives with its points, temporality and times', async () => {
    const deps = otlpDeps();
    const registry = { collect: async () => FAMILIES };
    const scope = { name: 'sonde', version: '0.1.0' };
    const options = metricsOptions(`${server.httpUrl.href}v1/metrics`, { protocol });
    const exporter = new OtlpMetricsExporter(options, { ...deps, registry, resource: RESOURCE, scope });
    deps.clock.advance(2500);

    await exporter.shutdown(5000);
    await until(() => received.length > 0);

    expect(exporter.stats().exported).toBe(8);
    const [resourceMetrics] = plain(received[0])['resourceMetrics'];
    expect(attributes(resourceMetrics.resource.attributes)['service.name']).toEqual({ stringValue: 'shop' });
    expect(resourceMetrics.scopeMetrics[0].scope).toMatchObject(scope);
    const metrics: Record<string, Decoded> = Object.fromEntries(
      resourceMetrics.scopeMetrics[0].metrics.map((metric: Decoded) => [metric['name'], metric]),
    );
    expect(Object.keys(metrics)).toEqual([
      'process.cpu.time',
      'http.server.active_requests',
      'nodejs.eventloop.utilization',
      'http.server.request.duration',
      'job_seconds',
      'job_seconds_sum',
      'job_seconds_count',
    ]);

    const cpu = metrics['process.cpu.time']!;
    expect(cpu).toMatchObject({ unit: 's', description: 'CPU time', sum: { aggregationTemporality: 2, isMonotonic: true } });
    expect(cpu['sum'].dataPoints.map((point: Decoded) => point['asDouble'])).toEqual([1.5, 2]);
    expect(cpu['sum'].dataPoints[0]).toMatchObject({ startTimeUnixNano: '1700001000000000000', timeUnixNano: '1700001002500000000' });
    expect(attributes(cpu['sum'].dataPoints[0].attributes)).toEqual({ 'cpu.mode': { stringValue: 'user' } });

    const active = metrics['http.server.active_requests']!['sum'];
    expect(active.isMonotonic ?? false).toBe(false);
    expect(active).toMatchObject({ aggregationTemporality: 2, dataPoints: [{ asDouble: -1 }] });

    // The point that is not a number is left out: JSON cannot hold it.
    expect(metrics['nodejs.eventloop.utilization']!['gauge'].dataPoints).toHaveLength(1);
    expect(metrics['nodejs.eventloop.utilization']!['gauge'].dataPoints[0].asDouble).toBe(0.5);

    const duration = metrics['http.server.request.duration']!['histogram'];
    expect(duration.aggregationTemporality).toBe(2);
    expect(duration.dataPoints[0]).toMatchObject({ count: '6', sum: 4.5, explicitBounds: [0.1, 1], bucketCounts: ['1', '2', '3'] });
    expect(attributes(duration.dataPoints[0].attributes)).toEqual({
      'http.route': { stringValue: '/orders/{id}' },
      'http.response.status_code': { intValue: '200' },
    });
    expect(attributes(duration.dataPoints[1].attributes)).toEqual({ 'otel.metric.overflow': { boolValue: true } });

    expect(metrics['job_seconds']!['gauge'].dataPoints[0].asDouble).toBe(0.3);
    expect(attributes(metrics['job_seconds']!['gauge'].dataPoints[0].attributes)).toEqual({ quantile: { stringValue: '0.5' } });
    expect(metrics['job_seconds_sum']!['sum'].dataPoints[0].asDouble).toBe(9);
    expect(metrics['job_seconds_count']!['sum']).toMatchObject({ isMonotonic: true, dataPoints: [{ asDouble: 12 }] });
  });
});

const FAMILIES: readonly Family[] = [
  {
    type: 'counter',
    name: 'process.cpu.time',
    unit: 's',
    description: 'CPU time',
    points: [
      { labels: { 'cpu.mode': 'user' }, value: 1.5 },
      { labels: { 'cpu.mode': 'system' }, value: 2 },
    ],
  },
  { type: 'updowncounter', name: 'http.server.active_requests', unit: '{request}', description: '', points: [{ labels: {}, value: -1 }] },
  {
    type: 'gauge',
    name: 'nodejs.eventloop.utilization',
    unit: '1',
    description: '',
    points: [
      { labels: {}, value: 0.5 },
      { labels: { broken: 'yes' }, value: Number.NaN },
    ],
  },
  {
    type: 'histogram',
    name: 'http.server.request.duration',
    unit: 's',
    description: '',
    points: [
      {
        labels: { 'http.route': '/orders/{id}', 'http.response.status_code': '200' },
        bounds: [0.1, 1],
        counts: Float64Array.of(1, 2, 3),
        sum: 4.5,
      },
      { labels: { 'otel.metric.overflow': 'true' }, bounds: [0.1, 1], counts: [0, 0, 0], sum: 0 },
    ],
  },
  {
    type: 'summary',
    name: 'job_seconds',
    unit: '',
    description: '',
    naming: 'prometheus',
    points: [{ labels: {}, quantiles: [{ quantile: 0.5, value: 0.3 }], sum: 9, count: 12 }],
  },
  { type: 'gauge', name: 'empty', unit: '', description: '', points: [] },
];

it('JSON follows the OTLP JSON encoding: hex ids, camel case, enums as numbers, times as text', async () => {
  await exportSpans('http/json', [encodable(serverSpan())]);

  const span = received[0]!['resourceSpans'][0].scopeSpans[0].spans[0];
  expect(span.traceId).toMatch(/^[0-9a-f]{32}$/);
  expect(span.spanId).toMatch(/^[0-9a-f]{16}$/);
  expect(typeof span.startTimeUnixNano).toBe('string');
  expect(typeof span.events[0].timeUnixNano).toBe('string');
  expect(typeof span.kind).toBe('number');
  expect(typeof span.status.code).toBe('number');
  expect(headers[0]!['content-type']).toBe('application/json');
});

it('headers of the configuration are sent, but never instead of the content type', async () => {
  const options = traceOptions(`${server.httpUrl.href}v1/traces`, { headers: { 'x-tenant': 'one', 'content-type': 'text/plain' } });
  const exporter = new OtlpTraceExporter(options, otlpDeps());
  exporter.enqueue(plainSpans(1)[0]!);

  await exporter.shutdown(5000);

  expect(headers[0]).toMatchObject({ 'x-tenant': 'one', 'content-type': 'application/x-protobuf' });
});

it('a gzip message holds the same bytes as a plain one', async () => {
  const receiver = await startReceiver((response) => response.end());
  const spans = plainSpans(100);
  for (const compression of ['none', 'gzip'] as const) {
    const exporter = new OtlpTraceExporter(traceOptions(receiver.url, { compression }), otlpDeps());
    for (const span of spans) exporter.enqueue(span);
    await exporter.shutdown(5000);
  }

  const [unpacked, gzipped] = receiver.requests;
  expect(gzipped!.request.headers['content-encoding']).toBe('gzip');
  expect(Number(gzipped!.request.headers['content-length'])).toBeLessThan(Number(unpacked!.request.headers['content-length']) * 0.6);
  expect(gzipped!.body.equals(unpacked!.body)).toBe(true);
  await receiver.close();
});
