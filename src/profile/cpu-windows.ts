// Continuous CPU and wall profiling by the addon: windows of at most ten seconds, cut without a gap, kept in a ring
// and given to whoever is collecting. Owned by the engine. A rotation blocks for 1 to 6 ms with a usual service.
import type { AsyncLocalStorage } from 'node:async_hooks';
import { isMainThread } from 'node:worker_threads';
import type { Clock } from '../core/clock.ts';
import type { Diag } from '../core/diag.ts';
import type { Guard, Timer } from '../core/guard.ts';
import type { RouteLabels } from './labels.ts';
import { createTimeProfiler, type NativeProfilers, type NativeTimeProfiler } from './native.ts';
import { NO_LABELS, type Profile } from './profile.ts';
import { fromTimeTree, SAMPLING_INTERVAL_MICROS } from './v8.ts';
import { WindowRing } from './window-ring.ts';

const WINDOW_MILLIS_MAX = 10_000;

/**
 * A rotation costs in proportion to the distinct stacks: 0.4 ms for few, 100 ms for 1,000 stacks of 40 frames. So
 * that such a program is stopped for 10 ms each second rather than for 100 every ten, a window is halved after a
 * rotation above the upper figure, doubled after one below the lower, and short at first.
 */
const WINDOW_MILLIS_MIN = 1000;
const ROTATION_MILLIS_HIGH = 6;
const ROTATION_MILLIS_LOW = 2;

/** Half a sampling interval: a reader that comes in this time shares the cut of the one before. */
const SHARED_CUT_MILLIS = 5;

/**
 * A current window younger than this is not cut for readers of the past, so that polling cannot shred the ring, and
 * not judged stuck, which so short a window is often mistaken for; a restart can block for 100 ms.
 */
const WHOLE_MILLIS_MIN = 900;

/** Windows has no SIGPROF, which contexts and CPU times need; there a hit counts as an interval of CPU, and has no label. */
const HAS_CONTEXTS = process.platform !== 'win32';

export interface CpuWindowsOptions {
  readonly native: NativeProfilers;
  readonly guard: Guard;
  readonly diag: Diag;
  readonly clock: Clock;
  /** Gives samples their labels; without it they have none. */
  readonly labels: RouteLabels | undefined;
}

export class CpuWindows {
  readonly #options: CpuWindowsOptions;
  readonly #profiler: NativeTimeProfiler;
  /** The profiler's context key, where it has one. */
  readonly #store: AsyncLocalStorage<object | undefined> | undefined;
  readonly #ring = new WindowRing();
  /** Lists of those who are collecting now; each gets every window that ends. */
  readonly #collecting = new Set<Profile[]>();
  #windowStartMillis = 0;
  #windowMillis = WINDOW_MILLIS_MIN;
  #timer: Timer | undefined;
  #rotations = 0;
  #rotationMillis = 0;
  #restarts = 0;

  constructor(options: CpuWindowsOptions) {
    this.#options = options;
    const { profiler, store } = createTimeProfiler(options.native, {
      intervalMicros: SAMPLING_INTERVAL_MICROS,
      // Twice this is what fits: the event loop may be blocked for fifty seconds before samples lose their CPU time.
      durationMillis: 3 * WINDOW_MILLIS_MAX,
      withContexts: HAS_CONTEXTS,
      collectCpuTime: HAS_CONTEXTS,
      workaroundV8Bug: false,
      isMainThread,
      lineNumbers: false,
      collectAsyncId: false,
    });
    this.#profiler = profiler;
    this.#store = store;
  }

  get ringBytes(): number {
    return this.#ring.bytes;
  }

  get rotations(): number {
    return this.#rotations;
  }

  /** Time that rotations have taken on the event loop, in all. */
  get rotationMillis(): number {
    return this.#rotationMillis;
  }

  /** How often V8's sampling thread was found stuck and was started again. */
  get restarts(): number {
    return this.#restarts;
  }

  /** Starts sampling. Blocks once, for 10 ms on Node 20 and 25 to 135 ms on 24, as V8 lists all compiled code. */
  start(): void {
    this.#profiler.start();
    if (HAS_CONTEXTS) this.#options.labels?.start(this.#profiler, this.#store);
    this.#windowStartMillis = this.#options.clock.monotonicMillis();
    this.#timer = this.#options.guard.every('profile', WINDOW_MILLIS_MIN, () => {
      // Timers fire a little early or late; the check must not make each window a second longer.
      if (this.#ageMillis() >= this.#windowMillis - WINDOW_MILLIS_MIN / 2) this.#rotate();
    });
  }

  stop(): void {
    this.#timer?.stop();
    this.#options.labels?.stop();
    this.#profiler.stop(false);
    this.#profiler.dispose();
    this.#ring.clear();
  }

  /** Windows of exactly the time that `until` takes, to half a sampling interval; at least one. */
  async collect(until: () => Promise<void>): Promise<Profile[]> {
    if (this.#ageMillis() >= SHARED_CUT_MILLIS) this.#rotate();
    const windows: Profile[] = [];
    this.#collecting.add(windows);
    try {
      await until();
      if (windows.length === 0 || this.#ageMillis() >= SHARED_CUT_MILLIS) this.#rotate();
      return windows;
    } finally {
      this.#collecting.delete(windows);
    }
  }

  /** Windows that hold anything of the last `seconds`, at once. */
  last(seconds: number): Profile[] {
    const { clock } = this.#options;
    if (this.#ageMillis() >= WHOLE_MILLIS_MIN) this.#rotate();
    return this.#ring.since(clock.epochMillis(clock.monotonicMillis()) - seconds * 1000);
  }

  #ageMillis(): number {
    return this.#options.clock.monotonicMillis() - this.#windowStartMillis;
  }

  /** Ends the current window and begins the next. */
  #rotate(): void {
    const { clock, labels } = this.#options;
    const startMillis = this.#windowStartMillis;
    const nowMillis = clock.monotonicMillis();
    const tree = this.#profiler.stop(true);
    this.#windowStartMillis = nowMillis;
    if (nowMillis - startMillis >= WHOLE_MILLIS_MIN) this.#restartIfStuck();
    labels?.rotated();
    const window = fromTimeTree(tree, clock.epochMillis(startMillis), (context) => labels?.labelsOf(context) ?? NO_LABELS);
    this.#ring.push(window);
    for (const windows of this.#collecting) windows.push(window);
    this.#rotations += 1;
    this.#adapt(clock.monotonicMillis() - nowMillis);
  }

  #adapt(rotationMillis: number): void {
    this.#rotationMillis += rotationMillis;
    if (rotationMillis > ROTATION_MILLIS_HIGH) this.#windowMillis = Math.max(this.#windowMillis / 2, WINDOW_MILLIS_MIN);
    else if (rotationMillis < ROTATION_MILLIS_LOW) this.#windowMillis = Math.min(this.#windowMillis * 2, WINDOW_MILLIS_MAX);
  }

  /** A stuck sampling thread takes a whole core and yields empty profiles (DataDog/pprof-nodejs#125). */
  #restartIfStuck(): void {
    if (this.#profiler.v8ProfilerStuckEventLoopDetected() === 0) return;
    this.#profiler.stop(false);
    this.#profiler.start();
    this.#restarts += 1;
    this.#options.diag.debug("V8's CPU profiler was stuck and was restarted");
  }
}
