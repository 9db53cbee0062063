// From levels and names to findings: one for each site that grows, for as long as it does, and what has changed. Pure but
// for what it remembers; told by the detector.
import type { Forecast, LeakFinding, LeakKind, LeakLeaf, LeakLevel } from './finding.ts';
import { severity } from './finding.ts';
import { ANONYMOUS, keyOf, type Site } from './site.ts';
import type { Trend } from './trend.ts';

/** What grows, as far as it could be named. */
export interface Named {
  /** What the site goes by, in any reading; the first is its name. */
  readonly keys: readonly string[];
  readonly site: Site | null;
  /** The function whose name that is: another one where the site is a nameless callback. */
  readonly namer?: Site | undefined;
  /** The site has no name of its own. */
  readonly isNameless?: boolean;
  readonly stack: readonly Site[];
  readonly leaves: readonly LeakLeaf[];
  readonly className: string | null;
  readonly note: string;
  readonly share: number;
  /** It grew over the stretch, but no longer at its end. */
  readonly stopped: boolean;
  /** It is modules that are loaded. */
  readonly isLoading?: boolean;
  readonly route: string | null;
}

/** One thing that grows, in one evaluation. */
export interface Observation {
  readonly kind: LeakKind;
  readonly resourceType: string | null;
  readonly level: Exclude<LeakLevel, 'gone' | 'watching'>;
  /** There is time yet to wait for a name before it is called a leak. */
  readonly mayWait: boolean;
  readonly trend: Trend;
  readonly names: readonly Named[];
  readonly heapLimit: Forecast | null;
  readonly containerLimit: Forecast | null;
  readonly sinceEpochMillis: number;
  readonly nowEpochMillis: number;
}

/** Sites of all kinds; what is gone goes first. */
const FINDINGS_MAX = 16;

/** Names that a finding goes by as V8 inlines and the application is compiled anew. */
const KEYS_MAX = 8;

/** Evaluations in a row without it that end a finding while something else of its kind goes on growing. */
const MISSES_MAX = 3;

/**
 * What the shares of two names come to, over the time that both have grown in, from which on they are two names of one
 * growth: beyond the whole by as much as shares of few samples may be off.
 */
const SAME_GROWTH_SHARE = 1.25;

/** Evaluations for which a leak waits for its name: a verdict without one helps nobody, and samples are few at first. */
const WAITS_MAX = 2;

interface Tracked {
  finding: LeakFinding;
  keys: readonly string[];
  seenEpochMillis: number;
  misses: number;
  waits: number;
}

export class Findings {
  #tracked: Tracked[] = [];

  /** Worst and largest first. */
  list(): readonly LeakFinding[] {
    return this.#tracked
      .map(({ finding }) => finding)
      .toSorted((a, b) => severity(b.level) - severity(a.level) || b.grownBytes - a.grownBytes || b.grownCount - a.grownCount);
  }

  /** Takes in one evaluation of something that grows; answers the findings that are new or have changed their level. */
  update(observation: Observation): LeakFinding[] {
    const changed: Tracked[] = [];
    const seen = new Set<Tracked>();
    for (const found of this.#namesOf(observation)) {
      const known = this.#find(observation, found);
      if (known !== undefined && seen.has(known)) continue;
      const named = known === undefined ? found : withKnownName(known.finding, found);
      const tracked = known ?? this.#begin(observation, named);
      if (tracked === undefined) break;
      seen.add(tracked);
      const isNew = known === undefined || (named === found && named.site !== null && !isNamed(known, named));
      if (refresh(tracked, observation, named, isNew)) changed.push(tracked);
    }
    // What has a name keeps it where none is found this time, and rises with its kind all the same.
    if (seen.size === 0) changed.push(...this.#raise(observation));
    const missed = seen.size === 0 ? [] : this.#tracked.filter((tracked) => isOf(tracked.finding, observation) && !seen.has(tracked));
    for (const tracked of missed) {
      tracked.misses += 1;
      if (tracked.misses >= MISSES_MAX && this.#end(tracked, observation.nowEpochMillis)) changed.push(tracked);
    }
    return changed.map(({ finding }) => finding);
  }

  /** What it was has stopped growing; answers the findings that this has withdrawn. */
  ended(subject: Pick<LeakFinding, 'kind' | 'resourceType'>, nowEpochMillis: number): LeakFinding[] {
    const ended = this.#tracked.filter(({ finding }) => isOf(finding, subject));
    return ended.filter((tracked) => this.#end(tracked, nowEpochMillis)).map(({ finding }) => finding);
  }

  /** What had a name keeps it where none is found this time. */
  #namesOf(observation: Observation): readonly Named[] {
    const hasName = this.#tracked.some(({ finding }) => isOf(finding, observation) && finding.site !== null && finding.level !== 'gone');
    return hasName ? observation.names.filter(({ site }) => site !== null) : observation.names;
  }

  /** One that had no name yet takes the first, and one that is seen no more that which its growth is seen under. */
  #find(observation: Observation, named: Named): Tracked | undefined {
    const own = this.#tracked.filter(({ finding }) => isOf(finding, observation));
    const isUnseen = (tracked: Tracked): boolean => !observation.names.some((other) => isNamed(tracked, other));
    return (
      own.find((tracked) => isNamed(tracked, named)) ??
      own.find(({ finding }) => finding.site === null) ??
      own.find((tracked) => tracked.finding.level !== 'gone' && isUnseen(tracked) && isSameGrowth(tracked, observation, named))
    );
  }

  /** The largest of what was known, if the level is higher now. */
  #raise({ kind, resourceType, level, nowEpochMillis }: Observation): Tracked[] {
    const known = this.#tracked.filter(({ finding }) => isOf(finding, { kind, resourceType }) && finding.level !== 'gone');
    const [largest] = known.toSorted((a, b) => b.finding.share - a.finding.share);
    if (largest === undefined || severity(level) <= severity(largest.finding.level)) return [];
    largest.finding = { ...largest.finding, level, levelEpochMillis: nowEpochMillis };
    return [largest];
  }

