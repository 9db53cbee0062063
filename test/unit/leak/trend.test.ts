import { describe, expect, test } from 'vitest';
import { isSteady, slopeOf, spaced, type Step, trendOf } from '../../../src/leak/trend.ts';
import { reading, readings } from './readings.ts';

describe('the slope', () => {
  test('is that of a straight line, rising or falling, at any distance of readings', () => {
    expect(slopeOf(readings(0, 50, 100, 150))).toEqual({ perSecond: 5, lowPerSecond: 5, highPerSecond: 5 });
    expect(slopeOf(readings(150, 100, 50))).toEqual({ perSecond: -5, lowPerSecond: -5, highPerSecond: -5 });
    expect(slopeOf([reading(0, 0), reading(1, 3), reading(50, 150)]).perSecond).toBe(3);
  });

  test('is not moved by one outlier in seven readings', () => {
    expect(slopeOf(readings(0, 50, 100, 100_000, 200, 250, 300)).perSecond).toBe(5);
  });

  test('is the mean of the middle two for an even number of pairs', () => {
    expect(slopeOf(readings(0, 10, 30, 60)).perSecond).toBe(2);
  });

  test('is 0 without a pair: no reading, one, or two of the same time', () => {
    const none = { perSecond: 0, lowPerSecond: 0, highPerSecond: 0 };
    expect(slopeOf([])).toEqual(none);
    expect(slopeOf(readings(7))).toEqual(none);
    expect(slopeOf([reading(4, 1), reading(4, 9)])).toEqual(none);
  });

  test('leaves out pairs of the same time', () => {
    expect(slopeOf([reading(0, 0), reading(10, 20), reading(10, 40)]).perSecond).toBe(3);
  });

  test('has the published value and interval: cloud seeding, Hollander and Wolfe, example 9.1', () => {
    const ratios = [1.26, 1.27, 1.12, 1.16, 1.03].map((value, i) => reading(i + 1, value));
    const { perSecond, lowPerSecond, highPerSecond } = slopeOf(ratios);
    expect(perSecond).toBeCloseTo(-0.056, 3);
    // The second smallest and the second largest of ten slopes: 91.6 %.
    expect(lowPerSecond).toBeCloseTo(-0.13, 9);
    expect(highPerSecond).toBeCloseTo(0.01, 9);
  });

  // The largest rank at which the exact distribution of Kendall's statistic leaves 5 % or less on each side.
  test.each([
    [3, 1],
    [4, 1],
    [5, 2],
    [6, 3],
    [7, 5],
    [8, 7],
    [9, 10],
    [10, 13],
  ])('of %i readings has an interval that leaves out as many slopes on both sides and begins with number %i', (count, rank) => {
    // All pairs differ in slope, as powers do.
    const powers = Array.from({ length: count }, (_, i) => reading(i, 3 ** i));
    const slopes = powers.flatMap((a, i) => powers.slice(i + 1).map((b) => (b.value - a.value) / (b.seconds - a.seconds)));
    slopes.sort((a, b) => a - b);
    const { lowPerSecond, highPerSecond } = slopeOf(powers);
    expect(slopes.indexOf(lowPerSecond) + 1).toBe(rank);
    expect(slopes.length - slopes.indexOf(highPerSecond)).toBe(rank);
  });
});

describe('readings that are spaced', () => {
  const at = (seconds: number): number => seconds;

  test('are all of them while there are no more than steps and one', () => {
    expect(spaced([1, 2, 9], 2, at)).toEqual([1, 2, 9]);
    expect(spaced([], 2, at)).toEqual([]);
    expect(spaced([1], 2, at)).toEqual([1]);
  });

  test('are the first, the last, and of the others one at or after each mark', () => {
    expect(spaced([0, 1, 2, 3, 4, 5, 6, 7, 8], 4, at)).toEqual([0, 2, 4, 6, 8]);
    expect(spaced([0, 1, 1.5, 7, 8], 2, at)).toEqual([0, 7, 8]);
  });

  test('fill no mark twice when there is a gap', () => {
    expect(spaced([0, 1, 2, 90, 91, 92, 93, 100], 4, at)).toEqual([0, 90, 100]);
  });

  test('are at most one more than the steps, whatever the distances', () => {
    const times = Array.from({ length: 500 }, (_, i) => Math.sqrt(i));
    const chosen = spaced(times, 8, at);
    expect(chosen).toHaveLength(9);
    const steps = chosen.slice(1).map((time, i) => time - chosen[i]!);
    expect(Math.max(...steps) / Math.min(...steps)).toBeLessThan(1.1);
  });
});

