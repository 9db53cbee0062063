import { spawn, type ChildProcess } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, createServer, request } from 'node:http';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'tsup';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isSuppressed, ROOT, runWith } from '../../../src/core/context.ts';
import { Guard } from '../../../src/core/guard.ts';
import { OWN_SERVER } from '../../../src/request.ts';
import { AdminServer, type AdminOptions } from '../../../src/serve/admin.ts';
import { ask, endpointsOf, Said } from './fixture.ts';

let said: Said;
let guard: Guard;
let admins: AdminServer[];
let taken: Server[];

beforeEach(() => {
  said = new Said();
  guard = new Guard(said.diag);
  admins = [];
  taken = [];
});

afterEach(() => {
  for (const server of [...admins, ...taken]) server.close();
});

function admin(options: Partial<AdminOptions>, isReady: () => boolean = () => true): AdminServer {
  const server = new AdminServer(
    endpointsOf({ guard, isReady }),
    { host: '127.0.0.1', port: 0, portIsExplicit: true, ...options },
    { guard, diag: said.diag },
  );
  admins.push(server);
  return server;
}

async function take(port: number): Promise<number> {
  const server = createServer();
  taken.push(server);
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** The first of so many neighbouring ports, each taken. Far from the ports that a system gives away by itself. */
async function takeNeighbours(count: number): Promise<number> {
  for (let first = 20_000 + (process.pid % 5000); first < 30_000; first += count + 10) {
    const before = taken.length;
    try {
      for (let port = first; port < first + count; port++) await take(port);
      return first;
    } catch {
      // Somebody else has one of them.
      for (const server of taken.splice(before)) server.close();
    }
  }
  throw new Error('no free ports');
}

describe('the admin server', () => {
  it('answers at the address that it tells', async () => {
    const address = await admin({}).listen();
    expect(address).toEqual({ host: '127.0.0.1', port: expect.any(Number), url: `http://127.0.0.1:${address?.port}` });
    expect((await ask(`${address?.url}/healthz`)).status).toBe(200);
  });

  it('tells an IPv6 address in brackets, and is open there as on loopback', async () => {
    const address = await admin({ host: '::1' }).listen();
    expect(address?.url).toBe(`http://[::1]:${address?.port}`);
    expect((await ask(`${address?.url}/debug/config`)).status).toBe(200);
  });

  it('is marked as not the application`s, and serves outside of the application`s context', async () => {
    const marks: unknown[] = [];
    const onStart = (message: unknown): void => {
      marks.push((message as { server: Server & { [OWN_SERVER]?: true } }).server[OWN_SERVER]);
    };
    let servedSuppressed: boolean | undefined;
    const server = admin({}, () => {
      servedSuppressed = isSuppressed();
      return true;
    });
    const address = await runWith(ROOT.setValue(Symbol('application'), 1), () => server.listen());
    subscribe('http.server.request.start', onStart);
    await ask(`${address?.url}/readyz`);
    unsubscribe('http.server.request.start', onStart);
    expect(marks).toEqual([true]);
    expect(servedSuppressed).toBe(true);
  });

  it('answers nobody once it is closed, not even a connection that was kept', async () => {
    const server = admin({});
    const address = await server.listen();
    const agent = new Agent({ keepAlive: true });
    const reply = once(request(`${address?.url}/healthz`, { agent }).end(), 'response');
    const [response] = await reply;
    response.resume();
    await once(response, 'end');
    server.close();
    await expect(ask(`${address?.url}/healthz`)).rejects.toThrow('ECONNREFUSED');
    await expect(once(request(`${address?.url}/healthz`, { agent }).end(), 'response')).rejects.toThrow();
    agent.destroy();
  });
});

describe('a port that is taken', () => {
  it('is left for the next free one when nobody asked for it', async () => {
    const first = await takeNeighbours(9);
    expect((await admin({ port: first, portIsExplicit: false }).listen())?.port).toBe(first + 9);
    expect(said.lines).toEqual([]);
  });

  it('is given up after ten, with one line that says what to do', async () => {
    const first = await takeNeighbours(10);
    const server = admin({ port: first, portIsExplicit: false });
    expect(await server.listen()).toBeUndefined();
    expect(await server.listen()).toBeUndefined();
    expect(said.lines).toEqual([
      `sonde: the endpoints are not served on 127.0.0.1:${first} to ${first + 9}: the port is taken; set SONDE_PORT to another one, or to 0 for a free one. The application is not affected.`,
    ]);
  });

  it('is not replaced when it was asked for', async () => {
    const port = await take(0);
    expect(await admin({ port }).listen()).toBeUndefined();
    expect(said.lines).toEqual([expect.stringContaining(`not served on 127.0.0.1:${port}: the port is taken; set SONDE_PORT`)]);
  });
});

describe('an address that cannot be had', () => {
  it.each([
    ['203.0.113.7', /this machine has no such address; set SONDE_HOST/],
    ['no.such.host.invalid', /SONDE_HOST/],
    ['not an address', /SONDE_HOST/],
  ])('is said once, and never thrown: %s', async (host, message) => {
    expect(await admin({ host, portIsExplicit: false }).listen()).toBeUndefined();
    expect(said.lines).toEqual([expect.stringMatching(message)]);
  });
});

describe('a process that has nothing left to do', () => {
  let directory: string;
  let child: ChildProcess;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sonde-admin-'));
    const entry = { child: join(import.meta.dirname, 'child.ts') };
    await build({ entry, outDir: directory, format: 'cjs', target: 'node20', config: false, silent: true, dts: false });
  });

  beforeEach(() => {
    child = spawn(process.execPath, [join(directory, 'child.js')], { stdio: ['pipe', 'pipe', 'inherit'] });
  });

  afterEach(() => child.kill('SIGKILL'));

  afterAll(() => rm(directory, { recursive: true }));

  it('ends, with a client still connected and a profile of 30 s under way', async () => {
    const [line] = await once(child.stdout!, 'data');
    const url = String(line).trim();
    const agent = new Agent({ keepAlive: true });
    const [response] = await once(request(`${url}/healthz`, { agent }).end(), 'response');
    response.resume();
    await once(response, 'end');
    const profile = request(`${url}/debug/pprof/profile?seconds=30`).on('error', () => {});
    profile.end();
    // A second request on another connection is answered after the first has been taken up.
    await ask(`${url}/metrics`);
    child.stdin!.end();
    const [code] = await once(child, 'exit');
    expect(code).toBe(0);
    agent.destroy();
  }, 5000);

  it('ends, with a client that has stopped reading a large answer', async () => {
    const [line] = await once(child.stdout!, 'data');
    const [response] = await once(request(`${String(line).trim()}/debug/pprof/allocs?format=folded`).end(), 'response');
    // 60 MB, of which the buffers of the sockets take a few.
    response.on('error', () => {});
    response.pause();
    child.stdin!.end();
    const [code] = await once(child, 'exit');
    expect(code).toBe(0);
  }, 20_000);
});
