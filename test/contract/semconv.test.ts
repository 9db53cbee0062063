// HTTP spans and metrics against the stable semantic conventions: row by row of their tables, then side by side with
// OpenTelemetry's own instrumentation on the same requests. Each difference is listed below with its reason.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundle, type Bundle } from '../helpers/bundle.ts';
import { ROOT, runToEnd } from '../helpers/process.ts';

const SERVER = 1;
const CLIENT = 2;

interface SpanLine {
  readonly name: string;
  readonly kind: number;
  readonly status: { readonly code: number; readonly message?: string };
  readonly attributes: Readonly<Record<string, unknown>>;
}

/** Spans by kind and path. */
type Spans = ReadonlyMap<string, SpanLine>;

let preload: Bundle;
let sonde: Spans;
let otel: Spans;

async function spansUnder(require: string): Promise<Spans> {
  const { code, stdout, stderr } = await runToEnd({ args: ['--require', require, `${ROOT}/test/fixtures/child/http-requests.cjs`] });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const [first, ...lines] = stdout.trim().split('\n');
  const { port } = JSON.parse(first!) as { port: number };
  const spans = lines.map((line) => JSON.parse(line) as SpanLine);
  return new Map(spans.map((span) => [`${span.kind} ${pathOf(span)}`, { ...span, attributes: settled(span.attributes, port) }]));
}

function pathOf({ attributes }: SpanLine): string {
  const full = attributes['url.full'];
  return typeof full === 'string' ? new URL(full).pathname : String(attributes['url.path']);
}

/** What differs from run to run, made the same. */
function settled(attributes: SpanLine['attributes'], port: number): SpanLine['attributes'] {
  const entries = Object.entries(attributes).map(([key, value]): [string, unknown] => {
    if (value === port) return [key, 'PORT'];
    if (key === 'network.peer.port' && value !== 1) return [key, 'PEER PORT'];
    return [key, typeof value === 'string' ? value.replace(`:${port}`, ':PORT') : value];
  });
  return Object.fromEntries(entries);
}

beforeAll(async () => {
  preload = await bundle(`${ROOT}/test/fixtures/child/observe.ts`);
  [sonde, otel] = [await spansUnder(preload.file), await spansUnder(`${ROOT}/test/fixtures/child/otel-http.cjs`)];
});

afterAll(() => preload?.remove());

const BOTH = {
  'http.request.method': 'GET',
  'network.protocol.version': '1.1',
  'http.response.status_code': 200,
  'network.peer.address': '127.0.0.1',
};
const SERVER_BASE = {
  ...BOTH,
  'url.scheme': 'http',
  'server.address': '127.0.0.1',
  'server.port': 'PORT',
  'client.address': '127.0.0.1',
  'network.peer.port': 'PEER PORT',
};
const CLIENT_BASE = { ...BOTH, 'server.address': '127.0.0.1', 'server.port': 'PORT', 'network.peer.port': 'PORT' };

