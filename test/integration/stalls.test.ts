// Blocks of the event loop as a user sees them, on the built package and each Node: whatever blocks is found, with the function, the
// route and the trace, while other requests are in flight; what does not block is not reported.
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { StallEntry } from '../../src/profile/stall-entry.ts';
import type { TraceEntry } from '../../src/trace/trace-entry.ts';
import { nodeBinary } from '../helpers/nodes.mjs';
import { killAll, ROOT, startService, type Service, type ServiceOptions } from '../helpers/process.ts';

const SOURCE = path.resolve(import.meta.dirname, '../fixtures/profile/stalls.cjs');

/** When a block was, by the one who made it. */
interface Truth {
  readonly startEpochMillis: number;
  readonly durationMillis: number;
}

let traces = 0;

/** A service with a Sonde that is up, profilers and all. */
async function start(options: Omit<ServiceOptions, 'app'> = {}): Promise<Service> {
  const service = await startService({ ...options, app: SOURCE, env: { SONDE_STALL_MILLIS: '', ...options.env } });
  await service.sondeUrl();
  return service;
}

const ask = async (service: Service, target: string, headers: Record<string, string> = {}): Promise<Truth> =>
  (await fetch(`http://127.0.0.1:${service.port}${target}`, { headers })).json() as Promise<Truth>;

/** Asks for a block in a trace of its own. */
async function block(service: Service, target: string): Promise<{ truth: Truth; traceId: string }> {
  const traceId = (traces += 1).toString(16).padStart(32, '0');
  return { truth: await ask(service, target, { traceparent: `00-${traceId}-00f067aa0ba902b7-01` }), traceId };
}

const stalls = async (service: Service, query = ''): Promise<StallEntry[]> =>
  (JSON.parse(await service.read(`/debug/stalls${query}`)) as { stalls: StallEntry[] }).stalls;

/** The block of a trace, when it is there. */
async function stallOf(service: Service, traceId: string): Promise<StallEntry> {
  for (let i = 0; i < 100; i++) {
    const found = await stalls(service, `?trace_id=${traceId}`);
    if (found.length > 0) return found.sort((a, b) => b.durationMillis - a.durationMillis)[0]!;
    await delay(50);
  }
  throw new Error(`no stall of ${traceId} among ${JSON.stringify(await stalls(service))}`);
}

/** What a route does besides may block a busy machine too, for less. */
function longestOf(found: readonly StallEntry[], route: string): StallEntry {
  return found.filter((stall) => stall.route === route).sort((a, b) => b.durationMillis - a.durationMillis)[0]!;
}

/** Other clients; answers how to send them away. */
function others(service: Service, count: number): () => Promise<void> {
  const leaving = new AbortController();
  const clients = Array.from({ length: count }, async () => {
    while (!leaving.signal.aborted) {
      await fetch(`http://127.0.0.1:${service.port}/other`).then(
        (res) => res.text(),
        () => leaving.abort(),
      );
      await delay(3);
    }
  });
  return async () => {
    leaving.abort();
    await Promise.all(clients);
  };
}

/** Blocks by route, with the function that is to be named. */
const KINDS: readonly (readonly [what: string, route: string, culprit?: string])[] = [
  ['a loop', 'loopOverRows'],
  ['JSON.parse', 'parseCatalog'],
  ['JSON.stringify', 'writeCatalog'],
  ['a regular expression that backtracks', 'matchName'],
  ['execSync', 'runCommand'],
  ['readFileSync of large files', 'loadFile'],
  ['pbkdf2Sync', 'hashPassword'],
  ['gzipSync', 'packNoise'],
  ['Atomics.wait', 'waitForOther'],
  ['ticks without end', 'starveByTicks', 'tickAgain'],
  ['promises without end', 'starveByPromises'],
  ['live objects without end', 'fillHeap'],
];

