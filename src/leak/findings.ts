// From evaluations to verdicts: a site that grows in two evaluations far enough apart is a leak, one that no longer
// does in two is gone. Pure but for what it remembers; told by the detector, read by /debug/leaks and the metrics.
import type { Site } from './call-tree.ts';
import type { Growth } from './sites.ts';

/** `watching` nothing found, `suspect` seen once, `leak` confirmed, `gone` a leak that has stopped growing. */
export type LeakLevel = 'watching' | 'suspect' | 'leak' | 'gone';

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
  readonly bytesPerHour: number;
  readonly sinceEpochMillis: number;
  readonly secondsToHeapLimit: number | null;
}

const FINDINGS_MAX = 16;

/** Evaluations that make a suspect a leak, the last at least CONFIRM_EPOCHS after the first. */
const HITS_TO_CONFIRM = 2;
const CONFIRM_EPOCHS = 3;

/** Evaluations in a row without growth that clear a finding. */
const MISSES_TO_CLEAR = 2;

const SEVERITY: readonly LeakLevel[] = ['watching', 'gone', 'suspect', 'leak'];

interface Tracked {
  finding: LeakFinding;
  firstEpoch: number;
  hits: number;
  misses: number;
}

export class Findings {
  readonly #tracked = new Map<string, Tracked>();

  /** Takes in one evaluation of the heap after a collection; returns the findings that it made `leak` or `gone`. */
  update(observations: readonly Observation[], epoch: number): LeakFinding[] {
    const changed: LeakFinding[] = [];
    for (const observation of observations) {
      const finding = this.#hit(observation, epoch);
      if (finding !== undefined) changed.push(finding);
    }
    const seen = new Set(observations.map(({ key }) => key));
    for (const [key, tracked] of this.#tracked) {
      if (seen.has(key)) continue;
      const finding = this.#miss(key, tracked);
      if (finding !== undefined) changed.push(finding);
    }
    return changed;
  }

  isLeak(key: string): boolean {
    return this.#tracked.get(key)?.finding.level === 'leak';
  }

  verdict(): LeakVerdict {
    const findings = [...this.#tracked.values()]
      .map(({ finding }) => finding)
      .toSorted((a, b) => severity(b.level) - severity(a.level) || b.grownBytes - a.grownBytes);
    return { level: findings[0]?.level ?? 'watching', findings };
  }

  #hit(observation: Observation, epoch: number): LeakFinding | undefined {
    const known = this.#tracked.get(observation.key);
    if (!observation.heapRises) {
      if (known !== undefined) known.misses = 0;
      return undefined;
    }
    // One that was gone starts anew: it has to be confirmed again.
    const fresh = known === undefined || known.finding.level === 'gone';
    if (known === undefined && !this.#makeRoom()) return undefined;
    const hits = fresh ? 1 : known.hits + 1;
    const firstEpoch = fresh ? epoch : known.firstEpoch;
    const confirmed = hits >= HITS_TO_CONFIRM && epoch - firstEpoch >= CONFIRM_EPOCHS;
    const level = confirmed || known?.finding.level === 'leak' ? 'leak' : 'suspect';
    const { site, stack, grownBytes, bytesPerHour, secondsToHeapLimit } = observation;
    const sinceEpochMillis = fresh ? observation.sinceEpochMillis : known.finding.sinceEpochMillis;
    const finding = { kind: 'heap', level, site, stack, grownBytes, bytesPerHour, sinceEpochMillis, secondsToHeapLimit } as const;
    this.#tracked.set(observation.key, { finding, firstEpoch, hits, misses: 0 });
    return level === 'leak' && known?.finding.level !== 'leak' ? finding : undefined;
  }

  #miss(key: string, tracked: Tracked): LeakFinding | undefined {
    tracked.misses += 1;
    if (tracked.misses < MISSES_TO_CLEAR || tracked.finding.level === 'gone') return undefined;
    if (tracked.finding.level === 'suspect') {
      this.#tracked.delete(key);
      return undefined;
    }
    tracked.finding = { ...tracked.finding, level: 'gone', secondsToHeapLimit: null };
    return tracked.finding;
  }

  /** Drops the oldest finding that is gone when there are too many; false when all are current. */
  #makeRoom(): boolean {
    if (this.#tracked.size < FINDINGS_MAX) return true;
    const gone = [...this.#tracked].find(([, { finding }]) => finding.level === 'gone');
    return gone !== undefined && this.#tracked.delete(gone[0]);
  }
}

function severity(level: LeakLevel): number {
  return SEVERITY.indexOf(level);
}
