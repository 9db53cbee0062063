// The only owner of the process's profilers; nobody else starts or stops one. sdk.ts starts it once the application
// listens or falls idle, serve/, the pushers and the leak detector read from it, any number at once, and profiling goes on undisturbed.
// With the addon CPU profiles are continuous; without it the inspector takes them on request.
import { isMainThread } from 'node:worker_threads';
import type { Diag } from '../core/diag.ts';
import { type Budget, ContinuousProfile } from './continuous.ts';
import { DevtoolsProfiles } from './devtools.ts';
import type { Follower } from './follower.ts';
import type { Frame } from './frame.ts';
import { HeapSampler } from './heap-sampler.ts';
import { profileCpu } from './inspector.ts';
import type { OwnLabels, SampleLabels } from './labels.ts';
import type { NativeProfilers } from './native.ts';
import { loadNativeProfilers } from './native.ts';
import type { OwnCpuSeconds } from './own-cost.ts';
import { merge, only, type Profile, type SampleFilter, select, subtract } from './profile.ts';
import { ProfileError } from './profile-error.ts';
import { samplesByRoute } from './route-samples.ts';
import { Upkeep, type UpkeepOptions } from './upkeep.ts';
import { checkSeconds, TimedReads } from './timed-reads.ts';
import { fromCpuProfile } from './v8.ts';
import type { V8ProfilerNext } from './v8-profiler-next.ts';
import type { RingLimits } from './window-ring.ts';

export interface ProfileEngineOptions extends UpkeepOptions {
  readonly diag: Diag;
  /** Profile CPU and wall time (`SONDE_PROFILING`). */
  readonly cpu: boolean;
  /** Samples a second of continuous profiles, within the budget. */
  readonly hz: number;
  /** Sample the heap (`SONDE_PROFILING` or `SONDE_LEAKS`). */
  readonly heap: boolean;
  /** Mean bytes between two samples of it. */
  readonly heapIntervalBytes: number;
  /** Run when V8 runs out of memory, with the path of the live heap's profile added. */
  readonly outOfMemoryCommand?: (() => readonly string[] | undefined) | undefined;
  /** What is kept of the past. */
  readonly history: RingLimits;
  readonly budget: Budget;
  /** Where Sonde's own files are. */
  readonly ownDirectory: string;
  /** Labels of the samples of continuous profiling; none without it. */
  readonly labels?: SampleLabels | undefined;
  /** Makes the frames of what is read those of the sources; without it they are those of the code that runs. */
  readonly sourceMaps?: { apply(profile: Profile): Promise<Profile> } | undefined;
  /** How the addon is loaded; for tests of its absence. */
  readonly loadNative?: () => NativeProfilers;
  /** For the DevTools formats; the inspector alone makes them without it. */
  readonly v8ProfilerNext?: V8ProfilerNext | undefined;
}

/** Either the time to come or the time just passed; seconds above 0 and at most 900. */
export type TimeRead = ({ readonly seconds: number; readonly signal?: AbortSignal | undefined } | { readonly lastSeconds: number }) & {
  /** Only these samples; needs the addon. */
  readonly only?: SampleFilter | undefined;
};

export interface HeapRead {
  /** Collect garbage first. */
  readonly gc?: boolean;
  /** Without source maps, which may have to be loaded: answers in the same turn of the event loop. */
  readonly unmapped?: boolean;
  /** Answer what was added over this time instead of what is there; above 0 and at most 900. */
  readonly seconds?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What the engine is doing and what it has cost. */
export interface ProfileEngineStats {
  readonly cpu: 'off' | 'continuous' | 'on-demand';
  readonly heap: 'off' | 'native' | 'inspector';
  /** Samples a second; 0 without continuous profiles. */
  readonly samplingHz: number;
  /** The past that is kept, and what that takes. */
  readonly historySeconds: number;
  readonly historyBytes: number;
  readonly rotations: number;
  /** What Node's count of the time that the event loop has waited lacks, because sampling interrupts it. */
  readonly lostIdleMillis: number;
  /** Windows that pushers did not take in time. */
  readonly droppedWindows: number;
  /** What starting the profilers added to the process's memory. */
  readonly profilerBytes: number;
  /** CPU seconds by route, under the empty name those of no route. */
  readonly cpuSecondsByRoute: ReadonlyMap<string, number>;
  /** Restarts of a stuck CPU profiler. */
  readonly cpuRestarts: number;
  /** Restarts of a heap sampler that another profiler had stopped. */
  readonly heapRestarts: number;
  /** The heap's samples are those of another profiler. */
  readonly heapBorrowed: boolean;
}

export class ProfileEngine {
  /** The reads in Chrome's formats. */
  readonly devtools: DevtoolsProfiles;
  readonly #options: ProfileEngineOptions;
  readonly #reads: TimedReads;
  readonly #upkeep: Upkeep;
  readonly #stopAtExit: () => void;
  #native: NativeProfilers | undefined;
  #hasLoaded = false;
  #state: 'new' | 'starting' | 'started' | 'stopped' = 'new';
  #continuous: ContinuousProfile | undefined;
  #heap: HeapSampler | undefined;
  #profilerBytes = 0;

