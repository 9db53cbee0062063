// The engine on the real addon and the real inspector, in this process; timed reads are as short as they can be.
import { Session } from 'node:inspector/promises';
import { afterEach, describe, expect, test } from 'vitest';
import type { Profile } from '../../../src/profile/profile.ts';
import { createEngine, lines, startEngine, stopEngines } from '../../helpers/profile-engine.ts';

const absent = (): never => {
  throw new Error("Cannot find module '@datadog/pprof'\nRequire stack:\n- /app.js");
};

const cpuMillis = (): number => process.cpuUsage().user / 1000;

/** Uses that much CPU time itself, however busy the machine; the clock is a function of its own to the profiler and rarely asked. */
function burnHere(millis: number): number {
  let sum = 0;
  for (const end = cpuMillis() + millis; cpuMillis() < end;) for (let i = 0; i < 1e6; i++) sum = (sum * 31 + i) % 65_521;
  return sum;
}

function burnElsewhere(millis: number): number {
  let sum = 1;
  for (const end = cpuMillis() + millis; cpuMillis() < end;) for (let i = 0; i < 1e6; i++) sum = (sum * 33 + i) % 65_521;
  return sum;
}

/** Milliseconds of the last sample type, by the function that used them itself. */
function millisOf(profile: Profile, name: string): number {
  const columns = profile.sampleTypes.length;
  let sum = 0;
  for (const [i, node] of profile.sampleNodes.entries()) {
    if (profile.frames[profile.nodeFrames[node]!]!.name === name) sum += profile.values[i * columns + columns - 1]! / 1e6;
  }
  return sum;
}

const total = (profile: Profile): number =>
  profile.values.filter((_, i) => i % profile.sampleTypes.length === profile.sampleTypes.length - 1).reduce((a, b) => a + b, 0);

afterEach(() => {
  stopEngines();
});

describe('with the addon', () => {
  test('readers whose times overlap each get their own time, and the ring has all of it', async () => {
    const engine = await startEngine();
    const first = engine.cpu({ seconds: 0.3 });
    burnHere(150);
    const second = engine.cpu({ seconds: 0.4 });
    const wall = engine.wall({ seconds: 0.4 });
    await first;
    burnElsewhere(150);
    const profiles = await Promise.all([first, second, wall]);
    const [here, elsewhere] = ['burnHere', 'burnElsewhere'].map((name) => profiles.map((profile) => millisOf(profile, name)));
    expect(here![0]).toBeGreaterThan(80);
    expect(here!.slice(1)).toEqual([0, 0]);
    expect(elsewhere![0]).toBe(0);
    expect(Math.min(...elsewhere!.slice(1))).toBeGreaterThan(80);
    expect(profiles.map(({ sampleTypes }) => sampleTypes.map(({ type }) => type))).toEqual([
      ['samples', 'cpu'],
      ['samples', 'cpu'],
      ['samples', 'wall'],
    ]);
    const past = await engine.cpu({ lastSeconds: 60 });
    expect(millisOf(past, 'burnHere')).toBeGreaterThan(80);
    expect(millisOf(past, 'burnElsewhere')).toBeGreaterThan(80);
    expect(lines).toEqual([]);
    expect(engine.stats()).toMatchObject({ cpu: 'continuous', heap: 'native', cpuRestarts: 0, heapRestarts: 0 });
  });

  test('the difference of the heap over a time is what was kept in it', async () => {
    const engine = await startEngine();
    const kept: object[][] = [];
    function keepRows(): void {
      for (let i = 0; i < 200; i++) kept.push(Array.from({ length: 1000 }, (_, at) => ({ at, row: [at] })));
    }
    const difference = engine.heap({ seconds: 0.2 });
    await new Promise(setImmediate);
    keepRows();
    const profile = await difference;
    expect(total(profile)).toBeGreaterThan(8e6);
    expect(total(profile)).toBeLessThan(64e6);
    expect(profile.frames.map(({ name }) => name)).toContain('keepRows');
    expect(profile.sampleTypes.map(({ type }) => type)).toEqual(['inuse_objects', 'inuse_space']);
    expect(kept).toHaveLength(200);
  });

  test('garbage is collected first when asked for', async () => {
    const engine = await startEngine();
    let garbage: object[] | undefined = Array.from({ length: 300_000 }, (_, i) => ({ i, row: [i] }));
    const before = total(await engine.heap());
    expect(garbage).toHaveLength(300_000);
    garbage = undefined;
    expect(before - total(await engine.heap({ gc: true }))).toBeGreaterThan(8e6);
  });

  test('a heap sampler that somebody else has stopped is said once, started again and counted', async () => {
    const engine = await startEngine();
    const other = new Session();
    other.connect();
    for (const restarts of [1, 2]) {
      await other.post('HeapProfiler.stopSampling');
      await expect(engine.heap()).rejects.toMatchObject({ status: 503 });
      expect(await engine.heapGeneration()).toBeUndefined();
      expect(await engine.heapGeneration()).toBeDefined();
      expect((await engine.heap()).sampleTypes).toHaveLength(2);
      expect(engine.stats().heapRestarts).toBe(restarts);
    }
    other.disconnect();
    expect(lines).toHaveLength(1);
  });

  test('the application may own it: CPU profiles are then taken on request and the heap goes on', async () => {
    await startEngine();
    const engine = await startEngine({ heap: false });
    expect(lines).toEqual([expect.stringContaining('another profiler is already active')]);
    expect(engine.stats().cpu).toBe('on-demand');
    expect((await engine.cpu({ seconds: 0.05 })).durationMillis).toBeGreaterThan(49);
  });

  test('is stopped at the exit of the process, and leaves nothing behind when it was stopped before', async () => {
    const before = process.listeners('exit');
    const [engine, stopped] = [await startEngine(), createEngine()];
    const [atExit, ...others] = process.listeners('exit').filter((listener) => !before.includes(listener));
    expect(others).toEqual([]);
    atExit!(0);
    await expect(engine.heap()).rejects.toMatchObject({ status: 503 });
    const starting = stopped.start();
    stopped.stop();
    await starting;
    expect(stopped.stats()).toMatchObject({ cpu: 'off', heap: 'off' });
    expect(process.listeners('exit')).toEqual(before);
  });

  test('samples the heap alone when CPU profiling is off', async () => {
    const engine = await startEngine({ cpu: false });
    expect(engine.stats()).toMatchObject({ cpu: 'off', heap: 'native' });
    await expect(engine.cpu({ seconds: 1 })).rejects.toMatchObject({ status: 404 });
    expect(await engine.heapGeneration()).toBeDefined();
  });
});

