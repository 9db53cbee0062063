// Where our failures stop. Every boundary at which the application or the event loop calls Sonde goes through
// `Guard.wrap` exactly once; inside it nothing catches. Also the only maker of timers: guarded and unref'd.
import type { Diag } from './diag.ts';

/** Failures after which a part is switched off for the life of the process. */
const FAILURES_MAX = 5;

/** A repeating timer that never keeps the process alive. */
export interface Timer {
  stop(): void;
}

/** A timer that calls once each time that it is armed, and never keeps the process alive. */
export interface Alarm {
  /** Arms it, anew if it was armed. */
  arm(): void;
  stop(): void;
}

/** As they were when Sonde was loaded: an application's tests may put fake ones in their place, and ours must not run in those. */
const realTimers = { setTimeout, setImmediate, clearTimeout, clearImmediate };

interface Part {
  failures: number;
  off: boolean;
}

/** Turns functions of ours into functions that cannot throw, counts what they threw, and switches broken parts off. */
export class Guard {
  readonly #diag: Diag;
  readonly #parts = new Map<string, Part>();

  constructor(diag: Diag) {
    this.#diag = diag;
  }

  /**
   * Returns `fn` with its failures stopped: a throw is counted under `part`, said once, and `undefined` returned;
   * after five the part is off and `fn` is no longer called. Costs one call and one load on the data plane;
   * takes at most three arguments, so that no array is made per call.
   */
  wrap<P extends readonly unknown[], R>(part: string, fn: (...args: P) => R): (...args: P) => R | undefined {
    const state = this.#part(part);
    const call = fn as unknown as (a: unknown, b: unknown, c: unknown) => R;
    return ((a: unknown, b: unknown, c: unknown): R | undefined => {
      if (state.off) return undefined;
      try {
        return call(a, b, c);
      } catch (error) {
        this.#failed(part, state, error);
        return undefined;
      }
    }) as unknown as (...args: P) => R | undefined;
  }

  /** Runs `fn` now under the guard of `part`. */
  run<R>(part: string, fn: () => R): R | undefined {
    return this.wrap(part, fn)();
  }

  /** Runs an asynchronous `fn` under the guard of `part`; resolves to `undefined` when it failed. */
  async runAsync<R>(part: string, fn: () => Promise<R>): Promise<R | undefined> {
    const state = this.#part(part);
    if (state.off) return undefined;
    try {
      return await fn();
    } catch (error) {
      this.#failed(part, state, error);
      return undefined;
    }
  }

  /** Calls `fn` every `intervalMillis`, guarded, without keeping the process alive. */
  every(part: string, intervalMillis: number, fn: () => void): Timer {
    const timer = setInterval(this.wrap(part, fn), intervalMillis);
    timer.unref();
    return { stop: () => clearInterval(timer) };
  }

  /** Calls `fn` once after `delayMillis`, guarded, without keeping the process alive. */
  after(part: string, delayMillis: number, fn: () => void): Timer {
    const timer = setTimeout(this.wrap(part, fn), delayMillis);
    timer.unref();
    return { stop: () => clearTimeout(timer) };
  }

  /** Calls `fn`, guarded, `delayMillis` after it was armed. */
  alarm(part: string, delayMillis: number, fn: () => void): Alarm {
    const call = this.wrap(part, fn);
    let timer: NodeJS.Timeout | undefined;
    return {
      arm: () => (timer === undefined ? (timer = realTimers.setTimeout(call, delayMillis)).unref() : timer.refresh()),
      stop: () => realTimers.clearTimeout(timer),
    };
  }

  /**
   * Calls `fn`, guarded, at the end of the first turn of the event loop after it was armed. Wakes nobody: a loop that waits goes
   * on waiting, and the turn is that in which something else happens.
   */
  turnEnd(part: string, fn: () => void): Alarm {
    const call = this.wrap(part, fn);
    let immediate: NodeJS.Immediate | undefined;
    const stop = (): void => realTimers.clearImmediate(immediate);
    const arm = (): void => {
      stop();
      immediate = realTimers.setImmediate(call).unref();
    };
    return { arm, stop };
  }

  /** Failures so far by part, for the metric `sonde_internal_errors_total{part}`. */
  failures(): ReadonlyMap<string, number> {
    return new Map([...this.#parts].filter(([, p]) => p.failures > 0).map(([name, p]) => [name, p.failures]));
  }

  #part(name: string): Part {
    let part = this.#parts.get(name);
    if (part === undefined) {
      part = { failures: 0, off: false };
      this.#parts.set(name, part);
    }
    return part;
  }

  #failed(name: string, part: Part, error: unknown): void {
    part.failures += 1;
    if (part.failures >= FAILURES_MAX) part.off = true;
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#diag.warn(
      `guard:${name}`,
      `${name} failed and was skipped, the application is not affected: ${error instanceof Error ? error.message : String(error)}`,
    );
    this.#diag.debug(`${name}: ${detail}`);
  }
}
