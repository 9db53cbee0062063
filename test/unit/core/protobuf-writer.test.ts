// What protobuf's own reader (protobufjs) makes of the bytes; and that messages of pprof with it are right is in profile/.
import protobuf from 'protobufjs';
import { describe, expect, it } from 'vitest';
import { ProtobufWriter } from '../../../src/core/protobuf-writer.ts';

const VARINT = 0x08;
const BYTES = 0x12;

function written(write: (out: ProtobufWriter) => void, initialBytes = 1): protobuf.Reader {
  const out = new ProtobufWriter(initialBytes);
  write(out);
  return protobuf.Reader.create(out.written);
}

/** Integers that a double holds, on both sides of every border of the encoding. */
const INTEGERS: readonly number[] = [
  1,
  127,
  128,
  2 ** 14 - 1,
  2 ** 14,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 35,
  2 ** 49 + 1,
  Number.MAX_SAFE_INTEGER,
  // Nanoseconds since 1970 in our time, of which a double holds every 256th.
  1_790_000_000_123_456_768,
  2 ** 63 - 1024,
  -1,
  -127,
  -128,
  -129,
  -(2 ** 31),
  -(2 ** 32),
  -(2 ** 32) - 1,
  Number.MIN_SAFE_INTEGER,
  -(2 ** 63),
];

describe('an int64 field', () => {
  it.each(INTEGERS)('holds %d', (value) => {
    const reader = written((out) => out.int64Field(VARINT, value));

    expect(reader.uint32()).toBe(VARINT);
    expect(String(reader.int64())).toBe(String(BigInt(value)));
    expect(reader.pos).toBe(reader.len);
  });

  it('that is 0 is not written', () => {
    expect(written((out) => out.int64Field(VARINT, 0)).len).toBe(0);
    expect(written((out) => out.int64Field(VARINT, -0)).len).toBe(0);
  });
});

describe('a packed field', () => {
  it('holds every integer in its place, zeros too', () => {
    const values = [0, ...INTEGERS, 0];

    const reader = written((out) => out.packedField(BYTES, values));

    expect(reader.uint32()).toBe(BYTES);
    const end = reader.uint32() + reader.pos;
    expect(end).toBe(reader.len);
    const read: string[] = [];
    while (reader.pos < end) read.push(String(reader.int64()));
    expect(read).toEqual(values.map((value) => String(BigInt(value))));
  });

  it('of no integer is not written', () => {
    expect(written((out) => out.packedField(BYTES, [])).len).toBe(0);
  });

  it.each([127, 128, 16_383, 16_384])('of %i bytes has the right length', (count) => {
    const reader = written((out) => {
      out.packedField(BYTES, new Float64Array(count).fill(1));
      out.uint32Field(VARINT, 7);
    });

    expect(reader.uint32()).toBe(BYTES);
    expect(reader.bytes()).toEqual(Buffer.alloc(count, 1));
    expect([reader.uint32(), reader.uint32()]).toEqual([VARINT, 7]);
  });
});

describe('a bytes field', () => {
  it.each([0, 1, 127, 128, 70_000])('of %i bytes is read back', (size) => {
    const value = Buffer.alloc(size, 0xa5);

    const reader = written((out) => out.bytesField(BYTES, value));

    expect(reader.uint32()).toBe(BYTES);
    expect(Buffer.compare(reader.bytes(), value)).toBe(0);
    expect(reader.pos).toBe(reader.len);
  });
});
