// The histogram of classes on request: says what it would cost, checks that there is room, takes one. The time goes into
// V8's search for objects and the memory into its list of them, so both go by how many objects there are. Never taken by
// itself: the process stands still meanwhile. One at a time. Made by sdk.ts; serve/ reads.
import { getHeapStatistics } from 'node:v8';
import type { Diag } from '../core/diag.ts';
import { classCensus, type ClassCensus } from './class-census.ts';
import { readLiveObjects } from './inspector.ts';
import { ProfileError } from './profile-error.ts';
import { memoryRoom, size } from './snapshot-cost.ts';

/** The densest of what was measured: 67 to 87 bytes of heap for each object that is found, strings and code included. */
const OBJECT_BYTES_MIN = 64;

/** Beyond this an average of the sampler's is chance. */
const OBJECT_BYTES_MAX = 400;

/** Measured with 0.7 and 3.3 million objects, by Node's major: 0.7 to 1.2 us each up to 24, 1.5 to 2.0 on 26. */
const SECONDS_PER_OBJECT: Readonly<Record<string, number>> = { '20': 1.2e-6, '22': 1.2e-6, '24': 1.2e-6 };
const SECONDS_PER_OBJECT_DEFAULT = 2e-6;

/** For the first session of the inspector, and a heap with hardly anything in it. */
const SECONDS_BASE = 0.2;

/** Measured as the peak of rss: 110 to 153 an object, outside of the heap for the most part. */
const MEMORY_PER_OBJECT_BYTES = 160;
const MEMORY_BASE_BYTES = 20e6;

/** Of it in V8's heap: measured 8 to 9. */
const HEAP_PER_OBJECT_BYTES = 16;

/** What a histogram of now is expected to cost, at the most. */
export interface HistogramEstimate {
  readonly heapUsedBytes: number;
  /** For which the process stands still. */
  readonly seconds: number;
  /** On top of what the process has, meanwhile. */
  readonly memoryBytes: number;
  /** Whose measurements these are. */
  readonly nodeMajor: string;
}

export interface ClassHistogram extends ClassCensus {
  /** How long the process stood still. */
  readonly tookSeconds: number;
}

export interface ClassHistogramsOptions {
  readonly diag: Diag;
  /** Average size of the objects that live, where it is known. */
  readonly objectBytes: () => Promise<number | undefined>;
  /** Where proc and sys are, and what V8 has left below its limit; for tests. */
  readonly root?: string;
  readonly heapRoomBytes?: () => number;
}

export class ClassHistograms {
  readonly #options: ClassHistogramsOptions;
  #taking = false;

  constructor(options: ClassHistogramsOptions) {
    this.#options = options;
  }

  /** What a histogram of now would cost. Rejects with ProfileError 503 when there is no room for it, or one is being taken. */
  async estimate(): Promise<HistogramEstimate> {
    this.#checkFree();
    const heapUsedBytes = process.memoryUsage().heapUsed;
    const [nodeMajor = ''] = process.versions.node.split('.');
    const { estimate, heapBytes } = histogramCost(heapUsedBytes, nodeMajor, await this.#options.objectBytes());
    const refusal = this.#noRoom(estimate, heapBytes);
    if (refusal !== undefined) throw new ProfileError(503, refusal);
    return estimate;
  }

  /** Takes one, for which the process stands still, and says so before. Rejects with ProfileError 503 as `estimate` does. */
  async take(): Promise<ClassHistogram> {
    const { heapUsedBytes, seconds, memoryBytes } = await this.estimate();
    this.#checkFree();
    this.#taking = true;
    try {
      this.#options.diag.announce(
        `sonde: the process stands still for about ${seconds} s while the objects of its heap of ${size(heapUsedBytes)} are counted by class, ` +
          `which needs up to ${size(memoryBytes)} of memory`,
      );
      const startMillis = performance.now();
      const census = await readLiveObjects(classCensus);
      return { tookSeconds: Math.round(performance.now() - startMillis) / 1000, ...census };
    } finally {
      this.#taking = false;
    }
  }

  #checkFree(): void {
    if (this.#taking) throw new ProfileError(503, 'a histogram of classes is being taken already; one at a time');
  }

  #noRoom({ heapUsedBytes, memoryBytes }: HistogramEstimate, heapBytes: number): string | undefined {
    const { root = '/', heapRoomBytes = v8RoomBytes } = this.#options;
    const what = `a histogram of classes of this heap of ${size(heapUsedBytes)} needs up to`;
    const instead = '/debug/pprof/heap shows who allocated what lives, at no such cost.';
    const room = memoryRoom(root);
    if (memoryBytes > room.bytes) {
      return `${what} ${size(memoryBytes)} of memory while it is taken, and ${room.of}. The kernel would kill the process. ${instead}`;
    }
    const leftBytes = heapRoomBytes();
    if (heapBytes <= leftBytes) return undefined;
    return `${what} ${size(heapBytes)} in V8's heap, whose limit leaves ${size(leftBytes)}. V8 would end the process. ${instead}`;
  }
}

/** For a heap of so many bytes; `objectBytes` is the average size of its objects when it is known. @internal */
export function histogramCost(
  heapUsedBytes: number,
  nodeMajor: string,
  objectBytes: number = OBJECT_BYTES_MIN,
): { readonly estimate: HistogramEstimate; readonly heapBytes: number } {
  const objects = heapUsedBytes / Math.min(Math.max(objectBytes, OBJECT_BYTES_MIN), OBJECT_BYTES_MAX);
  const seconds = SECONDS_BASE + objects * (SECONDS_PER_OBJECT[nodeMajor] ?? SECONDS_PER_OBJECT_DEFAULT);
  return {
    estimate: {
      heapUsedBytes,
      seconds: Math.ceil(10 * seconds) / 10,
      memoryBytes: Math.round(MEMORY_BASE_BYTES + MEMORY_PER_OBJECT_BYTES * objects),
      nodeMajor,
    },
    heapBytes: Math.round(HEAP_PER_OBJECT_BYTES * objects),
  };
}

function v8RoomBytes(): number {
  const { heap_size_limit: limit, used_heap_size: used } = getHeapStatistics();
  return Math.max(0, limit - used);
}
