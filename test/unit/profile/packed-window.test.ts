import { expect, test } from 'vitest';
import { PackedWindow } from '../../../src/profile/packed-window.ts';
import { type LabelSet, sizeBytes } from '../../../src/profile/profile.ts';
import { randomIds, randomProfile } from './profiles.ts';

/** Routes with and without ids and labels of the application, as a window has them. */
function labelSetsOf(seed: number, count: number): LabelSet[] {
  return Array.from({ length: count }, (_, i) => ({
    ...(i % 7 === 0 ? {} : { 'http.route': `/route/${i % 5}` }),
    ...(i % 3 === 0 ? {} : randomIds(seed * 1000 + i)),
    ...(i % 4 === 0 ? { tenant: `t${i % 6}` } : {}),
    thread: 'main',
  }));
}

test.each([1, 2, 3, 4, 5])('a random profile comes out as it went in (seed %i)', (seed) => {
  const profile = randomProfile({ seed, stacks: 500, depth: 1 + seed * 3, functions: 40 * seed, labelSets: labelSetsOf(seed, 80 * seed) });
  const window = new PackedWindow(profile);
  const before = structuredClone(profile.labelSets);
  expect(window.unpack()).toEqual(profile);
  // Whoever reads it twice gets it twice, and who still holds the first has it unchanged.
  expect(window.unpack()).toEqual(profile);
  expect(profile.labelSets).toEqual(before);
});

test('ids keep all of their digits', () => {
  const labelSets = [
    { trace_id: '0'.repeat(31) + '1', span_id: '0'.repeat(15) + '1' },
    { trace_id: 'f'.repeat(32), span_id: 'f'.repeat(16) },
    { trace_id: '00000001800000000fffffff7fffffff', span_id: '8000000000000001' },
    { trace_id: '1'.padEnd(32, '0'), span_id: '1'.padEnd(16, '0') },
  ];
  const profile = randomProfile({ seed: 1, stacks: 50, depth: 2, functions: 5, labelSets });
  expect(new PackedWindow(profile).unpack().labelSets).toEqual(profile.labelSets);
  expect(profile.labelSets).toHaveLength(5);
});

test('a window without samples and without labels is one too', () => {
  const empty = randomProfile({ seed: 1, stacks: 0, depth: 0, functions: 1, startEpochMillis: 7000, durationMillis: 500 });
  const window = new PackedWindow(empty);
  expect(window.unpack()).toEqual(empty);
  expect([window.startEpochMillis, window.durationMillis, window.endEpochMillis]).toEqual([7000, 500, 7500]);
});

test('a sample of a span of its own takes 32 bytes for its labels, and a route is there once', () => {
  const size = (count: number, withIds: boolean): number => {
    const labelSets = Array.from({ length: count }, (_, i) => ({
      'http.route': '/r',
      ...(withIds ? randomIds(i) : { sample: String(i) }),
    }));
    const profile = randomProfile({ seed: 1, stacks: 4000, depth: 1, functions: 1, labelSets });
    expect(profile.labelSets).toHaveLength(count + 1);
    return (
      new PackedWindow(profile).sizeBytes - profile.values.byteLength - profile.sampleNodes.byteLength - profile.sampleLabels.byteLength
    );
  };
  // Six words of ids, and which of the sets and which of the ids it is.
  expect((size(200, true) - size(100, true)) / 100).toBe(6 * 4 + 4 + 4);
  // A set with text of its own is another set.
  expect((size(200, false) - size(100, false)) / 100).toBe(200 + 4 + 4);
});

test('its size is that of its arrays, frames and sets', () => {
  const profile = randomProfile({ seed: 3, stacks: 300, depth: 10, functions: 100 });
  // Two indexes for the one empty set, which counts as 200 at rest and as 56 in a profile.
  expect(new PackedWindow(profile).sizeBytes).toBe(sizeBytes(profile) + 2 * 4 + 200 - 56);
});
