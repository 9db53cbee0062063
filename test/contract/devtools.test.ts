// The files for DevTools, made by a service under the built preload and opened by DevTools itself: the front end of a
// real Chromium, and for CPU profiles also the copy of its parser that is published. By both profilers, on several Nodes.
import { CPUProfileDataModel } from '@paulirish/trace_engine/models/cpu_profile/CPUProfileDataModel.js';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { Devtools } from '../helpers/devtools-front-end.ts';
import { requirePeer } from '../helpers/require-peer.ts';
import { nodeBinary } from '../helpers/nodes.mjs';
import { killAll, startService, type Service, type ServiceOptions } from '../helpers/process.ts';
import { requireV8ProfilerNext, v8ProfilerNextDirectory } from '../helpers/v8-profiler-next.ts';

const SOURCE = path.resolve(import.meta.dirname, '../fixtures/profile/shelf.cjs');
/** Profiles that take time, at once; the ninth is refused. */
const READS_MAX = 8;

interface Frame {
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number; readonly columnNumber: number };
}

interface CpuProfileFile {
  readonly nodes: readonly Frame[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
  readonly startTime: number;
  readonly endTime: number;
}

// The first test of each Node builds v8-profiler-next, and DevTools takes its time over a snapshot.
vi.setConfig({ testTimeout: 120_000 });

let directory: string;
let devtools: Devtools | undefined;

beforeAll(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'sonde-devtools-'));
});

afterAll(async () => {
  await devtools?.close();
  rmSync(directory, { recursive: true });
});

beforeEach(async (context) => {
  requirePeer(context, 'chromium');
  devtools ??= await Devtools.open();
});

/** Starts the service and waits until its profilers have started. */
async function startShelf(options: Partial<ServiceOptions> = {}): Promise<{ service: Service; base: string }> {
  const service = await startService({
    app: SOURCE,
    ...options,
    env: { SONDE_HEAP_SNAPSHOT: 'true', SONDE_PROFILING_HEAP_INTERVAL_BYTES: '524288', ...options.env },
  });
  const base = `${await service.sondeUrl()}/debug`;
  return { service, base };
}

/** Reads a file from an endpoint and keeps it on disk. */
async function download(url: string): Promise<{ file: string; headers: Headers }> {
  const reply = await fetch(url);
  const content = Buffer.from(await reply.arrayBuffer());
  expect(reply.status, content.toString().slice(0, 500)).toBe(200);
  const file = path.join(directory, `${Math.random().toString(36).slice(2)}.json`);
  writeFileSync(file, content);
  return { file, headers: reply.headers };
}

const parse = (file: string): any => JSON.parse(readFileSync(file, 'utf8'));
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;
const burners = (self: Readonly<Record<string, number>>): number => self['burnTwoParts']! / (self['burnTwoParts']! + self['burnOnePart']!);

