// What is kept of the time of a block, from a tree as the addon hands it out.
import { describe, expect, test } from 'vitest';
import type { Frame } from '../../../src/profile/frame.ts';
import type { Profile } from '../../../src/profile/profile.ts';
import { stretchOf, type Stretch } from '../../../src/profile/stretch.ts';
import type { TimeNode } from '../../../src/profile/v8.ts';

const START_MICROS = 1_700_000_000_000_000;
const INTERVAL_MICROS = 10_000;

interface Hit {
  /** Milliseconds since the start of the block. */
  readonly at: number;
  readonly stack: readonly string[];
  readonly context?: object | undefined;
  readonly cpuMillis?: number;
  /** Where the caller of the innermost function is. */
  readonly callerFile?: string;
}

type Mutable = { name: string; scriptName: string; hitCount: number; contexts: object[]; children: Mutable[] };

/** V8's tree of the hits. */
function treeOf(hits: readonly Hit[]): TimeNode {
  const node = (name: string): Mutable => ({ name, scriptName: '', hitCount: 0, contexts: [], children: [] });
  const root = node('(root)');
  for (const { at, stack, context, cpuMillis = 10, callerFile = '' } of hits) {
    let here = root;
    for (const name of stack) {
      let child = here.children.find((candidate) => candidate.name === name);
      if (child === undefined) here.children.push((child = node(name)));
      here = child;
    }
    const caller = stack.slice(0, -1).reduce((node, name) => node.children.find((child) => child.name === name)!, root);
    caller.scriptName = callerFile;
    here.hitCount += 1;
    here.contexts.push({ context, timestamp: BigInt(START_MICROS + at * 1000), cpuTime: cpuMillis * 1e6 });
  }
  return root as unknown as TimeNode;
}

function stretch(durationMillis: number, hits: readonly Hit[], processCpuMillis = 0): Stretch {
  return stretchOf(
    { topDownRoot: treeOf(hits), startTime: 0, endTime: 0 },
    {
      startEpochMillis: 0,
      intervalMicros: INTERVAL_MICROS,
      fromMicros: START_MICROS,
      toMicros: START_MICROS + durationMillis * 1000,
      processCpuMillis,
      labelsOf: (context) => ({ 'http.route': (context as { route: string }).route }),
      activeOf: (context) => (context as { active?: object }).active,
    },
  );
}

/** Samples and milliseconds by the innermost function. */
function rows(profile: Profile): Record<string, [samples: number, millis: number]> {
  return Object.fromEntries(
    Array.from(profile.sampleNodes, (node, row) => [
      (profile.frames[profile.nodeFrames[node]!] as Frame).name,
      [profile.values[row * 2]!, Math.round(profile.values[row * 2 + 1]! / 1e6)],
    ]),
  );
}

const every10 = (from: number, to: number, stack: readonly string[], more: Partial<Hit> = {}): Hit[] =>
  Array.from({ length: (to - from) / 10 + 1 }, (_, i) => ({ at: from + i * 10, stack, ...more }));

describe('time', () => {
  test('a sample stands for the time since the one before it: one of a long read counts more than four of a collection', () => {
    const { profile } = stretch(500, [
      { at: 450, stack: ['load', 'read'], cpuMillis: 300 },
      ...[455, 460, 465, 470].map((at) => ({ at, stack: ['(garbage collector)'] })),
    ]);
    expect(rows(profile)).toEqual({ read: [1, 450], '(garbage collector)': [4, 20] });
    expect(profile.sampleTypes.map(({ type }) => type)).toEqual(['samples', 'wall']);
  });

  test('samples at both ends belong to it, those outside and functions without samples in it do not', () => {
    const { profile } = stretch(100, [
      { at: -0.001, stack: ['before', 'deep'] },
      { at: 0, stack: ['first'] },
      { at: 100, stack: ['last'] },
      { at: 100.001, stack: ['after'] },
    ]);
    expect(rows(profile)).toEqual({ first: [1, 0], last: [1, 100] });
    expect(profile.frames.map(({ name }) => name).sort()).toEqual(['first', 'last']);
  });

  test('CPU time is that of the samples, of which those of native work have none', () => {
    const hits = [...every10(10, 50, ['work'], { cpuMillis: 4 }), { at: 60, stack: ['(program)'], cpuMillis: Number.NaN }];
    expect(stretch(100, hits).cpuMillis).toBe(20);
  });
});

