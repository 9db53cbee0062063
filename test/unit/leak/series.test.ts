import { describe, expect, test } from 'vitest';
import { Series, thin } from '../../../src/leak/series.ts';
import { reading } from './readings.ts';

const DIRTY = { dirty: true };

function seriesOf(...pushed: [seconds: number, value: number, isDirty?: 'dirty'][]): Series {
  const series = new Series();
  for (const [seconds, value, isDirty] of pushed) series.push(reading(seconds, value, isDirty && DIRTY));
  return series;
}

const times = (series: Series): number[] => series.readings.map(({ seconds }) => seconds);

describe('readings that are kept', () => {
  test('are all of 128, and of 129 all but one that is neither the first nor the last', () => {
    const series = new Series();
    for (let i = 0; i < 128; i++) series.push(reading(i, i));
    expect(times(series)).toEqual(Array.from({ length: 128 }, (_, i) => i));
    series.push(reading(128, 128));
    expect(series.readings).toHaveLength(128);
    expect([times(series)[0], times(series).at(-1)]).toEqual([0, 128]);
  });

  test('of a million seconds, one each five, are 128: the first, the last, and as many of every age for its length', () => {
    const series = new Series();
    for (let i = 0; i <= 1_000_000; i += 5) series.push(reading(i, i));
    expect(series.readings).toHaveLength(128);
    expect([times(series)[0], times(series).at(-1)]).toEqual([0, 1_000_000]);
    // Ages from 2,000 to 4,000 s, 4,000 to 8,000 s and so on have about as many readings each.
    const counts = Array.from({ length: 8 }, (_, i) => {
      const [young, old] = [2000 * 2 ** i, 4000 * 2 ** i];
      return times(series).filter((seconds) => 1_000_000 - seconds >= young && 1_000_000 - seconds < old).length;
    });
    expect(Math.min(...counts)).toBeGreaterThanOrEqual(3);
    expect(Math.max(...counts) / Math.min(...counts)).toBeLessThanOrEqual(3);
  });

  test('are as good after a gap of a day', () => {
    const series = new Series();
    for (let i = 0; i < 1000; i++) series.push(reading(i, i));
    for (let i = 0; i < 1000; i++) series.push(reading(86_400 + i, i));
    expect(series.readings).toHaveLength(128);
    expect(times(series).filter((seconds) => seconds >= 86_400).length).toBeGreaterThan(60);
    expect(times(series)[0]).toBe(0);
  });
});

describe('readings before the first collection', () => {
  test('are kept up to sixteen: the seventeenth is not', () => {
    const series = new Series();
    for (let i = 0; i < 17; i++) series.push(reading(i, i, DIRTY));
    expect(times(series)).toEqual(Array.from({ length: 16 }, (_, i) => i));
  });

  test('leave the first and the one nearest to the middle when a collection comes', () => {
    const before: [number, number, 'dirty'][] = [0, 10, 22, 28, 40].map((seconds) => [seconds, seconds, 'dirty']);
    expect(times(seriesOf(...before, [50, 50]))).toEqual([0, 22, 50]);
    expect(times(seriesOf(...before, [51, 50]))).toEqual([0, 28, 51]);
    expect(times(seriesOf([0, 0, 'dirty'], [10, 10]))).toEqual([0, 10]);
  });

  test('leave none that is above what the collection left, for it was garbage', () => {
    expect(times(seriesOf([0, 50, 'dirty'], [10, 50]))).toEqual([0, 10]);
    expect(times(seriesOf([0, 51, 'dirty'], [10, 50]))).toEqual([10]);
    expect(times(seriesOf([0, 0, 'dirty'], [10, 50, 'dirty'], [20, 50]))).toEqual([0, 10, 20]);
    expect(times(seriesOf([0, 0, 'dirty'], [10, 51, 'dirty'], [20, 50]))).toEqual([0, 20]);
  });

  test('leave only the first at the second collection, and not that one where a later collection leaves less', () => {
    const readingsOf = (...pushed: Parameters<typeof seriesOf>): Series => seriesOf([0, 30, 'dirty'], [10, 40, 'dirty'], ...pushed);
    expect(times(readingsOf([20, 50]))).toEqual([0, 10, 20]);
    expect(times(readingsOf([20, 50], [30, 60]))).toEqual([0, 20, 30]);
    expect(times(readingsOf([20, 50], [30, 60], [40, 30]))).toEqual([0, 20, 30, 40]);
    expect(times(readingsOf([20, 50], [30, 60], [40, 29]))).toEqual([20, 30, 40]);
  });

  test('have the first for the last reading until there is one without garbage', () => {
    const series = seriesOf([0, 7, 'dirty'], [10, 70, 'dirty']);
    expect(series.last).toMatchObject({ seconds: 0, value: 7 });
    series.push(reading(20, 80));
    expect(series.last).toMatchObject({ seconds: 20, value: 80 });
    expect(series.readings.at(-1)).toBe(series.last);
  });

  test('are the only ones that may hold garbage', () => {
    expect(times(seriesOf([0, 0], [10, 5, 'dirty'], [20, 10]))).toEqual([0, 20]);
    expect(times(seriesOf([0, 0, 'dirty'], [10, 10], [15, 12, 'dirty'], [20, 20]))).toEqual([0, 10, 20]);
  });
});

describe('stretches', () => {
  test('are the whole, its newer half by time, and so on, of three readings at least', () => {
    const stretches = seriesOf(...Array.from({ length: 17 }, (_, i): [number, number] => [i, i])).stretches();
    expect(stretches.map((stretch) => [stretch[0]!.seconds, stretch.at(-1)!.seconds])).toEqual([
      [0, 16],
      [8, 16],
      [12, 16],
      [14, 16],
    ]);
  });

  test('are none of two readings', () => {
    expect(seriesOf([0, 0], [1, 1]).stretches()).toEqual([]);
    expect(seriesOf([0, 0], [1, 1], [2, 2]).stretches()).toHaveLength(1);
  });

  test('end where time does not go on', () => {
    const same = new Series();
    for (let i = 0; i < 5; i++) same.push(reading(7, i));
    expect(same.stretches().length).toBeLessThanOrEqual(1);
  });
});

test('thinning keeps two items as they are', () => {
  const items = [{ seconds: 1 }, { seconds: 2 }];
  thin(items, 2);
  expect(items).toHaveLength(2);
});
