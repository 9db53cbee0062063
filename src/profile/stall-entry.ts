// A block of the event loop as /debug/stalls and `sonde.stalls` show it: plain data, part of the public types.

/**
 * What held the event loop. `code`: JavaScript, or what it called and waited for. `garbage collection`: for at least half of the
 * time. `not running`: the process was stopped, suspended, starved of CPU or held by a debugger, and without that it would have been no block;
 * no function is to blame.
 * `unknown`: nothing was sampled in it.
 */
export type StallCause = 'code' | 'garbage collection' | 'not running' | 'unknown';

/** A function on the stack that held the loop. */
export interface StallFrame {
  readonly function: string;
  /** A path that can be opened, `node:...`, or empty for what is built into Node or V8. */
  readonly file: string;
  /** Where the function starts, from 1; 0 for none. */
  readonly line: number;
}

/** A block of the event loop: a time in which no timer could run. */
export interface StallEntry {
  /** Exact to about 10 ms, as the duration is. */
  readonly startEpochMillis: number;
  readonly durationMillis: number;
  readonly cause: StallCause;
  /** Why the cause, or the stack, is not known better. */
  readonly reason: string | undefined;
  /** The function of the application to look at first, on the stack; the innermost that is neither Node's nor a dependency's. */
  readonly culprit: StallFrame | undefined;
  /**
   * The innermost first. It goes inwards as long as one function had half of the time of all JavaScript, and at least to the first
   * that is not Node's. With `garbage collection` what ran
   * between the collections, with `not running` where it stood.
   */
  readonly stack: readonly StallFrame[];
  /** How much of the sampled time was spent in `culprit` and what it called, 0 to 1. */
  readonly share: number;
  /** Samples that were taken in it. */
  readonly samples: number;
  /** Template of the route that was served for at least half of the time. */
  readonly route: string | undefined;
  /** Of the request or span that was active for at least half of the time, if it is sampled. */
  readonly traceId: string | undefined;
  readonly spanId: string | undefined;
  /** Different spans that were active; more than one when many short callbacks ran in one turn of the loop. */
  readonly spanCount: number;
  /** Time in garbage collections. */
  readonly gcMillis: number;
  /** CPU time of the thread; undefined where nothing was sampled. */
  readonly cpuMillis: number | undefined;
  /** Time in which the process did not run. */
  readonly notRunningMillis: number;
}
