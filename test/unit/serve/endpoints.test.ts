import { once } from 'node:events';
import { connect } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Guard } from '../../../src/core/guard.ts';
import { Access } from '../../../src/serve/access.ts';
import { AdminServer } from '../../../src/serve/admin.ts';
import type { EndpointDeps } from '../../../src/serve/endpoints.ts';
import { ask, endpointsOf, registryOf, Said, type Reply } from './fixture.ts';

let said: Said;
let guard: Guard;
let servers: AdminServer[];

beforeEach(() => {
  said = new Said();
  guard = new Guard(said.diag);
  servers = [];
});

afterEach(() => {
  for (const server of servers) server.close();
});

async function serve(deps: Partial<EndpointDeps> = {}, host = '127.0.0.1'): Promise<string> {
  const server = new AdminServer(endpointsOf({ guard, ...deps }), { host, port: 0, portIsExplicit: true }, { guard, diag: said.diag });
  servers.push(server);
  const address = await server.listen();
  return `http://127.0.0.1:${address?.port}`;
}

const trace = (traceId: string): ReturnType<NonNullable<EndpointDeps['traces']>['list']>[number] => ({
  traceId,
  name: 'GET /',
  startEpochMillis: 1,
  durationMillis: 2,
  error: false,
  spans: [],
});

