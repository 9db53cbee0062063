// Twenty times a second: is the event loop late, and how busy was it? One timer for all of profiling that wants to know:
// stalls, the ends of windows, the governor. Owned by the engine. Costs an idle process 0.1 % of a core.
import type { Clock } from '../core/clock.ts';
import type { Guard, Timer } from '../core/guard.ts';

const BEAT_MILLIS = 50;

/** What passed between two beats. */
export interface Beat {
  readonly nowMillis: number;
  readonly gapMillis: number;
  /** What of it the event loop did not spend waiting for something to happen. At least as long as its longest block in this time. */
  readonly activeMillis: number;
}

export interface HeartbeatOptions {
  readonly guard: Guard;
  readonly clock: Clock;
  readonly onBeat: (beat: Beat) => void;
}

export class Heartbeat {
  readonly #options: HeartbeatOptions;
  #timer: Timer | undefined;
  #lastMillis = 0;
  #lastIdleMillis = 0;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
  }

  start(): void {
    this.skip();
    this.#timer = this.#options.guard.every('profile heartbeat', BEAT_MILLIS, () => this.#beat());
  }

  /** Begins the next gap now: what has passed is known already, as a pause that profiling itself has made. */
  skip(): void {
    this.#lastMillis = this.#options.clock.monotonicMillis();
    this.#lastIdleMillis = performance.nodeTiming.idleTime;
  }

  stop(): void {
    this.#timer?.stop();
  }

  #beat(): void {
    const nowMillis = this.#options.clock.monotonicMillis();
    const { idleTime } = performance.nodeTiming;
    const gapMillis = nowMillis - this.#lastMillis;
    const activeMillis = Math.max(0, gapMillis - (idleTime - this.#lastIdleMillis));
    this.#lastMillis = nowMillis;
    this.#lastIdleMillis = idleTime;
    this.#options.onBeat({ nowMillis, gapMillis, activeMillis });
  }
}
