import { afterEach, beforeEach, expect, test } from 'vitest';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { StderrDiag } from '../../../src/core/diag.ts';
import { Guard } from '../../../src/core/guard.ts';
import type { Family } from '../../../src/metrics/family.ts';
import { RuntimeMetrics } from '../../../src/metrics/runtime.ts';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as (options?: { type: 'minor' }) => void;

let runtime: RuntimeMetrics;
let said: string[];
beforeEach(() => {
  said = [];
  runtime = new RuntimeMetrics(new Guard(new StderrDiag('warn', (line) => said.push(line))));
  runtime.start();
});
afterEach(() => runtime.stop());

/** Node hands the entries of one turn of the loop to observers in the next but one. */
async function delivered(): Promise<void> {
  for (let i = 0; i < 4; i++) await new Promise((resolve) => setImmediate(resolve));
}

async function collect(): Promise<ReadonlyMap<string, Family>> {
  return new Map((await runtime.collector()).map((family) => [family.name, family]));
}

async function gcCount(type: string): Promise<number> {
  const family = (await collect()).get('v8js.gc.duration');
  if (family?.type !== 'histogram') throw new Error('v8js.gc.duration is not a histogram');
  const point = family.points.find(({ labels }) => labels['v8js.gc.type'] === type)!;
  return Array.from(point.counts).reduce((sum, count) => sum + count, 0);
}

test('entries that were not handed out yet are counted by a reading, once', async () => {
  const before = await gcCount('major');
  gc();
  // After one turn the entry is with the observer and its callback is still to come.
  await new Promise((resolve) => setImmediate(resolve));
  expect(await gcCount('major')).toBe(before + 1);
  await delivered();
  expect(await gcCount('major')).toBe(before + 1);
});

test('every collection of a batch is counted, not only the first', async () => {
  await delivered();
  const before = await gcCount('major');
  for (let i = 0; i < 5; i++) gc();
  await delivered();
  expect(await gcCount('major')).toBe(before + 5);
});

test('a minor collection counts as minor', async () => {
  const before = await gcCount('minor');
  gc({ type: 'minor' });
  await delivered();
  expect(await gcCount('minor')).toBeGreaterThan(before);
});

test('a listener for major collections is called once for each and not for minor ones', async () => {
  let calls = 0;
  runtime.onMajorGc(() => (calls += 1));
  gc();
  gc({ type: 'minor' });
  gc();
  await delivered();
  expect(calls).toBe(2);
  await collect();
  expect(calls).toBe(2);
});

test('a listener that throws costs neither the count nor the other listeners', async () => {
  let calls = 0;
  runtime.onMajorGc(() => {
    throw new Error('broken listener');
  });
  runtime.onMajorGc(() => (calls += 1));
  const before = await gcCount('major');
  gc();
  await delivered();
  expect(await gcCount('major')).toBe(before + 1);
  expect(calls).toBe(1);
  expect(said.join()).toContain('broken listener');
});

test('the families have the names, types and units of the semantic conventions', async () => {
  while (!(await collect()).has('nodejs.eventloop.delay.p99')) await new Promise((resolve) => setImmediate(resolve));
  const families = [...(await collect()).values()].map(({ name, type, unit }) => `${name} ${type} ${unit}`);
  expect(families).toEqual([
    'nodejs.eventloop.delay.min gauge s',
    'nodejs.eventloop.delay.max gauge s',
    'nodejs.eventloop.delay.mean gauge s',
    'nodejs.eventloop.delay.stddev gauge s',
    'nodejs.eventloop.delay.p50 gauge s',
    'nodejs.eventloop.delay.p90 gauge s',
    'nodejs.eventloop.delay.p99 gauge s',
    'nodejs.eventloop.utilization gauge 1',
    'nodejs.eventloop.time counter s',
    'v8js.resource.active gauge {resource}',
    'v8js.gc.duration histogram s',
    'v8js.memory.heap.used updowncounter By',
    'v8js.memory.heap.space.size updowncounter By',
    'v8js.memory.heap.space.available_size updowncounter By',
    'v8js.memory.heap.space.physical_size updowncounter By',
    'sonde.heap.limit updowncounter By',
  ]);
});

test('heap used is told per space and adds up to what V8 says', async () => {
  const used = (await collect()).get('v8js.memory.heap.used')!.points as readonly { labels: object; value: number }[];
  expect(used.map(({ labels }) => labels)).toContainEqual({ 'v8js.heap.space.name': 'old_space' });
  const sum = used.reduce((total, { value }) => total + value, 0);
  expect(sum / process.memoryUsage().heapUsed).toBeCloseTo(1, 1);
});

test('the loop is told as busy and idle seconds that do not shrink, and a share between 0 and 1', async () => {
  const seconds = async (): Promise<readonly number[]> => {
    const { points } = (await collect()).get('nodejs.eventloop.time')!;
    return (points as readonly { value: number }[]).map(({ value }) => value);
  };
  const [active, idle] = await seconds();
  await new Promise((resolve) => setTimeout(resolve, 20));
  const [laterActive, laterIdle] = await seconds();
  expect(laterActive).toBeGreaterThan(active!);
  expect(laterIdle).toBeGreaterThan(idle!);
  const [share] = (await collect()).get('nodejs.eventloop.utilization')!.points as readonly { value: number }[];
  expect(share!.value).toBeGreaterThan(0);
  expect(share!.value).toBeLessThanOrEqual(1);
});

test('active resources are counted by type', async () => {
  const timers = [setTimeout(() => {}, 60_000), setTimeout(() => {}, 60_000)];
  const { points } = (await collect()).get('v8js.resource.active')!;
  for (const timer of timers) clearTimeout(timer);
  const timeouts = (points as readonly { labels: object; value: number }[]).find(
    ({ labels }) => (labels as Record<string, string>)['v8js.resource.type'] === 'Timeout',
  );
  expect(timeouts!.value).toBeGreaterThanOrEqual(2);
});