describe('a rise is steady', () => {
  const steps = (...gains: number[]): Step[] => gains.map((gained) => ({ gained, expected: 100 }));

  test('when a step gains 15 % of what is expected of it, and not when two of five gain less', () => {
    expect(isSteady(steps(15, 15, 15, 15, 200))).toBe(true);
    expect(isSteady(steps(14, 15, 15, 15, 200))).toBe(true);
    expect(isSteady(steps(14, 14, 15, 15, 200))).toBe(false);
  });

  test('when none of four steps fails, or one of five to nine, or two of ten', () => {
    expect(isSteady(steps(-50, 100, 100, 100))).toBe(false);
    expect(isSteady(steps(-50, 100, 100, 100, 100))).toBe(true);
    expect(isSteady(steps(-50, -50, 100, 100, 100, 100, 100, 100, 100))).toBe(false);
    expect(isSteady(steps(-50, -50, 100, 100, 100, 100, 100, 100, 100, 100))).toBe(true);
  });

  test('when its last step gains 30 % of what is expected of it', () => {
    expect(isSteady(steps(100, 100, 100, 100, 30))).toBe(true);
    expect(isSteady(steps(100, 100, 100, 100, 29))).toBe(false);
  });

  test('when what a step lacks is no more than the noise', () => {
    expect(isSteady(steps(5, 100, 100, 20), 9)).toBe(false);
    expect(isSteady(steps(5, 100, 100, 20), 10)).toBe(true);
  });

  test('when no step gains more beyond its part than half of the whole: a load is no rise', () => {
    expect(isSteady(steps(100, 100, 500, 100))).toBe(true);
    expect(isSteady(steps(100, 100, 501, 100))).toBe(false);
    expect(isSteady(steps(100, 100, 501, 100), 0.5)).toBe(true);
  });

  test('when what it gains at once is half of the whole, by readings as well', () => {
    // A tenth of the time, of which the tenth is the burst's own part.
    const withBurst = (gain: number) => trendOf(readings(0, 100, 200, 300, 300 + gain, 400 + gain, 500 + gain, 600 + gain, 700 + gain))!;
    expect(withBurst(1166).steady).toBe(true);
    expect(withBurst(1167).steady).toBe(false);
  });

  test('never when all steps together gain nothing', () => {
    expect(isSteady(steps(0, 0))).toBe(false);
    expect(isSteady([{ gained: 0, expected: 0 }], 50)).toBe(false);
    expect(isSteady(steps(-100, 100))).toBe(false);
  });
});

describe('a trend', () => {
  test('takes two readings with time between them', () => {
    expect(trendOf([])).toBeUndefined();
    expect(trendOf(readings(7))).toBeUndefined();
    expect(trendOf([reading(4, 1), reading(4, 9)])).toBeUndefined();
    expect(trendOf([reading(4, 1), reading(3, 9)])).toBeUndefined();
    expect(trendOf([reading(4, 1), reading(4.001, 9)])).toBeDefined();
  });

  test('grows by its slope, not by the difference of first and last', () => {
    const trend = trendOf(readings(0, 50, 100, 150, 200, 250, 3000))!;
    expect(trend).toMatchObject({ perSecond: 5, seconds: 60, growth: 300, steps: 6, start: { seconds: 0, value: 0 } });
  });

  test('has eight steps at most', () => {
    expect(trendOf(Array.from({ length: 9 }, (_, i) => reading(i, i)))!.steps).toBe(8);
    expect(trendOf(Array.from({ length: 100 }, (_, i) => reading(i, i)))!.steps).toBe(8);
  });
});

