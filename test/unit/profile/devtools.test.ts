// The engine's DevTools reads on the real inspector and heap sampler, in this process.
import { Session } from 'node:inspector/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { StderrDiag } from '../../../src/core/diag.ts';
import { V8ProfilerNext } from '../../../src/profile/v8-profiler-next.ts';
import { createEngine, lines, startEngine, stopEngines } from '../../helpers/profile-engine.ts';

const INTERVAL = { intervalMicros: 1000 };

const notInstalled = (): never => {
  throw new Error('not installed');
};

afterEach(() => {
  stopEngines();
});

describe('a CPU profile', () => {
  test('is the inspector`s where v8-profiler-next is not installed, which nobody is told', async () => {
    const diag = new StderrDiag('warn', (line) => lines.push(line));
    const gone = (): string => {
      throw new Error('ENOENT: no such file or directory, uv_cwd');
    };
    const engine = await startEngine({
      v8ProfilerNext: new V8ProfilerNext({ diag, directories: [() => '', gone, () => import.meta.dirname] }),
    });
    const { profiler, profile } = await engine.devtools.cpuProfile({ seconds: 0.2, ...INTERVAL });
    expect(profiler).toBe('inspector');
    expect(profile.samples.length).toBe(profile.timeDeltas.length);
    expect(profile.endTime - profile.startTime).toBeGreaterThan(150_000);
    expect(lines).toEqual([]);
  });

  test('counts among the reads that take time, together with the others', async () => {
    const engine = await startEngine();
    const left = new AbortController();
    const reads = [
      ...Array.from({ length: 4 }, () => engine.devtools.cpuProfile({ seconds: 60, ...INTERVAL, signal: left.signal })),
      ...Array.from({ length: 4 }, () => engine.cpu({ seconds: 60, signal: left.signal })),
    ];
    await expect(engine.devtools.cpuProfile({ seconds: 1, ...INTERVAL })).rejects.toMatchObject({ status: 503 });
    left.abort(new Error('left'));
    for (const read of reads) await expect(read).rejects.toThrow('left');
    await expect(engine.devtools.cpuProfile({ seconds: 0.01, ...INTERVAL })).resolves.toMatchObject({ profiler: 'inspector' });
  });

  test('that is under way when the engine stops is refused, and so is one after it', async () => {
    const engine = await startEngine();
    const read = engine.devtools.cpuProfile({ seconds: 60, ...INTERVAL });
    engine.stop();
    await expect(read).rejects.toMatchObject({ status: 503, message: 'profiling has stopped' });
    await expect(engine.devtools.cpuProfile({ seconds: 1, ...INTERVAL })).rejects.toMatchObject({ status: 503 });
  });

  test('is not there when profiling is off, or has not started', async () => {
    const off = await startEngine({ cpu: false });
    await expect(off.devtools.cpuProfile({ seconds: 1, ...INTERVAL })).rejects.toMatchObject({ status: 404 });
    await expect(createEngine().devtools.cpuProfile({ seconds: 1, ...INTERVAL })).rejects.toMatchObject({ status: 503 });
  });

  test('is taken without the addon too', async () => {
    const engine = await startEngine({ loadNative: notInstalled });
    const { profile } = await engine.devtools.cpuProfile({ seconds: 0.1, ...INTERVAL });
    expect(profile.nodes[0]!.callFrame.functionName).toBe('(root)');
  });
});

describe('the live heap', () => {
  const kept: object[] = [];

  function keepObjects(): void {
    for (let i = 0; i < 200_000; i++) kept.push({ i });
  }

  function find(node: any, name: string): boolean {
    return node.callFrame.functionName === name || node.children.some((child: unknown) => find(child, name));
  }

  test('is the sampler`s, which runs on', async () => {
    const engine = await startEngine();
    keepObjects();
    for (let i = 0; i < 3; i++) {
      const { head, samples } = await engine.devtools.heapProfile({ gc: i === 1 });
      expect(find(head, 'keepObjects')).toBe(true);
      expect(samples.length).toBeGreaterThan(0);
    }
    expect(engine.stats().heapRestarts).toBe(0);
    kept.length = 0;
  });

  test('when somebody has stopped the sampler is refused once, and the leak detector still learns of it', async () => {
    const engine = await startEngine();
    const session = new Session();
    session.connect();
    // The sampler is one for the isolate: whoever stops it stops it for all.
    await session.post('HeapProfiler.startSampling');
    await session.post('HeapProfiler.stopSampling');
    session.disconnect();
    await expect(engine.devtools.heapProfile({ gc: false })).rejects.toMatchObject({ status: 503 });
    expect((await engine.devtools.heapProfile({ gc: false })).head.callFrame.functionName).toBe('(root)');
    expect(await engine.heapGeneration()).toBeUndefined();
    expect(await engine.heapGeneration()).toBeDefined();
  });

  test('is not there when it is not sampled', async () => {
    await expect((await startEngine({ heap: false })).devtools.heapProfile({ gc: false })).rejects.toMatchObject({ status: 404 });
  });
});
