// The native CPU profiler at one of its rates, with the labels of its samples. Owned by cpu-windows.ts, which cuts it
// into windows. Cutting leaves no gap and costs 1 to 6 ms with a usual service; changing the rate blocks for 10 to 60 ms, as V8
// lists all compiled code again, so it is for the governor, rarely.
import { isMainThread } from 'node:worker_threads';
import type { AsyncLocalStorage } from 'node:async_hooks';
import type { Diag } from '../core/diag.ts';
import type { SampleLabels } from './labels.ts';
import {
  contextKey,
  createTimeProfiler,
  disposeTimeProfiler,
  otherCopySampling,
  type NativeProfilers,
  type NativeTimeProfiler,
} from './native.ts';
import { NO_LABELS, type LabelSet } from './profile.ts';
import type { TimeTree } from './v8.ts';

/**
 * Longest that samples keep their contexts, and with it longer than any window: the event loop may be blocked for fifty
 * seconds before samples lose their labels and CPU time.
 */
const CONTEXTS_MILLIS = 30_000;

/** Windows has no SIGPROF, which contexts and CPU times need; there a hit counts as an interval of CPU, and has no label. */
const HAS_CONTEXTS = process.platform !== 'win32';

export interface CpuSamplerOptions {
  readonly native: NativeProfilers;
  readonly diag: Diag;
  /** Gives samples their labels; without it they have none. */
  readonly labels: SampleLabels | undefined;
}

export class CpuSampler {
  readonly #options: CpuSamplerOptions;
  /** The context key, where this Node has one. */
  readonly #store: AsyncLocalStorage<object | undefined> | undefined;
  /**
   * One for each rate that there was, by its interval. They share the key, so that what is running goes on with its labels when the
   * rate changes; and none is disposed of before the end, because that frees the holders it has made, wherever they are.
   */
  readonly #profilers = new Map<number, NativeTimeProfiler>();
  #intervalMicros: number;
  #isStarted = false;
  #restarts = 0;

  /** Labels can be given from now on; nothing is sampled yet. */
  constructor(options: CpuSamplerOptions, intervalMicros: number) {
    this.#options = options;
    this.#intervalMicros = intervalMicros;
    this.#store = HAS_CONTEXTS ? contextKey(options.native) : undefined;
    this.#label();
  }

  /** Between two samples. */
  get intervalMicros(): number {
    return this.#intervalMicros;
  }

  /** How often V8's sampling thread was found stuck and was started again. */
  get restarts(): number {
    return this.#restarts;
  }

  /** Whether half of the room for contexts is filled: the signals of every CPU profiler in the process fill it, DevTools' ten thousand a second too. */
  get isHalfFull(): boolean {
    return HAS_CONTEXTS && (this.#profiler().state[0] as number) * this.#intervalMicros > CONTEXTS_MILLIS * 1000;
  }

  /** Starts sampling, or throws and is of no use. Blocks for 5 to 30 ms on Node 20 and 25 to 135 ms on 24, as V8 lists all compiled code. */
  start(): void {
    try {
      const other = otherCopySampling();
      if (other !== undefined) throw new Error(`another copy of it is sampling already, ${other}`);
      this.#profiler().start();
      this.#isStarted = true;
    } catch (error) {
      this.stop();
      throw error;
    }
  }

  /** What was sampled since the start or the last cut. `judges` also looks whether the sampling thread is stuck. */
  cut(judges: boolean): TimeTree {
    this.#options.labels?.rotating();
    const tree = this.#profiler().stop(true);
    if (judges) this.#restartIfStuck();
    this.#options.labels?.rotated();
    return tree;
  }

  labelsOf(context: object): LabelSet {
    return this.#options.labels?.labelsOf(context) ?? NO_LABELS;
  }

  activeOf(context: object): object | undefined {
    return this.#options.labels?.activeOf(context);
  }

  /** Goes on at another rate, after a cut whose labels have been read. */
  changeInterval(intervalMicros: number): void {
    this.#profiler().stop(false);
    this.#intervalMicros = intervalMicros;
    this.#profiler().start();
    this.#label();
  }

  /** Stops for good. */
  stop(): void {
    this.#options.labels?.stop();
    if (this.#isStarted) this.#profiler().stop(false);
    for (const profiler of this.#profilers.values()) disposeTimeProfiler(profiler);
    this.#profilers.clear();
    this.#store?.disable();
  }

  #label(): void {
    if (HAS_CONTEXTS) this.#options.labels?.start(this.#profiler(), this.#store);
  }

  #profiler(): NativeTimeProfiler {
    let profiler = this.#profilers.get(this.#intervalMicros);
    if (profiler === undefined) {
      profiler = createTimeProfiler(this.#options.native, {
        intervalMicros: this.#intervalMicros,
        durationMillis: CONTEXTS_MILLIS,
        withContexts: HAS_CONTEXTS,
        collectCpuTime: HAS_CONTEXTS,
        workaroundV8Bug: false,
        isMainThread,
        lineNumbers: false,
        collectAsyncId: false,
        useCPED: this.#store !== undefined,
        CPEDKey: this.#store,
      });
      this.#profilers.set(this.#intervalMicros, profiler);
    }
    return profiler;
  }

  /** A stuck sampling thread takes a whole core and yields empty profiles (DataDog/pprof-nodejs#125). */
  #restartIfStuck(): void {
    const profiler = this.#profiler();
    if (profiler.v8ProfilerStuckEventLoopDetected() === 0) return;
    profiler.stop(false);
    profiler.start();
    this.#restarts += 1;
    this.#options.diag.debug("V8's CPU profiler was stuck and was restarted");
  }
}
