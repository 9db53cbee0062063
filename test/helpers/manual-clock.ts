// A clock that stands still until it is told to move.
import type { Clock } from '../../src/core/clock.ts';

export class ManualClock implements Clock {
  /** Never 0: a start at 0 hides divisions by it. */
  nowMillis = 1_000_000;
  /** Epoch of the reading 0. */
  readonly epoch = 1_700_000_000_000;

  advance(millis: number): void {
    this.nowMillis += millis;
  }

  monotonicMillis(): number {
    return this.nowMillis;
  }

  epochMillis(monotonicMillis: number): number {
    return this.epoch + monotonicMillis;
  }
}
