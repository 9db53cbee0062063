// Positions looked up in mappings. What is right is what @jridgewell/trace-mapping makes of the same map.
import { encodedMappings, TraceMap, traceSegment, type SourceMapSegment } from '@jridgewell/trace-mapping';
import { describe, expect, test } from 'vitest';
import { ANSWER, lookUp } from '../../../src/profile/mappings.ts';

const SOURCES = 50;

/** The answers as trace-mapping writes segments, with the generated line in front; empty for none. */
function answers(mappings: string, positions: readonly (readonly [line: number, column: number])[]): number[][] {
  const found = lookUp(Buffer.from(mappings), Int32Array.from(positions.flat()));
  return positions.map((_, i) => {
    const answer = Array.from(found.subarray(i * ANSWER, (i + 1) * ANSWER));
    const [line, column, source] = answer;
    if (line === -1) return [];
    return source === -1 ? [line!, column!] : answer.slice(0, answer[5] === -1 ? 5 : 6);
  });
}

/** A generator of the same numbers each time (Park and Miller). */
function randomBelow(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % limit;
  };
}

/** Lines of segments with 1, 4 and 5 numbers; some lines have none, some columns are far. */
function randomMap(below: (limit: number) => number): SourceMapSegment[][] {
  return Array.from({ length: 1 + below(30) }, () => {
    const columns = [...new Set(Array.from({ length: below(8) }, () => below(below(4) === 0 ? 2_000_000 : 100)))].sort((a, b) => a - b);
    return columns.map((column): SourceMapSegment => {
      const place = [column, below(SOURCES), below(100_000), below(3000)] as const;
      return [() => [column], () => place, () => [...place, below(5000)]][below(3)]!() as SourceMapSegment;
    });
  });
}

test('answers with the segment at or before each position, as trace-mapping does', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const below = randomBelow(seed);
    const lines = randomMap(below);
    const names = Array.from({ length: 5000 }, (_, i) => `name${i}`);
    const sources = Array.from({ length: SOURCES }, (_, i) => `source${i}.ts`);
    const map = new TraceMap({ version: 3, names, sources, mappings: lines });
    const wanted = Array.from({ length: 60 }, () => [below(32), below(below(2) === 0 ? 110 : 2_100_000)] as const);
    wanted.push([0, 0], [0, 0]);
    const positions = wanted.toSorted((a, b) => a[0] - b[0] || a[1] - b[1]);
    const found = answers(encodedMappings(map), positions);
    for (const [i, [line, column]] of positions.entries()) {
      const expected = line < lines.length ? traceSegment(map, line, column) : null;
      // Of the lines before otherwise, which is for the caller to see.
      if (expected !== null) expect(found[i]).toEqual([line, ...expected]);
      else expect(found[i]![0] ?? -1).toBeLessThan(line);
    }
  }
});

// A is 0, C is 1, E is 2, I is 4.
describe('answers', () => {
  test.each<[string, string, [number, number], number[]]>([
    ['the last segment of the lines before where the line has none before the position', 'AAAA,EAEA;;CAAC', [2, 0], [0, 2, 0, 2, 0]],
    ['nothing before the first segment', 'CAAA', [0, 0], []],
    ['nothing where there are no mappings', '', [3, 7], []],
    ['the last segment after the end', 'AAAA;CAAC', [9, 0], [1, 1, 0, 0, 1]],
    ['at the column itself', 'AAAA,EAEA', [0, 2], [0, 2, 0, 2, 0]],
    ['until the column before', 'AAAA,EAEA', [0, 1], [0, 0, 0, 0, 0]],
    ['a segment that says there is no source', 'AAAA,E', [0, 5], [0, 2]],
    ['the first of two for one column', 'AAAA,AACC', [0, 0], [0, 0, 0, 0, 0]],
    ['between superfluous commas', ',AAAA,,EAEA,', [0, 9], [0, 2, 0, 2, 0]],
    ['with the largest number there is', 'A+/////DAA', [0, 0], [0, 0, 2 ** 31 - 1, 0, 0]],
  ])('%s', (_, mappings, position, expected) => {
    expect(answers(mappings, [position])).toEqual([expected]);
  });

  test('segments that are not in the order of their columns', () => {
    // Columns 4, 0, 2, 6, with source lines 1 to 4.
    const mappings = 'IACA,JACA,EACA,IACA';
    const lineAt = (column: number): number | undefined => answers(mappings, [[0, column]])[0]![3];
    expect([0, 1, 2, 3, 4, 5, 6, 9].map(lineAt)).toEqual([2, 2, 3, 3, 1, 1, 4, 4]);
    const together = answers(
      mappings,
      [0, 1, 2, 3, 4, 5, 6, 9].map((column) => [0, column] as const),
    );
    expect(together.map((answer) => answer[3])).toEqual([2, 2, 3, 3, 1, 1, 4, 4]);
  });
});

describe('refuses', () => {
  test.each([
    ['a character that is no digit', 'AAAA,A!AA'],
    ['a quote', 'AAAA,A"'],
    ['what is not ASCII', 'AAAA,é'],
    ['a number that does not end', 'AAAA,g'],
    ['a number that goes on into the next segment', 'AAAg,AAAA'],
    ['a number beyond 32 bits', 'AAAA,ggggggggC'],
    ['a segment of two numbers', 'AA'],
    ['a segment of three numbers', 'AAA'],
    ['a segment of six numbers', 'AAAAAA'],
    ['a column before the line', 'D'],
    ['a source before the first', 'ADAA'],
    ['a line before the first', 'AADA'],
    ['a source column before the line', 'AAAD'],
    ['a name before the first', 'AAAAD'],
  ])('%s', (_, mappings) => {
    expect(() => lookUp(Buffer.from(mappings), Int32Array.from([0, 100]))).toThrow(/^its mappings are broken at character \d+$/);
  });

  test('nothing that comes after the last position', () => {
    expect(answers('AAAA;!', [[0, 3]])).toEqual([[0, 0, 0, 0, 0]]);
  });
});
