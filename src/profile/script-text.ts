// The text of a script around places that V8 names by line and UTF-16 column, read from its bytes: as a string a bundle
// would be held twice. For the worker of source maps.
import { isAscii } from 'node:buffer';

const NEWLINE = 0x0a;

export class ScriptText {
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Byte offsets of positions (pairs of line and column from 0, ascending), -1 for those outside of the text. */
  offsets(positions: Int32Array): Int32Array {
    const offsets = new Int32Array(positions.length / 2).fill(-1);
    const bytes = this.#bytes;
    let line = -1;
    // Node cuts a byte order mark off before V8 sees the script.
    let end = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 2 : -1;
    let at = { offset: 0, column: 0 };
    let ascii = false;
    for (let i = 0; i < offsets.length; i++) {
      while (line < (positions[2 * i] as number)) {
        if (end === bytes.length) return offsets;
        at = { offset: end + 1, column: 0 };
        end = bytes.indexOf(NEWLINE, at.offset);
        if (end === -1) end = bytes.length;
        line += 1;
        if (line === positions[2 * i]) ascii = isAscii(bytes.subarray(at.offset, end));
      }
      const column = positions[2 * i + 1] as number;
      at = ascii ? { offset: at.offset + column - at.column, column } : this.#walk(at, column, end);
      if (at.offset <= end) offsets[i] = at.offset;
    }
    return offsets;
  }

  /** At most `length` bytes of the text before an offset. */
  before(offset: number, length: number): string {
    let from = Math.max(0, offset - length);
    while (from < offset && isContinuation(this.#bytes[from] as number)) from += 1;
    return this.#bytes.toString('utf8', from, offset);
  }

  /** At most `length` bytes of the text from an offset on. */
  after(offset: number, length: number): string {
    return this.#bytes.toString('utf8', offset, offset + length);
  }

  /** To a later column of the same line, or past its end. */
  #walk(from: { offset: number; column: number }, column: number, end: number): { offset: number; column: number } {
    let { offset, column: at } = from;
    while (at < column && offset <= end) {
      // Characters of four bytes are two UTF-16 units.
      at += (this.#bytes[offset] as number) >= 0xf0 ? 2 : 1;
      do offset += 1;
      while (offset < end && isContinuation(this.#bytes[offset] as number));
    }
    return { offset, column: at };
  }
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}
