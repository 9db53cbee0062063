// V8's sampling heap profiler, always on: started by the addon where there is one, because reads then force no
// collection, else by the inspector. There is one sampler per isolate; another profiler in the process that stops
// its own stops ours (Pyroscope's pull endpoint does), so every read is ready to find it gone and starts it again.
import type { Clock } from '../core/clock.ts';
import type { Diag } from '../core/diag.ts';
import type { HeapSamples } from '../core/heap-samples.ts';
import { Allocations } from './allocations.ts';
import { InspectorHeap } from './inspector.ts';
import type { NativeHeapProfiler } from './native.ts';
import type { Profile } from './profile.ts';
import { ProfileError } from './profile-error.ts';
import { type AllocationNode, fromAllocationTree, fromHeapSamples, withAllocations } from './v8.ts';

const STACK_DEPTH = 64;

/** Above this, reads that force a collection (100 ms here) are refused to automatic readers. */
const FORCED_READ_BYTES_MAX: number = 256 * 1024 * 1024;

export interface HeapSamplerOptions {
  readonly native: NativeHeapProfiler | undefined;
  readonly diag: Diag;
  readonly clock: Clock;
  /** Mean bytes between two samples. */
  readonly intervalBytes: number;
}

export class HeapSampler {
  readonly #native: NativeHeapProfiler | undefined;
  readonly #diag: Diag;
  readonly #clock: Clock;
  readonly #intervalBytes: number;
  readonly #inspector = new InspectorHeap();
  readonly #allocations = new Allocations();
  #lookMillis = 0;
  #cannotLook: string | undefined;
  #lost = false;
  #restarts = 0;

  constructor({ native, diag, clock, intervalBytes }: HeapSamplerOptions) {
    this.#native = native;
    this.#diag = diag;
    this.#clock = clock;
    this.#intervalBytes = intervalBytes;
  }

  get kind(): 'native' | 'inspector' {
    return this.#native === undefined ? 'inspector' : 'native';
  }

  /** How often the sampler was found stopped by somebody else. */
  get restarts(): number {
    return this.#restarts;
  }

  /** Starts sampling: below 1 ms, and 10 to 80 for the inspector the first time. */
  async start(): Promise<void> {
    if (this.#native === undefined) return await this.#inspector.startSampling(this.#intervalBytes);
    this.#native.startSamplingHeapProfiler(this.#intervalBytes, STACK_DEPTH);
    // Now, or the first look would be taken for a slow one, and slow ones are not repeated.
    await this.#unlessForbidden(() => this.#inspector.open());
  }

  stop(): void {
    this.#native?.stopSamplingHeapProfiler();
    this.#inspector.close();
  }

  /** The live heap by allocation stack. Rejects with 503 when the sampler was gone; it is then running again. */
  async read(): Promise<Profile> {
    const options = { startEpochMillis: this.#clock.epochMillis(this.#clock.monotonicMillis()), intervalBytes: this.#intervalBytes };
    const { external } = process.memoryUsage();
    if (this.#native === undefined) {
      const profile = await this.#inspector.samples();
      if (profile !== undefined) return fromHeapSamples(profile, external, options);
    } else {
      const tree = allocationTree(this.#native);
      if (tree !== undefined) return fromAllocationTree(tree, external, options);
    }
    return await this.#stolen();
  }

  /** The same as the inspector has it, garbage of the old generation included; `samples` still tells of what was lost. */
  async readSamples(): Promise<HeapSamples> {
    return (await this.#inspector.samples()) ?? (await this.#stolen());
  }

  /**
   * What was allocated since the start, estimated, besides what is live. Rejects with 503 where a look at the samples
   * would collect the heap, and as `read` does.
   */
  async allocs(): Promise<Profile> {
    if (this.#native === undefined) throw new ProfileError(503, 'allocations are not counted because @datadog/pprof is not running');
    await this.look();
    if (this.#cannotLook !== undefined) throw new ProfileError(503, `allocations cannot be counted: ${this.#cannotLook}`);
    return withAllocations(this.#allocations, await this.read());
  }

  /** Looks at what has been allocated since the last look. Blocks for 0.4 ms at 200 live samples, 10 to 40 at 1,200. */
  async look(): Promise<void> {
    if (this.#native === undefined || this.#cannotLook !== undefined) return;
    await this.#unlessForbidden(async () => void (await this.#look()));
  }

  /** How long the last look took. */
  get lookMillis(): number {
    return this.#lookMillis;
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
    const profile = await this.#look();
    if (profile === undefined) await this.#restart();
    const lost = this.#lost;
    this.#lost = false;
    return lost ? undefined : profile;
  }

  async collectGarbage(): Promise<void> {
    await this.#inspector.collectGarbage();
  }

  /** Node may forbid the inspector (--permission): the heap is profiled without it, and who asks for allocations is told. */
  async #unlessForbidden(look: () => Promise<void>): Promise<void> {
    try {
      await look();
    } catch (error) {
      this.#cannotLook = error instanceof Error ? error.message : String(error);
    }
  }

  async #stolen(): Promise<never> {
    await this.#restart();
    throw new ProfileError(503, 'another profiler in this process stopped the heap sampler; it is running again, ask once more');
  }

  /** Reads the samples, whoever wants them, and counts what has been allocated. */
  async #look(): Promise<HeapSamples | undefined> {
    const startMillis = this.#clock.monotonicMillis();
    const samples = await this.#inspector.samples();
    if (this.#native !== undefined && samples !== undefined) this.#allocations.look(samples);
    this.#lookMillis = this.#clock.monotonicMillis() - startMillis;
    return samples;
  }

  async #restart(): Promise<void> {
    this.#restarts += 1;
    this.#allocations.restarted();
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
