// Processes that run out of memory, on the built package: what is written before they end, and what the next start says of it.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { Profile } from 'pprof-format';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Evidence } from '../../src/leak/evidence.ts';
import { evidenceOf } from '../unit/leak/evidence.ts';
import { Container } from '../helpers/container.ts';
import { MAJORS, nodeBinary } from '../helpers/nodes.mjs';
import { killAll, REGISTER, ROOT, runToEnd, startService, type Ended, type Service } from '../helpers/process.ts';

const APP = path.join(ROOT, 'test/fixtures/leak/near-end.cjs');

const MEBIBYTE = 1024 * 1024;

let directory: string;

beforeEach(() => {
  directory = path.join(mkdtempSync(path.join(tmpdir(), 'sonde-near-end-')), 'dump');
});

afterEach(() => {
  killAll();
  rmSync(path.dirname(directory), { recursive: true, force: true });
});

interface Started {
  readonly major?: number;
  readonly container?: Container;
  readonly env?: Readonly<Record<string, string>>;
  readonly heapMebibytes?: number;
}

async function start({ major, container, env, heapMebibytes = 128 }: Started = {}): Promise<Service> {
  const service = await startService({
    app: APP,
    flags: [`--max-old-space-size=${heapMebibytes}`, '--require', REGISTER],
    env: { SONDE_DUMP_DIR: directory, SONDE_CGROUP_ROOT: container?.root ?? path.dirname(directory), ...env },
    ...(major === undefined ? {} : { node: nodeBinary(major) }),
  });
  await service.sondeUrl();
  container?.hold(service.running);
  return service;
}

function named(suffix: string): string[] {
  return existsSync(directory) ? readdirSync(directory).filter((name) => name.endsWith(suffix)) : [];
}

/** The one evidence, whole. */
function evidence(): Evidence {
  const names = named('.json').filter((name) => !name.endsWith('.state.json'));
  expect(names).toHaveLength(1);
  return JSON.parse(readFileSync(path.join(directory, names[0]!), 'utf8')) as Evidence;
}

function expectWhole(found: Evidence): void {
  expect(found).toMatchObject({ service: 'sonde', pid: expect.any(Number), time: expect.stringMatching(/^\d{4}-.*Z$/) });
  expect(found.heap[0]).toMatchObject({ function: expect.stringMatching(/^leak(?:Here|Buffer)$/), file: APP });
  expect(found.requests).toEqual([expect.objectContaining({ method: 'GET', traceId: expect.stringMatching(/^[\da-f]{32}$/) })]);
  const profile = Profile.decode(gunzipSync(readFileSync(path.join(directory, found.profile!))));
  expect(profile.stringTable.strings).toContain('leakHere');
}

/** A service with a request in flight that leaks to its death. */
async function leakToDeath(service: Service, amount: number): Promise<Ended> {
  void service.get('/hold');
  await service.get(`/leak?amount=${amount}`);
  return await service.running.ended;
}

