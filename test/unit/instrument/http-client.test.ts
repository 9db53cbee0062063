// node:http and node:https as a client: every way to call them is measured and carries its trace, and none of them
// behaves differently from Node's own, errors included.
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ROOT as ROOT_CONTEXT, runSuppressed, runWith, SPAN_KEY } from '../../../src/core/context.ts';
import { instrumentHttpClient } from '../../../src/instrument/http-client.ts';
import { Harness, Servers } from '../../helpers/harness.ts';
import { bundle, type Bundle } from '../../helpers/bundle.ts';
import { runToEnd, ROOT } from '../../helpers/process.ts';
import { CERTIFICATE, KEY } from '../../fixtures/child/certificate.ts';

const original = { httpRequest: http.request, httpGet: http.get, httpsRequest: https.request, httpsGet: https.get };
const harness = new Harness();
const servers = new Servers();
let restore: () => void;
let url: string;
/** Headers of the last request that the server got. */
let got: http.IncomingHttpHeaders & { readonly raw?: string[] };

beforeAll(async () => {
  url = await servers.listen((req, res) => {
    got = { ...req.headers, raw: req.rawHeaders };
    if (req.url === '/500') res.statusCode = 500;
    if (req.url === '/404') res.statusCode = 404;
    res.end('ok');
  });
  restore = instrumentHttpClient(harness.clients, harness.guard);
});

beforeEach(() => {
  harness.spans.length = 0;
});

afterEach(() => {
  expect(harness.lines).toEqual([]);
  expect(harness.guard.failures().size).toBe(0);
});

afterAll(async () => {
  restore();
  await servers.close();
  expect({ httpRequest: http.request, httpGet: http.get, httpsRequest: https.request, httpsGet: https.get }).toEqual(original);
});

function responded(request: http.ClientRequest): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('error', reject);
    request.once('response', (res) => {
      res.resume();
      res.once('end', () => resolve(res));
    });
  });
}

function traceparents(): string[] {
  return (got.raw ?? []).filter((_, i, raw) => i % 2 === 1 && raw[i - 1]!.toLowerCase() === 'traceparent');
}

describe('the headers of a trace are sent once', () => {
  const at = (): URL => new URL(`${url}/path?x=1`);
  const parts = (): http.RequestOptions => ({ hostname: at().hostname, port: at().port, path: '/path?x=1' });
  const old = '00-11111111111111111111111111111111-2222222222222222-01';
  const flat = (): string[] => ['Host', at().host, 'X-Own', 'yes'];

  it.each<[form: string, call: () => http.ClientRequest]>([
    ['get(string)', () => http.get(at().href)],
    ['get(URL)', () => http.get(at())],
    ['get(options)', () => http.get(parts())],
    ['get(string, options)', () => http.get(at().href, { headers: { 'x-own': 'yes' } })],
    ['get(URL, options, callback)', () => http.get(at(), {}, () => {})],
    ['get(string, callback)', () => http.get(at().href, () => {})],
    ['get(options, callback)', () => http.get(parts(), () => {})],
    ['get(string, undefined, callback)', () => http.get(at().href, undefined as never, () => {})],
    ['request(string)', () => http.request(at().href).end()],
    ['request(options) with a body', () => http.request({ ...parts(), method: 'POST' }).end('body')],
    ['request(options without a prototype)', () => http.request(Object.assign(Object.create(null) as object, parts())).end()],
    ['request(url, frozen options)', () => http.request(at(), Object.freeze({ headers: Object.freeze({ 'x-own': 'yes' }) })).end()],
    ['request with flat header list', () => http.request(at(), { headers: flat() }).end()],
    [
      'request with a header list of pairs',
      () =>
        http
          .request(at(), {
            headers: [
              ['Host', at().host],
              ['X-Own', 'yes'],
            ] as never,
          })
          .end(),
    ],
    ['request with Expect', () => http.request(at(), { method: 'POST', headers: { Expect: '100-continue' } }).end('body')],
    ['request with a traceparent of its own', () => http.request(at(), { headers: { TraceParent: old } }).end()],
    ['request with a traceparent in a flat list', () => http.request(at(), { headers: [...flat(), 'TraceParent', old] }).end()],
    [
      'request with a traceparent in a list of pairs',
      () =>
        http
          .request(at(), {
            headers: [
              ['Host', at().host],
              ['TraceParent', old],
            ] as never,
          })
          .end(),
    ],
    [
      'request with a traceparent beside Expect',
      () => http.request(at(), { method: 'POST', headers: { Expect: '100-continue', TraceParent: old } }).end('b'),
    ],
  ])('by %s', async (_form, call) => {
    const request = call();
    expect(request).toBeInstanceOf(http.ClientRequest);
    await responded(request);
    const [span] = await harness.take(1);
    expect(traceparents()).toEqual([`00-${span!.traceId}-${span!.spanId}-01`]);
    expect(span!.attributes).toMatchObject({
      'url.full': `${url}/path?x=1`,
      'http.response.status_code': 200,
      'server.port': Number(at().port),
    });
  });

  it('to the port of the connection where the application has written another host', async () => {
    await responded(http.get(at(), { headers: { Host: 'api.internal' } }));
    const [span] = await harness.take(1);
    expect(span!.attributes).toMatchObject({
      'url.full': `${url}/path?x=1`,
      'server.address': '127.0.0.1',
      'server.port': Number(at().port),
    });
  });

  it('to the default port of the agent, which Node leaves out of the host', async () => {
    const agent = Object.assign(new http.Agent(), { defaultPort: Number(at().port) });
    await responded(http.get({ hostname: at().hostname, path: '/path?x=1', agent }));
    const [span] = await harness.take(1);
    expect(span!.attributes).toMatchObject({ 'url.full': `${url}/path?x=1`, 'server.port': Number(at().port) });
  });

  it('without touching what the application passed', async () => {
    const headers = { expect: '100-continue' };
    const options = { method: 'POST', headers };
    await responded(http.request(url, options).end('x'));
    expect(options).toEqual({ method: 'POST', headers: { expect: '100-continue' } });
    expect(headers).toEqual({ expect: '100-continue' });
  });

  it('with the tracestate and the baggage of what is active', async () => {
    const server = harness.tracing.startServer({
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      tracestate: 'a=1,b=2',
      baggage: 'user=Am%C3%A9lie;p=1',
    });
    await runWith(ROOT_CONTEXT.setValue(SPAN_KEY, server), () => responded(http.get(url)));
    expect(got).toMatchObject({ tracestate: 'a=1,b=2' });
    const [span] = await harness.take(1);
    expect(span).toMatchObject({ traceId: server.traceId });
    expect(span!.parentSpanContext?.spanId).toBe(server.spanId);
  });
});

