// Where the parts of a JSON text lie, without making them: a source map is read for a few hundred positions, and
// JSON.parse of one of 64 MiB takes 240 MB, in a worker whose heap limit, when it is met, ends the whole process.
// For source-map.ts. Throws MapError on what is no JSON, as far as it has to look.
import { MapError } from './map-error.ts';

/** Bytes from `start` up to `end` of the text. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** The value that begins at or after `from`, which must be an object, as the ranges of its members. */
export function members(text: Uint8Array, from: number): Map<string, Range> {
  const found = new Map<string, Range>();
  let at = expect(text, skipSpace(text, from), OPEN_BRACE);
  if (text[(at = skipSpace(text, at))] === CLOSE_BRACE) return found;
  for (;;) {
    const key = { start: at, end: skipString(text, at) };
    const start = skipSpace(text, expect(text, skipSpace(text, key.end), COLON));
    const end = skipValue(text, start);
    found.set(String(parse(text, key)), { start, end });
    at = skipSpace(text, end);
    if (text[at] === CLOSE_BRACE) return found;
    at = skipSpace(text, expect(text, at, COMMA));
  }
}

/** Calls `visit` with the range of each element of an array, in order; answers how many there are. */
export function elements(text: Uint8Array, array: Range, visit: (index: number, element: Range) => void): number {
  let at = skipSpace(text, expect(text, array.start, OPEN_BRACKET));
  if (text[at] === CLOSE_BRACKET) return 0;
  for (let index = 0; ; index++) {
    const end = skipValue(text, at);
    visit(index, { start: at, end });
    at = skipSpace(text, end);
    if (text[at] === CLOSE_BRACKET) return index + 1;
    at = skipSpace(text, expect(text, at, COMMA));
  }
}

/** The value itself; for small ones. */
export function parse(text: Uint8Array, { start, end }: Range): unknown {
  try {
    return JSON.parse(Buffer.from(text.buffer, text.byteOffset + start, end - start).toString());
  } catch {
    throw notJson(start);
  }
}

function skipValue(text: Uint8Array, from: number): number {
  const first = text[from];
  if (first === QUOTE) return skipString(text, from);
  if (first === OPEN_BRACE || first === OPEN_BRACKET) return skipNested(text, from);
  let at = from;
  for (let byte = first; byte !== undefined && isPrimitive(byte); byte = text[++at]);
  if (at === from) throw notJson(from);
  return at;
}

/** Past an object or array; whether its brackets are of one kind is not looked at. */
function skipNested(text: Uint8Array, from: number): number {
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    const byte = text[at];
    if (byte === QUOTE) at = skipString(text, at) - 1;
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth += 1;
    else if ((byte === CLOSE_BRACE || byte === CLOSE_BRACKET) && --depth === 0) return at + 1;
  }
  throw notJson(from);
}

function skipString(text: Uint8Array, from: number): number {
  for (let at = expect(text, from, QUOTE); at < text.length; at++) {
    const byte = text[at];
    if (byte === QUOTE) return at + 1;
    if (byte === BACKSLASH) at += 1;
  }
  throw notJson(from);
}

function skipSpace(text: Uint8Array, from: number): number {
  let at = from;
  for (let byte = text[at]; byte === 0x20 || (byte !== undefined && byte >= 0x09 && byte <= 0x0d); byte = text[++at]);
  return at;
}

/** Of a number, true, false or null. */
function isPrimitive(byte: number): boolean {
  return (
    (byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x7a) || byte === 0x2d || byte === 0x2b || byte === 0x2e || byte === 0x45
  );
}

function expect(text: Uint8Array, at: number, byte: number): number {
  if (text[at] !== byte) throw notJson(at);
  return at + 1;
}

function notJson(at: number): MapError {
  return new MapError(`it is not JSON at byte ${at}`);
}