describe.each(MAJORS)('on Node %i', (major) => {
  test('a heap that grows to its limit leaves evidence, and the process ends as V8 ends it', async () => {
    const ended = await leakToDeath(await start({ major }), 40);
    expect(ended).toMatchObject({ code: null, signal: 'SIGABRT' });
    expect(ended.stderr).toContain('JavaScript heap out of memory');
    expect(ended.stderr).toMatch(/sonde: the heap is near V8's limit: \d+ % of 128 MiB/);
    const found = evidence();
    expectWhole(found);
    expect(found.reason).toBe('v8-out-of-memory');
    expect(found.oldGeneration.limitBytes).toBe(128 * MEBIBYTE);
  }, 60_000);

  test('a heap that is filled in one turn of the loop leaves evidence', async () => {
    const service = await start({ major });
    void service.get('/sudden');
    const ended = await service.running.ended;
    expect(ended).toMatchObject({ code: null, signal: 'SIGABRT' });
    expect(ended.stderr).toContain('JavaScript heap out of memory');
    const found = evidence();
    expect(found.reason).toBe('v8-out-of-memory');
    expect(found.heap[0]).toMatchObject({ function: 'leakHere', file: APP });
  }, 60_000);

  test('a container that fills up leaves evidence before it is killed', async () => {
    const container = new Container(256 * MEBIBYTE);
    const ended = await leakToDeath(await start({ major, container, heapMebibytes: 1024 }), 20);
    container.remove();
    expect(ended).toMatchObject({ code: null, signal: 'SIGKILL' });
    const found = evidence();
    expectWhole(found);
    expect(found.reason).toBe('container-limit');
    expect(found.container!.usedBytes).toBeGreaterThan(0.7 * 256 * MEBIBYTE);
  }, 60_000);
});

test('of a heap that is filled in one turn of the loop the requests are told that were in flight five seconds before', async () => {
  const service = await start();
  void service.get('/hold');
  await new Promise((resolve) => setTimeout(resolve, 7000));
  void service.get('/sudden');
  const { stderr } = await service.running.ended;
  const { epochMillis, measuredEpochMillis, requests } = evidence();
  expect(requests).toEqual([expect.objectContaining({ method: 'GET', traceId: expect.stringMatching(/^[\da-f]{32}$/) })]);
  expect(epochMillis - measuredEpochMillis).toBeLessThan(15_000);
  expect(stderr).toMatch(/\n {2}(?:\d+ s before: )?old generation /);
}, 60_000);

test('the snapshot that Node was told to write near the limit is written', async () => {
  const flags = ['--max-old-space-size=64', '--heapsnapshot-near-heap-limit=1', `--diagnostic-dir=${path.dirname(directory)}`];
  const service = await startService({ app: APP, flags: [...flags, '--require', REGISTER], env: { SONDE_DUMP_DIR: directory } });
  await service.sondeUrl();
  void service.get('/sudden');
  await service.running.ended;
  expect(readdirSync(path.dirname(directory)).filter((name) => name.endsWith('.heapsnapshot'))).toHaveLength(1);
}, 60_000);

test('the next start reports a death once', async () => {
  await leakToDeath(await start(), 40);
  const [first, second] = await Promise.all([start(), start()]);
  await expect.poll(() => named('.reported.json')).toHaveLength(1);
  const third = await start();
  await third.get('/');
  for (const service of [first, second, third]) service.running.kill();
  const said = (await Promise.all([first, second, third].map((service) => service.running.ended))).map(({ stderr }) => stderr).join('');
  const reports = said.match(
    /sonde: process \d+ ended because V8 ran out of memory.*; most of its memory was allocated by leakHere \(.*; evidence: .*\.reported\.json/g,
  );
  expect(reports).toHaveLength(1);
}, 60_000);

test('what came near its end and exited well is not reported', async () => {
  const service = await start();
  await service.get('/fill?amount=95');
  await service.running.seen(/the heap is near V8's limit/);
  await service.get('/exit');
  expect(await service.running.ended).toMatchObject({ code: 0 });
  expect(named('.over.json')).toHaveLength(1);
  const next = await start();
  await next.get('/');
  next.running.kill();
  expect((await next.running.ended).stderr).not.toMatch(/sonde: process \d+ ended/);
});

test('what came near its end and was told to end is not reported', async () => {
  const service = await start();
  await service.get('/fill?amount=95');
  await service.running.seen(/the heap is near V8's limit/);
  service.running.kill('SIGTERM');
  expect(await service.running.ended).toMatchObject({ code: null, signal: 'SIGTERM' });
  expect(named('.over.json')).toHaveLength(1);
  expect(named('.state.json')).toEqual([]);
});

test('a directory that cannot be used is said at the start, and the evidence on stderr alone', async () => {
  mkdirSync(path.dirname(directory), { recursive: true });
  writeFileSync(directory, 'a file in the way');
  const ended = await leakToDeath(await start(), 40);
  expect(ended).toMatchObject({ code: null, signal: 'SIGABRT' });
  expect(ended.stderr.match(/cannot be written to/g)).toHaveLength(1);
  expect(ended.stderr).toContain('near V8');
  expect(ended.stderr).not.toContain('NearHeapLimit');
  expect(readFileSync(directory, 'utf8')).toBe('a file in the way');
});

test.skipIf(!canMount())(
  'a directory that is full is said once, and the evidence on stderr alone',
  async () => {
    mkdirSync(directory);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', directory]);
    try {
      const service = await start();
      writeFileSync(path.join(directory, 'others'), 'x'.repeat(12 * 1024));
      const ended = await leakToDeath(service, 40);
      expect(ended).toMatchObject({ code: null, signal: 'SIGABRT' });
      expect(ended.stderr.match(/cannot be written to .*ENOSPC/g)!.length).toBeGreaterThan(0);
      expect(ended.stderr).toMatch(/live: .* leakHere/);
      expect(named('.tmp')).toEqual([]);
      expect(readFileSync(path.join(directory, 'others'), 'utf8')).toHaveLength(12 * 1024);
    } finally {
      execFileSync('umount', [directory]);
    }
  },
  60_000,
);

/** Only root may, and not in every container. */
function canMount(): boolean {
  const probe = mkdtempSync(path.join(tmpdir(), 'sonde-mount-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', probe], { stdio: 'ignore' });
    execFileSync('umount', [probe], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  } finally {
    rmSync(probe, { recursive: true, force: true });
  }
}

test('the exporter reads a profile whose functions have any name', async () => {
  mkdirSync(directory);
  const base = 'sonde-shop-7-20231114T221320123Z';
  writeFileSync(path.join(directory, `${base}.state.json`), JSON.stringify(evidenceOf()));
  // As the addon writes it: names as they are.
  const leaf =
    '{"name":"a "quoted" \\ name","scriptName":"/app/"x".js","scriptId":1,"lineNumber":3,"columnNumber":1,"children":[],"allocations":[{"sizeBytes":100,"count":2}]}';
  const profile = path.join(directory, 'heap_profile');
  writeFileSync(
    profile,
    `{"name":"(root)","scriptName":"","scriptId":0,"lineNumber":0,"columnNumber":0,"children":[${leaf}],"allocations":[]}`,
  );
  const { code } = await runToEnd({ args: [path.join(ROOT, 'dist/near-end-exporter.js'), directory, base, profile] });
  expect(code).toBe(0);
  const found = evidence();
  expect(found).toMatchObject({ reason: 'v8-out-of-memory', profile: `${base}.heap.pb.gz` });
  expect(found.heap).toEqual([{ function: 'a "quoted" \\ name', file: '/app/"x".js', line: 3, bytes: 200 }]);
  expect(named('.state.json')).toEqual([]);
});

test('the exporter leaves evidence of a profile that is cut off', async () => {
  mkdirSync(directory);
  const base = 'sonde-shop-7-20231114T221320123Z';
  writeFileSync(path.join(directory, `${base}.state.json`), JSON.stringify(evidenceOf()));
  writeFileSync(path.join(directory, 'heap_profile'), '{"name":"(root)","scr');
  const profile = path.join(directory, 'heap_profile');
  await runToEnd({ args: [path.join(ROOT, 'dist/near-end-exporter.js'), directory, base, profile] });
  expect(evidence()).toMatchObject({ reason: 'v8-out-of-memory', pid: evidenceOf().pid, profile: null });
});

test('the exporter leaves evidence of a process whose state has gone', async () => {
  mkdirSync(directory);
  const base = 'sonde-a-shop-7-20231114T221320123Z';
  const profile = path.join(directory, 'heap_profile');
  writeFileSync(profile, '{"name":"(root)","scriptName":"","scriptId":0,"lineNumber":0,"columnNumber":0,"children":[],"allocations":[]}');
  await runToEnd({ args: [path.join(ROOT, 'dist/near-end-exporter.js'), directory, base, profile] });
  expect(evidence()).toMatchObject({ reason: 'v8-out-of-memory', service: 'a-shop', pid: 7, profile: `${base}.heap.pb.gz` });
});

test('a worker thread that loads Sonde does not watch a second time', async () => {
  const service = await start({ env: { NODE_OPTIONS: '' } });
  await service.get('/worker');
  await service.get('/fill?amount=95');
  await service.running.seen(/the heap is near V8's limit/);
  expect([...service.running.stderr.matchAll(/the heap is near V8's limit: 7\d %/g)].length).toBeLessThanOrEqual(1);
});