describe.each([20, 24, 26])('on Node %d', (major) => {
  let service: Service;
  let startedMillis: number;

  beforeAll(async () => {
    startedMillis = performance.now();
    // A young generation of a megabyte: collections have everything to do.
    service = await start({
      node: nodeBinary(major),
      flags: ['--expose-gc', '--max-semi-space-size=1', '--require', path.join(ROOT, 'dist/register.js')],
    });
  });
  afterAll(killAll);

  test.each(KINDS)('%s is found, with its function, route and trace', { timeout: 60_000 }, async (_what, route, culprit = route) => {
    const leave = others(service, 3);
    const { truth, traceId } = await block(service, `/${route}`);
    const stall = await stallOf(service, traceId).finally(leave);
    expect(truth.durationMillis).toBeGreaterThan(100);
    expect(stall).toMatchObject({
      culprit: { function: culprit, file: SOURCE },
      route: `/${route}`,
      traceId,
      spanId: expect.stringMatching(/^[0-9a-f]{16}$/) as string,
    });
    expect(stall.stack.map((frame) => frame.function)).toContain(culprit);
    expect(stall.samples).toBeGreaterThan(0);
    expect(stall.cause, JSON.stringify(stall)).toMatch(/^(?:code|garbage collection)$/);
    // Within the same turn of the loop others may come before and after.
    expect(stall.durationMillis).toBeGreaterThan(truth.durationMillis - 15);
    expect(stall.durationMillis).toBeLessThan(truth.durationMillis * 1.5 + 300);
    expect(stall.startEpochMillis).toBeLessThan(truth.startEpochMillis + 15);
    expect(stall.startEpochMillis).toBeGreaterThan(truth.startEpochMillis - truth.durationMillis * 0.5 - 300);
  });

  test('what waits for others is told from what computes by its CPU time', async () => {
    const found = await stalls(service);
    const cpuShare = (route: string): number => {
      const { cpuMillis, durationMillis } = longestOf(found, route);
      return cpuMillis! / durationMillis;
    };
    for (const route of ['/runCommand', '/waitForOther']) expect(cpuShare(route)).toBeLessThan(0.1);
    expect(cpuShare('/matchName')).toBeGreaterThan(0.1);
  });

  test('what Node was called for is on the stack, inside the function that called', async () => {
    const found = await stalls(service);
    const stackOf = (route: string): string[] => longestOf(found, route).stack.map((frame) => frame.function);
    const runCommand = stackOf('/runCommand');
    expect(runCommand.indexOf('execSync')).toBe(runCommand.indexOf('runCommand') - 1);
    expect(stackOf('/packNoise').join(' ')).toMatch(/gzipSync|zlibBufferSync/i);
  });

  test('a collection is named as such, with the function in which it ran', { timeout: 60_000 }, async () => {
    const { traceId } = await block(service, '/collectAll');
    const stall = await stallOf(service, traceId);
    expect(stall).toMatchObject({ cause: 'garbage collection', route: '/collectAll' });
    expect(stall.gcMillis).toBeGreaterThan(stall.durationMillis / 2);
  });

  test('a request that is answered in the turn of the block has the block on its span', async () => {
    const { traceId } = await block(service, '/at-once/loopOverRows?length=1200');
    const read = async (): Promise<TraceEntry | undefined> =>
      (JSON.parse(await service.read(`/debug/traces?trace_id=${traceId}`)) as { traces: TraceEntry[] }).traces[0];
    let trace: TraceEntry | undefined;
    while ((trace = await read()) === undefined) await delay(50);
    const { events, startEpochMillis, durationMillis } = trace.spans[0]!;
    expect(events).toMatchObject([
      {
        name: 'sonde.eventloop.stall',
        attributes: {
          'sonde.eventloop.stall.cause': 'code',
          'code.function.name': 'loopOverRows',
          'code.file.path': SOURCE,
          'code.line.number': expect.any(Number) as number,
        },
      },
    ]);
    expect(events[0]!.attributes['sonde.eventloop.stall.duration']).toBeGreaterThan(1.19);
    expect(events[0]!.epochMillis).toBeGreaterThanOrEqual(startEpochMillis);
    expect(events[0]!.epochMillis).toBeLessThan(startEpochMillis + durationMillis);
    expect((await stalls(service, `?trace_id=${traceId}`)).map(({ culprit }) => culprit?.function)).toEqual(['loopOverRows']);
  });

  test('one line has said the first of them, and the metric has counted all', async () => {
    const lines = service.running.stderr.split('\n').filter((line) => line.includes('event loop blocked'));
    expect(lines[0]).toMatch(/^sonde: event loop blocked \d+ ms.*; see \/debug\/stalls$/);
    expect(lines.length).toBeLessThanOrEqual(1 + (performance.now() - startedMillis) / 60_000);
    const listed = (await stalls(service)).length;
    await attempt(async () => {
      const counts = (await service.read('/metrics')).matchAll(/^sonde_eventloop_stall_duration_seconds_count\{cause="(.*)"\} (\d+)$/gm);
      return Array.from(counts, ([, , count]) => Number(count)).reduce((sum, count) => sum + count, 0) >= listed ? [true] : undefined;
    });
    expect(await service.read('/debug/stalls?format=text&route=/runCommand')).toMatch(
      /ms {2}code {2}\/runCommand {2}trace [0-9a-f]{32}\n[^]*execSync/,
    );
  });

  test('a loop that is busy without a pause is no block', { timeout: 60_000 }, async () => {
    const leave = others(service, 3);
    // On a busy machine a turn of 7 ms may take any time, and is one then.
    const found = await attempt(async () => {
      const { truth, traceId } = await block(service, '/busy?length=700&turn=7');
      return (truth as unknown as { longestMillis: number }).longestMillis < 90 ? stalls(service, `?trace_id=${traceId}`) : undefined;
    });
    await leave();
    expect(found).toEqual([]);
  });

  test.each([
    [80, 0],
    [120, 1],
  ])('a block of %d ms makes %d entries', { timeout: 60_000 }, async (length, count) => {
    const found = await attempt(async () => {
      const { truth, traceId } = await block(service, `/loopOverRows?length=${length}`);
      await delay(100);
      return truth.durationMillis < length + 5 ? stalls(service, `?trace_id=${traceId}`) : undefined;
    });
    expect(found).toHaveLength(count);
    for (const { durationMillis } of found) expect(Math.abs(durationMillis - length)).toBeLessThan(15);
  });

  test(
    'a process that was stopped while it waited blames no function, and one that was stopped in a function says both',
    { timeout: 60_000 },
    async () => {
      const stopFor = async (millis: number): Promise<void> => {
        service.running.kill('SIGSTOP');
        await delay(millis);
        service.running.kill('SIGCONT');
      };
      await delay(200);
      const before = Date.now();
      await stopFor(800);
      const idle = await attempt(async () => {
        const found = (await stalls(service)).filter((stall) => stall.startEpochMillis > before - 100 && stall.durationMillis > 650);
        return found.length > 0 ? found : undefined;
      });
      expect(idle[0]).toMatchObject({ cause: 'not running', stack: [] });
      expect(idle[0]).not.toHaveProperty('route');
      // In a function that took long enough itself, both are said.
      const request = block(service, '/loopOverRows?length=2200');
      await delay(500);
      await stopFor(1300);
      const { traceId } = await request;
      const stall = await stallOf(service, traceId);
      expect(stall).toMatchObject({ cause: 'code', culprit: { function: 'loopOverRows' } });
      expect(stall.notRunningMillis).toBeGreaterThan(1200);
    },
  );
});

