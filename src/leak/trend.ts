// Whether a series rises, and how fast, by statistics that single outliers do not move. Pure; the detector feeds
// it the live heap after major collections, at most some 130 points, so that all pairs (8,000) take below 1 ms.

export interface TrendPoint {
  readonly seconds: number;
  readonly bytes: number;
}

/** One-sided 95 % of the normal distribution. */
const Z_MIN = 1.64;

/** Below this many points Mann-Kendall cannot reach `Z_MIN`, whatever they are. */
const Z_POINTS_MIN = 4;

/** Theil-Sen slope: the median of the slopes between all pairs, in bytes per second; 0 for fewer than two points. */
export function slopeBytesPerSecond(points: readonly TrendPoint[]): number {
  const slopes: number[] = [];
  for (const [i, a] of points.entries()) {
    for (const b of points.slice(i + 1)) {
      if (b.seconds > a.seconds) slopes.push((b.bytes - a.bytes) / (b.seconds - a.seconds));
    }
  }
  if (slopes.length === 0) return 0;
  slopes.sort((a, b) => a - b);
  const middle = slopes.length >> 1;
  const upper = slopes[middle] as number;
  return slopes.length % 2 === 1 ? upper : (upper + (slopes[middle - 1] as number)) / 2;
}

/** Mann-Kendall z: the excess of rising over falling pairs in standard deviations, with continuity correction. */
export function mannKendallZ(points: readonly TrendPoint[]): number {
  const n = points.length;
  let excess = 0;
  for (const [i, a] of points.entries()) {
    for (const b of points.slice(i + 1)) excess += Math.sign(b.bytes - a.bytes);
  }
  if (excess === 0) return 0;
  return (excess - Math.sign(excess)) / Math.sqrt((n * (n - 1) * (2 * n + 5)) / 18);
}

/** Whether the points speak for a rise: significantly from four on, each above the one before below that. */
export function isRising(points: readonly TrendPoint[]): boolean {
  if (points.length >= Z_POINTS_MIN) return mannKendallZ(points) > Z_MIN;
  return points.every((point, i) => i === 0 || point.bytes > (points[i - 1] as TrendPoint).bytes);
}
