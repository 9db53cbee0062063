// What has been allocated, from samples with a known truth, and from V8's own.
import { runInThisContext } from 'node:vm';
import { afterEach, describe, expect, test } from 'vitest';
import { type Clock, SystemClock } from '../../../src/core/clock.ts';
import { StderrDiag } from '../../../src/core/diag.ts';
import type { HeapSamples, HeapSamplesNode } from '../../../src/core/heap-samples.ts';
import { Allocations } from '../../../src/profile/allocations.ts';
import { HeapSampler } from '../../../src/profile/heap-sampler.ts';
import { loadNativeProfilers } from '../../../src/profile/native.ts';
import type { Profile, ProfileHead } from '../../../src/profile/profile.ts';
import { seeded } from '../../../bench/soak/work.ts';

const SPACE = { type: 'alloc_space', unit: 'bytes' };
const INTERVAL_BYTES = 512 * 1024;

const HEAD: ProfileHead = {
  sampleTypes: [SPACE],
  defaultSampleType: SPACE.type,
  periodType: SPACE,
  period: 1,
  startEpochMillis: 0,
  durationMillis: 0,
};

const frame = (functionName: string, url = '/app.js', lineNumber = 6): HeapSamplesNode['callFrame'] => ({
  functionName,
  url,
  lineNumber,
  columnNumber: 2,
});

/** Ids of nodes by place: V8 keeps them as long as a node has samples. */
const nodeIds = new Map<string, number>();

function nodeId(place: string): number {
  if (!nodeIds.has(place)) nodeIds.set(place, nodeIds.size + 1);
  return nodeIds.get(place)!;
}

/** Live samples: ordinal and place of each, `outer;inner` from the root; each stands for a thousand bytes. */
function samplesOf(live: readonly (readonly [ordinal: number, place: string])[]): HeapSamples {
  const head: HeapSamplesNode & { children: HeapSamplesNode[] } = {
    callFrame: frame('(root)', '', -1),
    selfSize: 0,
    id: nodeId(''),
    children: [],
  };
  const nodes = new Map([['', head]]);
  const nodeAt = (place: string): typeof head => {
    let node = nodes.get(place);
    if (node === undefined) {
      const parent = nodeAt(place.slice(0, Math.max(0, place.lastIndexOf(';'))));
      node = { callFrame: frame(place.split(';').at(-1)!), selfSize: 0, id: nodeId(place), children: [] };
      parent.children.push(node);
      nodes.set(place, node);
    }
    return node;
  };
  return { head, samples: live.map(([ordinal, place]) => ({ size: 1000, nodeId: nodeAt(place).id, ordinal })) };
}

/** Bytes of each stack. */
function bytesOf(profile: Profile): Record<string, number> {
  const stacks = Array.from(profile.sampleNodes, (leaf, row) => {
    const names: string[] = [];
    for (let node = leaf; node !== -1; node = profile.parents[node]!) names.unshift(profile.frames[profile.nodeFrames[node]!]!.name);
    return [names.join(';'), profile.values[row]!] as const;
  });
  return Object.fromEntries(stacks);
}

const sum = (values: Iterable<number>): number => [...values].reduce((a, b) => a + b, 0);

