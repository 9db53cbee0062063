// The three kinds of protobuf field that profile.proto needs, appended to one growing buffer. Own code because
// the package that has them, pprof-format, comes only with the optional native profiler, and a profile taken
// without it must be writable too.

export class ProtoWriter {
  #bytes: Uint8Array = new Uint8Array(1024);
  #length = 0;

  /** What was written so far; a view that the next write or reset may change. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  reset(): void {
    this.#length = 0;
  }

  /** An int64 or uint64 field; any integer that a double holds. Zero is the default and is not written. */
  number(field: number, value: number): void {
    if (value === 0) return;
    this.#varint(field * 8);
    this.#varint(value);
  }

  /** A packed repeated int64 or uint64 field; zeros keep their place. */
  packed(field: number, values: readonly number[]): void {
    if (values.length === 0) return;
    this.#varint(field * 8 + 2);
    // The length is known once they are written: they move up where it takes more than the one byte left for it.
    this.#reserve(1);
    const start = ++this.#length;
    for (const value of values) this.#varint(value);
    const sizeBytes = this.#length - start;
    let more = 0;
    for (let rest = sizeBytes; rest >= 128; rest = Math.floor(rest / 128)) more++;
    this.#reserve(more);
    this.#bytes.copyWithin(start + more, start, this.#length);
    this.#length = start - 1;
    this.#varint(sizeBytes);
    this.#length += sizeBytes;
  }

  /** A string, bytes or message field; written even when empty, as repeated fields need. */
  message(field: number, body: Uint8Array): void {
    this.#varint(field * 8 + 2);
    this.#varint(body.length);
    this.#reserve(body.length);
    this.#bytes.set(body, this.#length);
    this.#length += body.length;
  }

  #varint(value: number): void {
    this.#reserve(10);
    if (value < 0) return this.#negativeVarint(value);
    if (value < 128) {
      this.#bytes[this.#length++] = value;
      return;
    }
    let rest = value;
    // By division, as bit operations stop at 32 bits; dividing a double by a power of two is exact.
    while (rest >= 128) {
      this.#bytes[this.#length++] = (rest % 128) + 128;
      rest = Math.floor(rest / 128);
    }
    this.#bytes[this.#length++] = rest;
  }

  #negativeVarint(value: number): void {
    let rest = BigInt.asUintN(64, BigInt(value));
    while (rest >= 128n) {
      this.#bytes[this.#length++] = Number(rest % 128n) + 128;
      rest /= 128n;
    }
    this.#bytes[this.#length++] = Number(rest);
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + count));
    grown.set(this.bytes);
    this.#bytes = grown;
  }
}
