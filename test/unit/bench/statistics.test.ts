import { describe, expect, test } from 'vitest';
import { median, microsPerRequest, quantile, saturatedRate, spread } from '../../../bench/statistics.mjs';

describe('quantiles', () => {
  test('are interpolated between neighbours and do not depend on the order', () => {
    expect(quantile([40, 10, 30, 20], 0.25)).toBe(17.5);
    expect(quantile([40, 10, 30, 20], 0)).toBe(10);
    expect(quantile([40, 10, 30, 20], 1)).toBe(40);
    expect(quantile([7], 0.99)).toBe(7);
  });

  test('leave their values as they are', () => {
    const values = [3, 1, 2];
    median(values);
    expect(values).toEqual([3, 1, 2]);
  });

  test('compare numbers as numbers', () => {
    expect(median([9, 10, 100])).toBe(10);
  });

  test('of nothing are an error', () => {
    expect(() => quantile([], 0.5)).toThrow('no values');
  });
});

test('a spread names the median, the extremes and the quartiles', () => {
  expect(spread([5, 1, 2, 4, 3])).toEqual({ median: 3, min: 1, max: 5, lowerQuartile: 2, upperQuartile: 4 });
});

test('the CPU time of a run is the lower quartile of what its slices spent per request', () => {
  const slices = [10, 12, 11, 90, 13].map((micros) => ({ seconds: 1, requests: 1000, cpuMicros: micros * 1000 }));
  expect(microsPerRequest(slices)).toBe(11);
});

describe('throughput', () => {
  const slice = (share: number, requests: number) => ({ seconds: 2, requests, cpuMicros: share * 2e6 });

  test('counts a slice in which the server had 85 % of its core, and none below', () => {
    expect(saturatedRate([slice(0.85, 2000), slice(0.8499, 9000)])).toBe(1000);
  });

  test('is unknown when the server was never the limit', () => {
    expect(saturatedRate([slice(0.8, 2000)])).toBeUndefined();
  });
});