describe('looks at samples', () => {
  test('add what was allocated since the look before', () => {
    const allocations = new Allocations();
    allocations.look(
      samplesOf([
        [1, 'a;b'],
        [2, 'a;b'],
        [3, 'a'],
      ]),
    );
    expect(bytesOf(allocations.profile(HEAD))).toEqual({ 'a;b': 2000, a: 1000 });
    const later = samplesOf([
      [1, 'a;b'],
      [2, 'a;b'],
      [3, 'a'],
      [4, 'a;b'],
    ]);
    allocations.look(later);
    allocations.look(later);
    expect(bytesOf(allocations.profile(HEAD))).toEqual({ 'a;b': 3000, a: 1000 });
  });

  test('let the samples since the last collection stand for those that it took away', () => {
    const allocations = new Allocations();
    allocations.look(
      samplesOf([
        [1, 'a'],
        [2, 'b'],
      ]),
    );
    // 3 to 10 were allocated, 3 to 6 collected but for 4, which proves nothing about the others.
    allocations.look(
      samplesOf([
        [1, 'a'],
        [4, 'b'],
        [7, 'a'],
        [8, 'a'],
        [9, 'a'],
        [10, 'b'],
      ]),
    );
    expect(bytesOf(allocations.profile(HEAD))).toEqual({ a: 1000 + 6000, b: 1000 + 2000 });
  });

  test('take them in whatever order they come', () => {
    const allocations = new Allocations();
    allocations.look(
      samplesOf([
        [3, 'b'],
        [1, 'a'],
        [2, 'a'],
        [4, 'b'],
      ]),
    );
    expect(bytesOf(allocations.profile(HEAD))).toEqual({ a: 2000, b: 2000 });
  });

  test('see nothing where all was collected, and make up for it later', () => {
    const allocations = new Allocations();
    allocations.look(samplesOf([[1, 'a']]));
    allocations.look(samplesOf([]));
    allocations.look(samplesOf([[1, 'a']]));
    expect(bytesOf(allocations.profile(HEAD))).toEqual({ a: 1000 });
    allocations.look(samplesOf([[11, 'b']]));
    expect(bytesOf(allocations.profile(HEAD))).toEqual({ a: 1000, b: 10_000 });
  });

  test('count nothing again when the newest samples are collected and no others have come', () => {
    const allocations = new Allocations();
    allocations.look(
      samplesOf([
        [1, 'a'],
        [2, 'a'],
        [3, 'b'],
      ]),
    );
    allocations.look(samplesOf([[1, 'a']]));
    expect(bytesOf(allocations.profile(HEAD))).toEqual({ a: 2000, b: 1000 });
    allocations.look(
      samplesOf([
        [1, 'a'],
        [5, 'b'],
      ]),
    );
    expect(bytesOf(allocations.profile(HEAD))).toEqual({ a: 2000, b: 3000 });
  });

  test('begin anew with a sampler that numbers anew, told or seen', () => {
    const allocations = new Allocations();
    const five = samplesOf([1, 2, 3, 4, 5].map((ordinal) => [ordinal, 'a']));
    allocations.look(five);
    allocations.restarted();
    allocations.look(five);
    expect(bytesOf(allocations.profile(HEAD))).toEqual({ a: 10_000 });
    allocations.look(
      samplesOf([
        [1, 'b'],
        [2, 'b'],
      ]),
    );
    expect(bytesOf(allocations.profile(HEAD))).toEqual({ a: 10_000, b: 2000 });
  });

  test('name functions, files and places; what is outside of any function is (other)', () => {
    const allocations = new Allocations();
    const samples = samplesOf([
      [1, 'f'],
      [2, ''],
    ]);
    allocations.look(samples);
    const { frames } = allocations.profile(HEAD);
    expect(frames).toEqual([
      { name: '(other)', file: '', line: 0, column: 0 },
      { name: 'f', file: '/app.js', line: 7, column: 3 },
    ]);
  });

  test('count what comes after fifty thousand stacks as (other)', () => {
    const allocations = new Allocations();
    allocations.look(samplesOf(Array.from({ length: 50_001 }, (_, i) => [i + 1, `f${i}`])));
    const bytes = bytesOf(allocations.profile(HEAD));
    expect(Object.keys(bytes)).toHaveLength(50_001);
    // Newest first.
    expect([bytes['f50000'], bytes['f1'], bytes['f0'], bytes['(other)']]).toEqual([1000, 1000, undefined, 1000]);
  });

  test('are right about the total, and by chance about the shares', () => {
    const random = seeded(1);
    const allocations = new Allocations();
    let ordinal = 0;
    let live: [number, string][] = [];
    for (let look = 0; look < 300; look++) {
      for (let left = Math.floor(random() * 60); left > 0; left--) {
        live.push([(ordinal += 1), random() < 0.75 ? 'three' : 'one']);
        // A collection now and then, which a few survive.
        if (random() < 1 / 25) live = live.filter(() => random() < 0.05);
      }
      allocations.look(samplesOf(live));
    }
    const bytes = bytesOf(allocations.profile(HEAD));
    expect(sum(Object.values(bytes)) / 1000 / ordinal).toBeCloseTo(1, 2);
    expect(Math.abs(bytes['three']! / sum(Object.values(bytes)) - 0.75)).toBeLessThan(0.03);
  });
});

