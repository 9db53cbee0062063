import { describe, expect, test } from 'vitest';
import { isRising, mannKendallZ, slopeBytesPerSecond, type TrendPoint } from '../../../src/leak/trend.ts';

const points = (...bytes: number[]): TrendPoint[] => bytes.map((value, i) => ({ seconds: i * 10, bytes: value }));

describe('the slope', () => {
  test('is that of a straight line, rising or falling, at any distance of points', () => {
    expect(slopeBytesPerSecond(points(0, 50, 100, 150))).toBe(5);
    expect(slopeBytesPerSecond(points(150, 100, 50))).toBe(-5);
    expect(
      slopeBytesPerSecond([
        { seconds: 0, bytes: 0 },
        { seconds: 1, bytes: 3 },
        { seconds: 50, bytes: 150 },
      ]),
    ).toBe(3);
  });

  test('is not moved by one outlier in seven points', () => {
    expect(slopeBytesPerSecond(points(0, 50, 100, 100_000, 200, 250, 300))).toBe(5);
  });

  test('is the mean of the middle two for an even number of pairs, and 0 without a pair', () => {
    expect(slopeBytesPerSecond(points(0, 10, 30, 60))).toBe(2);
    expect(slopeBytesPerSecond(points(7))).toBe(0);
    expect(slopeBytesPerSecond([])).toBe(0);
    expect(
      slopeBytesPerSecond([
        { seconds: 4, bytes: 1 },
        { seconds: 4, bytes: 9 },
      ]),
    ).toBe(0);
  });
});

describe('Mann-Kendall z', () => {
  test('has the textbook value, the sign of the trend, and is 0 for none', () => {
    // S = 10 of 10 pairs, variance 5 * 4 * 15 / 18.
    expect(mannKendallZ(points(1, 2, 3, 4, 5))).toBeCloseTo(9 / Math.sqrt(16.6667), 4);
    expect(mannKendallZ(points(5, 4, 3, 2, 1))).toBeCloseTo(-2.2045, 4);
    expect(mannKendallZ(points(3, 3, 3, 3))).toBe(0);
  });
});

describe('a rise', () => {
  test('of four points and more has to be significant: one falling pair of six is too many, two of ten are as well', () => {
    expect(isRising(points(1, 2, 3, 4))).toBe(true);
    expect(isRising(points(1, 3, 2, 4))).toBe(false);
    expect(isRising(points(1, 2, 3, 5, 4))).toBe(true);
    expect(isRising(points(2, 1, 3, 5, 4))).toBe(false);
  });

  test('of two or three points is one without a fall or a halt, and one point says nothing against it', () => {
    expect(isRising(points(1, 2, 3))).toBe(true);
    expect(isRising(points(1, 3, 3))).toBe(false);
    expect(isRising(points(2, 1))).toBe(false);
    expect(isRising(points(5))).toBe(true);
  });

  test('is not seen in a sawtooth', () => {
    expect(isRising(points(1, 5, 9, 1, 5, 9, 1, 5, 9))).toBe(false);
  });
});
