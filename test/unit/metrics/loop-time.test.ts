import { performance } from 'node:perf_hooks';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { LoopTime, utilization } from '../../../src/metrics/loop-time.ts';

let counted: { idle: number; active: number };
let lostMillis: number;
let loop: LoopTime;

beforeEach(() => {
  counted = { idle: 0, active: 0 };
  lostMillis = 0;
  loop = new LoopTime(() => lostMillis);
  vi.spyOn(performance, 'eventLoopUtilization').mockImplementation(() => ({ ...counted, utilization: 0 }));
});

afterEach(() => vi.restoreAllMocks());

test('without a profiler it is what Node counts', () => {
  counted = { idle: 300, active: 100 };
  expect(loop.read()).toEqual({ idleMillis: 300, activeMillis: 100 });
  counted = { idle: 700, active: 200 };
  expect(loop.read()).toEqual({ idleMillis: 700, activeMillis: 200 });
});

test('what was lost of the waiting is no work', () => {
  counted = { idle: 600, active: 400 };
  lostMillis = 390;
  expect(loop.read()).toEqual({ idleMillis: 990, activeMillis: 10 });
});

test('an estimate that is mended makes neither counter go back, and both together are the time', () => {
  const readings = [400, 300, 900, 900, 2500].map((lost, i) => {
    counted = { idle: 500 * (i + 1), active: 500 * (i + 1) };
    lostMillis = lost;
    return loop.read();
  });
  expect(readings.map(({ idleMillis, activeMillis }) => idleMillis + activeMillis)).toEqual([1000, 2000, 3000, 4000, 5000]);
  for (const [i, { idleMillis, activeMillis }] of readings.slice(1).entries()) {
    expect(idleMillis).toBeGreaterThanOrEqual(readings[i]!.idleMillis);
    expect(activeMillis).toBeGreaterThanOrEqual(readings[i]!.activeMillis);
  }
  expect(readings.map(({ idleMillis }) => idleMillis)).toEqual([900, 1300, 2300, 2900, 3900]);
});

test('utilization is the share that was worked between two readings', () => {
  expect(utilization({ idleMillis: 100, activeMillis: 100 }, { idleMillis: 400, activeMillis: 200 })).toBe(0.25);
  expect(utilization({ idleMillis: 100, activeMillis: 100 }, { idleMillis: 100, activeMillis: 100 })).toBe(0);
});