describe('without the addon', () => {
  test('says so once and takes profiles by the inspector', async () => {
    const engine = await startEngine({ loadNative: absent });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^sonde: @datadog\/pprof is not running, .*: Cannot find module '@datadog\/pprof'$/);
    const profiles = [engine.cpu({ seconds: 0.2 }), engine.wall({ seconds: 0.2 })];
    await new Promise((resolve) => setTimeout(resolve, 20));
    burnHere(100);
    for (const profile of await Promise.all(profiles)) expect(millisOf(profile, 'burnHere')).toBeGreaterThan(40);
    await expect(engine.cpu({ lastSeconds: 5 })).rejects.toMatchObject({ status: 503, message: expect.stringContaining('?seconds=') });
    expect((await engine.heap()).sampleTypes.map(({ type }) => type)).toEqual(['inuse_space']);
    expect((await engine.heapGeneration())!.sampleTypes.map(({ type }) => type)).toEqual(['inuse_space']);
    expect(engine.stats()).toMatchObject({ cpu: 'on-demand', heap: 'inspector' });
  });
});

describe('refused reads', () => {
  test('404 for what is switched off, 503 before the start and after the end', async () => {
    const off = await startEngine({ cpu: false, heap: false });
    await expect(off.cpu({ seconds: 1 })).rejects.toMatchObject({ status: 404 });
    await expect(off.heap()).rejects.toMatchObject({ status: 404 });
    expect(await off.heapGeneration()).toBeUndefined();
    const engine = createEngine();
    await expect(engine.cpu({ lastSeconds: 1 })).rejects.toMatchObject({ status: 503 });
    await expect(engine.heap()).rejects.toMatchObject({ status: 503 });
    const starting = engine.start();
    await expect(engine.cpu({ seconds: 1 })).rejects.toMatchObject({ status: 503 });
    await starting;
    await expect(engine.cpu({ lastSeconds: 1 })).rejects.toMatchObject({ status: 503, message: expect.stringContaining('has begun') });
    engine.stop();
    await expect(engine.wall({ seconds: 1 })).rejects.toMatchObject({ status: 503 });
    await engine.start();
    expect(engine.stats()).toMatchObject({ cpu: 'off', heap: 'off' });
  });

  test('400 for seconds that are not above 0 and at most 900', async () => {
    const engine = await startEngine();
    for (const seconds of [0, -1, 900.001, Number.NaN, Infinity]) {
      await expect(engine.cpu({ seconds })).rejects.toMatchObject({ status: 400 });
      await expect(engine.cpu({ lastSeconds: seconds })).rejects.toMatchObject({ status: 400 });
      await expect(engine.heap({ seconds })).rejects.toMatchObject({ status: 400 });
    }
    const signal = AbortSignal.abort(new Error('accepted'));
    await expect(engine.cpu({ seconds: 900, signal })).rejects.toThrow('accepted');
    await expect(engine.heap({ seconds: 900, signal })).rejects.toThrow('accepted');
  });

  test('503 for the ninth timed read at once, until one of the eight leaves', async () => {
    const engine = await startEngine({ loadNative: absent });
    const leave = new AbortController();
    const reads = Array.from({ length: 8 }, () => engine.heap({ seconds: 900, signal: leave.signal }));
    const left = Promise.allSettled(reads);
    await expect(engine.heap({ seconds: 900 })).rejects.toMatchObject({ status: 503 });
    leave.abort(new Error('client left'));
    for (const outcome of await left) expect(outcome).toMatchObject({ status: 'rejected', reason: { message: 'client left' } });
    expect((await engine.heap({ seconds: 0.001 })).durationMillis).toBeGreaterThan(0);
  });

  test('503 for those who wait when the engine stops', async () => {
    const engine = await startEngine();
    const reads = Promise.allSettled([engine.cpu({ seconds: 900 }), engine.heap({ seconds: 900 })]);
    await new Promise(setImmediate);
    engine.stop();
    for (const outcome of await reads) expect(outcome).toMatchObject({ status: 'rejected', reason: { status: 503 } });
  });
});
