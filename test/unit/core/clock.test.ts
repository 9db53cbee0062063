import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SystemClock } from '../../../src/core/clock.ts';

let monotonic = 0;
let wall = 0;

beforeEach(() => {
  [monotonic, wall] = [1000, 1_700_000_000_000];
  vi.spyOn(performance, 'now').mockImplementation(() => monotonic);
  vi.spyOn(Date, 'now').mockImplementation(() => wall);
});

afterEach(() => {
  vi.restoreAllMocks();
});

describe('the system clock', () => {
  it('gives readings their epoch time', () => {
    const clock = new SystemClock();
    expect(clock.monotonicMillis()).toBe(1000);
    expect(clock.epochMillis(1000.5)).toBe(1_700_000_000_000.5);
    expect(clock.epochMillis(500)).toBe(1_699_999_999_500);
  });

  it('follows a correction of the wall clock after a minute and not before', () => {
    const clock = new SystemClock();
    wall += 5000;
    monotonic += 60_000;
    wall += 60_000;
    expect(clock.epochMillis(monotonic)).toBe(1_700_000_060_000);
    monotonic += 1;
    wall += 1;
    expect(clock.epochMillis(monotonic)).toBe(1_700_000_065_001);
  });
});
