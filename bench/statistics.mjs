// The arithmetic of the benchmark: order statistics, and what is made of the slices of one run. Pure.

/** The value below which the share `q` (0 to 1) of the values lies, interpolated between neighbours. */
export function quantile(values, q) {
  if (values.length === 0) throw new RangeError('no values');
  const sorted = values.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const below = sorted[Math.floor(at)];
  return below + (sorted[Math.ceil(at)] - below) * (at - Math.floor(at));
}

export function median(values) {
  return quantile(values, 0.5);
}

/** Median and what lies around it. */
export function spread(values) {
  return {
    median: median(values),
    min: Math.min(...values),
    max: Math.max(...values),
    lowerQuartile: quantile(values, 0.25),
    upperQuartile: quantile(values, 0.75),
  };
}

/** CPU time per request of a run: the lower quartile of its slices, for whatever else the machine does only ever adds. */
export function microsPerRequest(slices) {
  return quantile(
    slices.map(({ cpuMicros, requests }) => cpuMicros / requests),
    0.25,
  );
}

/** A slice in which the server had less of its core measures the load, not the server. */
const SATURATED_SHARE = 0.85;

/** Requests per second where the server was the limit; undefined where it never was. */
export function saturatedRate(slices) {
  const saturated = slices.filter(({ cpuMicros, seconds }) => cpuMicros >= SATURATED_SHARE * seconds * 1e6);
  return saturated.length === 0 ? undefined : median(saturated.map(({ requests, seconds }) => requests / seconds));
}
