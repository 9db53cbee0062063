import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { StderrDiag } from '../../../src/core/diag.ts';
import { Guard } from '../../../src/core/guard.ts';
import { PackedWindow } from '../../../src/profile/packed-window.ts';
import { type Profile, ProfileBuilder } from '../../../src/profile/profile.ts';
import { WindowRing } from '../../../src/profile/window-ring.ts';

const VALUE = { type: 'cpu', unit: 'nanoseconds' };

function window(startSeconds: number, durationSeconds = 10): Profile {
  const builder = new ProfileBuilder(1);
  builder.add(builder.node(-1, builder.frame('f', '', 0)), 0, 1);
  const [startEpochMillis, durationMillis] = [startSeconds * 1000, durationSeconds * 1000];
  return builder.build({ sampleTypes: [VALUE], defaultSampleType: 'cpu', periodType: VALUE, period: 1, startEpochMillis, durationMillis });
}

const createRing = (seconds = 900, bytes = 1e6): WindowRing => new WindowRing(new Guard(new StderrDiag('warn')), { seconds, bytes });

const starts = (ring: WindowRing, since: number): number[] =>
  Array.from(ring.since(since * 1000), ({ startEpochMillis }) => startEpochMillis / 1000);

test('answers the windows that hold any of the time asked for, oldest first', () => {
  const ring = createRing();
  for (const start of [100, 110, 120]) ring.push(window(start));
  expect(starts(ring, 0)).toEqual([100, 110, 120]);
  expect(starts(ring, 109.999)).toEqual([100, 110, 120]);
  expect(starts(ring, 110)).toEqual([110, 120]);
  expect(starts(ring, 130)).toEqual([]);
});

test('keeps a window until all of it is older than the age limit', () => {
  const ring = createRing(30);
  for (const start of [100, 110, 120]) ring.push(window(start));
  ring.push(window(130, 9.999));
  expect(starts(ring, 0)).toEqual([100, 110, 120, 130]);
  ring.push(window(139.999));
  expect(starts(ring, 0)).toEqual([110, 120, 130, 139.999]);
});

test('drops the oldest beyond the byte limit and counts what it holds', () => {
  const one = new PackedWindow(window(0)).sizeBytes;
  const ring = createRing(900, 2 * one);
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
  const ring = createRing(900, 1);
  ring.push(window(0));
  expect(starts(ring, 0)).toEqual([0]);
  ring.push(window(10));
  expect(starts(ring, 0)).toEqual([10]);
});

test('short windows become one of ten seconds, which has all of them', async () => {
  const ring = createRing();
  for (let start = 100; start < 120; start += 0.5) {
    ring.push(window(start, 0.5));
    if (start % 5 === 0) for (let turn = 0; turn < 40; turn++) await nextTurn();
  }
  for (let turn = 0; turn < 40; turn++) await nextTurn();
  const windows = [...ring.since(0)];
  expect(windows.length).toBeLessThan(25);
  expect(windows.reduce((sum, { durationMillis }) => sum + durationMillis, 0)).toBeCloseTo(20_000);
  expect(windows.reduce((sum, { values }) => sum + values[0]!, 0)).toBe(40);
  expect(windows.map(({ startEpochMillis }) => startEpochMillis)).toEqual(windows.map((w) => w.startEpochMillis).toSorted((a, b) => a - b));
  expect(ring.seconds).toBeCloseTo(20);
  expect(starts(ring, 119.9)).toEqual([119.5]);
});

test('what is read while windows are added up is neither lost nor there twice', async () => {
  const ring = createRing();
  for (let i = 0; i < 10; i++) ring.push(window(100 + i, 1));
  const read = ring.since(0);
  let sum = read.next().value.values[0] as number;
  for (let turn = 0; turn < 40; turn++) await nextTurn();
  for (const { values } of read) sum += values[0]!;
  expect(sum).toBe(10);
});
