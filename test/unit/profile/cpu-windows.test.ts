// Windows of the real profiler, in this process: readers at the same time, and how long windows are. Where time matters the clock
// stands still and the addon's profiler is made to take as long as the test says.
import { Session } from 'node:inspector/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { type Clock, SystemClock } from '../../../src/core/clock.ts';
import { StderrDiag } from '../../../src/core/diag.ts';
import { Guard } from '../../../src/core/guard.ts';
import { CpuCosts } from '../../../src/profile/cpu-costs.ts';
import { CpuSampler } from '../../../src/profile/cpu-sampler.ts';
import { CpuWindows } from '../../../src/profile/cpu-windows.ts';
import type { Follower } from '../../../src/profile/follower.ts';
import { loadNativeProfilers, type NativeProfilers } from '../../../src/profile/native.ts';
import { merge, type Profile } from '../../../src/profile/profile.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';

const asItIs = async (profile: Profile): Promise<Profile> => profile;

const running: CpuWindows[] = [];
const lines: string[] = [];

afterEach(() => {
  for (const windows of running.splice(0)) windows.stop();
  expect(lines).toEqual([]);
});

interface StartOptions {
  readonly clock?: Clock;
  readonly native?: NativeProfilers;
  readonly intervalMicros?: number;
}

function start({ clock = new SystemClock(), native = loadNativeProfilers(), intervalMicros = 1000 }: StartOptions = {}): CpuWindows {
  const diag = new StderrDiag('warn', (line) => lines.push(line));
  const windows = new CpuWindows({
    sampler: new CpuSampler({ native, diag, labels: undefined }, intervalMicros),
    guard: new Guard(diag),
    clock,
    costs: new CpuCosts('/nowhere'),
    limits: { seconds: 900, bytes: 8e6 },
  });
  windows.start();
  running.push(windows);
  return windows;
}

const cpuMillis = (): number => process.cpuUsage().user / 1000;

function burn(millis: number): number {
  let sum = 0;
  for (const end = cpuMillis() + millis; cpuMillis() < end;) for (let i = 0; i < 1e5; i++) sum = (sum * 31 + i) % 65_521;
  return sum;
}

/** Samples and CPU nanoseconds of everything. */
function totals(profiles: readonly (Profile | undefined)[]): number[] {
  const sums = [0, 0];
  for (const profile of profiles) {
    if (profile === undefined) continue;
    for (const row of profile.sampleNodes.keys()) {
      for (const column of [0, 1]) sums[column]! += profile.values[row * profile.sampleTypes.length + column]!;
    }
  }
  return sums;
}

