import { AnyMap, originalPositionFor, TraceMap, type SectionedSourceMap } from '@jridgewell/trace-mapping';
import { describe, expect, test } from 'vitest';
import { askMap } from '../../../src/profile/source-map.ts';

/** Two lines: at 0:0 a.ts 1:0, at 0:4 b.ts 2:4 named `one`, at 1:2 nothing, at 1:6 a.ts 4:0. */
const MAP = {
  version: 3,
  sources: ['a.ts', 'b.ts'],
  names: ['zero', 'one'],
  mappings: 'AACA,ICCIC;E,IDEJ',
};

interface Answer {
  readonly source: string | undefined;
  readonly line: number;
  readonly column: number;
  readonly name: string | undefined;
}

function ask(map: unknown, ...positions: [line: number, column: number][]): (Answer | undefined)[] {
  const text = typeof map === 'string' ? map : JSON.stringify(map);
  return askMap(Buffer.from(text), Int32Array.from(positions.flat())).originals;
}

const B = { source: 'b.ts', line: 2, column: 4, name: 'one', generatedLine: 0, generatedColumn: 4 };

test('answers with source, line, column and name of the segment at or before a position', () => {
  expect(ask(MAP, [0, 0], [0, 4], [0, 99], [1, 1], [1, 2], [1, 6])).toEqual([
    { source: 'a.ts', line: 1, column: 0, name: undefined, generatedLine: 0, generatedColumn: 0 },
    B,
    B,
    B,
    { source: undefined, line: expect.any(Number), column: expect.any(Number), name: undefined, generatedLine: 1, generatedColumn: 2 },
    { source: 'a.ts', line: 4, column: 0, name: undefined, generatedLine: 1, generatedColumn: 6 },
  ]);
});

test('is asked for nothing', () => {
  expect(ask(MAP)).toEqual([]);
});

describe('reads', () => {
  const text = JSON.stringify(MAP);
  test.each<[string, string]>([
    ['with a byte order mark', `\ufeff${text}`],
    ['behind the line that keeps it from being run', `)]}'\n${text}`],
    ['behind both', `\ufeff)]}',\r\n${text}`],
    ['in many lines', JSON.stringify(MAP, null, 2)],
    [
      'with members that it does not know, before and after',
      `{"x_a":{"mappings":"!"},${text.slice(1, -1)},"file":"x.js","ignoreList":[0]}`,
    ],
    ['with the sources in it', JSON.stringify({ sourcesContent: ['"}', 'mappings'], ...MAP })],
    ['with escapes where none are needed', text.replace('"mappings"', String.raw`"\u006dappings"`).replace('AACA', String.raw`AAC\u0041`)],
  ])('%s', (_, map) => {
    expect(ask(map, [0, 4])).toEqual([B]);
  });

  test('slashes with a backslash in the mappings, as PHP writes them', () => {
    // Three digits, of which the second is the slash.
    const map = JSON.stringify({ ...MAP, mappings: 'AAA+/f' }).replace('+/f', String.raw`+\/f`);
    expect(ask(map, [0, 0])[0]).toMatchObject({ source: 'a.ts', column: 16_383 });
  });

  test.each<[string | undefined | null, string]>([
    [undefined, 'a.ts'],
    [null, 'a.ts'],
    ['', 'a.ts'],
    ['../src', '../src/a.ts'],
    ['../src/', '../src/a.ts'],
    ['/', '/a.ts'],
    ['file:///app/src', 'file:///app/src/a.ts'],
  ])('with the sourceRoot %j', (sourceRoot, source) => {
    expect(ask({ ...MAP, sourceRoot }, [0, 0])[0]?.source).toBe(source);
  });

  test('a source or a name that is null as none, and names that are not there', () => {
    expect(ask({ ...MAP, sources: ['a.ts', null], names: ['zero', null] }, [0, 4])[0]).toMatchObject({
      source: undefined,
      name: undefined,
    });
    expect(ask({ ...MAP, names: undefined }, [0, 4])[0]).toMatchObject({ source: 'b.ts', name: undefined });
    expect(ask({ ...MAP, names: ['zero'] }, [0, 4])[0]).toMatchObject({ source: 'b.ts', name: undefined });
  });

  test('mappings that are empty, as of a file of types', () => {
    expect(ask({ ...MAP, sources: [], mappings: '' }, [0, 0])).toEqual([undefined]);
  });
});