  /** Undefined when there are too many and none is gone. */
  #begin(observation: Observation, named: Named): Tracked | undefined {
    if (this.#tracked.length >= FINDINGS_MAX) {
      const gone = this.#tracked.findIndex(({ finding }) => finding.level === 'gone');
      if (gone === -1) return undefined;
      this.#tracked.splice(gone, 1);
    }
    const tracked: Tracked = {
      finding: toFinding(observation, named, 'growing'),
      keys: named.keys,
      seenEpochMillis: 0,
      misses: 0,
      waits: 0,
    };
    this.#tracked.push(tracked);
    return tracked;
  }

  /** True when that is a change to tell; what only grew is forgotten. */
  #end(tracked: Tracked, levelEpochMillis: number): boolean {
    const { finding } = tracked;
    if (finding.level === 'gone') return false;
    if (finding.level === 'growing') {
      this.#tracked = this.#tracked.filter((other) => other !== tracked);
      return false;
    }
    tracked.waits = 0;
    tracked.finding = {
      ...finding,
      level: 'gone',
      levelEpochMillis,
      bytesPerHour: 0,
      countPerHour: 0,
      heapLimit: null,
      containerLimit: null,
    };
    return true;
  }
}

/** Once V8 has inlined a function its allocations are its caller's: a name that is its own is the better one. */
function withKnownName({ site, stack, leaves, className, note }: LeakFinding, named: Named): Named {
  if (site === null || named.site === null || site.function === ANONYMOUS) return named;
  const key = keyOf(named.site);
  const isCaller = keyOf(site) !== key && stack.some((frame) => keyOf(frame) === key);
  return isCaller ? { ...named, site, stack, leaves, className, note } : named;
}

/** Brings a finding up to date; true when its level is another than before. */
function refresh(tracked: Tracked, observation: Observation, named: Named, isNew: boolean): boolean {
  const before = tracked.finding;
  const isWaiting = observation.level === 'leak' && named.site === null && observation.mayWait && tracked.waits++ < WAITS_MAX;
  const now = isWaiting ? 'suspect' : observation.level;
  const level = levelOf(before.level, named.stopped || named.isLoading === true ? 'growing' : now);
  const isChange = isNew || level !== before.level;
  const finding = toFinding(observation, named, level);
  tracked.finding = {
    ...finding,
    route: finding.route ?? before.route,
    levelEpochMillis: isChange ? finding.levelEpochMillis : before.levelEpochMillis,
  };
  tracked.keys = [...new Set([...named.keys, ...tracked.keys])].slice(0, KEYS_MAX);
  tracked.seenEpochMillis = observation.nowEpochMillis;
  tracked.misses = 0;
  return isChange;
}

function isNamed({ keys }: Tracked, named: Named): boolean {
  return keys.some((key) => named.keys.includes(key));
}

function isSameGrowth({ finding, seenEpochMillis }: Tracked, observation: Observation, { share }: Named): boolean {
  const { sinceEpochMillis, nowEpochMillis } = observation;
  const bothShare = (seenEpochMillis - sinceEpochMillis) / (nowEpochMillis - sinceEpochMillis);
  return share + finding.share * Math.min(bothShare, 1) >= SAME_GROWTH_SHARE;
}

/** A level rises and does not fall but to gone; from there it begins anew. */
function levelOf(before: LeakFinding['level'], now: Observation['level']): LeakFinding['level'] {
  return before === 'gone' || severity(now) > severity(before) ? now : before;
}

function toFinding(observation: Observation, named: Named, level: LeakFinding['level']): LeakFinding {
  const { kind, resourceType, trend, heapLimit, containerLimit, sinceEpochMillis, nowEpochMillis } = observation;
  const { site, note, stack, leaves, className, route, share } = named;
  const [grown, perHour] = [share * trend.growth, share * trend.perSecond * 3600];
  const isCount = kind === 'resources';
  return {
    kind,
    level,
    resourceType,
    site,
    note,
    stack,
    leaves,
    className,
    route,
    grownBytes: isCount ? 0 : grown,
    bytesPerHour: isCount ? 0 : perHour,
    grownCount: isCount ? grown : 0,
    countPerHour: isCount ? perHour : 0,
    share,
    sinceEpochMillis,
    levelEpochMillis: nowEpochMillis,
    heapLimit,
    containerLimit,
  };
}

function isOf(finding: Pick<LeakFinding, 'kind' | 'resourceType'>, subject: Pick<LeakFinding, 'kind' | 'resourceType'>): boolean {
  return finding.kind === subject.kind && finding.resourceType === subject.resourceType;
}