describe('readers at the same time', () => {
  test('who follow, however often, who look back and who collect all have each sample once', async () => {
    const windows = start();
    const [often, seldom] = [windows.follow(asItIs), windows.follow(asItIs)];
    const before = [...windows.last(60)];
    const sumBefore = totals(before);
    const taken: (Profile | undefined)[] = [];
    const collected = windows.collect(async () => {
      for (let i = 0; i < 12; i++) {
        burn(20);
        if (i % 2 === 0) taken.push(await often.take());
        windows.tick();
        if (i % 5 === 0) windows.stretch(10, 10);
        await nextTurn();
      }
    });
    const whole = await collected;
    const ring = totals([...windows.last(60)]).map((sum, column) => sum - sumBefore[column]!);
    // The last window is for those who follow.
    windows.stop();
    running.length = 0;
    taken.push(await often.take());
    const late = totals([await seldom.take()]);
    // Who came first has what passed before the other came, too.
    const between = totals([before.at(-1)]);
    expect(totals(taken)).toEqual(late.map((sum, column) => sum + between[column]!));
    expect(ring[0]).toBeGreaterThan(60);
    for (const [column, sum] of ring.entries()) {
      expect(sum).toBeLessThanOrEqual(late[column]!);
      expect(sum / late[column]!).toBeGreaterThan(0.8);
    }
    // The end of its time to half a sampling interval, of 10 ms at the usual rate.
    const [samples, nanos] = totals(whole);
    expect(samples).toBeLessThanOrEqual(ring[0]!);
    expect(samples! / ring[0]!).toBeGreaterThan(0.8);
    expect(nanos! / ring[1]!).toBeGreaterThan(0.8);
  });

  test('who collect for a part of the time have that part', async () => {
    const windows = start();
    const parts: Profile[][] = [];
    const all = windows.collect(async () => {
      for (let part = 0; part < 3; part++) {
        parts.push(
          await windows.collect(async () => {
            burn(60);
          }),
        );
        // More than what readers share.
        burn(20);
      }
    });
    const [samples] = totals(await all);
    const partSamples = parts.map((part) => totals(part)[0]!);
    for (const count of partSamples) expect(count).toBeGreaterThan(15);
    expect(partSamples.reduce((sum, count) => sum + count, 0)).toBeLessThan(samples!);
  });

  test('what follows begins with the first call and ends with the last', async () => {
    const windows = start();
    burn(50);
    const follower = windows.follow(asItIs);
    const [none] = totals([await follower.take()]);
    expect(none).toBeLessThan(20);
    burn(50);
    follower.stop();
    burn(50);
    expect(totals([await follower.take()])).toEqual([0, 0]);
  });

  test('a change of the rate takes nothing from them', async () => {
    const windows = start();
    const follower = windows.follow(asItIs);
    burn(60);
    windows.changeInterval(2000);
    burn(60);
    const taken = await follower.take();
    const { period } = await merge([...windows.last(60)]);
    expect(period).toBeGreaterThan(0);
    expect(taken!.durationMillis).toBeGreaterThan(110);
    expect(totals([taken])[0]).toBeGreaterThan(30);
  });

  test('are told when profiling stops meanwhile, and who follow still get what was theirs', async () => {
    const windows = start();
    const follower = windows.follow(asItIs);
    burn(50);
    const collecting = windows.collect(async () => {
      burn(20);
      windows.stop();
    });
    running.length = 0;
    await expect(collecting).rejects.toMatchObject({ status: 503, message: 'profiling has stopped' });
    expect(totals([await follower.take()])[0]).toBeGreaterThan(15);
    expect(await follower.take()).toBeUndefined();
  });
});

