import { describe, expect, test } from 'vitest';
import { ScriptText } from '../../../src/profile/script-text.ts';

const SCRIPT = ['plain()', '', "é = 'ß'; f()", "'😀日本'; g()", '\u{10ffff}h'].join('\n');

const offsets = (script: Buffer, ...positions: [line: number, column: number][]): number[] =>
  Array.from(new ScriptText(script).offsets(Int32Array.from(positions.flat())));

/** Bytes before a place, counted by Node's own encoder. */
function offsetOf(script: string, line: number, column: number): number {
  const lines = script.split('\n');
  return Buffer.byteLength([...lines.slice(0, line), lines[line]!.slice(0, column)].join('\n'));
}

test('finds every place of a text by line and UTF-16 column', () => {
  const places = SCRIPT.split('\n').flatMap((text, line) =>
    Array.from({ length: text.length + 1 }, (_, column) => [line, column] as [number, number]).filter(
      // Between the halves of a pair there is nothing.
      ([, column]) => !/[\udc00-\udfff]/.test(text[column] ?? ''),
    ),
  );
  expect(offsets(Buffer.from(SCRIPT), ...places)).toEqual(places.map(([line, column]) => offsetOf(SCRIPT, line, column)));
});

test('a byte order mark is before the first column', () => {
  expect(offsets(Buffer.from(`\ufeffa()\nb()`), [0, 0], [0, 1], [1, 0])).toEqual([3, 4, 7]);
});

test.each<[number, number]>([
  [0, 8],
  [1, 1],
  [2, 13],
  [3, 12],
  [5, 0],
  [99, 0],
])('line %i, column %i is outside', (line, column) => {
  expect(offsets(Buffer.from(SCRIPT), [0, 1], [line, column])).toEqual([1, -1]);
});

test('an empty text has one place', () => {
  expect(offsets(Buffer.alloc(0), [0, 0], [0, 1], [1, 0])).toEqual([0, -1, -1]);
});

describe('the text around', () => {
  const text = new ScriptText(Buffer.from('ab é😀 cd'));

  test('is cut between characters, and at the ends', () => {
    expect(text.before(9, 100)).toBe('ab é😀');
    expect([7, 6, 5, 4].map((length) => text.before(9, length))).toEqual([' é😀', 'é😀', '😀', '😀']);
    expect(text.after(9, 2)).toBe(' c');
    expect(text.after(9, 100)).toBe(' cd');
  });
});
