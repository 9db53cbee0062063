// How late the event loop comes round, over a window that readers share and none of them ends. RuntimeMetrics owns it.
// Two native histograms run side by side and are cleared in turn; the one cleared longest ago is read. Thus a stall is
// seen for at least one and at most two rotations, by every scraper, and one that falls on a clearing is not lost:
// a histogram drops the first sample after it was cleared, which is the stall's when the clearing timer is late with it.
import { monitorEventLoopDelay, type IntervalHistogram } from 'node:perf_hooks';

/**
 * Milliseconds between samples. An idle process pays for its wake-ups: 0.5-0.7 % of a core at 10 ms, 0.3 % at 20 ms
 * (Node 20 to 26), and a second histogram at the same resolution wakes at the same times and costs nothing more.
 */
const RESOLUTION_MILLIS = 20;
const NANOS_PER_SECOND = 1e9;

/** Delays beyond the sampling interval, seconds. */
export interface DelayReading {
  readonly minSeconds: number;
  readonly maxSeconds: number;
  readonly meanSeconds: number;
  readonly stddevSeconds: number;
  readonly p50Seconds: number;
  readonly p90Seconds: number;
  readonly p99Seconds: number;
}

export class EventLoopDelay {
  #read: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MILLIS });
  #next: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MILLIS });

  /** Starts sampling; the native timers do not keep the process alive. */
  start(): void {
    this.#read.enable();
    this.#next.enable();
  }

  stop(): void {
    this.#read.disable();
    this.#next.disable();
  }

  /** Ends the window that is read and goes on with the one begun at the last rotation. */
  rotate(): void {
    const ended = this.#read;
    this.#read = this.#next;
    this.#next = ended;
    ended.reset();
  }

  /** The window's delays, `undefined` before its first sample. A delay is at most one sampling interval too small. */
  reading(): DelayReading | undefined {
    const histogram = this.#read;
    if (histogram.count === 0) return undefined;
    return {
      minSeconds: delaySeconds(histogram.min),
      maxSeconds: delaySeconds(histogram.max),
      meanSeconds: delaySeconds(histogram.mean),
      stddevSeconds: histogram.stddev / NANOS_PER_SECOND,
      p50Seconds: delaySeconds(histogram.percentile(50)),
      p90Seconds: delaySeconds(histogram.percentile(90)),
      p99Seconds: delaySeconds(histogram.percentile(99)),
    };
  }
}

/** Node records the whole time between two samples; what was asked for is not delay. */
function delaySeconds(intervalNanos: number): number {
  return Math.max(0, intervalNanos / NANOS_PER_SECOND - RESOLUTION_MILLIS / 1000);
}
