// A receiver that takes pushes as Pyroscope's documented ingest API does: it reads the query as Pyroscope's parser reads it,
// decodes the pprof with somebody else's decoder, applies the default limits, and names the profile types. Written from the
// rules in Pyroscope's source (api/model/labelset, pkg/og/convert/pprof, pkg/validation), of which no build can be had here.
import type { ServerResponse } from 'node:http';
import { gunzipSync } from 'node:zlib';
import { Profile } from 'pprof-format';
import { startReceiver, type Receiver } from './otlp.ts';

/** Default limits (pkg/validation/limits.go). */
const LIMITS = { bytes: 4 * 1024 * 1024, samples: 16_000, labelNames: 30, labelNameChars: 1024, labelValueChars: 2048, sampleLabels: 100 };

/** Labels of samples that do not become labels of a series. */
const SAMPLE_ONLY: ReadonlySet<string> = new Set(['span_id', 'trace_id', 'profile_id']);

interface Sample {
  /** Innermost first. */
  readonly stack: readonly string[];
  readonly values: readonly number[];
  readonly labels: Readonly<Record<string, string>>;
}

interface Push {
  readonly path: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly query: Readonly<Record<string, string>>;
  /** As the name was parsed, `__name__` the application. */
  readonly labels: Readonly<Record<string, string>>;
  /** `process_cpu`, `wall`, `memory`. */
  readonly name: string;
  /** `process_cpu:cpu:nanoseconds:cpu:nanoseconds` and so on, one for each sample type. */
  readonly types: readonly string[];
  readonly samples: readonly Sample[];
  /** Values of the whole profile, by sample type. */
  readonly totals: Readonly<Record<string, number>>;
  readonly timeNanos: bigint;
  readonly durationNanos: bigint;
  readonly period: number;
  /** The gzipped pprof. */
  readonly body: Buffer;
}

export interface PyroscopeServer {
  /** To be given as the server's address. */
  readonly address: string;
  /** What was accepted. */
  readonly pushes: Push[];
  /** Why requests were refused. */
  readonly refusals: string[];
  readonly receiver: Receiver;
  close(): Promise<void>;
}

/** Starts it; `before` may answer the request with this index itself, by answering true. */
export async function startPyroscope(before: (response: ServerResponse, index: number) => boolean = () => false): Promise<PyroscopeServer> {
  const pushes: Push[] = [];
  const refusals: string[] = [];
  const receiver = await startReceiver((response, index) => {
    if (before(response, index)) return;
    const { request, body } = receiver.requests[index]!;
    try {
      pushes.push(parsePush(request.method!, request.url!, request.headers, body));
      response.end();
    } catch (error) {
      refusals.push((error as Error).message);
      response.writeHead(400, { 'content-type': 'text/plain' }).end((error as Error).message);
    }
  });
  return { address: new URL(receiver.url).origin, pushes, refusals, receiver, close: receiver.close };
}

/** What Pyroscope makes of one request; throws what it would refuse it with. */
function parsePush(method: string, target: string, headers: Push['headers'], body: Buffer): Push {
  const url = new URL(target, 'http://pyroscope');
  const query = Object.fromEntries(url.searchParams);
  if (method !== 'POST' || !url.pathname.endsWith('/ingest')) throw new Error(`${method} ${url.pathname} is not the ingest API`);
  if (query['format'] !== 'pprof') throw new Error(`format: ${query['format']}`);
  const labels = parseName(query['name'] ?? '');
  for (const time of ['from', 'until']) if (!/^\d{10}$/.test(query[time] ?? '')) throw new Error(`${time} is no Unix time in seconds`);
  const raw = gunzipSync(body);
  if (raw.length > LIMITS.bytes) throw new Error(`the profile exceeds the size limit: ${raw.length} bytes`);
  const profile = Profile.decode(raw);
  const { name, types, samples } = readProfile(profile);
  validate(labels, samples);
  const totals = Object.fromEntries(
    types.map((type, column) => [type.split(':')[1]!, samples.reduce((sum, { values }) => sum + values[column]!, 0)]),
  );
  const { timeNanos, durationNanos, period } = profile;
  return {
    path: url.pathname,
    method,
    headers,
    query,
    labels,
    name,
    types,
    samples,
    totals,
    timeNanos: BigInt(timeNanos),
    durationNanos: BigInt(durationNanos),
    period: Number(period),
    body,
  };
}