describe('a server span has the attributes of the conventions:', () => {
  it.each<[path: string, name: string, code: number, own: Record<string, unknown>]>([
    ['/plain', 'GET', 0, {}],
    ['/query', 'GET', 0, { 'url.query': 'x=1&y=%20' }],
    ['/empty-query', 'GET', 0, {}],
    ['/secret', 'GET', 0, { 'url.query': 'sig=REDACTED&Signature=REDACTED&AWSAccessKeyId=REDACTED&X-Goog-Signature=REDACTED&ok=1' }],
    ['/agent', 'GET', 0, { 'user_agent.original': 'test/1.0' }],
    ['/host', 'GET', 0, { 'server.address': 'service.example', 'server.port': 8080 }],
    ['/host-without-port', 'GET', 0, { 'server.address': 'service.example', 'server.port': 80 }],
    ['/host-v6', 'GET', 0, { 'server.address': '::1', 'server.port': 8080 }],
    [
      '/forwarded',
      'GET',
      0,
      { 'server.address': 'public.example', 'server.port': 443, 'url.scheme': 'https', 'client.address': '203.0.113.7' },
    ],
    [
      '/forwarded-rfc7239',
      'GET',
      0,
      { 'server.address': 'other.example', 'server.port': 443, 'url.scheme': 'https', 'client.address': '203.0.113.8' },
    ],
    ['/head', 'HEAD', 0, { 'http.request.method': 'HEAD' }],
    ['/post', 'POST', 0, { 'http.request.method': 'POST' }],
    ['/unknown-method', 'HTTP', 0, { 'http.request.method': '_OTHER', 'http.request.method_original': 'PROPFIND' }],
    ['/204', 'GET', 0, { 'http.response.status_code': 204 }],
    ['/302', 'GET', 0, { 'http.response.status_code': 302 }],
    ['/400', 'GET', 0, { 'http.response.status_code': 400 }],
    ['/499', 'GET', 0, { 'http.response.status_code': 499 }],
    ['/500', 'GET', 2, { 'http.response.status_code': 500, 'error.type': '500' }],
    ['/503', 'GET', 2, { 'http.response.status_code': 503, 'error.type': '503' }],
    ['/abort', 'GET', 0, { 'http.response.status_code': undefined, 'error.type': 'aborted' }],
    ['/silent', 'GET', 0, { 'http.response.status_code': undefined, 'error.type': 'aborted' }],
  ])('%s', (path, name, code, own) => {
    const span = sonde.get(`${SERVER} ${path}`)!;
    // toEqual takes a property of undefined for one that is absent.
    expect(span.attributes).toEqual({ ...SERVER_BASE, 'url.path': path, ...own });
    expect({ name: span.name, status: span.status }).toEqual({ name, status: { code } });
  });
});

describe('a client span has the attributes of the conventions:', () => {
  it.each<[path: string, name: string, code: number, own: Record<string, unknown>]>([
    ['/plain', 'GET', 0, {}],
    ['/query', 'GET', 0, { 'url.full': 'http://127.0.0.1:PORT/query?x=1&y=%20' }],
    [
      '/secret',
      'GET',
      0,
      { 'url.full': 'http://127.0.0.1:PORT/secret?sig=REDACTED&Signature=REDACTED&AWSAccessKeyId=REDACTED&X-Goog-Signature=REDACTED&ok=1' },
    ],
    ['/post', 'POST', 0, { 'http.request.method': 'POST' }],
    ['/unknown-method', 'HTTP', 0, { 'http.request.method': '_OTHER', 'http.request.method_original': 'PROPFIND' }],
    ['/304', 'GET', 0, { 'http.response.status_code': 304 }],
    ['/400', 'GET', 2, { 'http.response.status_code': 400, 'error.type': '400' }],
    ['/404', 'GET', 2, { 'http.response.status_code': 404, 'error.type': '404' }],
    ['/500', 'GET', 2, { 'http.response.status_code': 500, 'error.type': '500' }],
  ])('%s', (path, name, code, own) => {
    const span = sonde.get(`${CLIENT} ${path}`)!;
    expect(span.attributes).toEqual({ ...CLIENT_BASE, 'url.full': `http://127.0.0.1:PORT${path}`, ...own });
    expect({ name: span.name, status: span.status }).toEqual({ name, status: { code } });
  });

  it.each([
    ['/abort', 'ECONNRESET'],
    ['/silent', 'ECONNRESET'],
    ['/refused', 'ECONNREFUSED'],
  ])('%s, with its error and without a status code', (path, errorType) => {
    const { attributes, status } = sonde.get(`${CLIENT} ${path}`)!;
    expect(attributes).toMatchObject({ 'error.type': errorType, 'server.address': '127.0.0.1' });
    expect(attributes).not.toHaveProperty(['http.response.status_code']);
    expect(status.code).toBe(2);
  });
});

/** A difference from OpenTelemetry's instrumentation that is meant. */
interface Difference {
  readonly reason: string;
  readonly kind: number;
  /** Left out: every path. */
  readonly paths?: readonly string[];
  readonly keys: readonly string[];
}

