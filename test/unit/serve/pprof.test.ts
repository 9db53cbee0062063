import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, request, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Guard } from '../../../src/core/guard.ts';
import { ProfileError } from '../../../src/profile/profile-error.ts';
import type { Profile } from '../../../src/profile/profile.ts';
import { AdminServer } from '../../../src/serve/admin.ts';
import type { HeapOptions, ProfileReads, ProfileSpan } from '../../../src/serve/pprof.ts';
import { wideProfile } from '../../fixtures/profile/wide.ts';
import { ask, endpointsOf, heapProfile, Said } from './fixture.ts';

type Asked = HeapOptions & { readonly lastSeconds?: number };

/** An engine that answers a fixed profile at once and keeps what it was asked. */
class KnownProfiles implements ProfileReads {
  readonly asked: (readonly [name: string, options: object])[] = [];
  signal: AbortSignal | undefined;
  answer: () => Promise<Profile> = async () => heapProfile();

  cpu(span: ProfileSpan): Promise<Profile> {
    return this.#read('cpu', span);
  }

  wall(span: ProfileSpan): Promise<Profile> {
    return this.#read('wall', span);
  }

  heap(options: HeapOptions): Promise<Profile> {
    return this.#read('heap', options);
  }

  allocs(options: HeapOptions): Promise<Profile> {
    return this.#read('allocs', options);
  }

  stats(): { cpu: string; heap: string; historySeconds: number } {
    return { historySeconds: 900, cpu: 'on-demand', heap: 'native' };
  }

  #read(name: string, { signal, ...options }: Asked): Promise<Profile> {
    this.signal = signal;
    this.asked.push([name, options]);
    return this.answer();
  }
}

let said: Said;
let profiles: KnownProfiles;
let admin: AdminServer;
let url: string;

beforeEach(async () => {
  said = new Said();
  const guard = new Guard(said.diag);
  profiles = new KnownProfiles();
  admin = new AdminServer(
    endpointsOf({ guard, profiles }),
    { host: '127.0.0.1', port: 0, portIsExplicit: true },
    { guard, diag: said.diag },
  );
  url = `${(await admin.listen())?.url}/debug/pprof`;
});

afterEach(() => admin.close());

describe('the index', () => {
  it('lists the profiles with their count or state and what they are', async () => {
    const page = (await ask(`${url}/`)).body.toString();
    const rows = Array.from(page.matchAll(/<tr><td>(.*?)<\/td><td><a href="(.*?)">(.*?)<\/a><\/td><td>(.+?)(?:<br>|<\/td>)/g));
    expect(rows.map(([, , href]) => href)).toEqual(['allocs', 'cmdline', 'heap', 'profile', 'resources', 'wall']);
    expect(rows.map(([, , href, name]) => href === name)).not.toContain(false);
    const states = Object.fromEntries(rows.map(([, state, name]) => [name, state]));
    expect(states).toMatchObject({ allocs: 'sampled', cmdline: '', heap: 'sampled', profile: 'on-demand', wall: 'on-demand' });
    expect(Number(states['resources'])).toBeGreaterThan(0);
  });

  it('links to formats and to what has passed, and every link can be read', async () => {
    const page = (await ask(`${url}/`)).body.toString();
    const links = Array.from(page.matchAll(/<a href="(.*?)">/g), ([, href]) => href!.replaceAll('&amp;', '&'));
    expect(links).toContain('profile?last=60&format=svg');
    expect(links).toContain('heap?gc=1&format=svg');
    const statuses = await Promise.all(links.map(async (link) => [link, (await ask(`${url}/${link}`)).status]));
    expect(statuses.filter(([, status]) => status !== 200)).toEqual([]);
  });

  it('takes no parameters', async () => {
    const { status, body } = await ask(`${url}/?debug=1`);
    expect([status, body.toString()]).toEqual([400, 'unknown parameter "debug" - the index takes no parameters\n']);
  });

  it('is reached without its slash by a redirect', async () => {
    expect(await ask(url)).toMatchObject({ status: 303, headers: { location: './pprof/' } });
  });
});

