// How long the event loop has waited and worked, as counters that only grow: what Node counts, and what it loses while a
// profiler interrupts it (profile/lost-idle.ts). Owned by runtime.ts.
import { performance } from 'node:perf_hooks';

/** Milliseconds since the loop began. */
export interface LoopReading {
  readonly idleMillis: number;
  readonly activeMillis: number;
}

export class LoopTime {
  readonly #lostIdleMillis: () => number;
  #last: LoopReading = { idleMillis: 0, activeMillis: 0 };

  /** `lostIdleMillis` is what Node's count of the time waited lacks, in all. */
  constructor(lostIdleMillis: () => number) {
    this.#lostIdleMillis = lostIdleMillis;
  }

  read(): LoopReading {
    const { idle, active } = performance.eventLoopUtilization();
    const { idleMillis, activeMillis } = this.#last;
    const passedMillis = Math.max(0, idle + active - (idleMillis + activeMillis));
    // What is lost is an estimate that is mended later: neither counter may go back for it.
    const waitedMillis = Math.min(passedMillis, Math.max(0, idle + this.#lostIdleMillis() - idleMillis));
    this.#last = { idleMillis: idleMillis + waitedMillis, activeMillis: activeMillis + passedMillis - waitedMillis };
    return this.#last;
  }
}

/** Share of the time between two readings that the loop worked, 0 to 1. */
export function utilization(since: LoopReading, now: LoopReading): number {
  const activeMillis = now.activeMillis - since.activeMillis;
  const millis = activeMillis + now.idleMillis - since.idleMillis;
  return millis > 0 ? activeMillis / millis : 0;
}