const DIFFERENCES: readonly Difference[] = [
  { reason: 'the query is kept as it was sent, not written anew', kind: SERVER, paths: ['/query'], keys: ['url.query'] },
  { reason: 'the query of a URL is kept as it was sent', kind: CLIENT, paths: ['/query'], keys: ['url.full'] },
  { reason: 'user_agent.original is opt-in on client spans', kind: CLIENT, paths: ['/agent'], keys: ['user_agent.original'] },
  { reason: 'an IPv6 address is an address without brackets', kind: SERVER, paths: ['/host-v6'], keys: ['server.address'] },
  {
    reason: 'url.scheme is the one that the client used, as the proxy says',
    kind: SERVER,
    paths: ['/forwarded', '/forwarded-rfc7239'],
    keys: ['url.scheme'],
  },
  { reason: 'the name of a span with an unknown method is HTTP', kind: SERVER, paths: ['/unknown-method'], keys: ['name'] },
  { reason: 'the name of a client span with an unknown method is HTTP', kind: CLIENT, paths: ['/unknown-method'], keys: ['name'] },
  { reason: 'error.type is there whenever the status is an error', kind: SERVER, paths: ['/500', '/503'], keys: ['error.type'] },
  {
    reason: 'error.type is there whenever the status of a client span is an error',
    kind: CLIENT,
    paths: ['/400', '/404', '/499', '/500', '/503'],
    keys: ['error.type'],
  },
  {
    reason: 'an aborted request is not one that was answered with 200',
    kind: SERVER,
    paths: ['/abort', '/silent'],
    keys: ['error.type', 'http.response.status_code'],
  },
  {
    reason: "error.type is the system's code, not the class that all such errors share",
    kind: CLIENT,
    paths: ['/abort', '/silent', '/refused'],
    keys: ['error.type'],
  },
];

describe('beside @opentelemetry/instrumentation-http', () => {
  it('the same requests have spans', () => {
    expect([...sonde.keys()].toSorted()).toEqual([...otel.keys()].toSorted());
    expect(sonde.size).toBeGreaterThan(50);
  });

  it('every span is the same but for the differences that are meant', () => {
    const unmeant = [...sonde].flatMap(([key, mine]) => differences(key, mine, otel.get(key)!).filter(({ field }) => !isMeant(key, field)));
    expect(unmeant).toEqual([]);
  });

  it.each(DIFFERENCES.map((difference) => [difference.reason, difference] as const))(
    'there still is this difference: %s',
    (_reason, { kind, paths, keys }) => {
      const found = [...sonde].flatMap(([key, mine]) => differences(key, mine, otel.get(key)!).map(({ field }) => `${key} ${field}`));
      for (const path of paths ?? [''])
        for (const key of keys)
          expect(
            found.some((line) => line.startsWith(`${kind} ${path}`) && line.endsWith(` ${key}`)),
            `${path} ${key}`,
          ).toBe(true);
    },
  );
});

interface Differing {
  readonly key: string;
  readonly field: string;
  readonly sonde: unknown;
  readonly otel: unknown;
}

function differences(key: string, mine: SpanLine, theirs: SpanLine): Differing[] {
  const fields = (span: SpanLine): Record<string, unknown> => ({
    name: span.name,
    'status.code': span.status.code,
    'status.message': span.status.message,
    ...span.attributes,
  });
  const [my, their] = [fields(mine), fields(theirs)];
  return [...new Set([...Object.keys(my), ...Object.keys(their)])]
    .filter((field) => my[field] !== their[field])
    .map((field) => ({ key, field, sonde: my[field], otel: their[field] }));
}

function isMeant(key: string, field: string): boolean {
  return DIFFERENCES.some(
    ({ kind, paths, keys }) =>
      keys.includes(field) && (paths === undefined ? key.startsWith(`${kind} `) : paths.some((path) => key === `${kind} ${path}`)),
  );
}
