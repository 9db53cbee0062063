// The only owner of the process's profilers; nobody else starts or stops one. sdk.ts starts it once the application
// listens or falls idle, serve/ and the pushers read from it, any number at once, and profiling goes on undisturbed.
// With the addon CPU profiles are continuous; without it the inspector takes them on request.
import type { Clock } from '../core/clock.ts';
import type { Diag } from '../core/diag.ts';
import type { Guard } from '../core/guard.ts';
import type { HeapSamples } from '../core/heap-samples.ts';
import { CpuWindows } from './cpu-windows.ts';
import { HeapSampler } from './heap-sampler.ts';
import type { HotFunction } from './hot-functions.ts';
import { hotFunctions } from './hot-functions.ts';
import { profileCpu } from './inspector.ts';
import type { RouteLabels } from './labels.ts';
import type { NativeProfilers } from './native.ts';
import { loadNativeProfilers } from './native.ts';
import type { Profile } from './profile.ts';
import { merge, select, subtract } from './profile.ts';
import { ProfileError } from './profile-error.ts';
import { fromCpuProfile } from './v8.ts';
import { RING_SECONDS } from './window-ring.ts';

/** Reads that take time, at once; each holds its windows and cuts two. */
const READS_MAX = 8;

export interface ProfileEngineOptions {
  readonly guard: Guard;
  readonly diag: Diag;
  readonly clock: Clock;
  /** Profile CPU and wall time (`SONDE_PROFILING`). */
  readonly cpu: boolean;
  /** Sample the heap (`SONDE_PROFILING` or `SONDE_LEAKS`). */
  readonly heap: boolean;
  /** Labels of the samples of continuous profiling; none without it. */
  readonly labels?: RouteLabels | undefined;
  /** Makes the frames of what is read those of the sources; without it they are those of the code that runs. */
  readonly sourceMaps?: { apply(profile: Profile): Promise<Profile> } | undefined;
  /** How the addon is loaded; for tests of its absence. */
  readonly loadNative?: () => Promise<NativeProfilers>;
}

/** Either the time to come or the time just passed; seconds above 0 and at most 900. */
export type TimeRead = { readonly seconds: number; readonly signal?: AbortSignal | undefined } | { readonly lastSeconds: number };

export interface HeapRead {
  /** Collect garbage first. */
  readonly gc?: boolean;
  /** Answer what was added over this time instead of what is there; above 0 and at most 900. */
  readonly seconds?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What the engine is doing and what it has cost. */
export interface ProfileEngineStats {
  readonly cpu: 'off' | 'continuous' | 'on-demand';
  readonly heap: 'off' | 'native' | 'inspector';
  readonly ringBytes: number;
  readonly rotations: number;
  readonly rotationMillis: number;
  /** Restarts of a stuck CPU profiler. */
  readonly cpuRestarts: number;
  /** Restarts of a heap sampler that another profiler had stopped. */
  readonly heapRestarts: number;
}

export class ProfileEngine {
  readonly #options: ProfileEngineOptions;
  readonly #stopping = new AbortController();
  readonly #stopAtExit: () => void;
  #state: 'new' | 'starting' | 'started' | 'stopped' = 'new';
  #windows: CpuWindows | undefined;
  #heap: HeapSampler | undefined;
  #reads = 0;

  constructor(options: ProfileEngineOptions) {
    this.#options = options;
    this.#stopAtExit = options.guard.wrap('profile exit', () => this.stop());
  }