describe('the length of a window', () => {
  /** The addon's profiler, whose cuts take so long by the test's clock. */
  function slowNative(clock: ManualClock, millis: () => number): NativeProfilers {
    const native = loadNativeProfilers();
    class Slow extends native.TimeProfiler {
      override stop(restart: boolean): ReturnType<InstanceType<typeof native.TimeProfiler>['stop']> {
        if (restart) clock.advance(millis());
        return super.stop(restart);
      }

      /** Of windows in which no time has passed it would say so. */
      override v8ProfilerStuckEventLoopDetected(): number {
        return 0;
      }
    }
    return { ...native, TimeProfiler: Slow };
  }

  /** Milliseconds from window to window when cuts take so long, after twenty seconds of it. */
  function settled(cutMillis: number): number {
    const clock = new ManualClock();
    const windows = start({ clock, native: slowNative(clock, () => cutMillis), intervalMicros: 10_101 });
    const beat = (millis: number): void => {
      for (const end = clock.nowMillis + millis; clock.nowMillis < end; clock.advance(50)) windows.tick();
    };
    beat(20_000);
    const [rotations, millis] = [windows.rotations, clock.nowMillis];
    beat(20_000);
    const length = (clock.nowMillis - millis) / (windows.rotations - rotations);
    expect(windows.rotationMillis).toBeCloseTo(windows.rotations * cutMillis, 3);
    windows.stop();
    running.length = 0;
    return length;
  }

  test('is a second at first', () => {
    const clock = new ManualClock();
    const windows = start({ clock });
    clock.advance(999);
    windows.tick();
    expect(windows.rotations).toBe(0);
    clock.advance(1);
    windows.tick();
    expect(windows.rotations).toBe(1);
  });

  // Beats come every 50 ms, and a window ends with the first one after its time.
  test.each([
    ['ten seconds where a cut takes less than a millisecond', 0.999, 10_000],
    ['what it was where a cut takes a millisecond', 1, 1000],
    ['what it was where a cut takes three', 3, 1000],
    ['a quarter of a second where a cut takes more', 3.001, 250],
    ['a quarter of a second however long a cut takes', 40, 250],
  ])('is %s', (_, cutMillis, lengthMillis) => {
    expect(Math.abs(settled(cutMillis) - lengthMillis)).toBeLessThanOrEqual(60 + cutMillis);
  });

  test("is cut short where another profiler's signals fill the room for contexts", async () => {
    // Time stands still, and no window is over.
    const windows = start({ clock: new ManualClock(), intervalMicros: 10_101 });
    burn(30);
    windows.tick();
    expect(windows.rotations).toBe(0);
    const other = new Session();
    other.connect();
    await other.post('Profiler.enable');
    await other.post('Profiler.setSamplingInterval', { interval: 100 });
    await other.post('Profiler.start');
    try {
      // There is room for 6,000, which would take a minute.
      for (const end = cpuMillis() + 5000; cpuMillis() < end && windows.rotations === 0; windows.tick()) burn(20);
      expect(windows.rotations).toBe(1);
      const [samples, nanos] = totals([...windows.last(60)]);
      expect(nanos! / samples!).toBeGreaterThan(5e6);
    } finally {
      other.disconnect();
    }
  });

  test('grows again, step by step, when the stacks have become few', () => {
    const clock = new ManualClock();
    let cutMillis = 5;
    const windows = start({ clock, native: slowNative(clock, () => cutMillis), intervalMicros: 10_101 });
    const lengths: number[] = [];
    let last = clock.nowMillis;
    const beat = (count: number): void => {
      for (const until = windows.rotations + count; windows.rotations < until;) {
        const before = windows.rotations;
        clock.advance(10);
        windows.tick();
        if (windows.rotations === before) continue;
        lengths.push(Math.round((clock.nowMillis - last) / 10) * 10);
        last = clock.nowMillis;
      }
    };
    beat(5);
    cutMillis = 0;
    beat(9);
    const [first, ...rest] = lengths;
    expect(first).toBeGreaterThanOrEqual(1000);
    expect(rest.slice(0, 4).map((length) => Math.round(length / 250) * 250)).toEqual([500, 250, 250, 250]);
    expect(rest.slice(4).map((length) => Math.round(length / 250) * 250)).toEqual([
      250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000,
    ]);
  });
});

describe('who looks back', () => {
  function follow(clock: ManualClock): { windows: CpuWindows; follower: Follower } {
    const windows = start({ clock });
    const follower = windows.follow(asItIs);
    return { windows, follower };
  }

  test('has the window that is under way when it is nine tenths of a second old, not before, so that polling shreds nothing', () => {
    const clock = new ManualClock();
    const { windows } = follow(clock);
    const { rotations } = windows;
    clock.advance(899.9);
    for (let i = 0; i < 5; i++) void [...windows.last(60)];
    expect(windows.rotations).toBe(rotations);
    clock.advance(0.1);
    for (let i = 0; i < 5; i++) void [...windows.last(60)];
    expect(windows.rotations).toBe(rotations + 1);
  });

  test('who collect within five milliseconds share a cut, later ones do not', async () => {
    const clock = new ManualClock();
    const { windows } = follow(clock);
    const { rotations } = windows;
    const wait = async (): Promise<void> => clock.advance(100);
    clock.advance(4.9);
    await windows.collect(wait);
    expect(windows.rotations).toBe(rotations + 1);
    clock.advance(5);
    await windows.collect(wait);
    expect(windows.rotations).toBe(rotations + 3);
  });
});