describe.each([
  [20, 'v8-profiler-next'],
  [20, 'inspector'],
  [24, 'v8-profiler-next'],
  [24, 'inspector'],
  [26, 'inspector'],
] as const)('on Node %i by %s', (major, profiler) => {
  let service: Service;
  let base: string;
  /** Without, V8 knows the code of loops that run already on Node 20 only. */
  const anew = major < 22 ? '' : '&deoptimize=1';
  const temporary = (): string => path.join(directory, `${major}-${profiler}`);

  beforeEach(async (context) => {
    if (service !== undefined) return;
    const cwd = profiler === 'inspector' ? directory : requireV8ProfilerNext(context, major);
    mkdirSync(temporary());
    ({ service, base } = await startShelf({ node: nodeBinary(major), cwd, env: { TMPDIR: temporary() } }));
  });

  afterAll(killAll);

  test('a CPU profile has its seconds in time order at its interval, each function where it used the time', async () => {
    const { file, headers } = await download(`${base}/cpuprofile?seconds=2&interval=500${anew}`);
    expect(headers.get('x-sonde-profiler')).toBe(profiler);
    expect(headers.get('content-disposition')).toBe('attachment; filename="profile.cpuprofile"');
    const opened = await devtools!.cpuProfile(file);
    expect(opened.isInTimeOrder).toBe(true);
    expect(opened.endMillis - opened.startMillis).toBeGreaterThan(1900);
    expect(opened.endMillis - opened.startMillis).toBeLessThan(6000);
    // Two thirds.
    expect(burners(opened.selfMillis)).toBeGreaterThan(0.5);
    expect(burners(opened.selfMillis)).toBeLessThan(0.85);

    const profile: CpuProfileFile = parse(file);
    expect(profile.timeDeltas).toHaveLength(profile.samples.length);
    expect(Math.min(...profile.timeDeltas)).toBeGreaterThanOrEqual(0);
    expect(median(profile.timeDeltas)).toBeGreaterThan(350);
    expect(median(profile.timeDeltas)).toBeLessThan(1000);
    const { callFrame } = profile.nodes.find((node) => node.callFrame.functionName === 'burnTwoParts')!;
    // From 0, and where the parameters begin.
    expect(callFrame).toMatchObject({ url: pathToFileURL(SOURCE).href, lineNumber: 15, columnNumber: 'function burnTwoParts'.length });

    const published = new CPUProfileDataModel(parse(file));
    expect(published.samples).toHaveLength(opened.samples);
    expect(published.profileEndTime - published.profileStartTime).toBeCloseTo(opened.endMillis - opened.startMillis);
  });

  test('several at once are each right, those at another interval too, and the continuous one goes on', async () => {
    const before = await service.read('/metrics');
    const [pprof, ...profiles] = await Promise.all([
      fetch(`${base}/pprof/profile?seconds=1`),
      download(`${base}/cpuprofile?seconds=1&interval=1000${anew}`),
      download(`${base}/cpuprofile?seconds=2&interval=1000${anew}`),
      download(`${base}/cpuprofile?seconds=1&interval=2000${anew}`),
    ]);
    expect(pprof.status).toBe(200);
    await pprof.arrayBuffer();
    expect(profiles.map(({ headers }) => headers.get('x-sonde-profiler'))).toEqual([profiler, profiler, 'inspector']);
    const opened = [];
    for (const { file } of profiles) opened.push(await devtools!.cpuProfile(file));
    for (const { selfMillis } of opened) expect(selfMillis['burnTwoParts']).toBeGreaterThan(0);
    const lengths = opened.map(({ startMillis, endMillis }) => endMillis - startMillis);
    expect(lengths[0]!).toBeGreaterThan(900);
    expect(lengths[1]!).toBeGreaterThan(lengths[0]! + 500);
    expect(await service.read('/metrics')).not.toBe(before);
    expect((await fetch(`${base}/pprof/profile?last=10`)).status).toBe(200);
  });

  test('a client that leaves ends its profile and frees its place', async () => {
    const left = new AbortController();
    const abandoned = Array.from({ length: READS_MAX }, () =>
      fetch(`${base}/cpuprofile?seconds=100`, { signal: left.signal }).catch((error: Error) => error.name),
    );
    let refused: Response;
    do refused = await fetch(`${base}/cpuprofile?seconds=1`);
    while (refused.status === 200);
    expect(refused.status).toBe(503);
    expect(await refused.text()).toBe(`${READS_MAX} profiles are being taken already\n`);
    left.abort();
    expect(await Promise.all(abandoned)).toEqual(Array.from({ length: READS_MAX }, () => 'AbortError'));
    let status = 503;
    while (status === 503) ({ status } = await fetch(`${base}/cpuprofile?seconds=1`));
    expect(status).toBe(200);
  });

  test('a heap profile has what lives by who allocated it, from the sampler that runs on', async () => {
    await service.get('/keep');
    const { file, headers } = await download(`${base}/heapprofile?gc=1`);
    expect(headers.get('x-sonde-profiler')).toBe('inspector');
    expect(headers.get('content-disposition')).toBe('attachment; filename="heap.heapprofile"');
    const opened = await devtools!.heapProfile(file);
    expect(opened.bytes['keepRows']).toBeGreaterThan(4e6);
    expect(opened.bytes['keepRows']).toBeLessThan(40e6);
    expect(opened.totalBytes).toBeGreaterThanOrEqual(opened.bytes['keepRows']!);
    expect(parse(file).samples.length).toBeGreaterThan(8);
    // Whoever ended the sampler has lost these rows for everybody.
    const again = await devtools!.heapProfile((await download(`${base}/heapprofile`)).file);
    expect(again.bytes['keepRows']).toBeGreaterThan(4e6);
    expect((await fetch(`${base}/pprof/heap`)).status).toBe(200);
    expect(service.running.stderr).not.toContain('another profiler');
  });

  test('a heap snapshot has every object, and leaves nothing behind', async () => {
    const head = await fetch(`${base}/heapsnapshot`, { method: 'HEAD' });
    expect(service.running.stderr).not.toContain('stands still');
    const { file, headers } = await download(`${base}/heapsnapshot`);
    expect(headers.get('x-sonde-profiler')).toBe(profiler);
    expect(headers.get('content-encoding')).toBe('gzip');
    expect(headers.get('content-disposition')).toBe('attachment; filename="heap.heapsnapshot"');
    for (const name of ['x-sonde-estimated-seconds', 'x-sonde-estimated-memory-bytes', 'x-sonde-estimated-size-bytes']) {
      expect(Number(head.headers.get(name)), name).toBeGreaterThan(0);
      expect(Number(headers.get(name)), name).toBeGreaterThan(0);
    }
    const opened = await devtools!.snapshot(file);
    expect(opened.counts['Book']).toBe(4321);
    expect(opened.totalBytes).toBeGreaterThan(3e6);
    expect(readdirSync(temporary())).toEqual([]);
    expect(service.running.stderr).toMatch(
      /^sonde: the process stands still for about \d+ s while a snapshot of its heap of \d+ MB is taken/m,
    );
    expect((await fetch(`${base}/cpuprofile?seconds=1`)).status).toBe(200);
  });

  test('the process ends as it wants while profiles are being recorded', async () => {
    const cwd = profiler === 'inspector' ? directory : v8ProfilerNextDirectory(major);
    for (let i = 0; i < 3; i++) {
      const { service: other, base: at } = await startShelf({ node: nodeBinary(major), cwd });
      const cutOff = ['100', '250', '1000', '1000'].map((interval) =>
        fetch(`${at}/cpuprofile?seconds=30&interval=${interval}`).catch((error: Error) => error.name),
      );
      // Taken up after them.
      await fetch(`${at}/config`);
      void other.get('/exit');
      expect(await other.running.ended).toMatchObject({ code: 7, signal: null });
      expect(await Promise.all(cutOff)).toEqual(['TypeError', 'TypeError', 'TypeError', 'TypeError']);
    }
  });
});