test('knows the source of a map that has no other', () => {
  const only = (sources: (string | null)[]): string | undefined =>
    askMap(Buffer.from(JSON.stringify({ ...MAP, mappings: 'AAAA', sources, sourceRoot: '/src' })), Int32Array.of()).onlySource;
  expect(only(['a.ts'])).toBe('/src/a.ts');
  expect(only([null])).toBeUndefined();
  expect(only(['a.ts', 'b.ts'])).toBeUndefined();
});

describe('refuses', () => {
  test.each<[string, unknown, string]>([
    ['a page that says the map was not found', '<!doctype html><title>404</title>', 'it is not JSON at byte 0'],
    ['an empty file', '', 'it is not JSON at byte 0'],
    ['an array', '[]', 'it is not JSON at byte 0'],
    ['a file that was cut', JSON.stringify(MAP).slice(0, -20), 'it is not JSON at byte'],
    ['version 2', { ...MAP, version: 2 }, 'it is of version 2, not 3'],
    ['version 4', { ...MAP, version: 4 }, 'it is of version 4, not 3'],
    ['a version in quotes', { ...MAP, version: '3' }, 'it is of version "3", not 3'],
    ['no version', { ...MAP, version: undefined }, 'it is of version none, not 3'],
    ['no mappings', { ...MAP, mappings: undefined }, 'it has no mappings'],
    ['mappings that are no text', { ...MAP, mappings: 7 }, 'it has no mappings'],
    ['mappings that are none', { ...MAP, mappings: 'é' }, 'its mappings are broken at character 0'],
    ['a source beyond the last', { ...MAP, sources: ['a.ts'] }, 'its mappings name source 1 of 1'],
    ['no sources', { ...MAP, sources: undefined }, 'its mappings name source 1 of 0'],
    ['sources that are no array', { ...MAP, sources: 'a.ts' }, 'it is not JSON at byte'],
    [
      'sections without a map',
      { version: 3, sections: [{ offset: { line: 0, column: 0 }, url: 'x.map' }] },
      'a section of it has no offset or no map',
    ],
    ['sections without an offset', { version: 3, sections: [{ map: MAP }] }, 'a section of it has no offset or no map'],
    ['sections without a line', { version: 3, sections: [{ offset: { column: 0 }, map: MAP }] }, 'a section of it has no offset or no map'],
    ['sections in a map of another version', { version: 2, sections: [] }, 'it is of version 2, not 3'],
  ])('%s', (_, map, message) => {
    expect(() => ask(map, [0, 4])).toThrow(message);
  });
});

describe('an indexed map', () => {
  const other = { version: 3, sources: ['c.ts'], names: ['two'], sourceRoot: 'lib', mappings: 'AAAAA,EACA;AACA' };
  const SECTIONS: SectionedSourceMap = {
    version: 3,
    sections: [
      { offset: { line: 0, column: 0 }, map: { ...MAP, version: 3 } },
      { offset: { line: 1, column: 10 }, map: { ...other, version: 3 } },
      { offset: { line: 5, column: 0 }, map: { ...other, version: 3 } },
    ],
  };

  test('is a map for the part behind each offset, as trace-mapping has it', () => {
    const map = new AnyMap(JSON.stringify(SECTIONS));
    expect(map).toBeInstanceOf(TraceMap);
    const positions: [number, number][] = [[0, 0], [0, 4], [1, 2], [1, 6], [1, 9], [1, 10], [1, 11], [1, 12], [1, 99], [2, 0], [2, 5], [5, 0], [5, 3], [6, 0]]; // prettier-ignore
    for (const [i, answer] of ask(SECTIONS, ...positions).entries()) {
      const [line, column] = positions[i]!;
      const expected = originalPositionFor(map, { line: line + 1, column });
      expect([answer?.source ?? null, answer?.name ?? null], `${line}:${column}`).toEqual([expected.source, expected.name]);
      if (expected.source !== null) expect([answer!.line + 1, answer!.column]).toEqual([expected.line, expected.column]);
    }
  });

  test('says where its segments are in the whole', () => {
    expect(ask(SECTIONS, [1, 99], [2, 5], [4, 0])).toMatchObject([
      { generatedLine: 1, generatedColumn: 12 },
      { generatedLine: 2, generatedColumn: 0 },
      { generatedLine: 2, generatedColumn: 0 },
    ]);
  });

  test('may have no sections, and positions may be before the first', () => {
    expect(ask({ version: 3, sections: [] }, [0, 0])).toEqual([undefined]);
    expect(ask({ version: 3, sections: [{ offset: { line: 1, column: 0 }, map: MAP }] }, [0, 9], [1, 4])).toEqual([
      undefined,
      { ...B, generatedLine: 1 },
    ]);
  });
});