describe('a rise in which something was let go is steady', () => {
  const values = [0, 100, 200, 300, 400, 500, 600];

  test('while what was lost after a peak is no more than half of the whole gain', () => {
    expect(trendOf(readings(...values, 301, 601))!.steady).toBe(true);
    expect(trendOf(readings(...values, 299, 600))!.steady).toBe(false);
  });

  test('whatever an upper bound says', () => {
    const rise = Array.from({ length: 21 }, (_, i) => reading(10 * i, 100 * i));
    expect(trendOf(rise.with(4, reading(40, 5000, { dirty: true })))!.steady).toBe(true);
    expect(trendOf(rise.with(4, reading(40, 5000)))!.steady).toBe(false);
  });
});

describe('a rise is slowing', () => {
  /** A reading a minute: what it gained, and how many requests were served. */
  const slowing = (gains: number[], served: number[] = gains.map(() => 0)): boolean => {
    let [value, requests] = [0, 0];
    const minutes = gains.map((gain, i) => reading(60 * (i + 1), (value += gain), { requests: (requests += served[i]!) }));
    return trendOf([reading(0, 0), ...minutes])!.slowing;
  };

  test('when its last third gains less than half of its first, and not at half', () => {
    expect(slowing([100, 100, 80, 80, 50, 50])).toBe(false);
    expect(slowing([100, 100, 80, 80, 50, 49])).toBe(true);
  });

  test('from three steps on', () => {
    expect(slowing([100, 10])).toBe(false);
    expect(slowing([100, 50, 10])).toBe(true);
  });

  test('not when its requests slow down as much: night', () => {
    expect(slowing([100, 100, 80, 80, 10, 10], [50, 50, 40, 40, 5, 5])).toBe(false);
  });

  test('when its requests do not slow down: a cache', () => {
    expect(slowing([100, 100, 80, 80, 10, 10], [50, 50, 50, 50, 50, 50])).toBe(true);
  });

  test('not when only each request gains less: it is as fast by time', () => {
    expect(slowing([100, 100, 100, 100, 100, 100], [50, 50, 90, 90, 200, 200])).toBe(false);
  });

  test('by time alone when no request came in one of the thirds', () => {
    expect(slowing([100, 100, 80, 80, 10, 10], [50, 50, 50, 50, 0, 0])).toBe(true);
  });
});

describe('a rise follows traffic', () => {
  const follows = (active: number[], values = active.map((_, i) => 1000 + 100 * i)): boolean =>
    trendOf(values.map((value, i) => reading(10 * i, value, { active: active[i]! })))!.followsTraffic;

  test('when requests in flight rise with it by five at least', () => {
    expect(follows([0, 1, 2, 3, 5])).toBe(true);
    expect(follows([0, 1, 2, 3, 4])).toBe(false);
  });

  test('when requests in flight rise by as large a factor', () => {
    const half = [1000, 1100, 1200, 1300, 1500];
    expect(follows([100, 110, 120, 130, 150], half)).toBe(true);
    expect(follows([100, 110, 120, 130, 149], half)).toBe(false);
    expect(follows([100, 101, 102, 103, 105], [1000, 1010, 1020, 1030, 1050])).toBe(true);
  });

  test('when nine pairs of ten rise together: above a tau of 0.8', () => {
    expect(follows([10, 12, 13, 14, 16, 18])).toBe(true);
    // One pair of 15 is against it, tau 0.87; two are, 0.73.
    expect(follows([10, 13, 12, 14, 16, 18])).toBe(true);
    expect(follows([10, 13, 12, 16, 14, 18])).toBe(false);
  });

  test('not when requests in flight stay, fall, or jump about', () => {
    expect(follows([20, 20, 20, 20])).toBe(false);
    expect(follows([40, 30, 20, 10])).toBe(false);
    expect(follows([10, 90, 5, 80, 20])).toBe(false);
  });
});