describe("V8's samples", () => {
  /**
   * Too long to be inlined, and with that sampled under the name of its caller. Of small objects: of arrays of 8 KB that two functions
   * make in turn, three to one, V8 of Node 24 and 26 samples as many of the one as of the other.
   */
  const allocator = (name: string): ((count: number) => void) => {
    const long = Array.from({ length: 100 }, (_, i) => `if (count === -${i + 1}) return ${i};`).join('\n');
    const body = `${long}\nfor (let i = 0; i < count; i++) sink.last = ({ a: i, b: i, c: i, d: i, e: [i, i, i, i] });`;
    const source = `(function ${name}(sink, count) { ${body} })`;
    return (runInThisContext(source, { filename: '/app/allocators.js' }) as (sink: object, count: number) => void).bind(undefined, {});
  };
  const allocateThree = allocator('allocateThree');
  const allocateOne = allocator('allocateOne');

  /** Three words and five properties; four and two words and four elements. */
  const OBJECT_BYTES = 8 * (3 + 5 + 4 + 2 + 4);

  const diag = new StderrDiag('warn');
  let sampler: HeapSampler;

  async function start(clock: Clock = new SystemClock()): Promise<void> {
    const { heap } = loadNativeProfilers();
    sampler = new HeapSampler({ native: heap, diag, clock, intervalBytes: INTERVAL_BYTES });
    await sampler.start();
  }

  /** What each function has allocated by itself. */
  async function allocated(): Promise<Map<string, number>> {
    const profile = await sampler.allocs();
    expect(profile.sampleTypes.map(({ type }) => type)).toEqual(['alloc_space', 'inuse_objects', 'inuse_space']);
    const bytes = new Map<string, number>();
    for (const [row, node] of profile.sampleNodes.entries()) {
      const { name } = profile.frames[profile.nodeFrames[node]!]!;
      bytes.set(name, (bytes.get(name) ?? 0) + profile.values[row * profile.sampleTypes.length]!);
    }
    return bytes;
  }

  afterEach(() => sampler.stop());

  test('of two functions that make garbage three to one give that share, and the total', { timeout: 60_000 }, async () => {
    await start();
    const random = seeded(2);
    let objects = 0;
    // 300 looks see some 15 of 40 samples each.
    for (let look = 0; look < 300; look++) {
      // 10 to 30 MiB, in turns far smaller than what a sample stands for: looks come at the ends of turns.
      for (let turn = 1800 + Math.floor(random() * 3600); turn > 0; turn--) {
        allocateThree(30);
        allocateOne(10);
        objects += 40;
      }
      await sampler.look();
    }
    const bytes = await allocated();
    const [three, one] = [bytes.get('allocateThree')!, bytes.get('allocateOne')!];
    const truth = objects * OBJECT_BYTES;
    expect(truth).toBeGreaterThan(3000 * INTERVAL_BYTES);
    expect(Math.abs(three / (three + one) - 0.75), `${three / (three + one)}`).toBeLessThan(0.08);
    expect(Math.abs((three + one) / truth - 1), `${(three + one) / truth}`).toBeLessThan(0.15);
  });

  test('are ready when the sampler has started, so that no look is taken for a slow one', async () => {
    let readings = 0;
    const opened: string[] = [];
    const { Session } = await import('node:inspector/promises');
    const { connect } = Session.prototype;
    // A look must not open a session: that takes 10 to 80 ms, and what takes longer than ten is not done again.
    Session.prototype.connect = function counted(this: InstanceType<typeof Session>): void {
      opened.push('session');
      connect.call(this);
    };
    try {
      await start({ monotonicMillis: () => (readings += 1), epochMillis: (millis) => millis });
      expect(opened).toHaveLength(1);
      await sampler.look();
      expect(opened).toHaveLength(1);
    } finally {
      Session.prototype.connect = connect;
    }
  });
});
