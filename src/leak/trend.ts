// Whether a series of readings rises, how fast, and whether it does so steadily, by statistics that single outliers do
// not move. Pure; series.ts feeds it at most some 130 readings, so that all pairs (8,000) take below 1 ms.

/** One reading of what may leak: bytes after a major collection, or how many there are of something. */
export interface Reading {
  /** Since an arbitrary start, of a monotonic clock. */
  readonly seconds: number;
  readonly value: number;
  /** Requests served so far, and those in flight. */
  readonly requests: number;
  readonly active: number;
  /** An upper bound: garbage may be in it. */
  readonly dirty?: boolean;
}

/** A rise in units a second, with its 90 % interval. */
export interface Slope {
  readonly perSecond: number;
  readonly lowPerSecond: number;
  readonly highPerSecond: number;
}

/** What a stretch of readings shows. */
export interface Trend extends Slope {
  /** The first reading of the stretch. */
  readonly start: Reading;
  /** Its length. */
  readonly seconds: number;
  /** By the slope, not by the difference of two readings. */
  readonly growth: number;
  /** Steps between readings, at most eight of about equal length. */
  readonly steps: number;
  /** It rises in every step but for what chance explains, and did so at the end. */
  readonly steady: boolean;
  /** It gained far less at its end than at its start, by time and by request: something fills up. */
  readonly slowing: boolean;
  /** It rises as requests in flight do, which would explain it. */
  readonly followsTraffic: boolean;
}

/** A stretch is judged in so many steps at the most: as many as tell a ramp from a stair. */
export const STEPS_MAX = 8;

/** Two-sided 90 % of the normal distribution. */
const Z = 1.645;

/** A step counts as a rise from this share of the mean rise on; a third of the readings' scatter is below it. */
const STEP_SHARE_MIN = 0.15;

/** Steps that may fail of at least so many. */
const MISSES_PER_STEPS = 4;

/** A step that gains this much of the whole more than its time's part is a load of something, not a rise. */
const BURST_SHARE_MAX = 0.5;

/** The last step must gain this share of what steps gain on average, or something has just stopped. */
const LAST_SHARE_MIN = 0.3;

/**
 * What may be lost after a peak, of what was gained from the first reading to the last: noise. A leak gives nothing back,
 * batches that are let go give back all: of 1,200 simulated ones ten were leaks without this, and four are with it.
 */
const FALL_SHARE_MAX = 0.5;

/** The last third gains below this share of the first third's rate: an exponential that has used up its first time constant. */
const SLOWING_SHARE = 0.5;
const SLOWING_STEPS_MIN = 3;

/** Requests in flight that have grown by so many, and by as large a factor as what is read, are a change of traffic. */
const ACTIVE_MIN = 5;

/** Theil-Sen slope: the median of the slopes between all pairs, with Sen's interval; all 0 for fewer than two readings. */
export function slopeOf(readings: readonly Reading[]): Slope {
  const slopes: number[] = [];
  for (const [i, a] of readings.entries()) {
    for (const b of readings.slice(i + 1)) {
      if (b.seconds > a.seconds) slopes.push((b.value - a.value) / (b.seconds - a.seconds));
    }
  }
  if (slopes.length === 0) return { perSecond: 0, lowPerSecond: 0, highPerSecond: 0 };
  slopes.sort((a, b) => a - b);
  const n = readings.length;
  // Ranks of the interval's ends, as many slopes outside of each: the variance is that of Mann-Kendall's count of rising
  // pairs (Sen 1968). Rounded they are those of the exact distribution for 4 to 10 readings.
  const low = Math.max(0, Math.round((slopes.length - Z * Math.sqrt((n * (n - 1) * (2 * n + 5)) / 18)) / 2) - 1);
  const high = slopes.length - 1 - low;
  return { perSecond: median(slopes), lowPerSecond: slopes[low] as number, highPerSecond: slopes[high] as number };
}

function median(sorted: readonly number[]): number {
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] as number)) / 2;
}

/** What the readings show, oldest first; undefined for fewer than two or no time between them. */
export function trendOf(readings: readonly Reading[]): Trend | undefined {
  const [start, end] = [readings[0], readings.at(-1)];
  if (start === undefined || end === undefined || end.seconds <= start.seconds) return undefined;
  const seconds = end.seconds - start.seconds;
  const marks = spaced(readings, STEPS_MAX, ({ seconds: at }) => at);
  const slope = slopeOf(readings);
  return {
    ...slope,
    start,
    seconds,
    growth: slope.perSecond * seconds,
    steps: marks.length - 1,
    steady: isSteady(steps(marks)) && largestFall(readings) <= FALL_SHARE_MAX * (end.value - start.value),
    slowing: isSlowing(readings),
    followsTraffic: followsTraffic(readings),
  };
}

