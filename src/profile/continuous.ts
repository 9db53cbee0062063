// Continuous CPU profiling as a whole: the sampler, its windows, what they cost and who they were spent for, and the governor
// that lowers the rate when Sonde needs more than its budget. Owned by the engine, which calls `govern` every ten seconds.
import type { Clock } from '../core/clock.ts';
import type { Diag } from '../core/diag.ts';
import type { Guard } from '../core/guard.ts';
import { CpuCosts } from './cpu-costs.ts';
import { CpuSampler } from './cpu-sampler.ts';
import { CpuWindows } from './cpu-windows.ts';
import { Governor } from './governor.ts';
import type { SampleLabels } from './labels.ts';
import type { NativeProfilers } from './native.ts';
import { OwnCost, type OwnCpuSeconds } from './own-cost.ts';
import type { Stretch } from './stretch.ts';
import type { RingLimits } from './window-ring.ts';

/**
 * To look at a stall ends a window and takes 1 to 6 ms of the loop. So it gets a hundredth of the time, and a tenth of a second in
 * advance: a service that stalls all the time has a few stacks a second.
 */
const STRETCH_TIME_SHARE = 0.01;
const STRETCH_MILLIS_MAX = 100;

/** What a stretch may seem to have taken at most, on a machine that does not let us run. */
const STRETCH_COST_MILLIS_MAX = 50;

const TOO_MANY_STRETCHES = 'there were too many in a short time to look at all';

/** What Sonde may cost. */
export interface Budget {
  /** Of one core, 0 to 1. */
  readonly cpu: number;
  /** Of the profiles of the past, together with what waits to be pushed. */
  readonly bytes: number;
}

export interface ContinuousOptions {
  readonly native: NativeProfilers;
  readonly guard: Guard;
  readonly diag: Diag;
  readonly clock: Clock;
  /** Samples a second within the budget. */
  readonly hz: number;
  readonly history: RingLimits;
  readonly budget: Budget;
  readonly ownDirectory: string;
  readonly labels: SampleLabels | undefined;
}

export class ContinuousProfile {
  readonly windows: CpuWindows;
  readonly #options: ContinuousOptions;
  readonly #sampler: CpuSampler;
  readonly #costs: CpuCosts;
  readonly #own: OwnCost;
  readonly #governor: Governor;
  #ownSeconds = 0;
  #activeSeconds = 0;
  #sampledSeconds = 0;
  /** Share of the last windows that the thread was active. */
  #utilization = 1;
  /** What may still be spent on stalls, and when that was reckoned. */
  #stretchMillis = STRETCH_MILLIS_MAX;
  #reckonedMillis = 0;

  constructor(options: ContinuousOptions) {
    const { native, diag, labels, guard, clock, history: limits } = options;
    this.#options = options;
    this.#sampler = new CpuSampler({ native, diag, labels }, intervalMicros(options.hz));
    this.#costs = new CpuCosts(options.ownDirectory);
    this.windows = new CpuWindows({ sampler: this.#sampler, guard, clock, costs: this.#costs, limits });
    this.#own = new OwnCost({ costs: this.#costs, rotationMillis: () => this.windows.rotationMillis });
    this.#governor = new Governor(options.budget.cpu, options.hz);
  }

  /** Samples a second. */
  get hz(): number {
    return Math.round(1e6 / this.#sampler.intervalMicros);
  }

  get restarts(): number {
    return this.#sampler.restarts;
  }

  /** CPU seconds by route, under the empty name those of no route. */
  get cpuSecondsByRoute(): ReadonlyMap<string, number> {
    return this.#costs.byRoute;
  }

  ownCpuSeconds(): OwnCpuSeconds {
    return this.#own.read();
  }

  /** What was sampled in the milliseconds that have just passed, in which the process used that much CPU, for a stall; or why it cannot be told. */
  stretch(durationMillis: number, processCpuMillis: number): Stretch | string {
    const { clock } = this.#options;
    const nowMillis = clock.monotonicMillis();
    const earnedMillis = (nowMillis - this.#reckonedMillis) * STRETCH_TIME_SHARE;
    this.#stretchMillis = Math.min(STRETCH_MILLIS_MAX, this.#stretchMillis + earnedMillis);
    this.#reckonedMillis = nowMillis;
    if (this.#stretchMillis <= 0) return TOO_MANY_STRETCHES;
    const stretch = this.windows.stretch(durationMillis, processCpuMillis);
    this.#stretchMillis -= Math.min(clock.monotonicMillis() - nowMillis, STRETCH_COST_MILLIS_MAX);
    return stretch;
  }

  /** Looks at what the last `seconds` cost and how busy they were; answers whether the rate was changed, which blocks for 10 to 60 ms. */
  govern(seconds: number): boolean {
    const { activeSeconds, sampledSeconds } = this.#costs;
    // Windows may end a little before or after.
    if (sampledSeconds > this.#sampledSeconds) {
      this.#utilization = (activeSeconds - this.#activeSeconds) / (sampledSeconds - this.#sampledSeconds);
    }
    this.#activeSeconds = activeSeconds;
    this.#sampledSeconds = sampledSeconds;
    const ownSeconds = Object.values(this.#own.read()).reduce((sum, part) => sum + part, 0);
    const overheadCpuSeconds = ownSeconds - this.#ownSeconds;
    this.#ownSeconds = ownSeconds;
    const { budget, diag } = this.#options;
    if (this.windows.limitTo(budget.bytes)) {
      diag.warn(
        'profile:memory',
        `profiles of the past are kept for a shorter time: they and what waits to be pushed have reached ${Math.round(budget.bytes / 1_048_576)} MiB`,
      );
    }
    const { hz, isReduced } = this.#governor.decide({ seconds, utilization: this.#utilization, overheadCpuSeconds });
    if (isReduced) {
      diag.warn(
        'profile:governor',
        `Sonde itself needed more than its budget of ${budget.cpu * 100} % of a core; the CPU is sampled at ${hz} Hz from now on, see sonde_overhead_* in /metrics`,
      );
    }
    if (intervalMicros(hz) === this.#sampler.intervalMicros) return false;
    this.windows.changeInterval(intervalMicros(hz));
    return true;
  }
}

function intervalMicros(hz: number): number {
  return Math.round(1e6 / hz);
}
