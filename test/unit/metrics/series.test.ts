import { expect, test } from 'vitest';
import { histogramFamily, histogramSeries, numberFamily, numberSeries } from '../../../src/metrics/series.ts';

const options = { name: 'm', unit: 's', description: '', labelNames: ['a', 'b'], limit: 2 };

test('the same label set is the same cell', () => {
  const series = numberSeries(options);
  expect(series.cell('1', '2')).toBe(series.cell('1', '2'));
  expect(series.cell('1', '2')).not.toBe(series.cell('2', '1'));
});

test('values that could be taken for the separator of others are different label sets', () => {
  const series = numberSeries(options);
  expect(series.cell('x"', '')).not.toBe(series.cell('x', '"'));
});

test('the last label set within the limit has its series, the first beyond it shares the overflow', () => {
  const series = numberSeries(options);
  series.cell('1').add(1);
  expect(series.full).toBe(false);
  series.cell('2').add(1);
  expect(series.full).toBe(true);
  series.cell('3').add(1);
  series.cell('4').add(1);
  expect(numberFamily(series, 'counter').points).toEqual([
    { labels: { a: '1' }, value: 1 },
    { labels: { a: '2' }, value: 1 },
    { labels: { 'otel.metric.overflow': 'true' }, value: 2 },
  ]);
  expect(series.overflowed).toBe(2);
});

test('a value on a bound falls into the bucket below it', () => {
  const series = histogramSeries(options, [1, 2]);
  for (const value of [0, 1, 1.5, 2, 2.25, -1, Number.NaN]) series.cell('x').observe(value);
  expect(histogramFamily(series).points).toMatchObject([{ bounds: [1, 2], counts: Float64Array.of(2, 2, 1), sum: 6.75 }]);
});

test('an exemplar is replaced after a second and not before', () => {
  const cell = histogramSeries(options, [1]).cell('x');
  const span = (traceId: string) => ({ traceId, spanId: 's', traceFlags: 1, startEpochMillis: 1_700_000_000_000 });
  cell.observeTraced(0.1, span('first'), 1000);
  cell.observeTraced(0.2, span('early'), 1999);
  expect(cell.exemplars?.byBucket[0]).toMatchObject({ traceId: 'first', value: 0.1 });
  cell.observeTraced(0.3, span('later'), 2000);
  expect(cell.exemplars?.byBucket[0]).toEqual({ traceId: 'later', spanId: 's', value: 0.3, epochMillis: 1_700_000_000_300 });
  expect(cell.exemplars?.byBucket[1]).toBeUndefined();
});
