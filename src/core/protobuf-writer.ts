// DATA PLANE. Protobuf's wire format into one growing buffer that is used again and again: the only writer of it. Called
// field by field by export/ for spans and profiles in OTLP, by profile/ for pprof; otlp-span-json.ts writes its text with it.
// Knows nothing of any message. Tags are of one byte, as of fields 1 to 15. Messages over 2 GiB are not for it.

/**
 * Largest buffer that is kept after it was taken. 512 spans of a busy service are 0.2 to 0.5 MB; what is larger was one
 * huge span or a burst, and would stay for the life of the process.
 */
const KEPT_BYTES_MAX = 1024 * 1024;
/**
 * Up to here a text is written character by character, 1.5 to 3 ns each; from there on by Buffer, which costs 25 to 45 ns
 * on Node 24 and 26 and 80 to 90 on Node 20, whatever the length. They meet at 14 characters on 26, 16 on 24, 30 on 20.
 */
const LOOP_CHARS_MAX = 16;
/** Up to here room is made for the longest that a text can become, 3 bytes for each; to ask Buffer for its length costs 20 ns and more. */
const BYTES_GUESSED_CHARS_MAX = 1024;
/** 2^64 nanoseconds, in the year 2554. */
const SECONDS_END = 18_446_744_073;

export class ProtobufWriter {
  bytes: Buffer;
  view: DataView;
  /** Bytes written. May be set back, which forgets what was written after. */
  length = 0;
  readonly #initialBytes: number;

  constructor(initialBytes: number) {
    this.#initialBytes = initialBytes;
    this.bytes = Buffer.allocUnsafeSlow(initialBytes);
    this.view = viewOf(this.bytes);
  }

  /** What was written so far; a view that the next write may change. */
  get written(): Buffer {
    return this.bytes.subarray(0, this.length);
  }

  /** Makes room for `count` more bytes. Whoever calls a method that says so, or writes to `bytes`, reserves before. */
  reserve(count: number): void {
    if (this.length + count > this.bytes.length) this.#grow(this.length + count);
  }

  /** Forgets what was written, and the buffer too when it has grown out of proportion. */
  clear(): void {
    this.length = 0;
    if (this.bytes.length > KEPT_BYTES_MAX) this.#replace(Buffer.allocUnsafeSlow(this.#initialBytes));
  }

  /** A varint field of a non-negative integer below 2^32; 0 is the default and not written. */
  uint32Field(tag: number, value: number): void {
    if (value === 0) return;
    this.reserve(7);
    this.bytes[this.length++] = tag;
    this.length = putVarint(this.bytes, this.length, value);
  }

  /** A varint field of an int64 or uint64, any integer that a double holds; 0 is the default and not written. */
  int64Field(tag: number, value: number): void {
    if (value === 0) return;
    this.reserve(11);
    this.bytes[this.length++] = tag;
    this.int64(value);
  }

  /** A packed repeated varint field of integers as in `int64Field`; zeros keep their place, none at all is not written. */
  packedField(tag: number, values: ArrayLike<number>): void {
    const count = values.length;
    if (count === 0) return;
    const start = this.begin(tag);
    this.reserve(count * 10);
    for (let i = 0; i < count; i++) this.int64(values[i] as number);
    this.end(start);
  }

  /** A string field, empty or not. */
  textField(tag: number, text: string): void {
    this.reserve(1);
    this.bytes[this.length++] = tag;
    this.text(text);
  }

  /** A bytes or message field, empty or not. */
  bytesField(tag: number, value: Uint8Array): void {
    const { length } = value;
    this.reserve(6 + length);
    this.bytes[this.length++] = tag;
    this.length = putVarint(this.bytes, this.length, length);
    this.bytes.set(value, this.length);
    this.length += length;
  }

  /** Length and UTF-8 of a text. A surrogate without its other half becomes U+FFFD. */
  text(text: string): void {
    const chars = text.length;
    this.reserve(chars <= BYTES_GUESSED_CHARS_MAX ? chars * 3 + 5 : Buffer.byteLength(text) + 5);
    const { bytes, length: start } = this;
    if (chars <= LOOP_CHARS_MAX) {
      bytes[start] = chars;
      let seen = 0;
      for (let i = 0; i < chars; i++) {
        const code = text.charCodeAt(i);
        seen |= code;
        bytes[start + 1 + i] = code;
      }
      if (seen < 0x80) {
        this.length = start + 1 + chars;
        return;
      }
    }
    // As many bytes as there are characters is the usual case, for which the room for the length is right.
    this.length = start + varintSize(chars);
    this.utf8(text);
    this.#putLength(start, varintSize(chars));
  }

