import { afterAll, beforeAll, expect, test } from 'vitest';
import { closeSync, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { SystemClock, type Clock } from '../../../src/core/clock.ts';
import { StderrDiag } from '../../../src/core/diag.ts';
import { Guard } from '../../../src/core/guard.ts';
import { ProcessMetrics } from '../../../src/metrics/process.ts';

const guard = new Guard(new StderrDiag('none'));
let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'proc-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

function values(metrics: ProcessMetrics): ReadonlyMap<string, readonly number[]> {
  const families = metrics.collector() as readonly { name: string; points: readonly { value: number }[] }[];
  return new Map(families.map(({ name, points }) => [name, points.map(({ value }) => value)]));
}

test.runIf(process.platform === 'linux')('on Linux a file that is opened is one descriptor more', () => {
  const metrics = new ProcessMetrics({ guard, clock: new SystemClock() });
  const [before] = values(metrics).get('process.unix.file_descriptor.count')!;
  const descriptor = openSync('/dev/null', 'r');
  const [after] = values(metrics).get('process.unix.file_descriptor.count')!;
  closeSync(descriptor);
  expect(after).toBe(before! + 1);
});

test.runIf(process.platform === 'linux')(
  'a kernel that does not tell the number of descriptors has them counted for the next scrape',
  async () => {
    // A directory of /proc whose size is 0, as that of fd was before Linux 6.2.
    symlinkSync('/proc/self/task', join(directory, 'fd'));
    writeFileSync(join(directory, 'status'), 'VmSize:\t    2048 kB\nVmData:\t    1024 kB\nThreads:\t7\n');
    writeFileSync(join(directory, 'limits'), 'Max open files            unlimited            unlimited            files\n');
    const metrics = new ProcessMetrics({ guard, clock: new SystemClock(), procDirectory: directory });
    expect(values(metrics).get('process.unix.file_descriptor.count')).toEqual([]);
    while (values(metrics).get('process.unix.file_descriptor.count')!.length === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(values(metrics).get('process.unix.file_descriptor.count')![0]).toBeGreaterThan(0);
    expect(values(metrics).get('process.memory.virtual')).toEqual([2048 * 1024]);
    expect(values(metrics).get('process.thread.count')).toEqual([7]);
    expect(values(metrics).get('sonde.process.file_descriptor.limit')).toEqual([Infinity]);
  },
);

test('without /proc what only Linux knows is left out and the rest is told', () => {
  const metrics = new ProcessMetrics({ guard, clock: new SystemClock(), procDirectory: join(directory, 'missing') });
  expect([...values(metrics).keys()]).toEqual(['process.cpu.time', 'process.cpu.utilization', 'process.memory.usage', 'process.uptime']);
});

test('CPU utilisation is the CPU time since the window began over the time of all CPUs', () => {
  let nowMillis = 1000;
  const clock: Clock = { monotonicMillis: () => nowMillis, epochMillis: (monotonicMillis) => monotonicMillis };
  const metrics = new ProcessMetrics({ guard, clock });
  const before = process.cpuUsage();
  const end = performance.now() + 60;
  while (performance.now() < end);
  const used = process.cpuUsage(before);
  nowMillis += 100;
  const [user, system] = values(metrics).get('process.cpu.utilization')!;
  const expected = (used.user + used.system) / (100_000 * availableParallelism());
  expect(user! + system!).toBeGreaterThanOrEqual(expected);
  expect(user! + system!).toBeLessThan(expected + 0.1);
});

test('a reading right at the start of the window is finite', () => {
  const clock: Clock = { monotonicMillis: () => 5, epochMillis: () => 5 };
  const [user] = values(new ProcessMetrics({ guard, clock })).get('process.cpu.utilization')!;
  expect(user).toBeTypeOf('number');
  expect(Number.isFinite(user)).toBe(true);
});

test('the reading keeps the start of the process for others', () => {
  const metrics = new ProcessMetrics({ guard, clock: new SystemClock() });
  expect(metrics.last).toBeUndefined();
  values(metrics);
  expect(Math.abs(metrics.last!.startEpochSeconds - (Date.now() / 1000 - process.uptime()))).toBeLessThan(1);
});