/** Tries until there is something, as often as a busy machine may need; fails with the test when there never is. */
async function attempt<T>(find: () => Promise<readonly T[] | undefined>): Promise<readonly T[]> {
  for (let i = 0; i < 30; i++) {
    const found = await find();
    if (found !== undefined) return found;
    await delay(100);
  }
  throw new Error('this machine is too busy to tell');
}

test('a function that a debugger holds is not to blame', { timeout: 60_000 }, async () => {
  const service = await start({ flags: ['--inspect=0', '--require', path.join(ROOT, 'dist/register.js')] });
  const [, url] = await service.running.seen(/Debugger listening on (ws:\S+)/);
  const socket = new WebSocket(url!);
  await new Promise((resolve) => socket.addEventListener('open', resolve));
  const send = (method: string): void => socket.send(JSON.stringify({ id: 1, method }));
  send('Debugger.enable');
  // Held in the function, and held in Node's own code before any of the application.
  for (const [target, method] of [
    ['/holdHere', 'Debugger.enable'],
    ['/other', 'Debugger.pause'],
  ] as const) {
    const before = Date.now();
    const paused = new Promise((resolve) =>
      socket.addEventListener('message', ({ data }) => String(data).includes('Debugger.paused') && resolve(data)),
    );
    send(method);
    const request = fetch(`http://127.0.0.1:${service.port}${target}`).then((res) => res.text());
    await paused;
    await delay(700);
    send('Debugger.resume');
    await request;
    const found = await attempt(async () => {
      const held = (await stalls(service)).filter(
        ({ startEpochMillis, durationMillis }) => startEpochMillis > before - 50 && durationMillis > 650,
      );
      return held.length > 0 ? held : undefined;
    });
    expect(found[0], target).toMatchObject({ cause: 'not running', reason: expect.stringContaining('debugger') as string });
    if (target === '/holdHere') expect(found[0]!.stack[0]).toMatchObject({ function: 'holdHere' });
  }
  socket.close();
  killAll();
});

test('without the addon a block is an entry that says why it has no stack', async () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'sonde-alone-'));
  try {
    cpSync(path.join(ROOT, 'dist'), path.join(directory, 'dist'), { recursive: true });
    const service = await start({ flags: ['--require', path.join(directory, 'dist/register.js')] });
    await block(service, '/loopOverRows?length=300');
    const found = await attempt(async () => {
      const all = (await stalls(service)).filter(({ durationMillis }) => durationMillis > 290);
      return all.length > 0 ? all : undefined;
    });
    expect(found[0]).toMatchObject({
      cause: 'unknown',
      reason: expect.stringContaining('@datadog/pprof is not running') as string,
      stack: [],
    });
    killAll();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test('the threshold is a setting, and so is all of it', { timeout: 60_000 }, async () => {
  const high = await start({ env: { SONDE_STALL_MILLIS: '400' } });
  const short = await block(high, '/loopOverRows?length=200');
  const long = await block(high, '/loopOverRows?length=450');
  await stallOf(high, long.traceId);
  if (short.truth.durationMillis < 390) expect(await stalls(high, `?trace_id=${short.traceId}`)).toEqual([]);
  killAll();
  const off = await start({ env: { SONDE_PROFILING: 'false' } });
  expect(await off.read('/debug/stalls')).toBe('switched off by SONDE_PROFILING=false\n');
  expect(await off.read('/metrics')).not.toContain('stall');
  killAll();
});
