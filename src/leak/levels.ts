// From trends to levels: how much of the room to the limit a steady rise has taken, and how long it has lasted, decide
// what it may be called. The faster it kills the sooner it speaks: `suspect` before a tenth of the room is gone, `leak`
// before a quarter. What is slow is judged by time instead. Pure but for the state of one kind.
import { type Forecast, type LeakLevel, severity } from './finding.ts';
import type { Series } from './series.ts';
import { type Reading, type Trend, trendOf } from './trend.ts';

export interface LevelLimits {
  /** The stretch after which a steady rise is a leak whatever its share of the room; other times are parts of it. */
  readonly windowSeconds: number;
  /** What a stretch must gain to be `growing`. */
  readonly minGrowth: number;
}

/** What the rise runs into. */
export interface Room {
  readonly limit: number;
  /** The next reading is expected to be so many times the last: V8 collects a large heap after it has grown up to fourfold. */
  readonly nextFactor: number;
}

export interface Judgement {
  readonly level: Exclude<LeakLevel, 'gone'>;
  /** What the level was found over. */
  readonly trend: Trend | undefined;
}

/** What a rise must come to. */
interface Bar {
  /** Of the room, given another reading comes before a tenth or a quarter of it is gone... */
  readonly share: number;
  /** ...or earlier, from this share on, where the next reading is expected beyond `nextShare`. */
  readonly shareMin: number;
  readonly nextShare: number;
  /** Of the window, after which time alone is enough: 10 minutes, and 24 of the 30 that 1 MB a minute is given. */
  readonly windowShare: number;
  /** Times the least growth that it must have gained: a cache or a pool of a few megabytes fills as evenly... */
  readonly growthFactor: number;
  /** ...or this share of the room, where that is small. */
  readonly growthShare: number;
  /** At least; series.ts leaves none but the first two readings of a stretch with garbage. */
  readonly steps: number;
  /** The same for what leaves much time. */
  readonly lateSteps: number;
}

const SUSPECT: Bar = {
  share: 0.055,
  shareMin: 0.015,
  nextShare: 0.075,
  windowShare: 1 / 3,
  growthFactor: 2,
  growthShare: 0.09,
  steps: 2,
  lateSteps: 3,
};
const LEAK: Bar = {
  share: 0.135,
  shareMin: 0.05,
  nextShare: 0.2,
  windowShare: 0.8,
  growthFactor: 3,
  growthShare: 0.2,
  steps: 3,
  lateSteps: 4,
};

/** Windows from which on there is much time: three hours. */
const LATE_WINDOWS = 6;

/** A day: what takes longer to fill its room may as well be a cache. */
const HORIZON_SECONDS = 86_400;

/** What the ends of a stretch must differ by, of the least growth, for its trend to be looked at. */
const LEAST_SHARE = 0.5;

/** A peak is remembered for so many lengths of the stretch that is judged. */
const PEAK_FACTOR = 4;

/** The highest level that any stretch of the series speaks for; the longest such stretch. */
export function judge(series: Series, room: Room, limits: LevelLimits): Judgement {
  let best: Judgement = { level: 'watching', trend: undefined };
  for (const stretch of series.stretches()) {
    // A trend takes up to 1 ms, and most of what is watched is flat: forty types of resources at each look.
    if ((stretch.at(-1) as Reading).value - (stretch[0] as Reading).value < LEAST_SHARE * limits.minGrowth) continue;
    const trend = trendOf(stretch);
    if (trend === undefined) continue;
    const level = levelOf(trend, { last: series.last as Reading, peak: peakBefore(series, trend) }, room, limits);
    if (severity(level) > severity(best.level)) best = { level, trend };
  }
  return best;
}

/** What the stretch ends with, and the highest that was there not long before it. */
interface Heights {
  readonly last: Reading;
  readonly peak: number;
}

