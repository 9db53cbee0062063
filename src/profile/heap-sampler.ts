// V8's sampling heap profiler, always on: started by the addon where there is one, because reads then force no
// collection, else by the inspector. There is one sampler per isolate; another profiler in the process that stops
// its own stops ours (Pyroscope's pull endpoint does), so every read is ready to find it gone and starts it again.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../core/clock.ts';
import type { Diag } from '../core/diag.ts';
import type { HeapSamples } from '../core/heap-samples.ts';
import { Allocations } from './allocations.ts';
import { InspectorHeap } from './inspector.ts';
import { exportOutOfMemory, type NativeHeapProfiler } from './native.ts';
import type { Profile } from './profile.ts';
import { ProfileError } from './profile-error.ts';
import { StackTable } from './stack-table.ts';
import { type AllocationNode, fromAllocationTree, fromHeapSamples, type HeapOptions, withAllocations } from './v8.ts';

const STACK_DEPTH = 64;

/** Nodes of the tree that generations share; a service has some thousands. */
const SHARED_NODES_MAX = 65_536;

/** Above this, reads that force a collection (100 ms here) are refused to automatic readers. */
const FORCED_READ_BYTES_MAX: number = 256 * 1024 * 1024;

export interface HeapSamplerOptions {
  readonly native: NativeHeapProfiler | undefined;
  readonly diag: Diag;
  readonly clock: Clock;
  /** Mean bytes between two samples. */
  readonly intervalBytes: number;
  /** Run when V8 runs out of memory; nothing without it, and without the addon. */
  readonly outOfMemoryCommand?: readonly string[] | undefined;
}

export class HeapSampler {
  readonly #native: NativeHeapProfiler | undefined;
  readonly #diag: Diag;
  readonly #clock: Clock;
  readonly #intervalBytes: number;
  readonly #outOfMemoryCommand: readonly string[] | undefined;
  readonly #inspector = new InspectorHeap();
  readonly #allocations = new Allocations();
  #lookMillis = 0;
  #cannotLook: string | undefined;
  #lost = false;
  #isBorrowed = false;
  #restarts = 0;
  #stacks = new StackTable();

  constructor({ native, diag, clock, intervalBytes, outOfMemoryCommand }: HeapSamplerOptions) {
    this.#native = native;
    this.#diag = diag;
    this.#clock = clock;
    this.#intervalBytes = intervalBytes;
    this.#outOfMemoryCommand = outOfMemoryCommand;
  }

  get kind(): 'native' | 'inspector' {
    return this.#native === undefined ? 'inspector' : 'native';
  }

  /** How often the sampler was found stopped by somebody else. */
  get restarts(): number {
    return this.#restarts;
  }

  /** Whether the samples are those of another profiler in the process, taken at its rate. */
  get isBorrowed(): boolean {
    return this.#isBorrowed;
  }

  /**
   * Starts sampling: below 1 ms, and 10 to 80 for the inspector the first time. V8 has one sampler: one that runs already, as
   * with --heap-prof, is read and left alone, because whoever started it wants its profile at the end.
   */
  async start(): Promise<void> {
    // Not awaited where it need not be: whoever stops meanwhile would stop what has not begun.
    this.#isBorrowed =
      this.#native === undefined ? (await this.#inspector.samples()) !== undefined : allocationTree(this.#native) !== undefined;
    if (this.#isBorrowed) {
      this.#diag.warn(
        'profile:heap-borrowed',
        'another heap profiler runs in this process (--heap-prof, or a library): its samples are used',
      );
      return;
    }
    if (this.#native === undefined) return await this.#inspector.startSampling(this.#intervalBytes);
    this.#native.startSamplingHeapProfiler(this.#intervalBytes, STACK_DEPTH);
    // Whoever stops the sampler ends this too.
    if (this.#outOfMemoryCommand !== undefined) exportOutOfMemory(this.#native, this.#outOfMemoryCommand);
    // Now, or the first look would be taken for a slow one, and slow ones are not repeated.
    await this.#unlessForbidden(() => this.#inspector.open());
  }

  stop(): void {
    if (!this.#isBorrowed) this.#native?.stopSamplingHeapProfiler();
    this.#inspector.close();
  }

  /** The live heap by allocation stack. Rejects with 503 when the sampler was gone; it is then running again. */
  async read(): Promise<Profile> {
    return (await this.#read(process.memoryUsage().external)) ?? (await this.#stolen());
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
   * The live heap, garbage of the old generation included, on one tree with all that were read so before: a stack has one
   * number in all of them. Undefined once whenever earlier samples were lost, and always where a read would collect a heap
   * above 256 MiB.
   */
  async generation(): Promise<Profile | undefined> {
    if (this.#native === undefined && process.memoryUsage().heapUsed > FORCED_READ_BYTES_MAX) {
      this.#diag.warn('leak:heap-size', 'leaks are not named above 256 MiB of heap without @datadog/pprof');
      return undefined;
    }
    if (this.#stacks.count > SHARED_NODES_MAX) {
      this.#stacks = new StackTable();
      this.#lost = true;
    }
    const profile = await this.#read(0, this.#stacks);
    if (profile === undefined) await this.#restart();
    const lost = this.#lost;
    this.#lost = false;
    return lost ? undefined : profile;
  }

  async collectGarbage(): Promise<void> {
    await this.#inspector.collectGarbage();
  }

  /** Undefined when no sampler is running. */
  async #read(externalBytes: number, stacks?: StackTable): Promise<Profile | undefined> {
    const startEpochMillis = this.#clock.epochMillis(this.#clock.monotonicMillis());
    const options: HeapOptions = { startEpochMillis, intervalBytes: this.#intervalBytes, stacks };
    if (this.#native === undefined) {
      const samples = await this.#inspector.samples();
      return samples && fromHeapSamples(samples, externalBytes, options);
    }
    const tree = allocationTree(this.#native);
    // 5 to 9 ms at a heap of 1 GB, and 3 to 6 to take it over.
    if (stacks !== undefined) await nextTurn();
    return tree && fromAllocationTree(tree, externalBytes, options);
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
