// Heap snapshots up to the moment when one is taken; taking them is for processes of their own, in test/contract and
// test/integration.
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { StderrDiag } from '../../../src/core/diag.ts';
import { HeapSnapshots } from '../../../src/profile/heap-snapshot.ts';
import { takeHeapSnapshot } from '../../../src/profile/inspector.ts';
import { snapshotCost } from '../../../src/profile/snapshot-cost.ts';

const ESTIMATE = { ...snapshotCost(88e6), profiler: 'inspector' } as const;

let directory: string;
let lines: string[];

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'sonde-snapshot-'));
  lines = [];
});

afterEach(() => rmSync(directory, { recursive: true }));

function snapshots(place: { root?: string; directory?: string } = {}, objectBytes?: number): HeapSnapshots {
  const diag = new StderrDiag('warn', (line) => lines.push(line));
  return new HeapSnapshots({ diag, objectBytes: async () => objectBytes, place: { root: '/', directory, ...place } });
}

/** A copy of what the kernel tells in a container with so much memory. */
function container(limitBytes: number): string {
  const root = path.join(directory, 'root');
  for (const name of ['proc/self', 'sys/fs/cgroup']) mkdirSync(path.join(root, name), { recursive: true });
  writeFileSync(path.join(root, 'proc/self/cgroup'), '0::/\n');
  writeFileSync(path.join(root, 'sys/fs/cgroup/memory.max'), String(limitBytes));
  writeFileSync(path.join(root, 'sys/fs/cgroup/memory.current'), '0');
  return root;
}

describe('an estimate', () => {
  test('follows the heap and the size of its objects, and takes nothing', async () => {
    const [small, large] = [await snapshots({}, 30).estimate(), await snapshots({}, 300).estimate()];
    expect(small.profiler).toBe('inspector');
    expect(small.heapUsedBytes).toBeGreaterThan(1e6);
    expect(small.memoryBytes).toBeGreaterThan(large.memoryBytes);
    expect(lines).toEqual([]);
    expect(readdirSync(directory)).toEqual([]);
  });

  test.runIf(process.platform === 'linux')('without room in the container is a refusal with the sizes', async () => {
    await expect(snapshots({ root: container(64e6) }).estimate()).rejects.toMatchObject({
      status: 503,
      message: expect.stringMatching(
        /^a snapshot of this heap of \d+ MB needs up to [\d.]+ [MG]B of memory .* the container's limit of 64 MB, of which 0 MB/,
      ),
    });
  });

  test('without a directory for the file is a refusal that names it', async () => {
    const nowhere = path.join(directory, 'nowhere');
    await expect(snapshots({ directory: nowhere }).estimate()).rejects.toMatchObject({
      status: 503,
      message: expect.stringContaining(`there can be none in ${nowhere}: ENOENT`),
    });
  });
});

describe('a snapshot that is ready to be taken', () => {
  test('is the only one, until its reader has left', async () => {
    const of = snapshots();
    const left = new AbortController();
    await of.take(ESTIMATE, left.signal);
    const busy = { status: 503, message: 'a heap snapshot is being taken already; one at a time' };
    await expect(of.take(ESTIMATE, left.signal)).rejects.toMatchObject(busy);
    await expect(of.estimate()).rejects.toMatchObject(busy);
    left.abort();
    await expect(of.estimate()).resolves.toMatchObject({ profiler: 'inspector' });
    // Never asked for a piece, never taken.
    expect(lines).toEqual([]);
  });

  test('is the only one of two that are asked for at the same time', async () => {
    const of = snapshots();
    const left = new AbortController();
    const both = await Promise.allSettled([of.take(ESTIMATE, left.signal), of.take(ESTIMATE, left.signal)]);
    expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    left.abort();
  });

  test('has no name in the directory, so that nothing can stay', async () => {
    const left = new AbortController();
    await snapshots().take(ESTIMATE, left.signal);
    expect(readdirSync(directory)).toEqual([]);
    left.abort();
  });

  test('for a reader that has left already frees its place', async () => {
    const of = snapshots();
    await of.take(ESTIMATE, AbortSignal.abort());
    await expect(of.estimate()).resolves.toBeDefined();
  });

  test('that cannot have a file is refused, and its place is free', async () => {
    const closed = path.join(directory, 'file');
    writeFileSync(closed, '');
    chmodSync(closed, 0o400);
    const of = snapshots({ directory: closed });
    const { signal } = new AbortController();
    for (let i = 0; i < 2; i++) {
      await expect(of.take(ESTIMATE, signal)).rejects.toMatchObject({
        status: 503,
        message: expect.stringContaining('TMPDIR names another directory'),
      });
    }
  });
});

test('what the writer of the inspector`s snapshot throws ends in the caller, not in a warning', async () => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error): number => warnings.push(warning);
  process.on('warning', onWarning);
  let chunks = 0;
  const write = (): void => {
    chunks += 1;
    throw new Error('ENOSPC: no space left on device, write');
  };
  await expect(takeHeapSnapshot(write)).rejects.toThrow('ENOSPC');
  await new Promise((resolve) => setImmediate(resolve));
  process.off('warning', onWarning);
  expect(chunks).toBe(1);
  expect(warnings).toEqual([]);
}, 60_000);