  /** UTF-8 of a text without its length. Room must be reserved. */
  utf8(text: string): void {
    this.length += this.bytes.write(text, this.length);
  }

  /** Starts a nested message whose length will usually need `room` bytes; `end` takes the answer, and the same `room`. */
  begin(tag: number, room = 1): number {
    this.reserve(1 + room);
    this.bytes[this.length] = tag;
    const start = this.length + 1;
    this.length = start + room;
    return start;
  }

  end(start: number, room = 1): void {
    this.#putLength(start, room);
  }

  /** An int64 as a varint, of any integer in its range. Room for 10 bytes must be reserved. */
  int64(value: number): void {
    if (value >= 0 && value <= 0xffffffff) {
      this.length = putVarint(this.bytes, this.length, value);
      return;
    }
    // Floor and the remainder by `>>>` are exact for either sign: two's complement.
    let low = value >>> 0;
    let high = Math.floor(value / 0x1_0000_0000) >>> 0;
    while (high !== 0 || low > 0x7f) {
      this.bytes[this.length++] = (low & 0x7f) | 0x80;
      low = ((low >>> 7) | (high << 25)) >>> 0;
      high >>>= 7;
    }
    this.bytes[this.length++] = low;
  }

  /** Room for 8 bytes must be reserved. */
  double(value: number): void {
    this.view.setFloat64(this.length, value, true);
    this.length += 8;
  }

  /** A fixed32 field. */
  fixed32Field(tag: number, value: number): void {
    this.reserve(6);
    this.length = putVarint(this.bytes, this.length, tag);
    this.view.setUint32(this.length, value, true);
    this.length += 4;
  }

  /** A fixed64 field with a time as nanoseconds since 1970. What does not fit, as a time before, is 0: unknown. */
  timeField(tag: number, seconds: number, nanos: number): void {
    this.reserve(9);
    this.bytes[this.length++] = tag;
    let low = 0;
    let high = 0;
    // No double holds today's nanoseconds exactly: 16 bits of the seconds at a time.
    if (isUnixNanos(seconds, nanos)) {
      const upper = Math.floor(seconds / 0x1_0000) * 1e9;
      const lower = (upper & 0xffff) * 0x1_0000 + (seconds & 0xffff) * 1e9 + nanos;
      low = lower >>> 0;
      high = Math.floor(upper / 0x1_0000) + Math.floor(lower / 0x1_0000_0000);
    }
    this.view.setUint32(this.length, low, true);
    this.view.setUint32(this.length + 4, high, true);
    this.length += 8;
  }

  /** A bytes field from an even number of hex digits of either case, which are taken for such. At most 254. */
  hexField(tag: number, hex: string): void {
    const digits = hex.length;
    this.reserve(2 + digits / 2);
    const { bytes } = this;
    let at = this.length;
    bytes[at++] = tag;
    bytes[at++] = digits >> 1;
    // 9 for a letter, whose low bits begin at 1. Three ids take 100 ns on Node 24; through a table, which could tell what is
    // no hex, 160; by Buffer 190. Eight digits at a time in 32-bit words are no faster.
    for (let i = 0; i < digits; i += 2) {
      const high = hex.charCodeAt(i);
      const low = hex.charCodeAt(i + 1);
      bytes[at++] = (((high & 15) + (high >> 6) * 9) << 4) | ((low & 15) + (low >> 6) * 9);
    }
    this.length = at;
  }

  /** Writes the length of what follows `start + room`, and moves it when the length needs more room than that. */
  #putLength(start: number, room: number): void {
    const size = this.length - start - room;
    const needed = varintSize(size);
    if (needed !== room) {
      this.reserve(needed - room);
      this.bytes.copyWithin(start + needed, start + room, this.length);
      this.length += needed - room;
    }
    putVarint(this.bytes, start, size);
  }

  #grow(needed: number): void {
    let size = this.bytes.length * 2;
    while (size < needed) size *= 2;
    const grown = Buffer.allocUnsafeSlow(size);
    this.bytes.copy(grown, 0, 0, this.length);
    this.#replace(grown);
  }

  #replace(bytes: Buffer): void {
    this.bytes = bytes;
    this.view = viewOf(bytes);
  }
}

/** Whether a time is 0 or more nanoseconds since 1970, and fits into 64 bits. */
export function isUnixNanos(seconds: number, nanos: number): boolean {
  return seconds >= 0 && seconds < SECONDS_END && nanos >= 0;
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Writes an integer below 2^32 and answers where it ends. */
function putVarint(bytes: Buffer, at: number, value: number): number {
  let rest = value >>> 0;
  while (rest > 0x7f) {
    bytes[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[at++] = rest;
  return at;
}

function varintSize(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  return value < 0x1000_0000 ? 4 : 5;
}
