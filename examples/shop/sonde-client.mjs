// Reads Sonde's endpoints of one service over HTTP, as any client of it would. Called by observer.mjs.
// An answer other than 200 is an error here: the demonstration exists to show these endpoints.

const TIMEOUT_MILLIS = 10_000;

/** Samples of `/metrics` by metric name: `Map<name, { labels: { [name]: value }, value: number }[]>`. */
export async function fetchMetrics(sondeUrl) {
  const response = await get(`${sondeUrl}/metrics`);
  return parseMetrics(await response.text());
}

/** The verdict of `/debug/leaks`: `{ level, findings: [{ kind, level, site: { function, file, line }, ... }] }`. */
export async function fetchLeaks(sondeUrl) {
  const response = await get(`${sondeUrl}/debug/leaks`);
  return response.json();
}

/** The kept traces of `/debug/traces`, each `{ traceId, spans, ... }`. */
export async function fetchTraces(sondeUrl) {
  const response = await get(`${sondeUrl}/debug/traces`);
  return (await response.json()).traces;
}

/** The CPU profile of the last seconds as it is served: gzipped pprof. */
export async function fetchProfile(sondeUrl, lastSeconds) {
  const response = await get(`${sondeUrl}/debug/pprof/profile?last=${lastSeconds}`);
  return Buffer.from(await response.arrayBuffer());
}

async function get(url) {
  const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MILLIS) }).catch((error) => {
    throw new Error(`no answer from ${url}: ${error.cause?.message ?? error.message}`);
  });
  if (response.ok) return response;
  throw new Error(`${url} answered ${response.status}: ${(await response.text()).slice(0, 200)}`);
}

/** Parses the Prometheus text format 0.0.4 as far as Sonde writes it: no timestamps. */
function parseMetrics(text) {
  const metrics = new Map();
  for (const line of text.split('\n')) {
    const sample = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (sample === null) continue;
    const [, name, labelText = '', value] = sample;
    if (!metrics.has(name)) metrics.set(name, []);
    metrics.get(name).push({ labels: parseLabels(labelText), value: Number(value.replace('Inf', 'Infinity')) });
  }
  return metrics;
}

function parseLabels(text) {
  const pairs = text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g);
  const unescape = (value) => value.replace(/\\(.)/g, (_, character) => (character === 'n' ? '\n' : character));
  return Object.fromEntries(Array.from(pairs, ([, name, value]) => [name, unescape(value)]));
}
