import { expect, test } from 'vitest';
import { type Profile, ProfileBuilder, sizeBytes } from '../../../src/profile/profile.ts';
import { WindowRing } from '../../../src/profile/window-ring.ts';

const VALUE = { type: 'cpu', unit: 'nanoseconds' };

function window(startSeconds: number, durationSeconds = 10): Profile {
  const builder = new ProfileBuilder(1);
  builder.add(builder.node(-1, builder.frame('f', '', 0)), 0, 1);
  const [startEpochMillis, durationMillis] = [startSeconds * 1000, durationSeconds * 1000];
  return builder.build({ sampleTypes: [VALUE], defaultSampleType: 'cpu', periodType: VALUE, period: 1, startEpochMillis, durationMillis });
}

const starts = (ring: WindowRing, since: number): number[] =>
  ring.since(since * 1000).map(({ startEpochMillis }) => startEpochMillis / 1000);

test('answers the windows that hold any of the time asked for, oldest first', () => {
  const ring = new WindowRing();
  for (const start of [100, 110, 120]) ring.push(window(start));
  expect(starts(ring, 0)).toEqual([100, 110, 120]);
  expect(starts(ring, 109.999)).toEqual([100, 110, 120]);
  expect(starts(ring, 110)).toEqual([110, 120]);
  expect(starts(ring, 130)).toEqual([]);
});

test('keeps a window until all of it is older than the age limit', () => {
  const ring = new WindowRing(30);
  for (const start of [100, 110, 120]) ring.push(window(start));
  ring.push(window(130, 9.999));
  expect(starts(ring, 0)).toEqual([100, 110, 120, 130]);
  ring.push(window(139.999, 0.001));
  expect(starts(ring, 0)).toEqual([110, 120, 130, 139.999]);
});

test('drops the oldest beyond the byte limit and counts what it holds', () => {
  const one = sizeBytes(window(0));
  const ring = new WindowRing(900, 2 * one);
  ring.push(window(0));
  ring.push(window(10));
  expect(starts(ring, 0)).toEqual([0, 10]);
  ring.push(window(20));
  expect(starts(ring, 0)).toEqual([10, 20]);
  expect(ring.bytes).toBe(2 * one);
  ring.clear();
  expect(ring.bytes).toBe(0);
});

test('keeps one window even when it alone is above the byte limit', () => {
  const ring = new WindowRing(900, 1);
  ring.push(window(0));
  expect(starts(ring, 0)).toEqual([0]);
  ring.push(window(10));
  expect(starts(ring, 0)).toEqual([10]);
});
