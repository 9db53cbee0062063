import * as sdkMetrics from '@opentelemetry/sdk-metrics';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createRequire } from 'node:module';
import type * as Api from '@opentelemetry/api';
import { StderrDiag } from '../../../../src/core/diag.ts';
import { Guard } from '../../../../src/core/guard.ts';
import type { Family } from '../../../../src/metrics/family.ts';
import { OtelMetricsBridge } from '../../../../src/metrics/bridges/otel.ts';

const load = createRequire(import.meta.url);

describe.each(['@opentelemetry/api', 'otel-api-1.10'])('through %s', (name) => {
  const { metrics } = load(name) as typeof Api;
  let bridge: OtelMetricsBridge;
  let meter: Api.Meter;

  beforeEach(() => {
    // The slot keeps the version of the copy that made it, and refuses a copy of another version.
    delete (globalThis as Record<symbol, unknown>)[Symbol.for('opentelemetry.js.api.1')];
    bridge = new OtelMetricsBridge(new Guard(new StderrDiag('none')), () => sdkMetrics);
    metrics.setGlobalMeterProvider(bridge);
    meter = metrics.getMeter('shop', '1.2.3', { schemaUrl: 'https://example.com/schema' });
  });
  afterEach(() => metrics.disable());

  const scope = { 'otel.scope.name': 'shop', 'otel.scope.version': '1.2.3', 'otel.scope.schema_url': 'https://example.com/schema' };

  async function only(): Promise<Family> {
    const families = await bridge.collector();
    expect(families).toHaveLength(1);
    return families[0]!;
  }

  test('a counter is a monotonic sum that goes on over collections', async () => {
    const counter = meter.createCounter('orders', { unit: '{order}', description: 'Orders taken.' });
    counter.add(2, { kind: 'web' });
    await only();
    counter.add(3, { kind: 'web' });
    expect(await only()).toEqual({
      type: 'counter',
      name: 'orders',
      unit: '{order}',
      description: 'Orders taken.',
      points: [{ labels: { ...scope, kind: 'web' }, value: 5 }],
    });
  });

  test('sums that go down, and gauges, keep their types', async () => {
    meter.createUpDownCounter('open').add(-1);
    meter.createGauge('temperature').record(21.5);
    const families = await bridge.collector();
    expect(families.map(({ name: family, type }) => [family, type])).toEqual([
      ['open', 'updowncounter'],
      ['temperature', 'gauge'],
    ]);
  });

  test('a histogram has the bounds that its instrument advises', async () => {
    const histogram = meter.createHistogram('size', { unit: 'By', advice: { explicitBucketBoundaries: [1, 10] } });
    for (const value of [1, 2, 20]) histogram.record(value);
    expect((await only()).points).toEqual([{ labels: scope, bounds: [1, 10], counts: [1, 1, 1], sum: 23 }]);
  });

  test('an observable that throws costs its own metric', async () => {
    meter.createObservableGauge('broken').addCallback(() => {
      throw new Error('application');
    });
    meter.createObservableGauge('works').addCallback((result) => result.observe(1));
    expect((await only()).name).toBe('works');
  });

  test('attributes that are not strings are written as JSON', async () => {
    meter.createCounter('orders').add(1, { count: 3, paid: true, items: ['a', 'b'] });
    expect((await only()).points[0]!.labels).toEqual({ ...scope, count: '3', paid: 'true', items: '["a","b"]' });
  });
});

test('the SDK is loaded by the first meter and once, not by reading before it', async () => {
  let loads = 0;
  const bridge = new OtelMetricsBridge(new Guard(new StderrDiag('none')), () => {
    loads += 1;
    return sdkMetrics;
  });
  expect(await bridge.collector()).toEqual([]);
  expect(loads).toBe(0);
  bridge.getMeter('a');
  bridge.getMeter('b');
  expect(loads).toBe(1);
});

test('where the SDK cannot be loaded the application gets meters that take everything and record nothing', async () => {
  const bridge = new OtelMetricsBridge(new Guard(new StderrDiag('none')), () => {
    throw new Error('not installed');
  });
  const meter = bridge.getMeter('shop');
  meter.createCounter('orders').add(1);
  meter.createHistogram('size').record(1);
  meter.createObservableGauge('queue').addCallback(() => {});
  expect(await bridge.collector()).toEqual([]);
});