function levelOf(trend: Trend, { last, peak }: Heights, { limit, nextFactor }: Room, limits: LevelLimits): Judgement['level'] {
  const { windowSeconds, minGrowth } = limits;
  // Up to where it was before it may as well be a batch that is let go again.
  const growth = Math.min(trend.growth, last.value - peak);
  if (trend.steps < SUSPECT.steps || !trend.steady || growth < minGrowth || trend.lowPerSecond <= 0) return 'watching';
  if (trend.slowing || trend.followsTraffic) return 'growing';
  const secondsLeft = (limit - last.value) / trend.perSecond;
  if (secondsLeft > HORIZON_SECONDS) return 'growing';
  const room = roomAt(trend.start, limit);
  const share = growth / room;
  const nextShare = nextShareOf(trend, last.value, { limit, nextFactor });
  const isLate = secondsLeft > LATE_WINDOWS * windowSeconds;
  const reaches = (bar: Bar): boolean => {
    if (growth < Math.min(bar.growthFactor * minGrowth, bar.growthShare * room)) return false;
    if (trend.steps < (isLate ? bar.lateSteps : bar.steps)) return false;
    return share >= bar.share || (share >= bar.shareMin && nextShare >= bar.nextShare) || trend.seconds >= bar.windowShare * windowSeconds;
  };
  if (reaches(LEAK)) return 'leak';
  return reaches(SUSPECT) ? 'suspect' : 'growing';
}

/** What a rise will have taken of the room that there was at its start when the next reading comes: 0 to 1, and above. */
export function nextShareOf({ start }: Trend, value: number, { limit, nextFactor }: Room): number {
  return (value * nextFactor - start.value) / roomAt(start, limit);
}

function roomAt({ value }: Reading, limit: number): number {
  return Math.max(limit - value, 1);
}

/** Highest of the readings before a stretch, as far back as it is long times four; its start where there are none. */
function peakBefore(series: Series, { start, seconds }: Trend): number {
  const before = series.readings.filter((reading) => reading.dirty !== true && reading.seconds < start.seconds);
  const recent = before.filter((reading) => start.seconds - reading.seconds <= PEAK_FACTOR * seconds);
  return recent.reduce((peak, { value }) => Math.max(peak, value), start.value);
}

/** When a limit is met at the trend's rate; null where it does not rise. */
export function forecast(trend: Trend | undefined, current: number, limit: number): Forecast | null {
  if (trend === undefined || trend.perSecond <= 0 || !Number.isFinite(limit)) return null;
  const left = Math.max(limit - current, 0);
  return {
    seconds: left / trend.perSecond,
    lowSeconds: left / Math.max(trend.highPerSecond, trend.perSecond),
    highSeconds: trend.lowPerSecond > 0 ? left / trend.lowPerSecond : null,
  };
}

/** A flat stretch takes back what was said when it has lasted this share of the stretch that it was said over... */
const GONE_SECONDS_SHARE = 0.25;
/** ...and gained less than this share of what was to be expected, */
const GONE_GROWTH_SHARE = 0.3;
/** while requests came at this share of their rate at least: a leak sleeps when its traffic does. */
const GONE_TRAFFIC_SHARE = 0.25;

/** The level of one kind over time: it rises at once, and falls only when the rise has ended. */
export class KindLevel {
  #level: LeakLevel = 'watching';
  #trend: Trend | undefined;
  /** The last reading that spoke for the level. */
  #last: Reading | undefined;

  get level(): LeakLevel {
    return this.#level;
  }

  /** What the level was last found over; undefined while nothing grows. */
  get trend(): Trend | undefined {
    return this.#trend;
  }

  /** Takes in what a new reading has been judged. */
  judged(judgement: Judgement, reading: Reading): void {
    if (judgement.level === 'watching') return;
    // A verdict stands until it is taken back, not until a stretch happens to show less.
    if (severity(judgement.level) > severity(this.#level)) this.#level = judgement.level;
    if (severity(judgement.level) >= severity(this.#level) || this.#level === 'leak') {
      this.#trend = judgement.trend;
      this.#last = reading;
    }
  }

  /** Looks whether the rise has ended, at a reading that is an upper bound: garbage may be in it. */
  look(reading: Reading): void {
    const [trend, last] = [this.#trend, this.#last];
    if (trend === undefined || last === undefined) return;
    const seconds = reading.seconds - last.seconds;
    if (seconds < GONE_SECONDS_SHARE * trend.seconds) return;
    if (reading.value - last.value >= GONE_GROWTH_SHARE * trend.perSecond * seconds) return;
    const before = (last.requests - trend.start.requests) / trend.seconds;
    if ((reading.requests - last.requests) / seconds < GONE_TRAFFIC_SHARE * before) return;
    this.#level = this.#level === 'growing' ? 'watching' : 'gone';
    this.#trend = undefined;
    this.#last = undefined;
  }
}
