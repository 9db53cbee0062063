import { describe, expect, test } from 'vitest';
import type { LiveHeap } from '../../../src/core/live-heap.ts';
import { HeapNaming } from '../../../src/leak/heap-naming.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';
import { MIB, PaperHeap } from './paper-heap.ts';

/** A heap that is read in as many milliseconds as the test says. */
class Reads {
  readonly clock = new ManualClock();
  readonly heap = new PaperHeap();
  readonly naming: HeapNaming;
  readMillis = 0;
  count = 0;
  lost = false;
  isGrowing = false;
  readsCollect = false;

  constructor() {
    this.heap.keep('/app/main.js:1 boot', 1);
    const readHeap = async (): Promise<LiveHeap | undefined> => {
      this.count += 1;
      this.clock.advance(this.readMillis);
      return this.lost ? undefined : this.heap.read();
    };
    this.naming = new HeapNaming({ clock: this.clock, readHeap, readsCollect: () => this.readsCollect, ownership: {}, sampleBytes: MIB });
  }

  /** Takes one after each of the waits; answers how many of them were reads. */
  async after(...waitsMillis: number[]): Promise<number> {
    const before = this.count;
    for (const millis of waitsMillis) {
      this.clock.advance(millis);
      await this.naming.take(this.isGrowing);
    }
    return this.count - before;
  }
}

describe('a read of the heap', () => {
  test('comes no sooner than half a second after the one before', async () => {
    const reads = new Reads();
    expect(await reads.after(0)).toBe(1);
    expect(await reads.after(499)).toBe(0);
    expect(await reads.after(1)).toBe(1);
  });

  test('comes no sooner than 500 times its cost after the one before', async () => {
    const reads = new Reads();
    reads.readMillis = 9;
    expect(await reads.after(0)).toBe(1);
    expect(await reads.after(500, 3999)).toBe(0);
    expect(await reads.after(1)).toBe(1);
  });

  test.each([
    { readMillis: 9, pauseMillis: 900, what: '100 times the cost of the one before' },
    { readMillis: 300, pauseMillis: 5000, what: 'five seconds at most, as after one that was held up by other work of the core,' },
  ])('comes after $what where the heap is known to grow', async ({ readMillis, pauseMillis }) => {
    const reads = new Reads();
    reads.readMillis = readMillis;
    expect(await reads.after(0)).toBe(1);
    reads.isGrowing = true;
    expect(await reads.after(pauseMillis - 1)).toBe(0);
    expect(await reads.after(1)).toBe(1);
    reads.readsCollect = true;
    expect(await reads.after(500 * readMillis - 1)).toBe(0);
    expect(await reads.after(1)).toBe(1);
  });
});

describe('generations', () => {
  test('tell when they were read and how much lived', async () => {
    const reads = new Reads();
    await reads.after(0);
    reads.heap.keep('/app/main.js:1 boot', 2);
    await reads.after(1000);
    expect(reads.naming.generations()).toEqual([
      { index: 0, epochMillis: reads.clock.epoch + 1_000_000, bytes: MIB },
      { index: 1, epochMillis: reads.clock.epoch + 1_001_000, bytes: 3 * MIB },
    ]);
    expect(reads.naming.heap(1)!.values.at(-1)).toBe(3 * MIB);
    expect(reads.naming.heap(2)).toBeUndefined();
  });

  test('are twenty at most, the first and the last among them', async () => {
    const reads = new Reads();
    await reads.after(...Array.from({ length: 20 }, () => 1000));
    expect(reads.naming.generations()).toHaveLength(20);
    await reads.after(...Array.from({ length: 500 }, () => 1000));
    const times = reads.naming.generations().map(({ epochMillis }) => (epochMillis - reads.clock.epoch) / 1000);
    expect(times).toHaveLength(20);
    expect([times[0], times.at(-1)]).toEqual([1001, 1520]);
    expect(reads.naming.generations().map(({ index }) => index)).toEqual(Array.from({ length: 20 }, (_, i) => i));
  });

  test('are dropped, all of them, when samples were lost', async () => {
    const reads = new Reads();
    await reads.after(0, 1000, 1000);
    reads.lost = true;
    await reads.after(1000);
    expect(reads.naming.generations()).toEqual([]);
    expect(await reads.naming.growing(0)).toEqual([]);
    reads.lost = false;
    await reads.after(1000);
    expect(reads.naming.generations()).toHaveLength(1);
  });

  test('are left as they are by a read that fails, which is the caller`s to guard', async () => {
    const reads = new Reads();
    await reads.after(0);
    reads.heap.read = () => {
      throw new Error('unreadable');
    };
    await expect(reads.after(1000)).rejects.toThrow('unreadable');
    expect(reads.naming.generations()).toHaveLength(1);
  });
});

describe('what is growing', () => {
  const LEAK = '/app/store.js:20 remember';

  async function leaking(seconds: number): Promise<Reads> {
    const reads = new Reads();
    for (let i = 0; i < seconds; i++) {
      await reads.after(1000);
      reads.heap.keep(LEAK, 5);
    }
    return reads;
  }

  test('is nothing while there are no two generations', async () => {
    expect(await (await leaking(0)).naming.growing(0)).toEqual([]);
    expect(await (await leaking(1)).naming.growing(0)).toEqual([]);
    expect(await (await leaking(2)).naming.growing(0)).toHaveLength(1);
  });

  test('is counted from the last generation before the time that is asked for', async () => {
    const { naming } = await leaking(10);
    const grownSince = async (seconds: number): Promise<number> => (await naming.growing(seconds))[0]!.grownBytes / MIB;
    expect(await grownSince(0)).toBe(45);
    expect(await grownSince(1001)).toBe(45);
    expect(await grownSince(1004)).toBe(30);
    expect(await grownSince(1004.9)).toBe(30);
    expect(await naming.growing(1010)).toEqual([]);
  });
});
