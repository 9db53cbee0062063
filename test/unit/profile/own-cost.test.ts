// What Sonde costs, from a copied /proc tree and from this process itself.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SystemClock } from '../../../src/core/clock.ts';
import { StderrDiag } from '../../../src/core/diag.ts';
import { Guard } from '../../../src/core/guard.ts';
import { ContinuousProfile } from '../../../src/profile/continuous.ts';
import { CpuCosts } from '../../../src/profile/cpu-costs.ts';
import { loadNativeProfilers } from '../../../src/profile/native.ts';
import { OwnCost } from '../../../src/profile/own-cost.ts';
import { ProfileBuilder } from '../../../src/profile/profile.ts';
import { activityOf } from '../../../src/profile/v8.ts';

const CPU = { type: 'cpu', unit: 'nanoseconds' };

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'sonde-proc-'));
});

afterEach(() => rmSync(directory, { recursive: true }));

/** A thread as Linux shows it: fields 14 and 15 of its stat are its ticks in user and in system mode. */
function writeThread(id: number, name: string, [user, system]: readonly [number, number]): void {
  const thread = path.join(directory, 'task', String(id));
  mkdirSync(thread, { recursive: true });
  writeFileSync(path.join(thread, 'comm'), `${name}\n`);
  const stat = `${id} (${name}) S 1 100 100 0 -1 4194304 500 0 0 0 ${user} ${system} 0 0 20 0 11 0 123456 1000000 2000 18446744073709551615\n`;
  writeFileSync(path.join(thread, 'stat'), stat);
}

const endThread = (id: number): void => rmSync(path.join(directory, 'task', String(id)), { recursive: true });

/** Costs in which Sonde's own functions have used so many seconds. */
function costsOf(ownSeconds: number): CpuCosts {
  const costs = new CpuCosts('/sonde');
  const builder = new ProfileBuilder(1);
  builder.add(builder.node(-1, builder.frame('own', '/sonde/engine.js', 1)), 0, ownSeconds * 1e9);
  costs.add(
    builder.build({ sampleTypes: [CPU], defaultSampleType: 'cpu', periodType: CPU, period: 1, startEpochMillis: 0, durationMillis: 1 }),
  );
  return costs;
}

const create = (options: { ownSeconds?: number; rotationMillis?: number } = {}): OwnCost =>
  new OwnCost({
    costs: costsOf(options.ownSeconds ?? 0),
    rotationMillis: () => options.rotationMillis ?? 0,
    procDirectory: directory,
  });

describe("V8's sampling thread", () => {
  test('is found by its name among the others, in a hundredth of a second a tick', () => {
    writeThread(100, 'node', [5000, 5000]);
    writeThread(101, 'V8Worker', [700, 7]);
    writeThread(102, 'v8:ProfEvntProc', [150, 25]);
    expect(create().read().samplingThread).toBe(1.75);
  });

  test('is read anew each time', () => {
    writeThread(102, 'v8:ProfEvntProc', [150, 25]);
    const cost = create();
    cost.read();
    writeThread(102, 'v8:ProfEvntProc', [160, 30]);
    expect(cost.read().samplingThread).toBe(1.9);
  });

  test('that follows another adds to it, as each change of the rate starts one', () => {
    writeThread(102, 'v8:ProfEvntProc', [100, 0]);
    const cost = create();
    expect(cost.read().samplingThread).toBe(1);
    endThread(102);
    writeThread(103, 'v8:ProfEvntProc', [20, 5]);
    expect(cost.read().samplingThread).toBe(1.25);
    endThread(103);
    expect(cost.read().samplingThread).toBe(1.25);
    writeThread(104, 'v8:ProfEvntProc', [50, 0]);
    expect(cost.read().samplingThread).toBe(1.75);
  });

  test('costs nothing before there is one', () => {
    writeThread(100, 'node', [5000, 5000]);
    const cost = create();
    expect(cost.read().samplingThread).toBe(0);
    writeThread(102, 'v8:ProfEvntProc', [1, 0]);
    expect(cost.read().samplingThread).toBe(0.01);
  });

  test('is found whatever its name has in it, and passed over where its numbers are none', () => {
    writeThread(99, 'v8:ProfEvntProc', [Number.NaN, 0]);
    const cost = create();
    expect(cost.read().samplingThread).toBe(0);
    endThread(99);
    writeThread(101, 'a) S 9 9 (b', [900, 900]);
    writeThread(102, 'v8:ProfEvntProc', [3, 4]);
    expect(cost.read().samplingThread).toBe(0.07);
  });

  test('is taken to cost what being sampled does where the system does not tell', () => {
    const costs = new CpuCosts('/sonde');
    const idle = {
      name: '(idle)',
      scriptName: '',
      hitCount: 2,
      children: [],
      contexts: [10_000, 30_000].map((cpuTime) => ({ timestamp: 1n, cpuTime })),
    };
    costs.addActivity(
      activityOf({ topDownRoot: { name: '(root)', scriptName: '', hitCount: 0, children: [idle] }, startTime: 0, endTime: 1 }),
    );
    const cost = new OwnCost({ costs, rotationMillis: () => 0, procDirectory: path.join(directory, 'absent') });
    expect(cost.read()).toMatchObject({ sampling: 40_000 / 1e9, samplingThread: 40_000 / 1e9 });
  });
});

test('rotations are not counted twice, though they are samples of Sonde too', () => {
  expect(create({ ownSeconds: 5, rotationMillis: 2000 }).read()).toMatchObject({ code: 3, rotation: 2 });
  expect(create({ ownSeconds: 1, rotationMillis: 2000 }).read()).toMatchObject({ code: 0, rotation: 2 });
});

test.runIf(process.platform === 'linux')('the real thread of this process is found', async () => {
  const diag = new StderrDiag('warn');
  const profile = new ContinuousProfile({
    native: loadNativeProfilers(),
    guard: new Guard(diag),
    diag,
    clock: new SystemClock(),
    hz: 99,
    history: { seconds: 900, bytes: 1e6 },
    budget: { cpu: 1, bytes: 1e9 },
    ownDirectory: '/sonde',
    labels: undefined,
  });
  profile.windows.start();
  try {
    // At 2 kHz it has its first hundredth of a second soon.
    profile.windows.changeInterval(500);
    await expect.poll(() => profile.ownCpuSeconds().samplingThread, { timeout: 20_000 }).toBeGreaterThan(0);
    const { sampling } = profile.ownCpuSeconds();
    expect(sampling).toBeGreaterThanOrEqual(0);
  } finally {
    profile.windows.stop();
  }
});
