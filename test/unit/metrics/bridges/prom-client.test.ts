import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createRequire } from 'node:module';
import type * as PromClient from 'prom-client';
import { StderrDiag } from '../../../../src/core/diag.ts';
import { Guard } from '../../../../src/core/guard.ts';
import type { Family } from '../../../../src/metrics/family.ts';
import { PromClientBridge, type PromClientExports } from '../../../../src/metrics/bridges/prom-client.ts';

const client = createRequire(import.meta.url)('prom-client') as typeof PromClient;
const help = 'help';
let bridge: PromClientBridge;

beforeEach(() => {
  bridge = new PromClientBridge(new Guard(new StderrDiag('none')));
  bridge.add(client as unknown as PromClientExports);
});
afterEach(() => {
  client.register.clear();
  client.register.setContentType(client.Registry.PROMETHEUS_CONTENT_TYPE);
});

function gauge(name: string, collect?: () => void | Promise<void>): PromClient.Gauge {
  return new client.Gauge({ name, help, ...(collect === undefined ? {} : { collect }) });
}

async function only(): Promise<Family> {
  const families = await bridge.collector();
  expect(families).toHaveLength(1);
  return families[0]!;
}

test('a counter keeps its name, help and labels', async () => {
  const counter = new client.Counter({ name: 'jobs_total', help: 'Jobs done.', labelNames: ['queue', 'code'] });
  counter.inc({ queue: 'mail', code: 7 }, 3);
  expect(await only()).toEqual({
    type: 'counter',
    naming: 'prometheus',
    name: 'jobs_total',
    unit: '',
    description: 'Jobs done.',
    points: [{ labels: { queue: 'mail', code: '7' }, value: 3 }],
  });
});

test('a gauge whose collect function sets it is read at collection', async () => {
  const length: PromClient.Gauge = gauge('queue_length', () => length.set(5));
  expect((await only()).points).toEqual([{ labels: {}, value: 5 }]);
});

test('a histogram has counts per bucket, not cumulative ones, for each series', async () => {
  const histogram = new client.Histogram({ name: 'size', help, buckets: [1, 10], labelNames: ['kind'] });
  for (const value of [0.5, 0.7, 5, 100]) histogram.observe({ kind: 'a' }, value);
  histogram.observe({ kind: 'b' }, 2);
  const { type, points } = await only();
  expect(type).toBe('histogram');
  expect(points).toMatchObject([
    { labels: { kind: 'a' }, bounds: [1, 10], counts: [2, 1, 1], sum: 106.2 },
    { labels: { kind: 'b' }, bounds: [1, 10], counts: [0, 1, 0], sum: 2 },
  ]);
});

test('a summary has its quantiles, sum and count', async () => {
  const summary = new client.Summary({ name: 'wait', help, percentiles: [0.5, 0.9], labelNames: ['kind'] });
  for (const value of [1, 2, 3]) summary.observe({ kind: 'a' }, value);
  expect((await only()).points).toEqual([
    {
      labels: { kind: 'a' },
      quantiles: [
        { quantile: 0.5, value: 2 },
        { quantile: 0.9, value: 3 },
      ],
      sum: 6,
      count: 3,
    },
  ]);
});

test('exemplars are kept, whichever spelling of the ids the application uses', async () => {
  client.register.setContentType(client.Registry.OPENMETRICS_CONTENT_TYPE as never);
  const histogram = new client.Histogram({ name: 'duration', help, buckets: [1], enableExemplars: true });
  histogram.observe({ value: 0.5, exemplarLabels: { traceId: 'aa', spanId: 'bb' } } as never);
  histogram.observe({ value: 3, exemplarLabels: { trace_id: 'cc', span_id: 'dd' } } as never);
  const family = await only();
  if (family.type !== 'histogram') throw new Error('not a histogram');
  expect(family.points[0]!.exemplars).toMatchObject([
    { value: 0.5, traceId: 'aa', spanId: 'bb' },
    { value: 3, traceId: 'cc', spanId: 'dd' },
  ]);
  expect(Math.abs(family.points[0]!.exemplars![0]!.epochMillis - Date.now())).toBeLessThan(60_000);
});

test('default labels are added, a label of the series wins', async () => {
  client.register.setDefaultLabels({ app: 'shop', queue: 'none' });
  new client.Counter({ name: 'jobs_total', help, labelNames: ['queue'] }).inc({ queue: 'mail' });
  expect((await only()).points).toEqual([{ labels: { app: 'shop', queue: 'mail' }, value: 1 }]);
});

test('a collect function that throws or rejects costs its own metric and is counted', async () => {
  const fail = (): never => {
    throw new Error('application');
  };
  gauge('throws', fail);
  gauge('rejects', async () => fail());
  gauge('works').set(1);
  expect((await only()).name).toBe('works');
  expect(bridge.failed).toBe(2);
});

test('a collect function that never answers costs its own metric after a second', async () => {
  vi.useFakeTimers();
  try {
    gauge('hangs', () => new Promise<void>(() => {}));
    gauge('works').set(1);
    let families: readonly Family[] | undefined;
    const collected = Promise.resolve(bridge.collector()).then((answer) => (families = answer));
    await vi.advanceTimersByTimeAsync(999);
    expect(families).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    await collected;
    expect(families!.map(({ name }) => name)).toEqual(['works']);
    expect(bridge.failed).toBe(1);
  } finally {
    vi.useRealTimers();
  }
});

test('a registry that is added twice is read once, and a name in it is known', async () => {
  bridge.add(client as unknown as PromClientExports);
  gauge('works').set(1);
  expect((await only()).name).toBe('works');
  expect(bridge.has('works')).toBe(true);
  expect(bridge.has('other')).toBe(false);
});
