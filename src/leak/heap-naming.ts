// The generations of the live heap, and the functions that grow from one to the next. Owned by the detector, which says
// when a major collection has just left only what lives. A read takes 5 to 9 ms at a heap of 1 GB, sampled each MiB.
import type { Clock } from '../core/clock.ts';
import type { LiveHeap } from '../core/live-heap.ts';
import { inTurns } from '../core/turns.ts';
import type { Generation } from './finding.ts';
import { type HeapGeneration, rankSites, type SiteGrowth } from './growth-sites.ts';
import { thin } from './series.ts';
import type { Ownership } from './site.ts';
import { spaced, STEPS_MAX } from './trend.ts';

/** Some 24 KB each at 1,000 stacks, the tree apart. */
const GENERATIONS_MAX = 20;

/**
 * Reads take a five-hundredth of the time at most, a hundredth while the heap grows unless a read collects it (then one that was held
 * up is waited out no longer than this), and come once in half a second at most.
 */
const PAUSE_FACTOR = 500;
const PAUSE_FACTOR_GROWING = 100;
const PAUSE_MILLIS_MAX_GROWING = 5000;
const PAUSE_MILLIS_MIN = 500;

export interface HeapNamingOptions {
  readonly clock: Clock;
  /** The live heap, each time on the same tree; undefined when earlier samples were lost. */
  readonly readHeap: () => Promise<LiveHeap | undefined>;
  /** A read collects the heap: V8's inspector does. */
  readonly readsCollect: () => boolean;
  readonly ownership: Ownership;
  readonly sampleBytes: number;
}

interface Kept extends HeapGeneration {
  readonly bytes: number;
}

export class HeapNaming {
  readonly #options: HeapNamingOptions;
  readonly #generations: Kept[] = [];
  /** When the last read ended, and how long it took. */
  #readAtMillis = -Infinity;
  #readMillis = 0;

  constructor(options: HeapNamingOptions) {
    this.#options = options;
  }

  /** What is kept, oldest first. */
  generations(): Generation[] {
    const { clock } = this.#options;
    return this.#generations.map(({ seconds, bytes }, index) => ({ index, epochMillis: clock.epochMillis(seconds * 1000), bytes }));
  }

  heap(index: number): LiveHeap | undefined {
    return this.#generations.at(index)?.heap;
  }

  /** Keeps the live heap of now, unless that would cost too much: more is spent on one that is known to grow. */
  async take(isGrowing = false): Promise<void> {
    const { clock, readHeap, readsCollect } = this.#options;
    const startMillis = clock.monotonicMillis();
    const pauseMillis =
      isGrowing && !readsCollect()
        ? Math.min(PAUSE_FACTOR_GROWING * this.#readMillis, PAUSE_MILLIS_MAX_GROWING)
        : PAUSE_FACTOR * this.#readMillis;
    if (startMillis < this.#readAtMillis + Math.max(PAUSE_MILLIS_MIN, pauseMillis)) return;
    const heap = await readHeap();
    this.#readAtMillis = clock.monotonicMillis();
    this.#readMillis = this.#readAtMillis - startMillis;
    if (heap === undefined) this.#generations.length = 0;
    else {
      this.#generations.push({ seconds: startMillis / 1000, heap, bytes: liveBytes(heap) });
      thin(this.#generations, GENERATIONS_MAX);
    }
  }

  /** The functions that have grown since, most first; none while there are no two generations. */
  async growing(sinceSeconds: number): Promise<readonly SiteGrowth[]> {
    const first = this.#generations.findLastIndex(({ seconds }) => seconds <= sinceSeconds);
    const generations = spaced(this.#generations.slice(Math.max(first, 0)), STEPS_MAX, ({ seconds }) => seconds);
    return generations.length < 2 ? [] : await inTurns(rankSites(generations, this.#options));
  }
}

function liveBytes({ sampleTypes: { length: columns }, values }: LiveHeap): number {
  let sum = 0;
  for (let i = columns - 1; i < values.length; i += columns) sum += values[i] as number;
  return sum;
}