const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';
const SPAN_ID = 'b7ad6b7169203331';

describe('a profile', () => {
  it.each([
    ['profile', 'cpu', { seconds: 30 }],
    ['profile?seconds=1', 'cpu', { seconds: 1 }],
    ['profile?seconds=5', 'cpu', { seconds: 5 }],
    ['profile?seconds=300', 'cpu', { seconds: 300 }],
    ['profile?seconds=%2B5', 'cpu', { seconds: 5 }],
    ['profile?last=1', 'cpu', { lastSeconds: 1 }],
    ['profile?last=60', 'cpu', { lastSeconds: 60 }],
    ['profile?last=900', 'cpu', { lastSeconds: 900 }],
    ['profile?last=60&route=/orders/:id', 'cpu', { lastSeconds: 60, only: { route: '/orders/:id' } }],
    ['profile?last=60&route=%2Fa%20b', 'cpu', { lastSeconds: 60, only: { route: '/a b' } }],
    ['profile?seconds=1&route=', 'cpu', { seconds: 1, only: { route: '' } }],
    [`profile?seconds=1&trace_id=${TRACE_ID}`, 'cpu', { seconds: 1, only: { traceId: TRACE_ID } }],
    [`profile?seconds=1&span_id=${SPAN_ID}`, 'cpu', { seconds: 1, only: { spanId: SPAN_ID } }],
    [
      `profile?last=9&route=/a&trace_id=${TRACE_ID}&span_id=${SPAN_ID}`,
      'cpu',
      { lastSeconds: 9, only: { route: '/a', traceId: TRACE_ID, spanId: SPAN_ID } },
    ],
    ['profile?last=60&debug=1', 'cpu', { lastSeconds: 60 }],
    ['profile?seconds=2&debug=0&format=svg', 'cpu', { seconds: 2 }],
    ['wall', 'wall', { seconds: 30 }],
    ['wall?seconds=2', 'wall', { seconds: 2 }],
    ['wall?last=1&route=/a', 'wall', { lastSeconds: 1, only: { route: '/a' } }],
    ['heap', 'heap', { gc: false }],
    ['heap?gc=1', 'heap', { gc: true }],
    ['heap?gc=0', 'heap', { gc: false }],
    ['heap?seconds=3', 'heap', { gc: false, seconds: 3 }],
    ['heap?seconds=300&gc=1', 'heap', { gc: true, seconds: 300 }],
    ['heap?debug=1&gc=1', 'heap', { gc: true }],
    ['allocs', 'allocs', { gc: false }],
    ['allocs?gc=1', 'allocs', { gc: true }],
    ['allocs?seconds=3', 'allocs', { gc: false, seconds: 3 }],
    ['allocs?debug=1', 'allocs', { gc: false }],
  ])('%s reads %s with %j', async (query, name, options) => {
    expect((await ask(`${url}/${query}`)).status).toBe(200);
    expect(profiles.asked).toEqual([[name, options]]);
  });

  const SECONDS = 'invalid value for "seconds" - must be a whole number from 1 to 300';
  const LAST = 'invalid value for "last" - must be a whole number from 1 to 900';
  const TIME = 'seconds, last, format, route, trace_id, span_id, debug';
  const HEAP = 'seconds, gc, format, debug';

  it.each([
    ['profile?seconds=', SECONDS],
    ['profile?seconds=0', SECONDS],
    ['profile?seconds=-4', SECONDS],
    ['profile?seconds=1.5', SECONDS],
    ['profile?seconds=1e1', SECONDS],
    ['profile?seconds=abc', SECONDS],
    ['profile?seconds=301', SECONDS],
    ['profile?seconds=99999999999999999999', SECONDS],
    ['wall?seconds=301', SECONDS],
    ['heap?seconds=0', SECONDS],
    ['heap?seconds=', SECONDS],
    ['heap?seconds=x', SECONDS],
    ['heap?seconds=301', SECONDS],
    ['allocs?seconds=301', SECONDS],
    ['profile?last=', LAST],
    ['profile?last=0', LAST],
    ['profile?last=901', LAST],
    ['profile?last=x', LAST],
    ['wall?last=901', LAST],
    ['profile?last=60&seconds=1', 'seconds and last params are incompatible'],
    ['heap?seconds=1&debug=1', 'seconds and debug params are incompatible'],
    ['heap?format=svg&debug=1', 'format and debug params are incompatible'],
    ['profile?last=1&format=folded&debug=1', 'format and debug params are incompatible'],
    ['heap?gc=yes', 'invalid value for "gc" - must be 0 or 1'],
    ['heap?gc=', 'invalid value for "gc" - must be 0 or 1'],
    ['heap?gc=2', 'invalid value for "gc" - must be 0 or 1'],
    ['heap?debug=2', 'invalid value for "debug" - must be 0 or 1'],
    ['profile?debug=x', 'invalid value for "debug" - must be 0 or 1'],
    ['profile?format=', 'invalid value for "format" - must be one of pprof, folded, speedscope, cpuprofile, svg'],
    ['wall?format=SVG', 'invalid value for "format" - must be one of pprof, folded, speedscope, cpuprofile, svg'],
    ['heap?format=cpuprofile', 'invalid value for "format" - must be one of pprof, folded, speedscope, svg'],
    ['allocs?format=cpuprofile', 'invalid value for "format" - must be one of pprof, folded, speedscope, svg'],
    ['resources?format=cpuprofile', 'invalid value for "format" - must be one of pprof, folded, speedscope, svg'],
    ['profile?trace_id=', 'invalid value for "trace_id" - must be 32 lower-case hex digits'],
    [`profile?trace_id=${TRACE_ID.slice(1)}`, 'invalid value for "trace_id" - must be 32 lower-case hex digits'],
    [`profile?trace_id=${TRACE_ID}0`, 'invalid value for "trace_id" - must be 32 lower-case hex digits'],
    [`profile?trace_id=${TRACE_ID.toUpperCase()}`, 'invalid value for "trace_id" - must be 32 lower-case hex digits'],
    [`profile?span_id=${SPAN_ID.slice(1)}`, 'invalid value for "span_id" - must be 16 lower-case hex digits'],
    [`profile?span_id=${SPAN_ID}0`, 'invalid value for "span_id" - must be 16 lower-case hex digits'],
    ['profile?seconds=1&seconds=1', '"seconds" is given more than once'],
    ['profile?route=/a&route=/b', '"route" is given more than once'],
    ['heap?gc=0&gc=1', '"gc" is given more than once'],
    ['profile?gc=1', `unknown parameter "gc" - profile takes ${TIME}`],
    ['profile?Seconds=1', `unknown parameter "Seconds" - profile takes ${TIME}`],
    ['wall?second=1', `unknown parameter "second" - wall takes ${TIME}`],
    ['heap?route=/a', `unknown parameter "route" - heap takes ${HEAP}`],
    ['heap?last=60', `unknown parameter "last" - heap takes ${HEAP}`],
    ['allocs?last=60', `unknown parameter "last" - allocs takes ${HEAP}`],
    ['heap?=', `unknown parameter "" - heap takes ${HEAP}`],
    ['heap?a%0Ab=1', `unknown parameter "a\\nb" - heap takes ${HEAP}`],
    ['resources?seconds=1', 'unknown parameter "seconds" - resources takes format, debug'],
    ['cmdline?x', 'unknown parameter "x" - cmdline takes no parameters'],
  ])('%s is refused', async (query, message) => {
    const { status, headers, body } = await ask(`${url}/${query}`);
    expect([status, body.toString()]).toEqual([400, `${message}\n`]);
    expect(headers).toMatchObject({ 'content-type': 'text/plain; charset=utf-8', 'x-go-pprof': '1', 'x-content-type-options': 'nosniff' });
    expect(headers['content-disposition']).toBeUndefined();
    expect(profiles.asked).toEqual([]);
  });

  it('takes a token beside its parameters', async () => {
    expect((await ask(`${url}/heap?token=anything&gc=1`)).status).toBe(200);
  });

  it.each([
    ['profile?last=1', 'profile'],
    ['wall?last=1', 'wall'],
    ['heap', 'heap'],
    ['allocs', 'allocs'],
    ['resources', 'resources'],
    ['heap?seconds=1', 'heap-delta'],
    ['allocs?seconds=1', 'allocs-delta'],
    ['profile?last=1&format=pprof', 'profile.pb.gz'],
    ['heap?seconds=1&format=pprof', 'heap-delta.pb.gz'],
  ])('%s comes as a gzipped file called %s', async (query, name) => {
    const { headers, body } = await ask(`${url}/${query}`, { headers: { 'accept-encoding': 'gzip' } });
    expect(headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-disposition': `attachment; filename="${name}"`,
      'x-content-type-options': 'nosniff',
    });
    expect(headers['content-encoding']).toBeUndefined();
    expect(gunzipSync(body).includes(name === 'resources' ? 'resources' : '/shop/store.js')).toBe(true);
  });

  const POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

  it.each([
    [
      'profile?last=1&format=folded',
      'text/plain; charset=utf-8',
      'inline; filename="profile.folded.txt"',
      /^main \(\/shop\/app.js:1\);keep/,
    ],
    ['profile?last=1&format=speedscope', 'application/json', 'attachment; filename="profile.speedscope.json"', /^\{"\$schema"/],
    ['profile?last=1&format=cpuprofile', 'application/json', 'attachment; filename="profile.cpuprofile"', /^\{"nodes":/],
    ['wall?last=1&format=cpuprofile', 'application/json', 'attachment; filename="wall.cpuprofile"', /^\{"nodes":/],
    ['heap?format=folded', 'text/plain; charset=utf-8', 'inline; filename="heap.folded.txt"', /keep \(\/shop\/store.js:12\) 1500\n/],
    ['heap?seconds=1&format=speedscope', 'application/json', 'attachment; filename="heap-delta.speedscope.json"', /^\{"\$schema"/],
    ['allocs?format=folded', 'text/plain; charset=utf-8', 'inline; filename="allocs.folded.txt"', /^main/],
    ['resources?format=folded', 'text/plain; charset=utf-8', 'inline; filename="resources.folded.txt"', /^\w+ \d+\n/],
  ])('%s comes as %s, %s', async (query, type, disposition, content) => {
    const { status, headers, body } = await ask(`${url}/${query}`);
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      'content-type': type,
      'content-disposition': disposition,
      'content-security-policy': POLICY,
      'x-content-type-options': 'nosniff',
    });
    expect(body.toString()).toMatch(content);
  });

  it('comes as a flame graph of which a browser runs exactly the script that is in it', async () => {
    const { headers, body } = await ask(`${url}/heap?format=svg`);
    const svg = body.toString();
    expect(headers).toMatchObject({ 'content-type': 'image/svg+xml', 'content-disposition': 'inline; filename="heap.svg"' });
    const hashOf = (element: string): string => {
      const [, content] = new RegExp(`<${element}><!\\[CDATA\\[(.*?)\\]\\]></${element}>`, 's').exec(svg)!;
      return `'sha256-${createHash('sha256').update(content!).digest('base64')}'`;
    };
    expect(headers['content-security-policy']).toBe(
      `default-src 'none'; script-src ${hashOf('script')}; style-src ${hashOf('style')}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    );
    expect(svg).toContain('Live memory');
    expect(svg).toContain('sonde 0.1.0 shop \u00b7 2023-11-14 22:13:20 UTC');
  });

  it.each([
    ['route=/orders/:id', 'http.route=/orders/:id'],
    ['route=', 'without a route'],
    [`trace_id=${TRACE_ID}&span_id=${SPAN_ID}`, `trace_id=${TRACE_ID} \u00b7 span_id=${SPAN_ID}`],
  ])('says in its flame graph that it has only %s', async (query, words) => {
    expect((await ask(`${url}/profile?last=1&format=svg&${query}`)).body.toString()).toContain(` in all \u00b7 ${words}</text>`);
  });

  it('is text for debug=1, shown and not saved: folded stacks of time', async () => {
    const { headers, body } = await ask(`${url}/profile?last=60&debug=1`);
    expect(headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(headers['content-disposition']).toBeUndefined();
    expect(body.toString()).toContain('main (/shop/app.js:1);cache (/shop/store.js:30) 4000\n');
  });

  it('comes compressed as text to a client that takes it, and not to others', async () => {
    const plain = await ask(`${url}/heap?format=svg`);
    const packed = await ask(`${url}/heap?format=svg`, { headers: { 'accept-encoding': 'gzip' } });
    expect(plain.headers['content-encoding']).toBeUndefined();
    expect(packed.headers['content-encoding']).toBe('gzip');
    expect(gunzipSync(packed.body).toString()).toBe(plain.body.toString());
  });

  it.each(['folded', 'speedscope', 'cpuprofile', 'svg'])(
    'as %s that cannot be made to its end is broken off and said once',
    async (format) => {
      const profile = heapProfile();
      // What comes before this frame may be on its way by then.
      const broken = {
        ...profile.frames[2]!,
        get name(): string {
          throw new Error('broken');
        },
      };
      profiles.answer = async () => ({ ...profile, frames: [...profile.frames.slice(0, 2), broken] });
      await expect(ask(`${url}/profile?last=1&format=${format}`)).rejects.toThrow();
      expect(said.lines).toHaveLength(1);
      profiles.answer = async () => profile;
      expect((await ask(`${url}/profile?last=1&format=${format}`)).status).toBe(200);
    },
  );

  it('may be left by clients halfway, as often as they like', async () => {
    const wide = wideProfile({ shared: 35, labels: false });
    profiles.answer = async () => wide;
    for (let i = 0; i < 7; i++) {
      const req = request(`${url}/profile?last=1&format=folded`).on('error', () => {});
      const [response] = (await once(req.end(), 'response')) as [IncomingMessage];
      response.on('error', () => {});
      await once(response, 'data');
      req.destroy();
    }
    expect((await ask(`${url}/profile?last=1&format=folded`)).body.toString().trimEnd().split('\n')).toHaveLength(20_000);
    expect(said.lines).toEqual([]);
  });

  it('is not recorded for HEAD, whose headers are those of GET', async () => {
    const head = await ask(`${url}/profile?seconds=30`, { method: 'HEAD' });
    expect(head).toMatchObject({ status: 200, headers: { 'content-disposition': 'attachment; filename="profile"' } });
    const svg = await ask(`${url}/wall?seconds=30&format=svg`, { method: 'HEAD' });
    expect(svg).toMatchObject({ status: 200, headers: { 'content-type': 'image/svg+xml' } });
    expect((await ask(`${url}/heap?seconds=x`, { method: 'HEAD' })).status).toBe(400);
    expect(profiles.asked).toEqual([]);
  });

  it('is stopped when the client leaves', async () => {
    const started = new Promise<void>((resolve) => {
      profiles.answer = () => {
        resolve();
        return new Promise((_, reject) => profiles.signal?.addEventListener('abort', () => reject(profiles.signal?.reason as Error)));
      };
    });
    const req = request(`${url}/profile?seconds=30`).on('error', () => {});
    req.end();
    await started;
    expect(profiles.signal?.aborted).toBe(false);
    req.destroy();
    await once(profiles.signal as AbortSignal, 'abort');
    expect((await ask(`${url}/cmdline`)).status).toBe(200);
    expect(said.lines).toEqual([]);
  });

  it('is refused when the server that it is mounted in would cut it off', async () => {
    const endpoints = endpointsOf({ guard: new Guard(said.diag), profiles });
    const server = createServer(
      (req, res) => void endpoints.handle(req, res, { prefix: '', target: req.url ?? '', address: req.url ?? '' }),
    );
    server.timeout = 5000;
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const mounted = `http://127.0.0.1:${(server.address() as AddressInfo).port}/debug/pprof/profile`;
    expect((await ask(`${mounted}?seconds=4`)).status).toBe(200);
    expect((await ask(`${mounted}?seconds=5`)).body.toString()).toBe('invalid value for "seconds" - must be a whole number from 1 to 4\n');
    expect((await ask(mounted)).body.toString()).toBe('30 seconds are more than this server allows: ask for "seconds" from 1 to 4\n');
    server.close();
  });

  it('that the engine cannot serve answers what it says', async () => {
    profiles.answer = async () => {
      throw new ProfileError(503, 'the profiler has not started yet');
    };
    const reply = await ask(`${url}/heap`);
    expect(reply).toMatchObject({ status: 503, headers: { 'x-go-pprof': '1', 'content-type': 'text/plain; charset=utf-8' } });
    expect(reply.body.toString()).toBe('the profiler has not started yet\n');
    expect(said.lines).toEqual([]);
  });

  it.each(['nonsense', 'heap/', 'goroutine/', 'delta_heap'])('called %s is unknown', async (name) => {
    const reply = await ask(`${url}/${name}`);
    expect(reply).toMatchObject({ status: 404, headers: { 'x-go-pprof': '1' } });
    expect(reply.body.toString()).toBe('Unknown profile\n');
  });

  it.each([
    ['trace?seconds=5', /^Unknown profile: Go's execution trace .*\/debug\/traces/],
    ['goroutine?debug=2', /^Unknown profile: .*resources/],
    ['threadcreate', /^Unknown profile: .*resources/],
    ['block', /^Unknown profile: .*wall/],
    ['mutex', /^Unknown profile: .*wall/],
    ['symbol', /^Unknown profile: .*names/],
  ])('of Go alone, %s, says what to ask for instead', async (name, message) => {
    const reply = await ask(`${url}/${name}`);
    expect(reply).toMatchObject({ status: 404, headers: { 'x-go-pprof': '1' } });
    expect(reply.body.toString()).toMatch(message);
  });
});

describe('the resources', () => {
  it('are counted by type, the most frequent first', async () => {
    const timers = Array.from({ length: 50 }, () => setTimeout(() => {}, 60_000));
    const text = (await ask(`${url}/resources?debug=1`)).body.toString();
    const folded = (await ask(`${url}/resources?format=folded`)).body.toString();
    for (const timer of timers) clearTimeout(timer);
    const [, total, count, name] = /^resources profile: total (\d+)\n(\d+) @\n#\t(\w+)\n/.exec(text)!;
    expect(Number(total)).toBeGreaterThan(50);
    expect(Number(count)).toBeGreaterThanOrEqual(50);
    expect(name).toBe('Timeout');
    expect(Number(/^Timeout (\d+)$/m.exec(folded)![1])).toBeGreaterThanOrEqual(50);
  });
});

describe('the heap as text', () => {
  it('has the largest stack first, each from its innermost frame', async () => {
    const { headers, body } = await ask(`${url}/heap?debug=1`);
    expect(headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(headers['content-disposition']).toBeUndefined();
    expect(body.toString()).toBe(
      [
        'heap profile: 4: 5500 [4: 5500] @ heap/524288',
        '1: 4000 [1: 4000] @',
        '#\tcache\t/shop/store.js:30',
        '#\tmain\t/shop/app.js:1',
        '3: 1500 [3: 1500] @',
        '#\tkeep\t/shop/store.js:12',
        '#\tmain\t/shop/app.js:1',
        '',
      ].join('\n'),
    );
  });
});

describe('the command line', () => {
  it('is separated by NUL and has no line end', async () => {
    const { headers, body } = await ask(`${url}/cmdline`);
    expect(headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(body.toString().split('\0')).toEqual([process.execPath, ...process.execArgv, ...process.argv.slice(1)]);
  });
});
