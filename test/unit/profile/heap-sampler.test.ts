// Generations of the live heap for the leak detector, from V8's own sampler.
import { Session } from 'node:inspector/promises';
import { runInThisContext } from 'node:vm';
import { afterEach, describe, expect, test } from 'vitest';
import { SystemClock } from '../../../src/core/clock.ts';
import { StderrDiag } from '../../../src/core/diag.ts';
import { HeapSampler } from '../../../src/profile/heap-sampler.ts';
import { loadNativeProfilers, type NativeHeapProfiler } from '../../../src/profile/native.ts';
import type { Profile } from '../../../src/profile/profile.ts';

const kept: object[] = [];
const lines: string[] = [];
let sampler: HeapSampler | undefined;

async function start(loaded: { heap: NativeHeapProfiler | undefined }): Promise<HeapSampler> {
  const diag = new StderrDiag('warn', (line) => lines.push(line));
  sampler = new HeapSampler({ native: loaded.heap, diag, clock: new SystemClock(), intervalBytes: 65_536 });
  await sampler.start();
  return sampler;
}

const NO_ADDON = { heap: undefined };

/** Too long to be inlined, and with that sampled under the name of its caller. */
function keeper(name: string): () => void {
  const long = Array.from({ length: 100 }, (_, i) => `if (count === -${i + 1}) return ${i};`).join('\n');
  const source = `(function ${name}(sink, count) { ${long}\nfor (let i = 0; i < count; i++) sink.push({ i, row: [i, i, i, i] }); })`;
  const keep = runInThisContext(source, { filename: '/app/keepers.js' }) as (sink: object[], count: number) => void;
  return () => keep(kept, 50_000);
}

/** Numbers of the nodes of a function that hold samples, and the bytes of these. */
function heldBy({ frames, nodeFrames, sampleNodes, sampleTypes, values }: Profile, name: string): Map<number, number> {
  const columns = sampleTypes.length;
  const rows = Array.from(sampleNodes, (node, row) => [node, values[row * columns + columns - 1]!] as const);
  return new Map(rows.filter(([node]) => frames[nodeFrames[node]!]!.name === name));
}

const bytes = (held: Map<number, number>): number => [...held.values()].reduce((a, b) => a + b, 0);

afterEach(() => {
  sampler?.stop();
  kept.length = 0;
  lines.length = 0;
});

describe.each([
  ['with the addon', loadNativeProfilers()],
  ['without the addon', NO_ADDON],
])('generations %s', (_, loaded) => {
  test('are on one tree: a stack has the same number in all of them', async () => {
    const of = await start(loaded);
    const [first, second] = [keeper('keepFirst'), keeper('keepSecond')];
    const keepAll = (): void => {
      first();
      second();
    };
    keepAll();
    const before = (await of.generation())!;
    keepAll();
    const after = (await of.generation())!;
    for (const name of ['keepFirst', 'keepSecond']) {
      const [held, heldLater] = [heldBy(before, name), heldBy(after, name)];
      expect(held.size).toBeGreaterThan(0);
      for (const node of held.keys()) expect(heldLater.has(node)).toBe(true);
      expect(bytes(heldLater)).toBeGreaterThan(1.3 * bytes(held));
    }
    expect(after.parents.subarray(0, before.parents.length)).toEqual(before.parents);
    expect(after.nodeFrames.subarray(0, before.nodeFrames.length)).toEqual(before.nodeFrames);
    expect(after.frames).toBe(before.frames);
  });

  test('are undefined once after somebody else has stopped the sampler, which then runs on', async () => {
    const of = await start(loaded);
    expect(await of.generation()).toBeDefined();
    const session = new Session();
    session.connect();
    await session.post('HeapProfiler.stopSampling');
    session.disconnect();
    expect(await of.generation()).toBeUndefined();
    expect(await of.generation()).toBeDefined();
    expect(of.restarts).toBe(1);
    expect(lines).toHaveLength(1);
  });
});

test('a generation that would collect more than 256 MiB is not read without the addon, which is said once', async () => {
  const of = await start(NO_ADDON);
  expect(await of.generation()).toBeDefined();
  while (process.memoryUsage().heapUsed <= 260 * 1024 * 1024) kept.push(Array.from({ length: 1_000_000 }, () => 0.5));
  expect(await of.generation()).toBeUndefined();
  expect(await of.generation()).toBeUndefined();
  expect(lines).toEqual([expect.stringContaining('256 MiB')]);
});

test('a loss that a reader of the live heap has met first is still told to the next generation', async () => {
  const of = await start(loadNativeProfilers());
  await of.generation();
  const session = new Session();
  session.connect();
  await session.post('HeapProfiler.stopSampling');
  session.disconnect();
  await expect(of.read()).rejects.toMatchObject({ status: 503 });
  expect(await of.generation()).toBeUndefined();
  expect(await of.generation()).toBeDefined();
});