/** `name{key=value,...}`: no quotes, an end of value at `,` and `}`, spaces around everything cut. */
export function parseName(text: string): Record<string, string> {
  const open = text.indexOf('{');
  const name = (open === -1 ? text : text.slice(0, open)).trim();
  if (name === '') throw new Error('service name is required');
  if (!/^[a-zA-Z0-9_.\-/]+$/.test(name)) throw new Error(`invalid service name: ${name}`);
  const labels: Record<string, string> = { __name__: name };
  let at = open === -1 ? text.length : open + 1;
  while (at < text.length) {
    const equals = text.indexOf('=', at);
    const close = text.indexOf('}', at);
    if (equals === -1 || (close !== -1 && close < equals)) break;
    const key = text.slice(at, equals).trim();
    const end = text.slice(equals + 1).search(/[,}]/);
    if (end === -1) break;
    if (key === '') throw new Error('label name is required');
    if (!/^[a-zA-Z0-9_.]+$/.test(key)) throw new Error(`invalid label name: ${key}`);
    labels[key] = text.slice(equals + 1, equals + 1 + end).trim();
    at = equals + 1 + end + 1;
  }
  return labels;
}

function readProfile(profile: Profile): Pick<Push, 'name' | 'types' | 'samples'> {
  const text = (index: number | bigint): string => profile.stringTable.strings[Number(index)]!;
  if (text(0) !== '') throw new Error('the first string is not empty');
  const sampleTypes = profile.sampleType.map(({ type, unit }) => ({ type: text(type), unit: text(unit) }));
  const name = metricName(sampleTypes.map(({ type }) => type));
  const period = `${text(profile.periodType!.type)}:${text(profile.periodType!.unit)}`;
  const functions = new Map(profile.function.map((fn) => [Number(fn.id), text(fn.name)]));
  const locations = new Map(profile.location.map(({ id, line }) => [Number(id), functions.get(Number(line[0]!.functionId))!]));
  const samples = profile.sample.map(({ locationId, value, label }) => ({
    stack: locationId.map((id) => locations.get(Number(id))!),
    values: value.map(Number),
    labels: Object.fromEntries(label.map(({ key, str }) => [text(key), text(str)])),
  }));
  return { name, types: sampleTypes.map(({ type, unit }) => `${name}:${type}:${unit}:${period}`), samples };
}

/** The order matters: `wall` among the sample types makes the profile `wall`, whatever else is there. */
function metricName(types: readonly string[]): string {
  if (types.includes('wall')) return 'wall';
  // Its table of sample types shows `samples` as `cpu`.
  if (types.some((type) => type.includes('cpu') || type === 'samples')) return 'process_cpu';
  if (types.some((type) => type.includes('alloc_') || type.includes('inuse_'))) return 'memory';
  throw new Error(`no profile type for ${types.join()}`);
}

function validate(labels: Readonly<Record<string, string>>, samples: readonly Sample[]): void {
  if (samples.length > LIMITS.samples) throw new Error(`the profile exceeds the samples limit: ${samples.length}`);
  for (const sample of samples) {
    if (Object.keys(sample.labels).length > LIMITS.sampleLabels) throw new Error('too many labels of a sample');
  }
  const sets = new Set(samples.map((sample) => JSON.stringify(sample.labels)));
  for (const set of sets) {
    const own = Object.entries(JSON.parse(set) as Record<string, string>).filter(([name]) => !SAMPLE_ONLY.has(name));
    // Of its own: service_name, __delta__, pyroscope_spy, __session_id__, __profile_type__, __type__.
    const series = [...Object.entries(labels), ...own];
    if (series.length + 6 > LIMITS.labelNames) throw new Error(`profile series has ${series.length} label names`);
    for (const [label, value] of series) {
      if (!/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(label) || label.length > LIMITS.labelNameChars) throw new Error(`invalid label name '${label}'`);
      if (value.length > LIMITS.labelValueChars) throw new Error('label value too long');
    }
    const names = series.map(([label]) => label);
    if (new Set(names).size !== names.length) throw new Error('duplicate label name');
  }
  for (const { labels: own } of samples) {
    if (own['span_id'] !== undefined && !/^[0-9a-f]{16}$/.test(own['span_id'])) throw new Error('invalid span id');
    if (own['trace_id'] !== undefined && !/^[0-9a-f]{32}$/.test(own['trace_id'])) throw new Error('invalid trace id');
  }
}
