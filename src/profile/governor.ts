// Decides how often the CPU is sampled, from what profiling costs and from whether there is anything to see. Pure: told
// once in ten seconds, answers a rate. Owned by the engine, which measures and obeys.

/** Rates for who is above the budget: prime to the timers of applications, so that samples do not fall into step with them. */
const REDUCED_HZ: readonly number[] = [49, 19];

/**
 * An idle process pays for being woken: 0.01 to 0.02 % of a core for each sample a second. Going back
 * blocks for 10 to 60 ms, as V8 lists all compiled code again, so it must be idle for long, and busy for good.
 */
const IDLE_HZ = 19;
/** Sonde's own timers and what is sampled of them are a hundredth. */
const IDLE_UTILIZATION_MAX = 0.03;
const IDLE_SECONDS_MIN = 60;
const BUSY_UTILIZATION_MIN = 0.1;

/** Seconds over the budget in a row before anything is done: a service's start is dear. */
const OVER_SECONDS_MIN = 30;

/** What was seen since the last decision. */
export interface Observation {
  readonly seconds: number;
  /** Share of the time that the thread was active, 0 to 1. */
  readonly utilization: number;
  /** CPU seconds that profiling and the rest of Sonde used. */
  readonly overheadCpuSeconds: number;
}

export interface Decision {
  readonly hz: number;
  /** Whether the rate was lowered for good in this decision, because Sonde was above its budget. */
  readonly isReduced: boolean;
}

export class Governor {
  readonly #cpuBudget: number;
  /** What may be chosen, the highest first. */
  readonly #ratesHz: readonly number[];
  #reductions = 0;
  #idleSeconds = 0;
  #overSeconds = 0;

  /** `cpuBudget` is what Sonde may use of one core, 0 to 1; `fullHz` the rate within it. */
  constructor(cpuBudget: number, fullHz: number) {
    this.#cpuBudget = cpuBudget;
    this.#ratesHz = [fullHz, ...REDUCED_HZ.filter((hz) => hz < fullHz)];
  }

  decide(seen: Observation): Decision {
    const isIdle = seen.utilization < IDLE_UTILIZATION_MAX;
    if (isIdle) this.#idleSeconds += seen.seconds;
    // Between the two it stays as it is.
    else if (seen.utilization > BUSY_UTILIZATION_MIN || this.#idleSeconds < IDLE_SECONDS_MIN) this.#idleSeconds = 0;
    const isReduced = this.#reduces(seen);
    return { hz: this.#rate(), isReduced };
  }

  #rate(): number {
    const allowed = this.#ratesHz[this.#reductions] as number;
    return this.#idleSeconds >= IDLE_SECONDS_MIN ? Math.min(IDLE_HZ, allowed) : allowed;
  }

  #reduces({ seconds, overheadCpuSeconds }: Observation): boolean {
    this.#overSeconds = overheadCpuSeconds > this.#cpuBudget * seconds ? this.#overSeconds + seconds : 0;
    if (this.#overSeconds < OVER_SECONDS_MIN || this.#reductions >= this.#ratesHz.length - 1) return false;
    this.#reductions += 1;
    this.#overSeconds = 0;
    return true;
  }
}
