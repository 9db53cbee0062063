// How the engine comes from a block to its samples, on the real addon.
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { SystemClock } from '../../../src/core/clock.ts';
import { StderrDiag } from '../../../src/core/diag.ts';
import { Guard } from '../../../src/core/guard.ts';
import { ContinuousProfile } from '../../../src/profile/continuous.ts';
import { ProfileEngine, type ProfileEngineOptions } from '../../../src/profile/engine.ts';
import { loadNativeProfilers } from '../../../src/profile/native.ts';
import type { Block } from '../../../src/profile/stall-description.ts';
import type { Stretch } from '../../../src/profile/stretch.ts';

const diag = new StderrDiag('none');
const BASE = {
  guard: new Guard(diag),
  diag,
  clock: new SystemClock(),
  cpu: true,
  heap: false,
  hz: 99,
  heapIntervalBytes: 524_288,
  history: { seconds: 900, bytes: 8e6 },
  budget: { cpu: 1, bytes: 1e9 },
  ownDirectory: '/nowhere',
};

let engine: ProfileEngine | undefined;
afterEach(() => engine?.stop());

async function startEngine(thresholdMillis: number, options: Partial<ProfileEngineOptions> = {}): Promise<Block[]> {
  const blocks: Block[] = [];
  engine = new ProfileEngine({ ...BASE, stalls: { thresholdMillis, onBlock: (block) => blocks.push(block) }, ...options });
  await engine.start();
  await delay(150);
  blocks.length = 0;
  return blocks;
}

function holdLoop(millis: number): number {
  let sum = 0;
  for (const end = performance.now() + millis; performance.now() < end;) for (let i = 0; i < 1e4; i++) sum = (sum * 31 + i) % 65_521;
  return sum;
}

/** Another one, as V8 may count the time of a function for its caller that was optimized while no profiler ran. */
function holdLoopAgain(millis: number): number {
  let sum = 1;
  for (const end = performance.now() + millis; performance.now() < end;) for (let i = 0; i < 1e4; i++) sum = (sum * 33 + i) % 65_521;
  return sum;
}

const functionsIn = ({ sampled }: Block): string[] => (sampled as Stretch).profile.frames.map(({ name }) => name);

const absent = (): never => {
  throw new Error('absent');
};

describe('a block', () => {
  test('comes with what was sampled in it, right after it, and its time is in the profiles as before', async () => {
    const blocks = await startEngine(200);
    const start = performance.now();
    holdLoop(300);
    const end = performance.now();
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    const block = blocks.find(({ durationMillis }) => durationMillis > 290)!;
    expect(block.wasWaiting).toBe(false);
    expect(functionsIn(block)).toContain('holdLoop');
    expect(block.startMillis).toBeLessThan(start + 15);
    expect(block.startMillis + block.durationMillis).toBeGreaterThan(end - 1);
    const past = await engine!.wall({ lastSeconds: 60 });
    expect(past.frames.map(({ name }) => name)).toContain('holdLoop');
  });

  test('that is under way is told of when asked, once', async () => {
    const blocks = await startEngine(200);
    holdLoopAgain(300);
    engine!.checkStall();
    expect(blocks.map((block) => functionsIn(block).includes('holdLoopAgain'))).toEqual([true]);
    const [{ startMillis }] = blocks as [Block];
    await delay(150);
    expect(blocks.filter((block) => block.startMillis < startMillis + 300 && block !== blocks[0])).toEqual([]);
  });

  test('without the addon comes without samples, and says why', async () => {
    const blocks = await startEngine(200, { loadNative: absent });
    holdLoop(300);
    engine!.checkStall();
    expect(blocks[0]!.sampled).toBe('@datadog/pprof is not running, which samples the stacks');
  });

  test('is nobody’s concern before the start, after the end, and where nobody wants to know', async () => {
    const blocks: Block[] = [];
    engine = new ProfileEngine({ ...BASE, cpu: false, stalls: { thresholdMillis: 20, onBlock: (block) => blocks.push(block) } });
    holdLoop(50);
    engine.checkStall();
    await engine.start();
    engine.stop();
    holdLoop(50);
    engine.checkStall();
    await delay(150);
    expect(blocks).toEqual([]);
    engine = new ProfileEngine({ ...BASE, cpu: false });
    await engine.start();
    holdLoop(300);
    expect(() => engine!.checkStall()).not.toThrow();
  });
});

test('stalls have a hundredth of the time to be looked at, and a tenth of a second in advance', async () => {
  // Each look takes 4 ms on this clock.
  let millis = 1_000_000;
  const clock = { monotonicMillis: () => (millis += 1), epochMillis: () => Date.now() };
  const native = loadNativeProfilers();
  const profile = new ContinuousProfile({ ...BASE, native, clock, labels: undefined });
  profile.windows.start();
  try {
    const looks = (count: number): number =>
      Array.from({ length: count }, () => profile.stretch(1, 0)).filter((found) => typeof found !== 'string').length;
    const before = millis;
    const first = looks(200);
    const spentMillis = (millis - before) * (first / 200);
    expect(first).toBeGreaterThan(5);
    expect(first).toBeLessThan(60);
    expect(spentMillis).toBeGreaterThan(0);
    expect(looks(1)).toBe(0);
    millis += 2000;
    const second = looks(100);
    expect(second).toBeGreaterThan(0);
    expect(second).toBeLessThan(first);
  } finally {
    profile.windows.stop();
  }
});