describe('/metrics', () => {
  it('answers Prometheus text to a client without a preference', async () => {
    const { status, headers, body } = await ask(`${await serve()}/metrics`);
    expect(status).toBe(200);
    expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(body.toString()).toContain('shop_items{shop_shelf="0"} 0');
  });

  it('answers OpenMetrics to a client that prefers it', async () => {
    const { headers, body } = await ask(`${await serve()}/metrics`, { headers: { accept: 'application/openmetrics-text; version=1.0.0' } });
    expect(headers['content-type']).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8');
    expect(body.toString()).toMatch(/# EOF\n$/);
  });

  it.each([
    ['gzip', 'gzip'],
    ['deflate, gzip;q=0.5', 'gzip'],
    ['*', 'gzip'],
    ['gzip;q=0', undefined],
    ['gzip;q=0.000', undefined],
    ['x-gzip-not', undefined],
    ['identity', undefined],
    [undefined, undefined],
  ])('is encoded for Accept-Encoding: %s as %s', async (accepted, encoding) => {
    const url = await serve({ metrics: { collect: () => registryOf(guard, 100).collect(), resource: {}, onDropped: () => {} } });
    const { headers, body } = await ask(`${url}/metrics`, { headers: accepted === undefined ? {} : { 'accept-encoding': accepted } });
    expect(headers['content-encoding']).toBe(encoding);
    expect((encoding === 'gzip' ? gunzipSync(body) : body).toString()).toContain('shop_items{shop_shelf="99"} 99');
  });

  it('is not compressed when it is short', async () => {
    const { headers } = await ask(`${await serve()}/metrics`, { headers: { 'accept-encoding': 'gzip' } });
    expect(headers['content-encoding']).toBeUndefined();
  });

  it('answers 200 without the collector that fails', async () => {
    const registry = registryOf(guard);
    registry.register('broken', () => {
      throw new Error('no such file');
    });
    const { status, body } = await ask(
      `${await serve({ metrics: { collect: () => registry.collect(), resource: {}, onDropped: () => {} } })}/metrics`,
    );
    expect(status).toBe(200);
    expect(body.toString()).toContain('shop_items{');
  });

  it('collects once for scrapes that overlap', async () => {
    const registry = registryOf(guard);
    let collections = 0;
    let release = (): void => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    registry.register('slow', async () => {
      collections += 1;
      await held;
      return [];
    });
    let scrapes = 0;
    const collect = (): ReturnType<typeof registry.collect> => {
      scrapes += 1;
      if (scrapes === 3) release();
      return registry.collect();
    };
    const url = await serve({ metrics: { collect, resource: {}, onDropped: () => {} } });
    const replies = await Promise.all([1, 2, 3].map(() => ask(`${url}/metrics`)));
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(collections).toBe(1);
  });
});

describe('the other endpoints', () => {
  it('answer the probes', async () => {
    let ready = false;
    const url = await serve({ isReady: () => ready });
    expect(await ask(`${url}/healthz`)).toMatchObject({ status: 200, body: Buffer.from('ok\n') });
    expect(await ask(`${url}/readyz`)).toMatchObject({ status: 503, body: Buffer.from('not ready\n') });
    ready = true;
    expect(await ask(`${url}/readyz`)).toMatchObject({ status: 200, body: Buffer.from('ok\n') });
  });

  it('list themselves on a page that runs nothing', async () => {
    const { headers, body } = await ask(`${await serve({ title: '<script>alert(1)</script>' })}/`);
    const page = body.toString();
    expect(headers['content-type']).toBe('text/html; charset=utf-8');
    expect(headers['content-security-policy']).toContain("default-src 'none'");
    expect(page).not.toContain('<script');
    for (const path of ['metrics', 'debug/pprof/', 'debug/traces', 'debug/stalls', 'debug/leaks', 'debug/config', 'healthz', 'readyz']) {
      expect(page).toContain(`<a href="${path}">`);
    }
  });

  it('answer the last traces, as many as asked and of one id', async () => {
    const ids = ['a', 'b', 'c'].map((digit) => digit.repeat(32));
    const url = await serve({ traces: { list: () => ids.map(trace) } });
    const traceIds = async (query: string): Promise<string[]> => {
      const { body } = await ask(`${url}/debug/traces${query}`);
      return (JSON.parse(body.toString()) as { traces: { traceId: string }[] }).traces.map(({ traceId }) => traceId);
    };
    expect(await traceIds('')).toEqual(ids);
    expect(await traceIds('?limit=1')).toEqual([ids[0]]);
    expect(await traceIds(`?trace_id=${ids[1]}`)).toEqual([ids[1]]);
    expect(await traceIds(`?trace_id=${'d'.repeat(32)}`)).toEqual([]);
  });

  it.each(['limit=0', 'limit=-1', 'limit=x', 'trace_id=abc', `trace_id=${'A'.repeat(32)}`])('refuse traces with %s', async (query) => {
    expect((await ask(`${await serve({ traces: { list: () => [] } })}/debug/traces?${query}`)).status).toBe(400);
  });

  it('answer the leak verdict and the settings without secrets', async () => {
    const verdict = { level: 'gone', findings: [], kinds: [], generations: [], notes: ['another profiler holds the sampler'] } as const;
    const generation = (): Promise<undefined> => Promise.resolve(undefined);
    const url = await serve({ leaks: { verdict: () => verdict, generation }, config: () => ({ port: 9464, token: 'secret' }) });
    expect(JSON.parse((await ask(`${url}/debug/leaks`)).body.toString())).toEqual(verdict);
    expect(JSON.parse((await ask(`${url}/debug/config`)).body.toString())).toEqual({ port: 9464, token: '[redacted]' });
  });

  it.each([
    ['/metrics', 'SONDE_METRICS'],
    ['/debug/traces', 'SONDE_TRACES'],
    ['/debug/stalls', 'SONDE_PROFILING'],
    ['/debug/leaks', 'SONDE_LEAKS'],
    ['/debug/leaks/heap', 'SONDE_LEAKS'],
    ['/debug/leaks/classes', 'SONDE_PROFILING'],
    ['/debug/pprof/', 'SONDE_PROFILING'],
    ['/debug/pprof/heap', 'SONDE_PROFILING'],
  ])('name the switch that %s is off by', async (path, name) => {
    const { status, body } = await ask(`${await serve({ metrics: undefined })}${path}`);
    expect(status).toBe(404);
    expect(body.toString()).toContain(`${name}=false`);
  });

  it('send every answer with headers that keep it from being cached, sniffed or referred to', async () => {
    const url = await serve();
    for (const path of ['/', '/metrics', '/healthz', '/none']) {
      expect((await ask(url + path)).headers).toMatchObject({
        'x-content-type-options': 'nosniff',
        'cache-control': 'no-store',
        'referrer-policy': 'no-referrer',
      });
    }
  });
});

describe('what is asked wrongly', () => {
  it.each(['/none', '/metrics/', '/debug', '/debug/logs', '/METRICS', '/../metrics'])('is not found: %s', async (path) => {
    const reply = await ask(await serve(), { path });
    expect(reply.status).toBe(404);
    expect(reply.headers['content-type']).toBe('text/plain; charset=utf-8');
  });

  it.each(['/metrics?%zz', '/%', `/metrics?${'a'.repeat(2040)}`])('is a bad request: %.20s', async (path) => {
    const reply = await ask(await serve(), { path });
    expect(reply.status).toBe(400);
    expect(reply.headers['content-type']).toBe('text/plain; charset=utf-8');
  });

  it('is refused with the methods that are answered', async () => {
    const url = await serve();
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
      expect(await ask(`${url}/metrics`, { method })).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } });
    }
  });

  it('survives an absolute-form target, a target of one star and a broken request line', async () => {
    const url = await serve();
    const { port } = new URL(url);
    const raw = async (text: string): Promise<string> => {
      const socket = connect(Number(port), '127.0.0.1');
      socket.end(text);
      const chunks: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => chunks.push(chunk));
      await once(socket, 'close');
      return Buffer.concat(chunks).toString().split('\r\n', 1)[0] ?? '';
    };
    const rest = 'HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n';
    expect(await raw(`GET http://evil.example/metrics ${rest}`)).toBe('HTTP/1.1 404 Not Found');
    expect(await raw(`OPTIONS * ${rest}`)).toBe('HTTP/1.1 404 Not Found');
    expect(await raw(`GET /metrics HTTP/9.9\r\n\r\n`)).toBe('HTTP/1.1 400 Bad Request');
    expect((await ask(`${url}/healthz`)).status).toBe(200);
  });
});

