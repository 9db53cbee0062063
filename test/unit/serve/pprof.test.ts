import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Guard } from '../../../src/core/guard.ts';
import { ProfileError } from '../../../src/profile/profile-error.ts';
import type { Profile } from '../../../src/profile/profile.ts';
import { AdminServer } from '../../../src/serve/admin.ts';
import type { HeapOptions, ProfileReads, ProfileSpan } from '../../../src/serve/pprof.ts';
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
  it('lists the profiles with what they are', async () => {
    const page = (await ask(`${url}/`)).body.toString();
    for (const name of ['allocs', 'cmdline', 'heap', 'profile', 'wall']) expect(page).toContain(`<a href="${name}">`);
  });

  it('is reached without its slash by a redirect', async () => {
    expect(await ask(url)).toMatchObject({ status: 303, headers: { location: './pprof/' } });
  });
});

describe('a profile', () => {
  it.each([
    ['profile?seconds=5', 'cpu', { seconds: 5 }],
    ['profile', 'cpu', { seconds: 30 }],
    ['profile?seconds=', 'cpu', { seconds: 30 }],
    ['profile?seconds=abc', 'cpu', { seconds: 30 }],
    ['profile?seconds=0', 'cpu', { seconds: 30 }],
    ['profile?seconds=-4', 'cpu', { seconds: 30 }],
    ['profile?seconds=1.5', 'cpu', { seconds: 30 }],
    ['profile?seconds=300', 'cpu', { seconds: 300 }],
    ['profile?last=60', 'cpu', { lastSeconds: 60 }],
    ['wall?seconds=2', 'wall', { seconds: 2 }],
    ['wall?last=1', 'wall', { lastSeconds: 1 }],
    ['heap', 'heap', { gc: false }],
    ['heap?gc=1', 'heap', { gc: true }],
    ['heap?gc=0', 'heap', { gc: false }],
    ['heap?gc=yes', 'heap', { gc: false }],
    ['heap?seconds=3', 'heap', { seconds: 3 }],
    ['allocs', 'heap', { gc: false }],
    ['allocs?seconds=3', 'heap', { seconds: 3 }],
  ])('%s reads %s with %j', async (query, name, options) => {
    expect((await ask(`${url}/${query}`)).status).toBe(200);
    expect(profiles.asked).toEqual([[name, options]]);
  });

  it.each([
    ['profile?seconds=301', /at most 300 seconds/],
    ['profile?seconds=99999999999999999999', /at most 300 seconds/],
    ['wall?seconds=301', /at most 300 seconds/],
    ['heap?seconds=301', /at most 300 seconds/],
    ['profile?last=0', /"last" - must be a positive integer/],
    ['profile?last=x', /"last" - must be a positive integer/],
    ['profile?last=60&seconds=1', /incompatible/],
    ['heap?seconds=0', /"seconds" - must be a positive integer/],
    ['heap?seconds=', /"seconds" - must be a positive integer/],
    ['heap?seconds=x', /"seconds" - must be a positive integer/],
    ['heap?seconds=1&debug=1', /incompatible/],
  ])('%s is refused', async (query, message) => {
    const { status, headers, body } = await ask(`${url}/${query}`);
    expect(status).toBe(400);
    expect(headers).toMatchObject({ 'content-type': 'text/plain; charset=utf-8', 'x-go-pprof': '1', 'x-content-type-options': 'nosniff' });
    expect(headers['content-disposition']).toBeUndefined();
    expect(body.toString()).toMatch(message);
    expect(profiles.asked).toEqual([]);
  });

  it.each([
    ['profile?last=1', 'profile'],
    ['wall?last=1', 'wall'],
    ['heap', 'heap'],
    ['allocs', 'allocs'],
    ['heap?seconds=1', 'heap-delta'],
    ['allocs?seconds=1', 'allocs-delta'],
  ])('%s comes as a gzipped file called %s', async (query, name) => {
    const { headers, body } = await ask(`${url}/${query}`, { headers: { 'accept-encoding': 'gzip' } });
    expect(headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-disposition': `attachment; filename="${name}"`,
      'x-content-type-options': 'nosniff',
    });
    expect(headers['content-encoding']).toBeUndefined();
    expect(gunzipSync(body).includes('/shop/store.js')).toBe(true);
  });

  it('is not recorded for HEAD, whose headers are those of GET', async () => {
    const head = await ask(`${url}/profile?seconds=30`, { method: 'HEAD' });
    expect(head).toMatchObject({ status: 200, headers: { 'content-disposition': 'attachment; filename="profile"' } });
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
    expect((await ask(`${mounted}?seconds=5`)).body.toString()).toContain('at most 4 seconds');
    expect((await ask(mounted)).status).toBe(400);
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

  it.each(['goroutine', 'trace', 'symbol', 'nonsense', 'heap/'])('called %s is unknown', async (name) => {
    const reply = await ask(`${url}/${name}`);
    expect(reply).toMatchObject({ status: 404, headers: { 'x-go-pprof': '1' } });
    expect(reply.body.toString()).toBe('Unknown profile\n');
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
