// Histograms of classes: of real processes on every Node, and the guard before them.
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { StderrDiag } from '../../../src/core/diag.ts';
import { ClassHistograms, histogramCost, type ClassHistogram, type HistogramEstimate } from '../../../src/profile/class-histogram.ts';
import { bundle, type Bundle } from '../../helpers/bundle.ts';
import { MAJORS, nodeBinary } from '../../helpers/nodes.mjs';
import { runToEnd } from '../../helpers/process.ts';

interface Outcome {
  readonly estimate: HistogramEstimate;
  readonly tookSeconds: number;
  readonly histogram: ClassHistogram;
  readonly second: string;
  readonly left: number;
  readonly handover: boolean;
  readonly sprung: readonly string[];
  readonly said: readonly string[];
}

let built: Bundle;

beforeAll(async () => {
  built = await bundle(path.resolve(import.meta.dirname, '../../fixtures/leak/census.ts'));
});

afterAll(() => built.remove());

describe.each(MAJORS)('a histogram of classes on Node %i', (major) => {
  let outcome: Outcome;

  beforeAll(async () => {
    const { code, stdout, stderr } = await runToEnd({ node: nodeBinary(major), args: ['--expose-gc', built.file] });
    expect(code, stderr).toBe(0);
    expect(stderr).toBe('');
    outcome = JSON.parse(stdout) as Outcome;
  });

  it('counts objects by class', () => {
    const counts = new Map(outcome.histogram.classes.map(({ className, count }) => [className, count]));
    // One more is the prototype of what was made of a proxy's.
    expect(counts.get('Session')).toBeGreaterThanOrEqual(5500);
    expect(counts.get('Session')).toBeLessThanOrEqual(5502);
    expect(counts.get('Cart')).toBe(1);
    const { objects, classes, otherObjects } = outcome.histogram;
    expect(objects).toBeGreaterThan(10_000);
    expect(classes.reduce((sum, { count }) => sum + count, otherObjects)).toBeLessThanOrEqual(objects);
  });

  it('finds the largest Maps, Sets, arrays and objects that are used as maps', () => {
    // Node's own queue of ticks has 2048 places.
    expect(outcome.histogram.collections.filter(({ size }) => size !== 2048).slice(0, 4)).toEqual([
      { kind: 'Map', className: 'Cart', size: 3000, keyType: 'string', valueType: 'Session' },
      { kind: 'Object', className: 'Object', size: 2500, keyType: 'string', valueType: 'Session' },
      { kind: 'Set', className: 'Set', size: 2000, keyType: '', valueType: 'number' },
      { kind: 'Array', className: 'Array', size: 1800, keyType: 'number', valueType: 'undefined' },
    ]);
  });

  it('finds the EventEmitters and EventTargets with more listeners than Node thinks usual', () => {
    expect(outcome.histogram.emitters).toEqual([
      { className: 'Bus', event: 'tick', listeners: 40, names: ['onTick'] },
      { className: 'Bus', event: '(other)', listeners: 30, names: ['onUser'] },
      { className: 'AbortSignal', event: 'abort', listeners: 25, names: [] },
      { className: 'Bus', event: 'few', listeners: 15, names: ['(anonymous)'] },
    ]);
  });

  it('runs no code of the application, and tells none of its data', () => {
    expect(outcome.sprung).toEqual([]);
    expect(JSON.stringify(outcome.histogram)).not.toMatch(/hunter2|secret|token|12345|4111|card/);
  });

  it('lets go of everything it has counted', () => {
    expect(outcome.left).toBe(0);
    expect(outcome.handover).toBe(false);
  });

  it('is taken one at a time, and said before', () => {
    expect(outcome.second).toBe('ProfileError: a histogram of classes is being taken already; one at a time');
    expect(outcome.said).toEqual([
      expect.stringMatching(/^sonde: the process stands still for about [\d.]+ s while the objects of its heap/),
    ]);
  });
});

describe('the cost of a histogram', () => {
  it.each([
    ['20', 79e6, 1.7, 218e6],
    ['24', 300e6, 5.9, 770e6],
    // Slower there.
    ['26', 79e6, 2.7, 218e6],
    // Not measured: as the slowest.
    ['28', 300e6, 9.6, 770e6],
  ])('on Node %s of a heap of %d bytes is at most %d s and %d bytes', (major, heapBytes, seconds, memoryBytes) => {
    const { estimate } = histogramCost(heapBytes, major);
    expect(estimate.seconds).toBeCloseTo(seconds, 1);
    expect(Math.round(estimate.memoryBytes / 1e6)).toBe(Math.round(memoryBytes / 1e6));
  });

  it('is lower where objects are known to be large, and not higher where they are small', () => {
    const usual = histogramCost(300e6, '24').estimate;
    expect(histogramCost(300e6, '24', 128).estimate.seconds).toBeLessThan(usual.seconds);
    expect(histogramCost(300e6, '24', 30).estimate).toEqual(usual);
  });
});

describe('a histogram for which there is no room', () => {
  let root: string;

  beforeAll(() => {
    root = mkdtempSync(path.join(os.tmpdir(), 'sonde-root-'));
    for (const directory of ['proc/self', 'sys/fs/cgroup']) mkdirSync(path.join(root, directory), { recursive: true });
    writeFileSync(path.join(root, 'proc/meminfo'), 'MemAvailable: 8000000 kB\n');
    writeFileSync(path.join(root, 'proc/self/cgroup'), '0::/\n');
    writeFileSync(path.join(root, 'sys/fs/cgroup/memory.max'), '500000000\n');
    writeFileSync(path.join(root, 'sys/fs/cgroup/memory.current'), '495000000\n');
  });

  afterAll(() => rmSync(root, { recursive: true }));

  const histograms = (options: { root?: string; heapRoomBytes?: () => number }): ClassHistograms =>
    new ClassHistograms({ diag: new StderrDiag('warn', () => {}), objectBytes: () => Promise.resolve(undefined), ...options });

  it('in the container is refused, with what is left', async () => {
    const refusal = {
      status: 503,
      message: expect.stringMatching(/needs up to \d+ MB of memory while it is taken, and the container's limit of 500 MB/),
    };
    await expect(histograms({ root }).estimate()).rejects.toMatchObject(refusal);
    await expect(histograms({ root }).take()).rejects.toMatchObject(refusal);
  });

  it("in V8's heap is refused, with what is left", async () => {
    await expect(histograms({ heapRoomBytes: () => 1e6 }).take()).rejects.toMatchObject({
      status: 503,
      message: expect.stringMatching(/needs up to \d+ MB in V8's heap, whose limit leaves 1 MB/),
    });
  });
});
