// The time that the event loop has waited and that Node does not count: each signal that interrupts a wait makes Node forget what
// had passed of it, and a profiler sends a hundred a second. A loop with nothing to do then seems to be busy for two fifths
// of the time. What the samples say in its place is told at the end of each window. Owned by cpu-windows.ts.

/** Below that there are too few samples to tell. */
const SETTLE_MILLIS_MIN = 900;

export class LostIdle {
  readonly #countedMillis: () => number;
  /** Node's count, when it was last compared. */
  #settledMillis = 0;
  #wallMillis = 0;
  #activeMillis = 0;
  #lostMillis = 0;
  #lostShare = 0;

  /** `countedMillis` is Node's own count of the time waited. */
  constructor(countedMillis: () => number = () => performance.nodeTiming.idleTime) {
    this.#countedMillis = countedMillis;
  }

  /** Sampling begins. */
  start(): void {
    this.#settledMillis = this.#countedMillis();
  }

  /** A window of `wallMillis` has ended, in which the loop was active for `activeMillis` by its samples. */
  add(wallMillis: number, activeMillis: number): void {
    this.#wallMillis += wallMillis;
    this.#activeMillis += activeMillis;
    if (this.#wallMillis < SETTLE_MILLIS_MIN) return;
    const countedMillis = this.#countedMillis();
    const waitedMillis = this.#wallMillis - this.#activeMillis;
    const lostMillis = Math.max(0, waitedMillis - (countedMillis - this.#settledMillis));
    this.#lostMillis += lostMillis;
    this.#lostShare = lostMillis / this.#wallMillis;
    this.#settledMillis = countedMillis;
    this.#wallMillis = 0;
    this.#activeMillis = 0;
  }

  /** In all, when the current window is `ageMillis` old: in the time since it was compared as much as before. */
  millis(ageMillis: number): number {
    return this.#lostMillis + this.#lostShare * (this.#wallMillis + ageMillis);
  }
}