  /** Loads and starts the profilers, once; blocks for 20 to 140 ms. What cannot start is said once and replaced. */
  async start(): Promise<void> {
    const { cpu, heap } = this.#options;
    if (this.#state !== 'new') return;
    this.#state = 'starting';
    if (cpu || heap) {
      const native = await this.#loadNative();
      if (this.#stopped()) return;
      // A sampling signal that arrives while the isolate is torn down may crash the process.
      process.once('exit', this.#stopAtExit);
      if (native !== undefined && cpu) this.#startWindows(native);
      if (heap) await this.#startHeap(native);
    }
    if (!this.#stopped()) this.#state = 'started';
  }

  /** Stops the profilers for good and ends the reads under way with 503. Synchronous, so that it also serves at exit. */
  stop(): void {
    if (this.#stopped()) return;
    this.#state = 'stopped';
    process.removeListener('exit', this.#stopAtExit);
    this.#stopping.abort(new ProfileError(503, 'profiling has stopped'));
    this.#windows?.stop();
    this.#heap?.stop();
    this.#windows = undefined;
    this.#heap = undefined;
  }

  /**
   * CPU profile with the sample types samples and cpu (nanoseconds, of the JavaScript thread plus one
   * `(non-JS threads)` row). `seconds` resolves after that time with exactly that time, or rejects with the reason of
   * `signal`; `lastSeconds` resolves at once with the windows (10 s each) that hold any of it.
   * Rejects with ProfileError.
   */
  async cpu(read: TimeRead): Promise<Profile> {
    return await this.#mapped(select(await this.#time(read), ['samples', 'cpu']));
  }

  /** The same with wall time, in which waiting on the event loop is `(idle)`. */
  async wall(read: TimeRead): Promise<Profile> {
    return await this.#mapped(select(await this.#time(read), ['samples', 'wall']));
  }

  /**
   * Live heap with the sample types inuse_objects and inuse_space (bytes; the latter alone without the addon), or
   * its difference over `seconds`. External memory is one row `(external)`. Rejects with ProfileError.
   */
  async heap(read: HeapRead = {}): Promise<Profile> {
    const sampler = this.#heapSampler();
    if (read.gc === true) await sampler.collectGarbage();
    const { seconds } = read;
    if (seconds === undefined) return await this.#mapped(await sampler.read());
    checkSeconds(seconds);
    const difference = await this.#timed(async () => {
      const before = await sampler.read();
      await this.#wait(seconds, read.signal);
      if (read.gc === true) await sampler.collectGarbage();
      return subtract(await sampler.read(), before);
    });
    return await this.#mapped(difference);
  }

  /** The live heap's samples with their age, for the leak detector; undefined when earlier ones were lost. */
  async heapSamples(): Promise<HeapSamples | undefined> {
    return await this.#heap?.samples();
  }

  /** Collects all garbage now; blocks the process for about half a millisecond per megabyte of live heap. */
  async collectGarbage(): Promise<void> {
    await this.#heap?.collectGarbage();
  }

  /** The hottest functions of the last seconds by CPU time; none without continuous profiles. */
  topFunctions(lastSeconds: number, limit: number): HotFunction[] {
    return hotFunctions(this.#windows?.last(lastSeconds) ?? [], limit);
  }

  stats(): ProfileEngineStats {
    const onDemand = this.#state === 'started' && this.#options.cpu ? 'on-demand' : 'off';
    return {
      cpu: this.#windows === undefined ? onDemand : 'continuous',
      heap: this.#heap?.kind ?? 'off',
      ringBytes: this.#windows?.ringBytes ?? 0,
      rotations: this.#windows?.rotations ?? 0,
      rotationMillis: this.#windows?.rotationMillis ?? 0,
      cpuRestarts: this.#windows?.restarts ?? 0,
      heapRestarts: this.#heap?.restarts ?? 0,
    };
  }

  async #mapped(profile: Profile): Promise<Profile> {
    return (await this.#options.sourceMaps?.apply(profile)) ?? profile;
  }

  async #time(read: TimeRead): Promise<Profile> {
    this.#checkRunning(this.#options.cpu);
    if ('lastSeconds' in read) return await this.#past(read.lastSeconds);
    checkSeconds(read.seconds);
    return await this.#timed(async () => {
      const until = (): Promise<void> => this.#wait(read.seconds, read.signal);
      if (this.#windows !== undefined) return await merge(await this.#windows.collect(until));
      const { clock } = this.#options;
      const startEpochMillis = clock.epochMillis(clock.monotonicMillis());
      return fromCpuProfile(await profileCpu(until), startEpochMillis);
    });
  }

  async #past(lastSeconds: number): Promise<Profile> {
    checkSeconds(lastSeconds);
    if (this.#windows === undefined) {
      throw new ProfileError(503, 'the past is not profiled because @datadog/pprof is not running; ask for ?seconds= instead');
    }
    const windows = this.#windows.last(lastSeconds);
    if (windows.length === 0) throw new ProfileError(503, 'profiling has begun less than a second ago');
    return await merge(windows);
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

  async #timed(read: () => Promise<Profile>): Promise<Profile> {
    if (this.#reads >= READS_MAX) throw new ProfileError(503, `${READS_MAX} profiles are being taken already`);
    this.#reads += 1;
    try {
      return await read();
    } finally {
      this.#reads -= 1;
    }
  }

  /** Resolves after the time; rejects with the reason of `signal`, or with 503 when the engine stops. */
  async #wait(seconds: number, signal: AbortSignal | undefined): Promise<void> {
    const stopping = this.#stopping.signal;
    const either = signal === undefined ? stopping : AbortSignal.any([signal, stopping]);
    either.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const abort = (): void => {
        timer.stop();
        reject(either.reason as Error);
      };
      const timer = this.#options.guard.after('profile wait', seconds * 1000, () => {
        either.removeEventListener('abort', abort);
        resolve();
      });
      either.addEventListener('abort', abort, { once: true });
    });
  }

  async #loadNative(): Promise<NativeProfilers | undefined> {
    try {
      return await (this.#options.loadNative ?? loadNativeProfilers)();
    } catch (error) {
      this.#fallBack(error);
      return undefined;
    }
  }

  #startWindows(native: NativeProfilers): void {
    const { guard, diag, clock, labels } = this.#options;
    try {
      const windows = new CpuWindows({ native, guard, diag, clock, labels });
      windows.start();
      this.#windows = windows;
    } catch (error) {
      // Most often the application runs the same copy of the addon itself; it can have one owner only.
      this.#fallBack(error);
    }
  }

  async #startHeap(native: NativeProfilers | undefined): Promise<void> {
    const { diag, clock } = this.#options;
    const heap = new HeapSampler({ native: native?.heap, diag, clock });
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

function checkSeconds(seconds: number): void {
  if (seconds > 0 && seconds <= RING_SECONDS) return;
  throw new ProfileError(400, `seconds must be above 0 and at most ${RING_SECONDS}`);
}

/** The first line of an error; what cannot be loaded comes with the list of all who wanted it. */
function reason(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split('\n', 1)[0] as string;
}
