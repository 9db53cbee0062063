// V8's sampling heap profiler, always on: started by the addon where there is one, because reads then force no
// collection, else by the inspector. There is one sampler per isolate; another profiler in the process that stops
// its own stops ours (Pyroscope's pull endpoint does), so every read is ready to find it gone and starts it again.
import type { Clock } from '../core/clock.ts';
import type { Diag } from '../core/diag.ts';
import type { HeapSamples } from '../core/heap-samples.ts';
import { InspectorHeap } from './inspector.ts';
import type { NativeHeapProfiler } from './native.ts';
import type { AllocationNode } from './v8.ts';
import type { Profile } from './profile.ts';
import { ProfileError } from './profile-error.ts';
import { fromAllocationTree, fromHeapSamples, HEAP_INTERVAL_BYTES } from './v8.ts';

const STACK_DEPTH = 64;

/** Above this, reads that force a collection (100 ms here) are refused to automatic readers. */
const FORCED_READ_BYTES_MAX: number = 256 * 1024 * 1024;

export interface HeapSamplerOptions {
  readonly native: NativeHeapProfiler | undefined;
  readonly diag: Diag;
  readonly clock: Clock;
}

export class HeapSampler {
  readonly #native: NativeHeapProfiler | undefined;
  readonly #diag: Diag;
  readonly #clock: Clock;
  readonly #inspector = new InspectorHeap();
  #lost = false;
  #restarts = 0;

  constructor({ native, diag, clock }: HeapSamplerOptions) {
    this.#native = native;
    this.#diag = diag;
    this.#clock = clock;
  }

  get kind(): 'native' | 'inspector' {
    return this.#native === undefined ? 'inspector' : 'native';
  }

  /** How often the sampler was found stopped by somebody else. */
  get restarts(): number {
    return this.#restarts;
  }

  /** Starts sampling; below 1 ms. */
  async start(): Promise<void> {
    if (this.#native === undefined) await this.#inspector.startSampling();
    else this.#native.startSamplingHeapProfiler(HEAP_INTERVAL_BYTES, STACK_DEPTH);
  }

  stop(): void {
    this.#native?.stopSamplingHeapProfiler();
    this.#inspector.close();
  }

  /** The live heap by allocation stack. Rejects with 503 when the sampler was gone; it is then running again. */
  async read(): Promise<Profile> {
    const startEpochMillis = this.#clock.epochMillis(this.#clock.monotonicMillis());
    const { external } = process.memoryUsage();
    if (this.#native === undefined) {
      const profile = await this.#inspector.samples();
      if (profile !== undefined) return fromHeapSamples(profile, external, startEpochMillis);
    } else {
      const tree = allocationTree(this.#native);
      if (tree !== undefined) return fromAllocationTree(tree, external, startEpochMillis);
    }
    await this.#restart();
    throw new ProfileError(503, 'another profiler in this process stopped the heap sampler; it is running again, ask once more');
  }

  /**
   * The live samples with the order of their allocation, garbage of the old generation included. Undefined once
   * whenever earlier samples were lost, and always where a read would collect a heap above 256 MiB.
   */
  async samples(): Promise<HeapSamples | undefined> {
    if (this.#native === undefined && process.memoryUsage().heapUsed > FORCED_READ_BYTES_MAX) {
      this.#diag.warn('leak:heap-size', 'leaks are not looked for above 256 MiB of heap without @datadog/pprof');
      return undefined;
    }
    const profile = await this.#inspector.samples();
    if (profile === undefined) await this.#restart();
    const lost = this.#lost;
    this.#lost = false;
    return lost ? undefined : profile;
  }

  async collectGarbage(): Promise<void> {
    await this.#inspector.collectGarbage();
  }

  async #restart(): Promise<void> {
    this.#restarts += 1;
    this.#lost = true;
    this.#diag.warn('profile:heap-stolen', 'another profiler in this process stopped the heap sampler; it was started again');
    await this.start();
  }
}

/** The live heap, or undefined when no sampler is running. */
function allocationTree(native: NativeHeapProfiler): AllocationNode | undefined {
  try {
    return native.getAllocationProfile();
  } catch (error) {
    if (error instanceof Error && error.message.includes('not enabled')) return undefined;
    throw error;
  }
}