describe('v8-profiler-next', () => {
  afterEach(killAll);

  test('that is not built for this Node is said once, and the inspector takes its place', async (context) => {
    const { service, base } = await startShelf({ node: nodeBinary(26), cwd: requireV8ProfilerNext(context, 20) });
    for (let i = 0; i < 2; i++) {
      const { headers } = await download(`${base}/cpuprofile?seconds=1`);
      expect(headers.get('x-sonde-profiler')).toBe('inspector');
    }
    const lines = service.running.stderr.split('\n').filter((line) => line.includes('v8-profiler-next'));
    expect(lines).toEqual([
      expect.stringMatching(/^sonde: v8-profiler-next is installed but does not load, the inspector takes its place: Cannot find module/),
    ]);
  });

  test('that the application has loaded itself is left alone for CPU profiles, its settings being one for the process', async (context) => {
    const cwd = requireV8ProfilerNext(context, 20);
    const preload = path.join(directory, 'own.cjs');
    // Its own interval must still hold after ours.
    writeFileSync(
      preload,
      `const profiler = require(${JSON.stringify(path.join(cwd, 'node_modules/v8-profiler-next'))});
       profiler.setSamplingInterval(20_000);
       profiler.startProfiling('own', true);
       setTimeout(() => console.log('own ' + profiler.stopProfiling('own').samples.length), 4000);`,
    );
    const flags = ['--require', preload, '--require', path.resolve(import.meta.dirname, '../../dist/register.js')];
    const { service, base } = await startShelf({ cwd, flags });
    const { headers } = await download(`${base}/cpuprofile?seconds=1&interval=100`);
    expect(headers.get('x-sonde-profiler')).toBe('inspector');
    const [, samples] = await service.running.seen(/own (\d+)/);
    expect(Number(samples)).toBeGreaterThan(20);
    expect(Number(samples)).toBeLessThan(400);
    expect((await fetch(`${base}/heapsnapshot`, { method: 'HEAD' })).headers.get('x-sonde-profiler')).toBe('v8-profiler-next');
  });

  test('puts nothing in place in the application', async (context) => {
    const preload = path.join(directory, 'look.cjs');
    writeFileSync(preload, `process.on('SIGUSR2', () => console.log('profiler ' + typeof process.profiler));`);
    const flags = ['--require', preload, '--require', path.resolve(import.meta.dirname, '../../dist/register.js')];
    const { service, base } = await startShelf({ cwd: requireV8ProfilerNext(context, 20), flags });
    expect((await download(`${base}/cpuprofile?seconds=1`)).headers.get('x-sonde-profiler')).toBe('v8-profiler-next');
    service.running.kill('SIGUSR2');
    await service.running.seen(/profiler undefined/);
  });
});
