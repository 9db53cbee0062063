import { expect, test } from 'vitest';
import { StallMetrics } from '../../../src/metrics/stalls.ts';

test('stalls are a histogram by cause, which is there before the first', () => {
  const metrics = new StallMetrics();
  const [empty] = metrics.families();
  expect(empty).toMatchObject({ type: 'histogram', name: 'sonde.eventloop.stall.duration', unit: 's' });
  expect(empty!.points).toMatchObject([{ labels: { cause: 'code' }, sum: 0 }]);
  metrics.observe(0.1, 'code', { span: undefined, endMillis: 0 });
  metrics.observe(61, 'code', { span: undefined, endMillis: 0 });
  for (const cause of ['garbage collection', 'not running', 'unknown']) metrics.observe(1.5, cause, { span: undefined, endMillis: 0 });
  const [family] = metrics.families();
  expect(family!.points.map(({ labels }) => labels['cause'])).toEqual(['code', 'garbage collection', 'not running', 'unknown']);
  const [code] = family!.points as readonly {
    readonly bounds: readonly number[];
    readonly counts: ArrayLike<number>;
    readonly sum: number;
  }[];
  expect(code!.bounds).toEqual([0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2, 3, 5, 10, 20, 30, 60]);
  expect(Array.from(code!.counts)).toEqual([0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
  expect(code!.sum).toBeCloseTo(61.1);
});

test('the trace of a stall is the exemplar of its bucket, with the time of its end', () => {
  const metrics = new StallMetrics();
  const span = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1, startEpochMillis: 1000 };
  metrics.observe(0.25, 'code', { span, endMillis: 5000 });
  const [point] = metrics.families()[0]!.points as readonly { readonly exemplars?: readonly unknown[] }[];
  expect(point!.exemplars!.filter(Boolean)).toEqual([{ value: 0.25, traceId: span.traceId, spanId: span.spanId, epochMillis: 1250 }]);
});