describe('a pause', () => {
  const waiting = { stack: ['(idle)'], cpuMillis: 0.02 };

  test('in it makes it begin later, half an interval after the last sample that found the loop waiting', () => {
    const { profile, skippedMillis } = stretch(120, [
      ...every10(5, 45, ['timers', 'early']),
      { at: 55, ...waiting },
      { at: 65, ...waiting },
      ...every10(75, 115, ['poll', 'late']),
    ]);
    expect(skippedMillis).toBe(70);
    expect(profile.startEpochMillis).toBe(START_MICROS / 1000 + 70);
    expect(profile.durationMillis).toBe(50);
    expect(rows(profile)).toEqual({ late: [5, 45] });
  });

  test.each([
    ['right at the start is the wait before it', [{ at: 9, ...waiting }, ...every10(19, 119, ['work'])]],
    [
      'takes two samples to be one: a thread that was not let run may be found anywhere once',
      [...every10(5, 55, ['a']), { at: 65, ...waiting }, ...every10(75, 115, ['b'])],
    ],
  ])('%s', (_what, hits) => {
    expect(stretch(120, hits).skippedMillis).toBe(0);
  });

  test('is not what Node does between two callbacks, which uses the CPU', () => {
    const { skippedMillis, profile } = stretch(120, [
      ...every10(5, 55, ['a']),
      { at: 65, stack: ['(idle)'], cpuMillis: 9 },
      { at: 75, stack: ['(idle)'], cpuMillis: 0.05 },
      ...every10(85, 115, ['b']),
    ]);
    expect(skippedMillis).toBe(0);
    expect(rows(profile)).toEqual({ a: [6, 55], b: [4, 40] });
  });
});

describe('time in which the thread did not run', () => {
  test.each<[what: string, hits: Hit[], deadMillis: number]>([
    ['none in a busy one', every10(10, 990, ['work']), 0],
    ['none in a call that waits, which samples interrupt', every10(10, 990, ['exec'], { cpuMillis: 0.1 }), 0],
    ['none in a long read, which uses the CPU', [{ at: 990, stack: ['read'], cpuMillis: 300 }], 0],
    ['all of a stop', [...every10(10, 100, ['work']), { at: 900, stack: ['work'], cpuMillis: 3 }, ...every10(910, 990, ['work'])], 790],
    [
      'none in a call of the file system, which may wait for a disk',
      [{ at: 990, stack: ['load', 'readSync', 'read'], cpuMillis: 1, callerFile: 'node:fs' }],
      0,
    ],
    ['none in a collection, which waits for threads that help it', [{ at: 990, stack: ['(garbage collector)'], cpuMillis: 1 }], 0],
    ['none in that of a module', [{ at: 990, stack: ['load', 'read'], cpuMillis: 1, callerFile: 'node:internal/modules/cjs/loader' }], 0],
    [
      'all of it in another call of Node',
      [{ at: 990, stack: ['run', 'spawn'], cpuMillis: 1, callerFile: 'node:internal/child_process' }],
      980,
    ],
    ['what comes after the last sample', every10(10, 300, ['work']), 690],
    [
      'none where four intervals passed between two samples',
      every10(40, 1000, ['work'], { cpuMillis: 0 }).filter((_, i) => i % 4 === 0),
      0,
    ],
    ['where more did', every10(41, 1000, ['work'], { cpuMillis: 0 }).filter((_, i) => i % 4 === 0), 31],
  ])('%s', (_what, hits, deadMillis) => {
    expect(stretch(1000, hits).deadMillis).toBeCloseTo(deadMillis, 5);
  });
});

test('time after the last sample may have been computed in, when the process computed more than the samples tell', () => {
  const hits = every10(10, 300, ['work'], { cpuMillis: 9 });
  expect(stretch(1000, hits, 300).deadMillis).toBe(690);
  expect(stretch(1000, hits, 304).deadMillis).toBe(690);
  expect(stretch(1000, hits, 306).deadMillis).toBe(0);
  expect(stretch(1000, [], 49).deadMillis).toBe(990);
  expect(stretch(1000, [], 50).deadMillis).toBe(0);
});

test('dead time is nobody’s', () => {
  const { profile } = stretch(1000, [
    ...every10(10, 100, ['before']),
    { at: 900, stack: ['stopped'], cpuMillis: 3 },
    ...every10(910, 1000, ['after']),
  ]);
  expect(rows(profile)).toEqual({ before: [10, 100], stopped: [1, 10], after: [10, 100] });
});

describe('what was active', () => {
  const [a, b] = [
    { active: { id: 'a' }, route: '/a' },
    { active: { id: 'b' }, route: '/b' },
  ];

  test.each<[what: string, hits: Hit[], active: object | undefined, count: number]>([
    ['one span', every10(10, 100, ['work'], { context: a }), a.active, 1],
    ['none', every10(10, 100, ['work']), undefined, 0],
    ['half of the time is enough', [...every10(10, 50, ['x'], { context: a }), ...every10(60, 100, ['y'])], a.active, 1],
    ['less is not', [...every10(10, 40, ['x'], { context: a }), ...every10(50, 100, ['y'])], undefined, 1],
    [
      'collections without a context do not speak against it',
      [...every10(10, 20, ['x'], { context: a }), ...every10(30, 100, ['(garbage collector)'])],
      a.active,
      1,
    ],
    [
      'of many none',
      [a, b, { active: {} }, { active: {} }].map((context, i) => ({ at: 10 + i * 10, stack: ['x'], context })),
      undefined,
      4,
    ],
  ])('%s', (_what, hits, active, count) => {
    const found = stretch(100, hits);
    expect(found.active).toBe(active);
    expect(found.activeCount).toBe(count);
  });

  test('samples have the labels of their context', () => {
    const { profile } = stretch(100, [...every10(10, 50, ['x'], { context: a }), ...every10(60, 100, ['x'], { context: b })]);
    expect(profile.labelSets).toEqual([{}, { 'http.route': '/a' }, { 'http.route': '/b' }]);
  });
});
