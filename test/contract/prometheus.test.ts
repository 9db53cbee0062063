// What readers of somebody else make of our page: promtool (text 0.0.4 with its linter) and Python's prometheus_client
// (OpenMetrics, strict). Real collectors with a real prom-client and real OpenTelemetry instruments beside them.
import * as sdkMetrics from '@opentelemetry/sdk-metrics';
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import type * as PromClient from 'prom-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SystemClock } from '../../src/core/clock.ts';
import { StderrDiag } from '../../src/core/diag.ts';
import { Guard } from '../../src/core/guard.ts';
import { write } from '../../src/export/prometheus.ts';
import { OtelMetricsBridge } from '../../src/metrics/bridges/otel.ts';
import { PromClientBridge, type PromClientExports } from '../../src/metrics/bridges/prom-client.ts';
import type { Family } from '../../src/metrics/family.ts';
import { LegacyMetrics } from '../../src/metrics/legacy.ts';
import { ProcessMetrics } from '../../src/metrics/process.ts';
import { Registry } from '../../src/metrics/registry.ts';
import { RuntimeMetrics } from '../../src/metrics/runtime.ts';
import { histogramFamily, histogramSeries, HTTP_DURATION_BOUNDS_SECONDS } from '../../src/metrics/series.ts';
import { requirePeer } from '../helpers/require-peer.ts';

const client = createRequire(import.meta.url)('prom-client') as typeof PromClient;
const AWKWARD = 'back\\slash "quote" line\nfeed ü😀 # {x="y"} 1';
const resource = { 'service.name': 'shop', 'service.version': AWKWARD };
const traceId = '0af7651916cd43dd8448eb211c80319c';
const spanId = 'b7ad6b7169203331';

const guard = new Guard(new StderrDiag('none'));
const runtime = new RuntimeMetrics(guard);
const registry = new Registry(guard);
let families: readonly Family[];

beforeAll(async () => {
  const ofProcess = new ProcessMetrics({ guard, clock: new SystemClock() });
  const promClient = new PromClientBridge(guard);
  const otel = new OtelMetricsBridge(guard, () => sdkMetrics);
  runtime.start();
  registry.register('runtime', runtime.collector);
  registry.register('process', ofProcess.collector);
  const legacy = new LegacyMetrics({ runtime, process: ofProcess, isTaken: (name) => promClient.has(name) });
  registry.register('legacy', legacy.collector);
  registry.register('requests', () => [requests()]);
  registry.register('prom-client', promClient.collector);
  registry.register('otel', otel.collector);
  promClient.add(client as unknown as PromClientExports);
  usePromClient();
  useOtel(otel);
  const names = async (): Promise<string[]> => (await registry.collect()).map(({ name }) => name);
  while (!(await names()).includes('nodejs.eventloop.delay.p99')) await new Promise((resolve) => setImmediate(resolve));
  families = await registry.collect();
});
afterAll(() => {
  runtime.stop();
  client.register.clear();
});

function requests(): Family {
  const series = histogramSeries(
    {
      name: 'http.server.request.duration',
      unit: 's',
      description: 'Duration of HTTP server requests.',
      labelNames: ['http.request.method', 'http.route'],
      limit: 100,
    },
    HTTP_DURATION_BOUNDS_SECONDS,
  );
  const span = { traceId, spanId, traceFlags: 1, startEpochMillis: 1_700_000_000_080 };
  series.cell('GET', '/items/:id').observeTraced(0.043, span, 1000);
  series.cell('GET', AWKWARD).observe(30);
  return histogramFamily(series);
}

function usePromClient(): void {
  client.collectDefaultMetrics();
  new client.Counter({ name: 'app_jobs_total', help: AWKWARD, labelNames: ['queue'] }).inc({ queue: AWKWARD });
  new client.Histogram({ name: 'app_size_bytes', help: 'Sizes.', buckets: [1, 1e6, 1e9] }).observe(2);
  new client.Summary({ name: 'app_wait_seconds', help: 'Waits.' }).observe(2);
  // The application's own metric of a name that is also ours: one family on the page.
  new client.Gauge({ name: 'process_uptime_seconds', help: 'Theirs.', labelNames: ['app'] }).set({ app: 'shop' }, 1);
}

function useOtel(otel: OtelMetricsBridge): void {
  const meter = otel.getMeter('shop', '1.0');
  meter.createCounter('app.orders', { unit: '{order}', description: 'Orders.' }).add(2, { 'a.b': '1', a_b: '2' });
  meter.createHistogram('app.latency', { unit: 's', description: 'Latency.' }).record(0.2, { le: 'not a bound' });
  meter.createGauge('app.load', { unit: '1', description: 'Load.' }).record(Number.POSITIVE_INFINITY);
}

