// Ids for pairs of numbers, counted up from 0 in the order in which the pairs are first seen: the nodes of a call tree are
// pairs of a parent and a frame, its samples of a node and a label set. A Map costs 400 ns a pair, and 50 ms at once each
// time when it outgrows itself at some 500,000; this costs 30 to 80, and nothing at once when it knows its size.
// Called by profile.ts and stack-table.ts.

/** Of a tree that nothing is known of yet. */
const PAIRS_DEFAULT = 512;

export class PairTable {
  /** Ids plus one by hash, zero for none; never more than half full. */
  #slots: Int32Array;
  #firsts: Int32Array;
  #seconds: Int32Array;
  #size = 0;

  /** Grows beyond `pairs` when it must. */
  constructor(pairs: number = PAIRS_DEFAULT) {
    const capacity = 2 ** Math.ceil(Math.log2(Math.max(pairs, 1)));
    this.#slots = new Int32Array(capacity * 2);
    this.#firsts = new Int32Array(capacity);
    this.#seconds = new Int32Array(capacity);
  }

  get size(): number {
    return this.#size;
  }

  /** The first number of each pair so far, by id, in place; `seconds` the second. */
  firsts(): Int32Array {
    return this.#firsts.subarray(0, this.#size);
  }

  seconds(): Int32Array {
    return this.#seconds.subarray(0, this.#size);
  }

  /** The id of a pair of 32-bit integers; it is new if it was `size` before. */
  id(first: number, second: number): number {
    const mask = this.#slots.length - 1;
    let slot = hash(first, second) & mask;
    for (let id = this.#slots[slot] as number; id !== 0; id = this.#slots[slot] as number) {
      if (this.#firsts[id - 1] === first && this.#seconds[id - 1] === second) return id - 1;
      slot = (slot + 1) & mask;
    }
    if (this.#size === this.#firsts.length) {
      this.#grow();
      return this.id(first, second);
    }
    this.#firsts[this.#size] = first;
    this.#seconds[this.#size] = second;
    this.#size += 1;
    this.#slots[slot] = this.#size;
    return this.#size - 1;
  }

  #grow(): void {
    const larger = new PairTable(this.#size * 2);
    for (let id = 0; id < this.#size; id++) larger.id(this.#firsts[id] as number, this.#seconds[id] as number);
    this.#slots = larger.#slots;
    this.#firsts = larger.#firsts;
    this.#seconds = larger.#seconds;
  }
}

/** Neighbours in either number are far apart, so that pairs which count up do not fall into runs. */
function hash(first: number, second: number): number {
  const mixed = Math.imul(first + 1, 0x9e37_79b1) ^ Math.imul(second + 1, 0x85eb_ca6b);
  return Math.imul(mixed ^ (mixed >>> 15), 0x2c1b_3c6d) >>> 7;
}
