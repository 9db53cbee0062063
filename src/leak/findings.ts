// From evaluations to verdicts: a site that grows in two evaluations far enough apart is a leak, one that no longer
// does in two is gone. Pure but for what it remembers; told by the detector, read by /debug/leaks and the metrics.
import type { Site } from './call-tree.ts';
import type { Growth } from './sites.ts';

/** `watching` nothing found, `suspect` seen once, `leak` confirmed, `gone` a leak that has stopped growing. */
type LeakLevel = 'watching' | 'suspect' | 'leak' | 'gone';

export interface LeakFinding {
  readonly kind: 'heap';
  readonly level: Exclude<LeakLevel, 'watching'>;
  /** The function whose allocations stay alive; `line` is where it starts. */
  readonly site: Site;
  /** The stack that allocated most of it, innermost first. */
  readonly stack: readonly Site[];
  /** Gained over the window that was judged. */
  readonly grownBytes: number;
  readonly bytesPerHour: number;
  /** Start of the window in which the growth was first seen. */
  readonly sinceEpochMillis: number;
  /** Until the live heap meets V8's limit at its present rise, null when it does not rise. */
  readonly secondsToHeapLimit: number | null;
}

export interface LeakVerdict {
  readonly level: LeakLevel;
  /** Worst and largest first, at most sixteen. */
  readonly findings: readonly LeakFinding[];
}

/** One site's growth as one evaluation saw it. */
export interface Observation extends Growth {
  /** Whether the live heap as a whole rose as well; without that nothing new is suspected, but nothing cleared. */
  readonly heapRises: boolean;
  /** Which window it was seen over. */
  readonly window: number;
  readonly bytesPerHour: number;
  readonly sinceEpochMillis: number;
  readonly secondsToHeapLimit: number | null;
}

const FINDINGS_MAX = 16;

/** Evaluations that make a suspect a leak, the last at least CONFIRM_EPOCHS after the first. */
const HITS_TO_CONFIRM = 2;
const CONFIRM_EPOCHS = 3;

/** Evaluations in a row without it that clear a finding. */
const MISSES_TO_CLEAR = 2;

const SEVERITY: readonly LeakLevel[] = ['watching', 'gone', 'suspect', 'leak'];

/** Whether one of these functions has gained anything to speak of over a window, by a laxer measure than to be found. */
export type StillGrows = (keys: readonly string[], window: number) => boolean;

interface Tracked {
  finding: LeakFinding;
  keys: readonly string[];
  window: number;
  firstEpoch: number;
  hits: number;
  misses: number;
}

export class Findings {
  #tracked: Tracked[] = [];

  /**
   * Takes in one evaluation of the heap after a collection; returns the findings that it made `leak` or `gone`. A
   * leak that just misses the measure this time is not gone as long as it still grows.
   */
  update(observations: readonly Observation[], epoch: number, stillGrows: StillGrows): LeakFinding[] {
    const changed: LeakFinding[] = [];
    const seen = new Set<Tracked>();
    for (const observation of observations) {
      const tracked = this.#find(observation.keys) ?? this.#begin(observation, epoch);
      if (tracked === undefined || seen.has(tracked)) continue;
      seen.add(tracked);
      if (observation.heapRises && hit(tracked, observation, epoch)) changed.push(tracked.finding);
      tracked.misses = 0;
    }
    for (const tracked of this.#tracked) {
      if (seen.has(tracked)) continue;
      const leaks = tracked.finding.level === 'leak' && stillGrows(tracked.keys, tracked.window);
      if (!leaks && miss(tracked)) changed.push(tracked.finding);
    }
    this.#tracked = this.#tracked.filter(({ finding, misses }) => finding.level !== 'suspect' || misses < MISSES_TO_CLEAR);
    return changed;
  }

  /** Whether a site goes by one of these keys and is a leak already. */
  isLeak(keys: readonly string[]): boolean {
    return this.#find(keys)?.finding.level === 'leak';
  }

  verdict(): LeakVerdict {
    const findings = this.#tracked
      .map(({ finding }) => finding)
      .toSorted((a, b) => severity(b.level) - severity(a.level) || b.grownBytes - a.grownBytes);
    return { level: findings[0]?.level ?? 'watching', findings };
  }

  #find(keys: readonly string[]): Tracked | undefined {
    return this.#tracked.find((tracked) => tracked.keys.some((key) => keys.includes(key)));
  }

  /** Starts to track a suspect; not when the heap does not rise, nor when there are too many and none is gone. */
  #begin(observation: Observation, epoch: number): Tracked | undefined {
    if (!observation.heapRises) return undefined;
    if (this.#tracked.length >= FINDINGS_MAX) {
      const gone = this.#tracked.findIndex(({ finding }) => finding.level === 'gone');
      if (gone === -1) return undefined;
      this.#tracked.splice(gone, 1);
    }
    const finding = toFinding(observation, 'suspect', observation.sinceEpochMillis);
    const { keys, window } = observation;
    const tracked: Tracked = { finding, keys, window, firstEpoch: epoch, hits: 0, misses: 0 };
    this.#tracked.push(tracked);
    return tracked;
  }
}

/** Counts a positive evaluation; true when it has made the site a leak. */
function hit(tracked: Tracked, observation: Observation, epoch: number): boolean {
  const before = tracked.finding;
  // One that was gone starts anew: it has to be confirmed again.
  const anew = before.level === 'gone';
  tracked.hits = anew ? 1 : tracked.hits + 1;
  if (anew) tracked.firstEpoch = epoch;
  const confirmed = tracked.hits >= HITS_TO_CONFIRM && epoch - tracked.firstEpoch >= CONFIRM_EPOCHS;
  const level = confirmed || before.level === 'leak' ? 'leak' : 'suspect';
  tracked.keys = observation.keys;
  tracked.window = observation.window;
  tracked.finding = toFinding(observation, level, anew ? observation.sinceEpochMillis : before.sinceEpochMillis);
  return level === 'leak' && before.level !== 'leak';
}

/** Counts a negative evaluation; true when a leak is gone by it. */
function miss(tracked: Tracked): boolean {
  tracked.misses += 1;
  if (tracked.misses < MISSES_TO_CLEAR || tracked.finding.level !== 'leak') return false;
  tracked.finding = { ...tracked.finding, level: 'gone', secondsToHeapLimit: null };
  return true;
}

function toFinding(observation: Observation, level: LeakFinding['level'], sinceEpochMillis: number): LeakFinding {
  const { site, stack, grownBytes, bytesPerHour, secondsToHeapLimit } = observation;
  return { kind: 'heap', level, site, stack, grownBytes, bytesPerHour, sinceEpochMillis, secondsToHeapLimit };
}

function severity(level: LeakLevel): number {
  return SEVERITY.indexOf(level);
}
