// A source map (ECMA-426, revision 3, indexed maps too) asked for positions of the generated code. For the worker.
import { elements, members, parse, type Range } from './json-scan.ts';
import { MapError } from './map-error.ts';
import { ANSWER, COLUMN, GENERATED_COLUMN, GENERATED_LINE, LINE, lookUp, NAME, SOURCE } from './mappings.ts';

/** What the segment at or before a position says; lines and columns from 0. */
export interface Original {
  readonly generatedLine: number;
  readonly generatedColumn: number;
  /** As in the map, behind its `sourceRoot`; undefined where the segment has none. */
  readonly source: string | undefined;
  readonly line: number;
  readonly column: number;
  readonly name: string | undefined;
}

export interface MapAnswer {
  /** By position; undefined where no segment comes before. */
  readonly originals: (Original | undefined)[];
  /** The source, when the map has no other. */
  readonly onlySource: string | undefined;
}

type Members = Map<string, Range>;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Asks a map for positions: pairs of line and column from 0, ascending. Throws MapError when it cannot be used. */
export function askMap(text: Uint8Array, positions: Int32Array): MapAnswer {
  const map = members(text, start(text));
  const sections = map.get('sections');
  return sections === undefined ? askFlat(text, map, positions) : askSections(text, { map, sections }, positions);
}

/** After a byte order mark, and after the line `)]}'` that keeps JSON from being run as a script. */
function start(text: Uint8Array): number {
  const at = text[0] === 0xef && text[1] === 0xbb && text[2] === 0xbf ? 3 : 0;
  if (text[at] !== 0x29) return at;
  const end = text.indexOf(0x0a, at);
  return end === -1 ? text.length : end + 1;
}

function checkVersion(text: Uint8Array, map: Members): void {
  const range = map.get('version');
  const version = range === undefined ? undefined : parse(text, range);
  if (version !== 3) throw new MapError(`it is of version ${JSON.stringify(version) ?? 'none'}, not 3`);
}

function askFlat(text: Uint8Array, map: Members, positions: Int32Array): MapAnswer {
  checkVersion(text, map);
  const answers = lookUp(mappingsOf(text, map), positions);
  const count = positions.length / 2;
  const column = (of: number): Set<number> => new Set(Array.from({ length: count }, (_, i) => answers[i * ANSWER + of] as number));
  const sources = pick(text, map.get('sources'), column(SOURCE).add(0));
  const names = pick(text, map.get('names'), column(NAME));
  const root = sourceRoot(text, map);
  const sourceAt = (index: number): string | undefined => {
    const source = sources.values.get(index);
    return typeof source === 'string' ? root + source : undefined;
  };
  return {
    originals: Array.from({ length: count }, (_, i) => {
      const answer = answers.subarray(i * ANSWER, (i + 1) * ANSWER);
      if (answer[GENERATED_LINE] === -1) return undefined;
      const source = answer[SOURCE] as number;
      if (source >= sources.count) throw new MapError(`its mappings name source ${source} of ${sources.count}`);
      const name = names.values.get(answer[NAME] as number);
      return {
        generatedLine: answer[GENERATED_LINE] as number,
        generatedColumn: answer[GENERATED_COLUMN] as number,
        source: sourceAt(source),
        line: answer[LINE] as number,
        column: answer[COLUMN] as number,
        name: typeof name === 'string' ? name : undefined,
      };
    }),
    onlySource: sources.count === 1 ? sourceAt(0) : undefined,
  };
}

function mappingsOf(text: Uint8Array, map: Members): Uint8Array {
  const range = map.get('mappings');
  if (range === undefined || text[range.start] !== QUOTE) throw new MapError('it has no mappings');
  const mappings = text.subarray(range.start + 1, range.end - 1);
  // Nothing in them needs an escape; PHP writes slashes with one.
  return mappings.includes(BACKSLASH) ? Buffer.from(String(parse(text, range))) : mappings;
}

function sourceRoot(text: Uint8Array, map: Members): string {
  const range = map.get('sourceRoot');
  const root = range === undefined ? '' : parse(text, range);
  if (typeof root !== 'string' || root === '') return '';
  return root.endsWith('/') ? root : `${root}/`;
}

/** The elements of an array at some indexes, and how many it has. */
function pick(
  text: Uint8Array,
  array: Range | undefined,
  indexes: ReadonlySet<number>,
): { count: number; values: ReadonlyMap<number, unknown> } {
  const values = new Map<number, unknown>();
  if (array === undefined) return { count: 0, values };
  const count = elements(text, array, (index, element) => {
    if (indexes.has(index)) values.set(index, parse(text, element));
  });
  return { count, values };
}

/** An indexed map: each section is a map for what lies between its offset and that of the next. */
function askSections(
  text: Uint8Array,
  { map, sections }: { readonly map: Members; readonly sections: Range },
  positions: Int32Array,
): MapAnswer {
  checkVersion(text, map);
  const parts: { readonly line: number; readonly column: number; readonly start: number }[] = [];
  elements(text, sections, (_index, element) => {
    const section = members(text, element.start);
    const [offset, nested] = [section.get('offset'), section.get('map')];
    if (offset === undefined || nested === undefined) throw new MapError('a section of it has no offset or no map');
    const { line, column } = parse(text, offset) as { line: number; column: number };
    if (!Number.isInteger(line) || !Number.isInteger(column)) throw new MapError('a section of it has no offset or no map');
    parts.push({ line, column, start: nested.start });
  });
  const originals: (Original | undefined)[] = Array.from({ length: positions.length / 2 });
  const starts = parts.map((part) => firstFrom(positions, part));
  for (const [i, part] of parts.entries()) {
    const [from, to] = [starts[i] as number, starts[i + 1] ?? originals.length];
    if (to <= from) continue;
    for (const [at, original] of askSection(text, part, positions.slice(2 * from, 2 * to)).entries()) originals[from + at] = original;
  }
  return { originals, onlySource: undefined };
}

/** The index of the first of the positions that is not before a place. */
function firstFrom(positions: Int32Array, place: { readonly line: number; readonly column: number }): number {
  let index = 0;
  while (index < positions.length / 2) {
    const [line, column] = [positions[2 * index] as number, positions[2 * index + 1] as number];
    if (line > place.line || (line === place.line && column >= place.column)) break;
    index += 1;
  }
  return index;
}

/** Asks the map of a section, whose first line begins at its offset. */
function askSection(
  text: Uint8Array,
  section: { readonly line: number; readonly column: number; readonly start: number },
  positions: Int32Array,
): (Original | undefined)[] {
  for (let i = 0; i < positions.length; i += 2) {
    positions[i] = (positions[i] as number) - section.line;
    if (positions[i] === 0) positions[i + 1] = (positions[i + 1] as number) - section.column;
  }
  const { originals } = askFlat(text, members(text, section.start), positions);
  return originals.map((original) => {
    if (original === undefined) return undefined;
    const { generatedLine, generatedColumn } = original;
    return {
      ...original,
      generatedLine: generatedLine + section.line,
      generatedColumn: generatedLine === 0 ? generatedColumn + section.column : generatedColumn,
    };
  });
}
