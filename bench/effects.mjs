// The effect first: a row that records nothing would win. Each check gets what a run has left behind (`run.server`,
// `run.port`, `run.requests` handled in all, `run.sink`, `run.application`, `run.logFile`), throws an Error that names
// both numbers when the effect is not there, and may answer a figure for the record.
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { Profile } from 'pprof-format';
import { CONNECTIONS } from './load.mjs';

/** Batches leave every 2 s (dd-trace) or 5 s (OpenTelemetry, Sonde). */
const ARRIVAL_LIMIT_MILLIS = 8000;

/** What may be missing or doubled: requests that the load broke off, batches under way. */
const TOLERANCE = 0.05;

export function sondeIsSilent({ server }) {
  if (server.stderr !== '') throw new Error(`switched off, and yet it wrote: ${server.stderr}`);
}

export async function sondeCounts(run) {
  await countsAll(`${sondeUrl(run)}/metrics`, /^http_server_request_duration_seconds_count\{[^}]*\} (\d+)$/gm, run);
}

export async function promClientCounts(run) {
  await countsAll(`http://127.0.0.1:${run.port}/metrics`, /^http_request_duration_seconds_count\{[^}]*\} (\d+)$/gm, run);
}

export async function sondeKeepsTraces(run) {
  const { traces } = await (await fetch(`${sondeUrl(run)}/debug/traces`)).json();
  if (traces.length === 0) throw new Error('Sonde kept no trace');
}

export async function sondeProfiles(run) {
  const response = await fetch(`${sondeUrl(run)}/debug/pprof/profile?last=60`);
  const bytes = Buffer.from(await response.arrayBuffer());
  if (!response.ok) throw new Error(`Sonde has no profile: ${response.status} ${bytes.toString()}`);
  requireSamples(bytes);
}

/** `beforeId` is what precedes the id in a line. Only where the application writes lines. */
export function logLinesHaveIds(beforeId) {
  return ({ application, logFile, requests }) => {
    if (!application.hasLog) return;
    const lines = readFileSync(logFile, 'utf8').split('\n').slice(0, -1);
    const ids = new Set(lines.map((line) => idAfter(line, beforeId)));
    if (lines.length < requests - CONNECTIONS || ids.has(undefined) || ids.size < lines.length * (1 - TOLERANCE))
      throw new Error(`${requests} requests, ${lines.length} log lines, ${ids.size} different trace ids; the last line: ${lines.at(-1)}`);
  };
}

export function spansArrive(spansByApplication) {
  return async (run) => {
    const expected = run.requests * spansByApplication[run.application.name];
    const { spans, bytes } = await eventually(run.sink, (counts) => requireAbout('spans', counts.spans, expected));
    return { spansPerRequest: spans / run.requests, pushedBytesPerRequest: bytes / run.requests };
  };
}

export async function tracesArrive(run) {
  const { traces, bytes } = await eventually(run.sink, (counts) => {
    requireAbout('traces', counts.traces, run.requests);
    if (counts.runtimeMetrics === 0) throw new Error('no runtime metrics arrived');
  });
  return { tracesPerRequest: traces / run.requests, pushedBytesPerRequest: bytes / run.requests };
}

export function metricsArrive(namePart) {
  return async ({ sink }) => {
    const { metricNames } = await sink.counts();
    if (!metricNames.some((name) => name.startsWith(namePart)))
      throw new Error(`no metric ${namePart} arrived, but ${metricNames.join(', ') || 'none'}`);
  };
}

export async function profileArrives({ sink }) {
  const { lastProfile } = await sink.counts();
  if (lastProfile === '') throw new Error('no profile arrived');
  requireSamples(Buffer.from(lastProfile, 'base64'));
}

function sondeUrl({ server }) {
  const url = /^sonde \S+ \S+ listening on (\S+)$/m.exec(server.stderr)?.[1];
  if (url === undefined) throw new Error(`Sonde does not listen; stderr: ${server.stderr}`);
  return url;
}

async function countsAll(url, countLine, { requests }) {
  const text = await (await fetch(url)).text();
  const counted = Array.from(text.matchAll(countLine), ([, count]) => Number(count)).reduce((sum, count) => sum + count, 0);
  // Requests that the load broke off when it ended were handled, and count as finished or not, as each row sees it.
  if (counted > requests || counted < requests - CONNECTIONS)
    throw new Error(`${requests} requests were handled, the scrape counts ${counted}`);
}

function idAfter(line, beforeId) {
  const at = line.indexOf(beforeId);
  return at < 0 ? undefined : /^[0-9a-f]+/.exec(line.slice(at + beforeId.length, at + beforeId.length + 40))?.[0];
}

function requireSamples(gzipped) {
  if (Profile.decode(gunzipSync(gzipped)).sample.length === 0) throw new Error('the profile holds no sample');
}

function requireAbout(what, arrived, expected) {
  if (Math.abs(arrived - expected) > expected * TOLERANCE) throw new Error(`${expected} ${what} were expected, ${arrived} arrived`);
}

/** Asks the sink until the check passes; throws what the check threw last when time is up. */
async function eventually(sink, check) {
  const deadline = performance.now() + ARRIVAL_LIMIT_MILLIS;
  for (;;) {
    const counts = await sink.counts();
    try {
      check(counts);
      return counts;
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
