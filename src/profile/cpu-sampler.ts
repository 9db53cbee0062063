// The native CPU profiler at one of its rates, with the labels of its samples. Owned by cpu-windows.ts, which cuts it
// into windows. Cutting leaves no gap and costs 1 to 6 ms with a usual service; changing the rate blocks for 10 to 60 ms, as V8
// lists all compiled code again, so it is for the governor, rarely.
import { isMainThread } from 'node:worker_threads';
import type { Diag } from '../core/diag.ts';
import type { SampleLabels } from './labels.ts';
import { createTimeProfiler, type KeyedTimeProfiler, type NativeProfilers } from './native.ts';
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
  #keyed: KeyedTimeProfiler;
  #intervalMicros: number;
  #restarts = 0;

  constructor(options: CpuSamplerOptions, intervalMicros: number) {
    this.#options = options;
    this.#intervalMicros = intervalMicros;
    this.#keyed = this.#create();
  }

  /** Between two samples. */
  get intervalMicros(): number {
    return this.#intervalMicros;
  }

  /** How often V8's sampling thread was found stuck and was started again. */
  get restarts(): number {
    return this.#restarts;
  }

  /** Starts sampling. Blocks for 5 to 30 ms on Node 20 and 25 to 135 ms on 24, as V8 lists all compiled code. */
  start(): void {
    const { profiler, store } = this.#keyed;
    profiler.start();
    if (HAS_CONTEXTS) this.#options.labels?.start(profiler, store);
  }

  /** What was sampled since the start or the last cut. `judges` also looks whether the sampling thread is stuck. */
  cut(judges: boolean): TimeTree {
    const { profiler } = this.#keyed;
    this.#options.labels?.rotating();
    const tree = profiler.stop(true);
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

  /** Goes on at another rate, after a cut whose labels have been read. Requests under way lose their labels: they are in the old profiler's store. */
  changeInterval(intervalMicros: number): void {
    this.stop();
    this.#intervalMicros = intervalMicros;
    this.#keyed = this.#create();
    this.start();
  }

  stop(): void {
    const { profiler, store } = this.#keyed;
    this.#options.labels?.stop();
    profiler.stop(false);
    profiler.dispose();
    store?.disable();
  }

  #create(): KeyedTimeProfiler {
    return createTimeProfiler(this.#options.native, {
      intervalMicros: this.#intervalMicros,
      durationMillis: CONTEXTS_MILLIS,
      withContexts: HAS_CONTEXTS,
      collectCpuTime: HAS_CONTEXTS,
      workaroundV8Bug: false,
      isMainThread,
      lineNumbers: false,
      collectAsyncId: false,
    });
  }

  /** A stuck sampling thread takes a whole core and yields empty profiles (DataDog/pprof-nodejs#125). */
  #restartIfStuck(): void {
    const { profiler } = this.#keyed;
    if (profiler.v8ProfilerStuckEventLoopDetected() === 0) return;
    profiler.stop(false);
    profiler.start();
    this.#restarts += 1;
    this.#options.diag.debug("V8's CPU profiler was stuck and was restarted");
  }
}