function run(command: string, args: string[], input: string): { status: number | null; output: string } {
  const { status, stdout, stderr, error } = spawnSync(command, args, { input, encoding: 'utf8' });
  if (error !== undefined) throw error;
  return { status, output: stdout + stderr };
}

test('promtool check metrics accepts the text page and its linter finds nothing', (context) => {
  requirePeer(context, 'promtool');
  const page = write(families, 'text/0.0.4', { resource });
  expect(run('promtool', ['check', 'metrics'], page)).toEqual({ status: 0, output: '' });
});

// Answers families by name with their samples; the last element of a sample is its exemplar.
const PARSE = `
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
text = sys.stdin.buffer.read().decode('utf-8')
print(json.dumps({f.name: {'type': f.type, 'unit': f.unit, 'help': f.documentation, 'samples': [
  [s.name, s.labels, str(s.value), s.exemplar and [s.exemplar.labels, s.exemplar.value, float(s.exemplar.timestamp)]] for s in f.samples
]} for f in parse(text)}))`;

interface Parsed {
  readonly type: string;
  readonly unit: string;
  readonly help: string;
  readonly samples: readonly (readonly [name: string, labels: Record<string, string>, value: string, exemplar: unknown])[];
}

function parse(page: string): Record<string, Parsed> {
  const { status, output } = run('/usr/bin/python3', ['-c', PARSE], page);
  if (status !== 0) throw new Error(output);
  return JSON.parse(output) as Record<string, Parsed>;
}

test("prometheus_client's OpenMetrics parser reads every family and value of the page", (context) => {
  requirePeer(context, 'python3-prometheus-client');
  const parsed = parse(write(families, 'openmetrics/1.0.0', { resource }));
  // All but the uptime, whose two sources are one family, and those without a series; and the target.
  const withSeries = families.filter(({ points }) => points.length > 0);
  expect(Object.keys(parsed)).toHaveLength(withSeries.length - 1 + 1);
  expect(parsed['target']).toMatchObject({
    type: 'info',
    samples: [['target_info', { service_name: 'shop', service_version: AWKWARD }, '1', null]],
  });
  expect(parsed['process_cpu_time_seconds']).toMatchObject({ type: 'counter', unit: 'seconds' });
  expect(parsed['process_uptime_seconds']!.samples.map(([, labels]) => labels)).toEqual([{}, { app: 'shop' }]);
  expect(parsed['app_jobs']).toEqual({
    type: 'counter',
    unit: '',
    help: AWKWARD,
    samples: [['app_jobs_total', { queue: AWKWARD }, '1', null]],
  });
  expect(parsed['app_orders']!.samples[0]![1]).toMatchObject({
    a_b: '1;2',
    otel_scope_name: 'shop',
    otel_scope_version: '1.0',
  });
  expect(parsed['app_latency_seconds']!.samples[0]![1]).toMatchObject({ exported_le: 'not a bound', le: '0.0' });
  expect(parsed['app_load_ratio']!.samples[0]![2]).toBe('inf');
});

test('exemplars arrive with their ids, value and time', (context) => {
  requirePeer(context, 'python3-prometheus-client');
  const parsed = parse(write(families, 'openmetrics/1.0.0', { resource }));
  const exemplars = parsed['http_server_request_duration_seconds']!.samples.filter(([, , , exemplar]) => exemplar !== null);
  expect(exemplars).toEqual([
    [
      'http_server_request_duration_seconds_bucket',
      { http_request_method: 'GET', http_route: '/items/:id', le: '0.05' },
      '1',
      [{ trace_id: traceId, span_id: spanId }, 0.043, 1_700_000_000.123],
    ],
  ]);
});

test('a page of 100,000 lines is written in less than two seconds', () => {
  const point = (i: number) => ({ labels: { 'http.route': `/route/${i}`, 'http.request.method': 'GET' }, value: i });
  const large: Family = {
    type: 'gauge',
    name: 'large',
    unit: '',
    description: '',
    points: Array.from({ length: 100_000 }, (_, i) => point(i)),
  };
  const start = performance.now();
  const page = write([large], 'text/0.0.4');
  expect(performance.now() - start).toBeLessThan(2000);
  expect(page.split('\n')).toHaveLength(100_002);
});