describe('HEAD', () => {
  it('has the headers of GET and no body', async () => {
    const url = await serve();
    for (const path of ['/', '/metrics', '/healthz']) {
      const get = await ask(url + path);
      const head = await ask(url + path, { method: 'HEAD' });
      expect(head).toMatchObject({ status: 200, body: Buffer.alloc(0) });
      expect({ ...head.headers, date: '' }).toEqual({ ...get.headers, date: '' });
    }
  });
});

describe('an endpoint that fails', () => {
  it('answers 500, says so once, and leaves the others alone', async () => {
    const url = await serve({
      config: () => {
        throw new Error('settings are gone');
      },
    });
    // More often than the guard bears: then the part is off, and the answer stays the same.
    for (let i = 0; i < 7; i++) expect((await ask(`${url}/debug/config`)).status).toBe(500);
    expect(said.lines.filter((line) => line.includes('settings are gone'))).toHaveLength(1);
    expect((await ask(`${url}/metrics`)).status).toBe(200);
  });
});

describe('access', () => {
  const TOKEN = 'open sesame';
  const open = (token: string | undefined): Promise<string> => serve({ access: new Access({ token, host: '0.0.0.0' }) }, '0.0.0.0');

  it('is open on loopback and refuses a foreign Host', async () => {
    const url = await serve();
    expect((await ask(`${url}/debug/config`)).status).toBe(200);
    expect((await ask(`${url}/debug/config`, { headers: { host: 'evil.example' } })).status).toBe(403);
    expect((await ask(`${url}/metrics`, { headers: { host: 'evil.example' } })).status).toBe(403);
  });

  it('needs a token elsewhere, but for the metrics and the probes', async () => {
    const url = await open(undefined);
    const statuses = async (paths: string[]): Promise<number[]> => Promise.all(paths.map(async (path) => (await ask(url + path)).status));
    expect(await statuses(['/metrics', '/healthz', '/readyz'])).toEqual([200, 200, 200]);
    const closed = ['/', '/debug/pprof/', '/debug/pprof/heap', '/debug/traces', '/debug/stalls', '/debug/leaks', '/debug/config'];
    expect(await statuses(closed)).toEqual(closed.map(() => 403));
    expect((await ask(`${url}/debug/config`)).body.toString()).toContain('Set SONDE_TOKEN');
  });

  it('is challenged by 401 when the token is missing or wrong', async () => {
    const url = await open(TOKEN);
    const reply = await ask(`${url}/debug/config?token=sesame`);
    expect(reply).toMatchObject({ status: 401, headers: { 'www-authenticate': 'Bearer realm="sonde"' } });
    expect(reply.headers['set-cookie']).toBeUndefined();
  });

  it('is refused under /debug/pprof/ in the way that `go tool pprof` shows', async () => {
    expect((await ask(`${await open(undefined)}/debug/pprof/heap`)).headers).toMatchObject({
      'x-go-pprof': '1',
      'content-type': 'text/plain; charset=utf-8',
    });
  });

  it('moves the token from the address into a cookie that opens the same address', async () => {
    const url = await open(TOKEN);
    const first = await ask(`${url}/debug/traces?limit=3&token=${encodeURIComponent(TOKEN)}`);
    expect(first).toMatchObject({ status: 303, headers: { location: './traces?limit=3' } });
    const [cookie = ''] = first.headers['set-cookie'] ?? [];
    expect(cookie).toMatch(/; Path=\/; HttpOnly; SameSite=Strict$/);
    const next = new URL(first.headers.location ?? '', `${url}/debug/traces`).href;
    const second: Reply = await ask(next, { headers: { cookie: cookie.split(';', 1)[0] } });
    expect(second.status).toBe(404);
    expect(second.body.toString()).toContain('SONDE_TRACES=false');
  });
});
