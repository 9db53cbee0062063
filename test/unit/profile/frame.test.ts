import { beforeEach, expect, test, vi } from 'vitest';
import type { frameOf as FrameOf } from '../../../src/profile/frame.ts';

let frameOf: typeof FrameOf;

// The table is the module's.
beforeEach(async () => {
  vi.resetModules();
  ({ frameOf } = await import('../../../src/profile/frame.ts'));
});

test('a function is one object, told apart by name, file, line and column', () => {
  const places: readonly Parameters<typeof FrameOf>[] = [
    ['f', '/a.js', 1, 1],
    ['g', '/a.js', 1, 1],
    ['f', '/b.js', 1, 1],
    ['f', '/a.js', 2, 1],
    ['f', '/a.js', 1, 2],
    ['', '', 0, 0],
  ];
  const frames = places.map((place) => frameOf(...place));
  expect(new Set(frames).size).toBe(places.length);
  expect(frames[0]).toEqual({ name: 'f', file: '/a.js', line: 1, column: 1 });
  expect(places.map((place) => frameOf(...place)).every((frame, i) => frame === frames[i])).toBe(true);
});

test('columns of bundles of one line are told apart up to two million', () => {
  const [last, ...beyond] = [2 ** 21 - 2, 2 ** 21 - 1, 2 ** 21, 3e6].map((column) => frameOf('f', '/bundle.js', 1, column));
  expect(beyond).not.toContain(last);
  expect(beyond[1]).toBe(beyond[0]);
  // The next line is another place than the column beyond.
  expect(frameOf('f', '/bundle.js', 2, 0)).not.toBe(beyond[0]);
});

test('the table holds twenty thousand functions and then begins anew', () => {
  const first = frameOf('f1', '/a.js', 1, 1);
  for (let i = 2; i <= 20_000; i++) frameOf(`f${i}`, '/a.js', i, 1);
  expect(frameOf('f1', '/a.js', 1, 1)).toBe(first);
  frameOf('one more', '/a.js', 1, 1);
  const again = frameOf('f1', '/a.js', 1, 1);
  expect(again).not.toBe(first);
  expect(again).toEqual(first);
  expect(frameOf('f1', '/a.js', 1, 1)).toBe(again);
});
