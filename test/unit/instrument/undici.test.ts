// fetch and undici 6: every request is measured under its trace, redirects and failures included.
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import * as undici from 'undici';
import { ROOT as ROOT_CONTEXT, runSuppressed, runWith, SPAN_KEY } from '../../../src/core/context.ts';
import { instrumentUndici } from '../../../src/instrument/undici.ts';
import { Harness, Servers } from '../../helpers/harness.ts';

const harness = new Harness();
const servers = new Servers();
const stop = instrumentUndici(harness.clients, harness.guard);
let url: string;
/** Values of each traceparent header that the server got, by request. */
let got: string[][] = [];

beforeAll(async () => {
  url = await servers.listen((req, res) => {
    got.push(req.rawHeaders.filter((_, i, raw) => i % 2 === 1 && raw[i - 1]!.toLowerCase() === 'traceparent'));
    if (req.url === '/redirect') res.writeHead(302, { location: '/end' });
    if (req.url === '/404') res.statusCode = 404;
    if (req.url === '/never') return;
    if (req.url === '/cut') {
      res.writeHead(200, { 'content-length': 100 }).write('part', () => res.destroy());
      return;
    }
    res.end('ok');
  });
});

beforeEach(() => {
  harness.spans.length = 0;
  got = [];
});

afterEach(() => {
  expect(harness.lines).toEqual([]);
});

afterAll(async () => {
  stop();
  await undici.getGlobalDispatcher().close();
  await servers.close();
});

const old = '00-11111111111111111111111111111111-2222222222222222-01';

describe.each([
  { client: 'the built-in fetch', fetch: globalThis.fetch },
  { client: "undici's fetch", fetch: undici.fetch as unknown as typeof globalThis.fetch },
])('$client', ({ fetch }) => {
  it.each<[form: string, call: () => Promise<Response>]>([
    ['a string', () => fetch(`${url}/path?x=1`)],
    ['a URL', () => fetch(new URL(`${url}/path?x=1`))],
    ['headers as an object', () => fetch(`${url}/path?x=1`, { headers: { 'x-own': 'yes' } })],
    ['headers as a list', () => fetch(`${url}/path?x=1`, { headers: [['x-own', 'yes']] })],
    ['a body', () => fetch(`${url}/path?x=1`, { method: 'POST', body: 'hello' })],
    ['a traceparent of its own', () => fetch(`${url}/path?x=1`, { headers: { TraceParent: old } })],
  ])('sends the trace once when it is called with %s', async (_form, call) => {
    const response = await call();
    expect(await response.text()).toBe('ok');
    const [span] = await harness.take(1);
    expect(got).toEqual([[`00-${span!.traceId}-${span!.spanId}-01`]]);
    expect(span!.attributes).toMatchObject({
      'url.full': `${url}/path?x=1`,
      'server.address': '127.0.0.1',
      'server.port': Number(new URL(url).port),
      'http.response.status_code': 200,
      'network.peer.address': '127.0.0.1',
    });
  });

  it('makes two spans of a redirect, in one trace', async () => {
    const server = harness.tracing.startServer({ traceparent: undefined, tracestate: undefined, baggage: undefined });
    await runWith(ROOT_CONTEXT.setValue(SPAN_KEY, server), async () => (await fetch(`${url}/redirect`)).text());
    const spans = await harness.take(2);
    expect(
      spans.map((span) => [span.attributes['http.response.status_code'], span.target, span.traceId, span.parentSpanContext?.spanId]),
    ).toEqual([
      [302, `${url}/redirect`, server.traceId, server.spanId],
      [200, `${url}/end`, server.traceId, server.spanId],
    ]);
  });

  it('has failed from status 400 on', async () => {
    await (await fetch(`${url}/404`)).text();
    const [span] = await harness.take(1);
    expect(span!.status).toEqual({ code: 2 });
    expect(span!.attributes['error.type']).toBe('404');
  });

  it('has failed when nobody listens, and the application gets its own error', async () => {
    const closed = net.createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toMatchObject({
      name: 'TypeError',
      message: 'fetch failed',
      cause: { code: 'ECONNREFUSED' },
    });
    expect((await harness.take(1))[0]!.attributes['error.type']).toBe('ECONNREFUSED');
  });

  it('has failed when it is aborted', async () => {
    const controller = new AbortController();
    const pending = fetch(`${url}/never`, { signal: controller.signal });
    while (got.length === 0) await new Promise(setImmediate);
    controller.abort();
    await expect(pending).rejects.toMatchObject({ name: 'AbortError' });
    expect((await harness.take(1))[0]!.status.code).toBe(2);
  });

  it('has both its status and its error when the body is cut', async () => {
    const response = await fetch(`${url}/cut`);
    await expect(response.text()).rejects.toThrow(TypeError);
    const [span] = await harness.take(1);
    expect(span!.attributes).toMatchObject({ 'http.response.status_code': 200, 'error.type': 'UND_ERR_SOCKET' });
  });

  it('is neither traced nor measured in a suppressed context', async () => {
    const before = harness.called().reduce((sum, { count }) => sum + count, 0);
    await runSuppressed(async () => (await fetch(url)).text());
    expect(harness.called().reduce((sum, { count }) => sum + count, 0)).toBe(before);
    expect(got).toEqual([[]]);
  });

  it('throws the same error for bad arguments, which is not our failure', async () => {
    for (const bad of ['not a url', 'ftp://127.0.0.1/', `${url} x`.replace('127', '12 7')])
      await expect(fetch(bad)).rejects.toThrow(TypeError);
    await expect(fetch(url, { method: 'CONNECT' })).rejects.toThrow(TypeError);
    expect(harness.guard.failures().size).toBe(0);
  });
});

describe('undici itself', () => {
  it.each<[form: string, call: () => Promise<{ body: { text(): Promise<string> } }>]>([
    ['request()', () => undici.request(url)],
    ['request() with an object of headers', () => undici.request(url, { headers: { traceparent: old } })],
    ['request() with a flat list of headers', () => undici.request(url, { headers: ['TraceParent', old] })],
    ['Client', () => new undici.Client(url).request({ method: 'GET', path: '/' })],
    ['Pool', () => new undici.Pool(url).request({ method: 'GET', path: '/' })],
    [
      'a dispatcher with another origin type',
      () => undici.getGlobalDispatcher().request({ origin: new URL(url), method: 'GET', path: '/' }),
    ],
  ])('sends the trace once by %s', async (_form, call) => {
    await (await call()).body.text();
    const [span] = await harness.take(1);
    expect(got).toEqual([[`00-${span!.traceId}-${span!.spanId}-01`]]);
    expect(span!.attributes['url.full']).toBe(`${url}/`);
  });
});
