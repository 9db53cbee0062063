import { afterAll, beforeAll, expect, test } from 'vitest';
import promClient from 'prom-client';
import { SystemClock } from '../../../src/core/clock.ts';
import { StderrDiag } from '../../../src/core/diag.ts';
import { Guard } from '../../../src/core/guard.ts';
import type { Family } from '../../../src/metrics/family.ts';
import { LegacyMetrics } from '../../../src/metrics/legacy.ts';
import { ProcessMetrics } from '../../../src/metrics/process.ts';
import { Registry } from '../../../src/metrics/registry.ts';
import { RuntimeMetrics } from '../../../src/metrics/runtime.ts';

const guard = new Guard(new StderrDiag('none'));
const runtime = new RuntimeMetrics(guard);
const ofProcess = new ProcessMetrics({ guard, clock: new SystemClock() });
const registry = new Registry(guard);
const taken = new Set<string>();

beforeAll(async () => {
  runtime.start();
  registry.register('runtime', runtime.collector);
  registry.register('process', ofProcess.collector);
  registry.register('legacy', new LegacyMetrics({ runtime, process: ofProcess, isTaken: (name) => taken.has(name) }).collector);
  while (!(await collect()).has('nodejs_eventloop_lag_seconds')) await new Promise((resolve) => setImmediate(resolve));
});
afterAll(() => runtime.stop());

async function collect(): Promise<ReadonlyMap<string, Family>> {
  const families = await registry.collect();
  return new Map(families.filter(({ naming }) => naming === 'prometheus').map((family) => [family.name, family]));
}

test('names, types and labels are those of the real prom-client on this machine', async () => {
  const register = new promClient.Registry();
  promClient.collectDefaultMetrics({ register });
  const theirs = (await register.getMetricsAsJSON()).map(({ name, type }) => `${name} ${String(type)}`);
  register.clear();
  const ours = [...(await collect()).values()].map(({ name, type }) => `${name} ${type}`);
  expect(ours.toSorted()).toEqual(theirs.toSorted());
});

test('values agree with the same readings under OpenTelemetry names', async () => {
  const families = new Map((await registry.collect()).map(({ name, points }) => [name, points as readonly { value: number }[]]));
  const sum = (name: string): number => families.get(name)!.reduce((total, { value }) => total + value, 0);
  expect(sum('process_cpu_seconds_total')).toBeCloseTo(sum('process.cpu.time'), 9);
  expect(sum('process_resident_memory_bytes')).toBe(sum('process.memory.usage'));
  expect(sum('nodejs_heap_space_size_used_bytes')).toBe(sum('v8js.memory.heap.used'));
  expect(sum('nodejs_active_resources_total')).toBe(sum('v8js.resource.active'));
  expect(sum('nodejs_eventloop_lag_max_seconds')).toBeCloseTo(sum('nodejs.eventloop.delay.max') + 0.01, 9);
});

test('heap spaces are named without the ending', async () => {
  const { points } = (await collect()).get('nodejs_heap_space_size_used_bytes')!;
  expect(points.map(({ labels }) => labels['space'])).toContain('old');
});

test('a metric that the application publishes itself is left to it', async () => {
  taken.add('process_cpu_seconds_total');
  const families = await collect();
  taken.clear();
  expect(families.has('process_cpu_seconds_total')).toBe(false);
  expect(families.has('process_cpu_user_seconds_total')).toBe(true);
});