describe('https', () => {
  it('is traced and verified as without Sonde', async () => {
    const secure = https.createServer({ key: KEY, cert: CERTIFICATE }, (req, res) => {
      got = { ...req.headers, raw: req.rawHeaders };
      res.end('ok');
    });
    secure.listen(0, '127.0.0.1');
    await once(secure, 'listening');
    const { port } = secure.address() as AddressInfo;
    await responded(
      https.get(`https://localhost:${port}/s`, {
        ca: CERTIFICATE,
        lookup: (_h, _o, done) => done(null, [{ address: '127.0.0.1', family: 4 }] as never),
      }),
    );
    await expect(responded(https.get(`https://127.0.0.1:${port}/s`))).rejects.toMatchObject({ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
    const [ok, refused] = await harness.take(2);
    expect(ok!.attributes).toMatchObject({
      'url.full': `https://localhost:${port}/s`,
      'server.port': port,
      'http.response.status_code': 200,
    });
    expect(traceparents()).toEqual([`00-${ok!.traceId}-${ok!.spanId}-01`]);
    expect(refused!.attributes).toMatchObject({ 'error.type': 'DEPTH_ZERO_SELF_SIGNED_CERT' });
    secure.closeAllConnections();
    secure.close();
  });
});

describe('a request that fails', () => {
  it('is an error with its status from 400 on, and without an exception', async () => {
    for (const path of ['/404', '/500']) {
      await responded(http.get(url + path));
      const [span] = await harness.take(1);
      expect(span!.status).toEqual({ code: 2 });
      expect(span!.attributes['error.type']).toBe(path.slice(1));
      expect(span!.events).toEqual([]);
    }
  });

  it('because nobody listens has the code of the system', async () => {
    const closed = net.createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    await expect(responded(http.get(`http://127.0.0.1:${port}/`))).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    const [span] = await harness.take(1);
    expect(span!.attributes['error.type']).toBe('ECONNREFUSED');
    expect(span!.status).toMatchObject({ code: 2, message: `connect ECONNREFUSED 127.0.0.1:${port}` });
    expect(span!.events.map(({ name }) => name)).toEqual(['exception']);
  });

  it('has the port that refused it, whatever host the application has written', async () => {
    await responded(http.get('http://127.0.0.1:1/', { headers: { Host: 'api.internal' } })).catch(() => {});
    const [span] = await harness.take(1);
    expect(span!.attributes).toMatchObject({ 'url.full': 'http://127.0.0.1:1/', 'server.port': 1, 'error.type': 'ECONNREFUSED' });
  });

  describe('with a server that does not answer', () => {
    let silent: net.Server;
    let at: string;
    let bytes = '';
    const connections: net.Socket[] = [];

    beforeAll(async () => {
      silent = net.createServer((socket) => {
        socket.on('error', () => {});
        socket.on('data', () => {
          if (bytes !== '') socket.write(bytes);
        });
        connections.push(socket);
      });
      silent.listen(0, '127.0.0.1');
      await once(silent, 'listening');
      at = `http://127.0.0.1:${(silent.address() as AddressInfo).port}/`;
    });

    afterAll(() => void silent.close());

    it('is aborted by destroy()', async () => {
      const request = http.get(at);
      request.once('socket', () => request.destroy());
      await expect(responded(request)).rejects.toMatchObject({ code: 'ECONNRESET' });
      const [span] = await harness.take(1);
      expect(span!.status.code).toBe(2);
    });

    it('is aborted by an AbortSignal', async () => {
      const controller = new AbortController();
      const request = http.get(at, { signal: controller.signal });
      request.once('socket', () => controller.abort());
      await expect(responded(request)).rejects.toMatchObject({ name: 'AbortError' });
      expect((await harness.take(1))[0]!.attributes['error.type']).toBe('ABORT_ERR');
    });

    it('ends when the application ends it on timeout', async () => {
      const request = http.get(at, { timeout: 5 });
      request.once('timeout', () => request.destroy(new RangeError('too slow')));
      await expect(responded(request)).rejects.toThrow('too slow');
      expect((await harness.take(1))[0]!.attributes['error.type']).toBe('RangeError');
    });

    it.each([
      ['reset', (socket: net.Socket) => socket.resetAndDestroy(), 'ECONNRESET'],
      ['closed', (socket: net.Socket) => socket.end(), 'aborted'],
    ])('has both its status and its error when the connection is %s in the middle of the body', async (_how, stop, errorType) => {
      bytes = 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart';
      const request = http.get(at).on('error', () => {});
      const [res] = (await once(request, 'response')) as [http.IncomingMessage];
      stop(connections.at(-1)!);
      await expect(once(res.resume(), 'end')).rejects.toMatchObject({ code: 'ECONNRESET' });
      const [span] = await harness.take(1);
      expect(span!.attributes).toMatchObject({ 'http.response.status_code': 200, 'error.type': errorType });
      expect(span!.status.code).toBe(2);
    });
  });

  it('because of bad arguments throws the same error as without Sonde, and is not our failure', () => {
    const bad: unknown[][] = [
      ['not a url'],
      [''],
      ['http://'],
      ['ftp://127.0.0.1/'],
      [{ hostname: 5 }],
      [{ host: {} }],
      [{ method: 5 }],
      [{ method: 'NOT ALLOWED' }],
      [{ path: '/with space' }],
      [{ protocol: 'https:' }],
      [{ protocol: 5 }],
      [{ port: 70_000 }],
      [{ headers: { 'bad header': 'x' } }],
      [{ headers: { x: 'bad\nvalue' } }],
      [{ headers: ['odd'] }],
      [{ agent: 'none' }],
      [{ insecureHTTPParser: 'x' }],
      [url, 5],
      [null],
    ];
    const thrown = (call: (...args: never[]) => http.ClientRequest, args: unknown[]): unknown => {
      try {
        const request = call(...(args as never[]));
        request.on('error', () => {}).destroy();
        return 'nothing';
      } catch (error) {
        const { name, message, code } = error as NodeJS.ErrnoException;
        return { name, message, code };
      }
    };
    for (const args of bad) {
      expect(thrown(http.request, args), JSON.stringify(args)).toEqual(thrown(original.httpRequest, args));
      expect(thrown(http.get, args), JSON.stringify(args)).toEqual(thrown(original.httpGet, args));
      expect(thrown(https.request, args), JSON.stringify(args)).toEqual(thrown(original.httpsRequest, args));
    }
  });
});

describe('the application cannot tell:', () => {
  it('names and numbers of parameters are the same', () => {
    for (const [mine, nodes] of [
      [http.request, original.httpRequest],
      [http.get, original.httpGet],
      [https.request, original.httpsRequest],
      [https.get, original.httpsGet],
    ] as const) {
      expect([mine.name, mine.length]).toEqual([nodes.name, nodes.length]);
    }
  });

  it('a request has no listener of ours but one for close', async () => {
    const plain = runSuppressed(() => http.get(url));
    const mine = http.get(url);
    const listeners = (request: http.ClientRequest): Record<string, number> =>
      Object.fromEntries(request.eventNames().map((name) => [String(name), request.listenerCount(name)]));
    expect(listeners(mine)).toEqual({ ...listeners(plain), close: (listeners(plain)['close'] ?? 0) + 1 });
    await Promise.all([responded(plain), responded(mine)]);
    await harness.take(1);
  });

  it('a response that nobody listens for is drained, and its request measured', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    for (let i = 0; i < 3; i++) http.get(url, { agent });
    await harness.take(3);
    agent.destroy();
  });

  it('a kept-alive connection carries one trace a request', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const seen = new Set<string>();
    for (let i = 0; i < 3; i++) {
      await responded(http.get(url, { agent }));
      seen.add(traceparents()[0]!);
    }
    agent.destroy();
    await harness.take(3);
    expect(seen.size).toBe(3);
  });

  it('a request in a suppressed context is neither traced nor measured', async () => {
    const before = harness.called().length;
    await runSuppressed(() => responded(http.get(`${url}/suppressed`)));
    await responded(http.get(url));
    expect(harness.called()).toHaveLength(Math.max(before, 1));
    expect((await harness.take(1)).map((span) => span.target)).toEqual([`${url}/`]);
    expect(traceparents()).toHaveLength(1);
  });

  it('an upgrade is a success with its status', async () => {
    const server = http.createServer();
    server.on('upgrade', (_req, socket) => socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'));
    const at = await servers.listen(server);
    const request = http.get(at, { headers: { connection: 'Upgrade', upgrade: 'x' } });
    const [, socket] = (await once(request, 'upgrade')) as [unknown, net.Socket];
    socket.destroy();
    const [span] = await harness.take(1);
    expect(span!.attributes).toMatchObject({ 'http.response.status_code': 101 });
    expect(span!.status.code).toBe(0);
  });

  it('a tunnel by CONNECT is a success with its status', async () => {
    const server = http.createServer();
    server.on('connect', (_req, socket) => socket.end('HTTP/1.1 200 Connection Established\r\n\r\n'));
    const { hostname, port } = new URL(await servers.listen(server));
    const request = http.request({ hostname, port, method: 'CONNECT', path: 'example.invalid:443' }).end();
    const [, socket] = (await once(request, 'connect')) as [unknown, net.Socket];
    socket.destroy();
    const [span] = await harness.take(1);
    expect(span!.attributes).toMatchObject({ 'http.response.status_code': 200, 'http.request.method': 'CONNECT' });
    expect(span!.status.code).toBe(0);
  });

  it('a HEAD, a 204 and a 304 are complete without a body', async () => {
    const at = await servers.listen(
      (req, res) => void res.writeHead(Number(req.url!.slice(1)), { 'content-length': req.method === 'HEAD' ? 10 : 0 }).end(),
    );
    for (const [method, path] of [
      ['HEAD', '/200'],
      ['GET', '/204'],
      ['GET', '/304'],
    ] as const) {
      await responded(http.request(at + path, { method }).end());
      expect((await harness.take(1))[0]!.status.code).toBe(0);
    }
  });

  it('a wrapper that somebody put over ours survives the end of the instrumentation', () => {
    const other = new Harness();
    const before = http.request;
    const undo = instrumentHttpClient(other.clients, other.guard);
    const ours = http.request;
    const theirs = ((...args: Parameters<typeof http.request>) => ours(...args)) as typeof http.request;
    http.request = theirs;
    undo();
    expect(http.request).toBe(theirs);
    http.request = before;
  });
});

describe('in a process of its own', () => {
  let preload: Bundle;

  beforeAll(async () => {
    preload = await bundle(`${ROOT}/test/fixtures/child/observe.ts`);
  });

  afterAll(() => preload.remove());

  const run = (code: string, type: 'module' | 'commonjs') =>
    runToEnd({ args: ['--require', preload.file, `--input-type=${type}`, '--eval', code] });

  it('an error that nobody handles still ends the process', async () => {
    const { code, stderr } = await run(`require('node:http').get('http://127.0.0.1:1/')`, 'commonjs');
    expect(code).toBe(1);
    expect(stderr).toMatch(/Unhandled 'error' event[\s\S]*ECONNREFUSED|connect ECONNREFUSED/);
    expect(stderr).not.toContain('sonde:');
  });

  it('an import by name gets the patched function', async () => {
    const { code, stdout, stderr } = await run(
      `import { request, createServer } from 'node:http';
       import { get } from 'node:https';
       import { once } from 'node:events';
       const server = createServer((req, res) => res.end(req.headers.traceparent)).listen(0, '127.0.0.1');
       await once(server, 'listening');
       const [res] = await once(request({ port: server.address().port, host: '127.0.0.1' }).end(), 'response');
       let traceparent = '';
       for await (const chunk of res) traceparent += chunk;
       server.close();
       console.log(traceparent, get.name);`,
      'module',
    );
    expect(stderr).toBe('');
    expect(code).toBe(0);
    const [first, ...spans] = stdout.trim().split('\n');
    const [client, server] = spans
      .map((line) => JSON.parse(line) as { kind: number; traceId: string; spanId: string; parentSpanId?: string })
      .toSorted((a, b) => b.kind - a.kind);
    expect(first).toBe(`00-${client!.traceId}-${client!.spanId}-01 get`);
    expect(server!.parentSpanId).toBe(client!.spanId);
  });
});