  constructor(options: ProfileEngineOptions) {
    const { guard } = options;
    this.#options = options;
    this.#reads = new TimedReads(guard);
    this.#upkeep = new Upkeep(options);
    this.#stopAtExit = guard.wrap('profile exit', () => this.stop());
    this.devtools = new DevtoolsProfiles(
      {
        checkCpu: () => this.#checkRunning(options.cpu),
        heapSampler: () => this.#heapSampler(),
        reads: this.#reads,
      },
      options.v8ProfilerNext,
    );
  }

  /** Makes what labels need before anything is sampled: 10 to 25 ms, once. */
  prepare(): void {
    if (this.#state !== 'new' || !this.#options.cpu) return;
    this.#options.guard.run('profile prepare', () => this.#createContinuous());
  }

  /** Loads and starts the profilers, once; blocks for 20 to 140 ms. What cannot start is said once and replaced. */
  async start(): Promise<void> {
    const { cpu, heap } = this.#options;
    if (this.#state !== 'new') return;
    this.#state = 'starting';
    if (cpu || heap) {
      const rssBytes = process.memoryUsage.rss();
      const native = this.#loadNative();
      if (this.#stopped()) return;
      // A sampling signal that arrives while the isolate is torn down may crash the process.
      process.once('exit', this.#stopAtExit);
      if (cpu) this.#startWindows();
      if (heap) await this.#startHeap(native);
      this.#profilerBytes = Math.max(0, process.memoryUsage.rss() - rssBytes);
    }
    if (this.#stopped()) return;
    this.#state = 'started';
    this.#upkeep.start({ continuous: this.#continuous, heap: this.#heap });
  }

  /** Stops the profilers for good and ends the reads under way with 503. Synchronous, so that it also serves at exit. */
  stop(): void {
    if (this.#stopped()) return;
    this.#state = 'stopped';
    process.removeListener('exit', this.#stopAtExit);
    this.#upkeep.stop();
    this.#reads.stop();
    this.devtools.stop();
    this.#continuous?.windows.stop();
    this.#heap?.stop();
    this.#continuous = undefined;
    this.#heap = undefined;
  }

  /**
   * CPU profile with the sample types samples and cpu (nanoseconds, of the JavaScript thread plus one
   * `(non-JS threads)` row). `seconds` resolves after that time with exactly that time, or rejects with the reason of
   * `signal`; `lastSeconds` resolves at once with the windows (10 s each) that hold any of it.
   * Rejects with ProfileError.
   */
  async cpu(read: TimeRead): Promise<Profile> {
    return await this.mapped(select(await this.#time(read), ['samples', 'cpu']));
  }

  /** The same with wall time, in which waiting on the event loop is `(idle)`. */
  async wall(read: TimeRead): Promise<Profile> {
    return await this.mapped(select(await this.#time(read), ['samples', 'wall']));
  }

  /**
   * Live heap with the sample types inuse_objects and inuse_space (bytes; the latter alone without the addon), or
   * its difference over `seconds`. External memory is one row `(external)`. Rejects with ProfileError.
   */
  async heap(read: HeapRead = {}): Promise<Profile> {
    return await this.#heapProfile(read, (sampler) => sampler.read());
  }

  /**
   * What was allocated since the start (alloc_space in bytes, estimated from samples), besides what `heap` answers; or what was
   * allocated in `seconds`. Rejects with ProfileError.
   */
  async allocs(read: HeapRead = {}): Promise<Profile> {
    return await this.#heapProfile(read, (sampler) => sampler.allocs());
  }

  /**
   * Runs `fn` with labels on its samples, and on those of everything it starts, besides the labels of the scope around it; answers
   * what `fn` answers. Text, numbers and booleans, 16 at most; what cannot be a label is said once and left out.
   * Costs 1 us, and does nothing where samples have no labels.
   */
  label<R>(labels: OwnLabels, fn: () => R): R {
    const { labels: sampleLabels } = this.#options;
    return sampleLabels === undefined ? fn() : sampleLabels.label(labels, fn);
  }

  /** A reader's own sequence of windows with the sample types samples, cpu and wall; undefined without continuous profiles. */
  follow(): Follower | undefined {
    return this.#state === 'started' ? this.#continuous?.windows.follow((profile) => this.mapped(profile)) : undefined;
  }

  /** Tells of a block of the event loop now, if one is under way that is long enough, and not when it has ended: what was active may be gone by then. */
  checkStall(): void {
    this.#upkeep.checkStall();
  }

  /** The live heap for the leak detector, all on one tree and not source-mapped; undefined when earlier samples were lost. */
  async heapGeneration(): Promise<Profile | undefined> {
    return await this.#heap?.generation();
  }

  /** CPU samples of the last seconds that have a function on their stack, by route; none without continuous profiles. */
  samplesByRoute(frame: Frame, lastSeconds: number): ReadonlyMap<string, number> {
    return this.#continuous === undefined ? new Map() : samplesByRoute(this.#continuous.windows.last(lastSeconds), frame);
  }

  /** A profile with the names of the sources. */
  async mapped(profile: Profile): Promise<Profile> {
    return (await this.#options.sourceMaps?.apply(profile)) ?? profile;
  }

  /** Collects all garbage now; blocks the process for about half a millisecond per megabyte of live heap. */
  async collectGarbage(): Promise<void> {
    await this.#heap?.collectGarbage();
  }

  /** What Sonde itself has cost; undefined without continuous profiles. Takes some 0.1 ms. */
  ownCpuSeconds(): OwnCpuSeconds | undefined {
    return this.#state === 'started' ? this.#continuous?.ownCpuSeconds() : undefined;
  }

  stats(): ProfileEngineStats {
    const onDemand = this.#state === 'started' && this.#options.cpu ? 'on-demand' : 'off';
    const continuous = this.#state === 'started' ? this.#continuous : undefined;
    return {
      cpu: continuous === undefined ? onDemand : 'continuous',
      heap: this.#heap?.kind ?? 'off',
      samplingHz: continuous?.hz ?? 0,
      historySeconds: continuous?.windows.ring.seconds ?? 0,
      historyBytes: continuous?.windows.ring.bytes ?? 0,
      profilerBytes: this.#profilerBytes,
      rotations: continuous?.windows.rotations ?? 0,
      lostIdleMillis: continuous?.windows.lostIdleMillis ?? 0,
      droppedWindows: continuous?.windows.dropped ?? 0,
      cpuSecondsByRoute: continuous?.cpuSecondsByRoute ?? new Map(),
      cpuRestarts: continuous?.restarts ?? 0,
      heapRestarts: this.#heap?.restarts ?? 0,
      heapBorrowed: this.#heap?.isBorrowed ?? false,
    };
  }

  async #time(read: TimeRead): Promise<Profile> {
    this.#checkRunning(this.#options.cpu);
    if ('lastSeconds' in read) return await this.#past(read.lastSeconds, read.only);
    checkSeconds(read.seconds);
    const wanted = read.only;
    return await this.#reads.run(async () => {
      const until = (): Promise<void> => this.#reads.wait(read.seconds, read.signal);
      if (this.#continuous !== undefined) return await merge(filtered(await this.#continuous.windows.collect(until), wanted));
      if (wanted !== undefined) throw new ProfileError(503, 'samples have no labels because @datadog/pprof is not running');
      const { clock } = this.#options;
      const startEpochMillis = clock.epochMillis(clock.monotonicMillis());
      return fromCpuProfile(await profileCpu(until), startEpochMillis, isMainThread ? 'main' : undefined);
    });
  }

  async #past(lastSeconds: number, wanted: SampleFilter | undefined): Promise<Profile> {
    checkSeconds(lastSeconds);
    if (this.#continuous === undefined) {
      throw new ProfileError(503, 'the past is not profiled because @datadog/pprof is not running; ask for ?seconds= instead');
    }
    const windows = this.#continuous.windows.last(lastSeconds);
    const first = windows.next();
    if (first.done === true) throw new ProfileError(503, 'profiling has begun less than a second ago');
    return await merge(filtered(following(first.value, windows), wanted));
  }

  async #heapProfile(read: HeapRead, take: (sampler: HeapSampler) => Promise<Profile>): Promise<Profile> {
    const sampler = this.#heapSampler();
    if (read.gc === true) await sampler.collectGarbage();
    const { seconds } = read;
    if (seconds === undefined) return read.unmapped === true ? await take(sampler) : await this.mapped(await take(sampler));
    checkSeconds(seconds);
    const difference = await this.#reads.run(async () => {
      const before = await take(sampler);
      await this.#reads.wait(seconds, read.signal);
      if (read.gc === true) await sampler.collectGarbage();
      return await subtract(await take(sampler), before);
    });
    return await this.mapped(difference);
  }

  #heapSampler(): HeapSampler {
    this.#checkRunning(this.#options.heap);
    if (this.#heap === undefined) throw new ProfileError(503, 'the heap sampler could not be started');
    return this.#heap;
  }

  #checkRunning(wanted: boolean): void {
    if (!wanted) throw new ProfileError(404, 'profiling is switched off');
    if (this.#stopped()) throw new ProfileError(503, 'profiling has stopped');
    if (this.#state !== 'started') throw new ProfileError(503, 'profiling starts when the application listens or falls idle');
  }

  #stopped(): boolean {
    return this.#state === 'stopped';
  }

  #loadNative(): NativeProfilers | undefined {
    if (this.#hasLoaded) return this.#native;
    this.#hasLoaded = true;
    try {
      this.#native = (this.#options.loadNative ?? loadNativeProfilers)();
    } catch (error) {
      this.#fallBack(error);
    }
    return this.#native;
  }

  #createContinuous(): void {
    const native = this.#loadNative();
    if (native === undefined || this.#continuous !== undefined) return;
    const { guard, diag, clock, hz, labels, ownDirectory, history, budget } = this.#options;
    this.#continuous = new ContinuousProfile({ native, guard, diag, clock, hz, labels, ownDirectory, history, budget });
  }

  #startWindows(): void {
    try {
      this.#createContinuous();
      this.#continuous?.windows.start();
    } catch (error) {
      // Most often the application runs the same copy of the addon itself; it can have one owner only.
      this.#continuous = undefined;
      this.#fallBack(error);
    }
  }

  async #startHeap(native: NativeProfilers | undefined): Promise<void> {
    const { diag, clock, heapIntervalBytes: intervalBytes, outOfMemoryCommand } = this.#options;
    const heap = new HeapSampler({ native: native?.heap, diag, clock, intervalBytes, outOfMemoryCommand: outOfMemoryCommand?.() });
    this.#heap = heap;
    try {
      await heap.start();
    } catch (error) {
      this.#heap = undefined;
      if (!this.#stopped()) diag.warn('profile:heap', `heap profiles and leaks are off, everything else works: ${reason(error)}`);
    }
  }

  #fallBack(error: unknown): void {
    this.#options.diag.warn(
      'profile:native',
      `@datadog/pprof is not running, CPU profiles are taken on request only, by the inspector: ${reason(error)}`,
    );
  }
}

function* filtered(profiles: Iterable<Profile>, wanted: SampleFilter | undefined): Generator<Profile> {
  for (const profile of profiles) yield wanted === undefined ? profile : only(profile, wanted);
}

function* following<T>(first: T, rest: Iterable<T>): Generator<T> {
  yield first;
  yield* rest;
}

/** The first line of an error; what cannot be loaded comes with the list of all who wanted it. */
function reason(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split('\n', 1)[0] as string;
}