/** At most so many of the items and one, the first and the last among them, at about equal distances by what `at` tells. */
export function spaced<T>(items: readonly T[], stepsMax: number, at: (item: T) => number): T[] {
  if (items.length <= stepsMax + 1) return [...items];
  const [first, last] = [at(items[0] as T), at(items.at(-1) as T)];
  const chosen: T[] = [items[0] as T];
  for (let i = 1, next = 1; i < items.length - 1; i++) {
    const due = first + ((last - first) * next) / stepsMax;
    if (at(items[i] as T) < due) continue;
    chosen.push(items[i] as T);
    while (next < stepsMax && first + ((last - first) * next) / stepsMax <= at(items[i] as T)) next++;
  }
  return [...chosen, items.at(-1) as T];
}

/** One step of a stretch: what was gained and what a steady rise would have gained in its time. */
export interface Step {
  readonly gained: number;
  readonly expected: number;
}

function steps(marks: readonly Reading[]): Step[] {
  const [start, end] = [marks[0] as Reading, marks.at(-1) as Reading];
  const rate = (end.value - start.value) / (end.seconds - start.seconds);
  return marks.slice(1).map((mark, i) => {
    const before = marks[i] as Reading;
    return { gained: mark.value - before.value, expected: rate * (mark.seconds - before.seconds) };
  });
}

/** Whether every step rises but for one in five, and the last one too; `noise` is what a step may lack by chance. */
export function isSteady(all: readonly Step[], noise = 0): boolean {
  const total = all.reduce((sum, { gained }) => sum + gained, 0);
  if (total <= 0) return false;
  if (all.some(({ gained, expected }) => gained - expected > BURST_SHARE_MAX * total + noise)) return false;
  const misses = all.filter(({ gained, expected }) => gained < STEP_SHARE_MIN * expected - noise).length;
  const last = all.at(-1) as Step;
  return misses <= Math.floor(all.length / (MISSES_PER_STEPS + 1)) && last.gained >= LAST_SHARE_MIN * last.expected - noise;
}

/** From a peak to the lowest reading after it; upper bounds are no peaks, and the first reading of all is one. */
function largestFall(readings: readonly Reading[]): number {
  let [peak, fall] = [-Infinity, 0];
  for (const { value, dirty } of readings.slice(1)) {
    if (dirty === true) continue;
    peak = Math.max(peak, value);
    fall = Math.max(fall, peak - value);
  }
  return fall;
}

/**
 * By time, and also by request where there are any: at night both gain less, and a cache gains less of each request. The
 * first reading may be without what is still young, so only those after collections are compared.
 */
function isSlowing(readings: readonly Reading[]): boolean {
  const clean = readings.filter(({ dirty }) => dirty !== true);
  if (clean.length <= SLOWING_STEPS_MIN) return false;
  const [start, end] = [clean[0] as Reading, clean.at(-1) as Reading];
  const third = (end.seconds - start.seconds) / 3;
  const early = clean.slice(
    0,
    Math.max(
      1,
      clean.findIndex(({ seconds }) => seconds >= start.seconds + third),
    ) + 1,
  );
  const late = clean.slice(
    Math.min(
      clean.length - 2,
      clean.findLastIndex(({ seconds }) => seconds <= end.seconds - third),
    ),
  );
  const slowsBy = (unit: (reading: Reading) => number): boolean => {
    const [first, last] = [rateBy(early, unit), rateBy(late, unit)];
    return first === undefined || last === undefined || last < SLOWING_SHARE * first;
  };
  return slowsBy(({ seconds }) => seconds) && slowsBy(({ requests }) => requests);
}

/** Undefined where there was nothing to divide by. */
function rateBy(marks: readonly Reading[], unit: (reading: Reading) => number): number | undefined {
  const [start, end] = [marks[0] as Reading, marks.at(-1) as Reading];
  const units = unit(end) - unit(start);
  return units > 0 ? (end.value - start.value) / units : undefined;
}

function followsTraffic(readings: readonly Reading[]): boolean {
  const [start, end] = [readings[0] as Reading, readings.at(-1) as Reading];
  if (end.active * start.value < start.active * end.value || end.active < start.active + ACTIVE_MIN) return false;
  // Nine pairs of ten rise or fall together.
  return concordance(readings) > 0.8;
}

/** Kendall's tau between the value and the requests in flight. */
function concordance(readings: readonly Reading[]): number {
  let [sum, pairs] = [0, 0];
  for (const [i, a] of readings.entries()) {
    for (const b of readings.slice(i + 1)) {
      sum += Math.sign(b.value - a.value) * Math.sign(b.active - a.active);
      pairs += 1;
    }
  }
  return pairs === 0 ? 0 : sum / pairs;
}
