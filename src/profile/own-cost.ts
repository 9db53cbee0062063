// What Sonde itself costs, measured: the CPU time of its own frames in its own profile, of being sampled, of cutting windows, and of
// V8's sampling thread; and the memory that it can count. Read by the governor and by `sonde_overhead_*`. Owned by the engine.
import { readdirSync, readFileSync } from 'node:fs';
import type { CpuCosts } from './cpu-costs.ts';

/** The name that V8 gives the thread which asks for samples. */
const SAMPLING_THREAD = 'v8:ProfEvntProc';

/** What Linux counts a thread's time in; `getconf CLK_TCK` has been 100 everywhere for twenty years. */
const TICKS_PER_SECOND = 100;

/** Seconds of CPU by what they went to; each only grows. */
export interface OwnCpuSeconds {
  /** In Sonde's functions. */
  readonly code: number;
  /** Interrupting the thread to sample it. */
  readonly sampling: number;
  /** Cutting windows of the profile. */
  readonly rotation: number;
  /** V8's sampling thread. */
  readonly samplingThread: number;
}

export interface OwnCostOptions {
  readonly costs: CpuCosts;
  readonly rotationMillis: () => number;
  /** Where Linux tells about the process; a test may name a copy. */
  readonly procDirectory?: string;
}

export class OwnCost {
  readonly #options: OwnCostOptions;
  readonly #tasks: string;
  #thread: string | undefined;
  /** Of sampling threads that have ended: each change of the rate starts another. */
  #endedTicks = 0;
  #ticks = 0;

  constructor(options: OwnCostOptions) {
    this.#options = options;
    this.#tasks = `${options.procDirectory ?? '/proc/self'}/task`;
  }

  /** Takes some 0.1 ms. */
  read(): OwnCpuSeconds {
    const { costs, rotationMillis } = this.#options;
    const rotation = rotationMillis() / 1000;
    return {
      // Rotations are samples of Sonde's functions too.
      code: Math.max(0, costs.ownSeconds - rotation),
      sampling: costs.samplingSeconds,
      rotation,
      samplingThread: this.#samplingThreadSeconds() ?? costs.samplingSeconds,
    };
  }

  /** Undefined where the system does not tell: it costs about what being sampled does. */
  #samplingThreadSeconds(): number | undefined {
    try {
      const ticks = this.#thread === undefined ? undefined : ticksOf(this.#tasks, this.#thread);
      if (ticks !== undefined) this.#ticks = ticks;
      else this.#findThread();
      return (this.#endedTicks + this.#ticks) / TICKS_PER_SECOND;
    } catch {
      return undefined;
    }
  }

  #findThread(): void {
    this.#endedTicks += this.#ticks;
    this.#ticks = 0;
    this.#thread = readdirSync(this.#tasks).find((thread) => read(`${this.#tasks}/${thread}/comm`)?.trim() === SAMPLING_THREAD);
    if (this.#thread !== undefined) this.#ticks = ticksOf(this.#tasks, this.#thread) ?? 0;
  }
}

/** User and system time of a thread: fields 14 and 15 of its stat (proc(5)), counted after the name, which may hold anything. */
function ticksOf(tasks: string, thread: string): number | undefined {
  const fields = read(`${tasks}/${thread}/stat`)?.split(') ').at(-1)?.split(' ');
  const ticks = Number(fields?.[11]) + Number(fields?.[12]);
  return Number.isNaN(ticks) ? undefined : ticks;
}

/** Undefined for a thread that has ended. */
function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
