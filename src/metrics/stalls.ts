// How often and for how long the event loop was blocked. Told by profile/stalls.ts through sdk.ts.
import type { Family } from './family.ts';
import { histogramFamily, histogramSeries, type MeasuredSpan } from './series.ts';

/** The threshold is 100 ms unless it is set, and may be 20; what lasts for a minute a liveness probe puts an end to. */
const STALL_BOUNDS_SECONDS: readonly number[] = [0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2, 3, 5, 10, 20, 30, 60];

/** Causes that stalls.ts knows. */
const CAUSES_MAX = 4;

export class StallMetrics {
  readonly #durations = histogramSeries(
    {
      name: 'sonde.eventloop.stall.duration',
      unit: 's',
      description: 'Times in which the event loop was blocked for at least the threshold (SONDE_STALL_MILLIS), by what blocked it.',
      labelNames: ['cause'],
      limit: CAUSES_MAX,
    },
    STALL_BOUNDS_SECONDS,
  );

  constructor() {
    // From the start, so that a rate over the first stall is not lost.
    this.#durations.cell('code');
  }

  /** `span` is the sampled one that was active, with the start of the stall, which ended at `endMillis` of the monotonic clock; it may become an exemplar. */
  observe(durationSeconds: number, cause: string, { span, endMillis }: { span: MeasuredSpan | undefined; endMillis: number }): void {
    const cell = this.#durations.cell(cause);
    if (span === undefined) cell.observe(durationSeconds);
    else cell.observeTraced(durationSeconds, span, endMillis);
  }

  families(): Family[] {
    return [histogramFamily(this.#durations)];
  }
}
