// One look at all that may leak, 0.2 ms, most of it the limit of the container: what V8 and the kernel count anyway. No
// collection is forced by it.
import { totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';
import { memoryLimit } from '../core/cgroup.ts';
import { oldGenerationBytes } from './heap-limit.ts';

export interface MemoryReading {
  /** Bytes in the old generation, large objects and code included; garbage too but for right after a major collection. */
  readonly heapBytes: number;
  /** Bytes in the young generation: what may come to the old one yet, and garbage for the most part; 0 after a major collection. */
  readonly youngBytes: number;
  /** What objects of the heap hold outside of it: ArrayBuffers for the most part. */
  readonly externalBytes: number;
  /** Resident memory beyond V8's heap and what is external: addons, threads, the allocator's gaps. */
  readonly nativeBytes: number;
  /** What the container, or the machine where there is none, has left for this process. */
  readonly leftBytes: number;
  /** What keeps the event loop alive, by type: handles, timers, requests. */
  readonly resources: ReadonlyMap<string, number>;
}

/** Reads the memory of this process. */
export class MemoryReader {
  readonly #cgroupRoot: string;
  readonly #native = new NativeMemory();

  /** `cgroupRoot` is where proc and sys are. */
  constructor(cgroupRoot: string) {
    this.#cgroupRoot = cgroupRoot;
  }

  read(): MemoryReading {
    const { rss, external, heapUsed } = process.memoryUsage();
    // Resident pages of the heap: its committed size, and what of it is used, swing by 1 to 2 MB a second against rss.
    const { total_physical_size: heapResidentBytes } = getHeapStatistics();
    const heapBytes = oldGenerationBytes();
    const resources = new Map<string, number>();
    for (const type of process.getActiveResourcesInfo()) resources.set(type, (resources.get(type) ?? 0) + 1);
    return {
      heapBytes,
      youngBytes: Math.max(0, heapUsed - heapBytes),
      externalBytes: external,
      nativeBytes: this.#native.next(heapResidentBytes, rss - heapResidentBytes - external),
      leftBytes: leftBytes(this.#cgroupRoot, rss),
      resources,
    };
  }
}

/** Pages that V8 keeps so: 20 MB were seen. What grows while the heap shrinks by as much cannot be told from them. */
const RETAINED_BYTES_MAX: number = 32 * 1024 * 1024;

/**
 * Resident memory beyond the heap, less what V8 has let go of and keeps for itself: such pages stay resident without being
 * counted by V8 where it collects a fragmented heap over and over (Node 24), and are the first to be used again.
 */
export class NativeMemory {
  #heapBytes = 0;
  #restBytes = 0;
  #retainedBytes = 0;

  /** Takes the heap's resident bytes and those beside it, and answers what of these is native. */
  next(heapBytes: number, restBytes: number): number {
    const heapRise = heapBytes - this.#heapBytes;
    const restRise = restBytes - this.#restBytes;
    // Let go of, and still there; else used again, or given back to the kernel.
    const retained = heapRise < 0 && restRise > 0 ? Math.min(restRise, -heapRise) : -Math.max(heapRise, -restRise, 0);
    this.#retainedBytes = Math.min(Math.max(0, this.#retainedBytes + retained), RETAINED_BYTES_MAX);
    this.#heapBytes = heapBytes;
    this.#restBytes = restBytes;
    return Math.max(0, restBytes - this.#retainedBytes);
  }
}

function leftBytes(cgroupRoot: string, rss: number): number {
  const limit = memoryLimit(cgroupRoot);
  return limit === undefined ? totalmem() - rss : limit.limitBytes - limit.usedBytes;
}
