// Rate, errors, durations and CPU per route, computed from two scrapes of http_server_request_duration_seconds and
// sonde_cpu_seconds_total as a Prometheus query over the same time would. Pure; called by observer.mjs.

const DURATION = 'http_server_request_duration_seconds';
const CPU = 'sonde_cpu_seconds_total';

/**
 * RED by method and route, busiest first, without the routes that nobody asked: `{ method, route, perSecond,
 * errorShare, p50Seconds, p99Seconds, cpuShare }`. An error is an answer of 500 and above. `route` is '' where there is no
 * router. The CPU, of one core, is that of the route with all its methods.
 */
export function redByRoute(before, now, seconds) {
  const routes = new Map();
  const routeOf = ({ labels }) => {
    const { http_request_method: method, http_route: route = '' } = labels;
    const key = `${method} ${route}`;
    if (!routes.has(key)) routes.set(key, { method, route, count: 0, errors: 0, buckets: new Map() });
    return routes.get(key);
  };
  for (const { sample, grown } of growth(before, now, `${DURATION}_count`)) {
    const route = routeOf(sample);
    route.count += grown;
    if (Number(sample.labels.http_response_status_code) >= 500) route.errors += grown;
  }
  for (const { sample, grown } of growth(before, now, `${DURATION}_bucket`)) {
    const { buckets } = routeOf(sample);
    const bound = Number(sample.labels.le.replace('Inf', 'Infinity'));
    buckets.set(bound, (buckets.get(bound) ?? 0) + grown);
  }
  const cpuSeconds = new Map(growth(before, now, CPU).map(({ sample, grown }) => [sample.labels.http_route ?? '', grown]));
  return Array.from(routes.values())
    .filter(({ count }) => count > 0)
    .map(({ method, route, count, errors, buckets }) => ({
      method,
      route,
      perSecond: count / seconds,
      errorShare: errors / count,
      p50Seconds: quantile(buckets, 0.5),
      p99Seconds: quantile(buckets, 0.99),
      cpuShare: route === '' ? undefined : (cpuSeconds.get(route) ?? 0) / seconds,
    }))
    .toSorted((a, b) => b.perSecond - a.perSecond);
}

/** How much each sample of a metric has grown; one that was not there before has grown from 0. */
function growth(before, now, name) {
  const key = ({ labels }) => JSON.stringify(labels);
  const old = new Map((before.get(name) ?? []).map((sample) => [key(sample), sample.value]));
  return (now.get(name) ?? []).map((sample) => ({ sample, grown: sample.value - (old.get(key(sample)) ?? 0) }));
}

/** Prometheus' histogram_quantile: linear within the bucket; the highest finite bound when it falls beyond that. */
function quantile(cumulativeByBound, q) {
  const buckets = Array.from(cumulativeByBound).toSorted(([a], [b]) => a - b);
  const rank = q * buckets.at(-1)[1];
  let [lowerBound, lowerCount] = [0, 0];
  for (const [bound, count] of buckets) {
    if (count >= rank && count > lowerCount) {
      if (bound === Infinity) return lowerBound;
      return lowerBound + ((bound - lowerBound) * (rank - lowerCount)) / (count - lowerCount);
    }
    [lowerBound, lowerCount] = [bound, count];
  }
  return lowerBound;
}
