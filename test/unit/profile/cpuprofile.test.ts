// What is written is read by the parser of Chrome's DevTools.
import { CPUProfileDataModel } from '@paulirish/trace_engine/models/cpu_profile/CPUProfileDataModel.js';
import { describe, expect, test } from 'vitest';
import { cpuprofile } from '../../../src/profile/cpuprofile.ts';
import type { Profile } from '../../../src/profile/profile.ts';
import { CPU_HEAD, profileOf, textOf } from '../../fixtures/profile/stacks.ts';
import { wideProfile } from '../../fixtures/profile/wide.ts';

interface File {
  readonly nodes: readonly {
    id: number;
    callFrame: { functionName: string; scriptId: string; url: string; lineNumber: number; columnNumber: number };
    hitCount: number;
    children: readonly number[];
  }[];
  readonly startTime: number;
  readonly endTime: number;
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

async function write(profile: Profile): Promise<File> {
  return JSON.parse(await textOf(cpuprofile(profile))) as File;
}

function parse(file: File): CPUProfileDataModel {
  // The parser writes into what it is given.
  return new CPUProfileDataModel(structuredClone(file) as never);
}

/** Own time by function in milliseconds, as the tree has it and as the timeline has it. */
function selfMillis(model: CPUProfileDataModel): { tree: Record<string, number>; timeline: Record<string, number> } {
  const tree: Record<string, number> = {};
  const pending = [...model.profileHead.children];
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    tree[node.functionName] = (tree[node.functionName] ?? 0) + node.self;
    pending.push(...node.children);
  }
  const timeline: Record<string, number> = {};
  model.forEachFrame(
    () => {},
    (_depth, node, _index, _start, _duration, self) => {
      timeline[node.functionName] = (timeline[node.functionName] ?? 0) + self;
    },
  );
  return { tree, timeline };
}

function rounded(millis: Record<string, number>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(millis)
      .map(([name, value]) => [name, Math.round(value * 1000) / 1000] as const)
      .filter(([name, value]) => value > 0 && name !== '(root)'),
  );
}

const MILLIS = 1e6;

test('gives each function the time that it has, in the tree and in the timeline', async () => {
  const file = await write(
    profileOf(CPU_HEAD, [
      [['main /srv/app.js:1:1', 'hot /srv/app.js:30:5'], [6, 60 * MILLIS], { 'http.route': '/x' }],
      [
        ['main /srv/app.js:1:1', 'hot /srv/app.js:30:5'],
        [1, 15 * MILLIS],
      ],
      [['main /srv/app.js:1:1'], [1, 10 * MILLIS]],
      [['(program)'], [2, 3 * MILLIS]],
      [
        ['other /srv/app.js:90:1', 'hot /srv/app.js:30:5'],
        [1, 5 * MILLIS],
      ],
      [['(garbage collector)'], [1, 7 * MILLIS]],
      [['(idle)'], [40, 0]],
    ]),
  );
  const expected = { hot: 80, main: 10, '(program)': 3, '(garbage collector)': 7 };
  const { tree, timeline } = selfMillis(parse(file));
  expect(rounded(tree)).toEqual(expected);
  expect(rounded(timeline)).toEqual(expected);
});

test('has the garbage collector beside the functions, where DevTools would put it on top of the one before', async () => {
  const file = await write(
    profileOf(CPU_HEAD, [
      [
        ['main', 'work'],
        [1, 1000],
      ],
      [['(garbage collector)'], [1, 1000]],
      [['other'], [1, 1000]],
    ]),
  );
  const opened: [string, number][] = [];
  parse(file).forEachFrame(
    (depth, node) => opened.push([node.functionName, depth]),
    () => {},
  );
  expect(opened).toEqual([
    ['(garbage collector)', 0],
    ['main', 0],
    ['work', 1],
    ['other', 0],
  ]);
});

test('has a sum of time deltas that is the total, which cut-off nanoseconds do not change', async () => {
  const stacks = Array.from({ length: 1001 }, (_, i) => [[`f${i}`], [1, 10_101_499]] as const);
  const file = await write(profileOf(CPU_HEAD, stacks));
  const micros = Math.round((1001 * 10_101_499) / 1000);
  expect(file.timeDeltas.reduce((sum, delta) => sum + delta, 0)).toBe(micros);
  expect(file.endTime - file.startTime).toBe(micros);
  expect(file.nodes.reduce((sum, { hitCount }) => sum + hitCount, 0)).toBe(micros);
  expect(file.startTime).toBe(Date.UTC(2026, 10, 21, 14, 3, 10) * 1000);
  expect(file.timeDeltas).toHaveLength(file.samples.length);
});

describe('a call frame', () => {
  test.each([
    ['f /srv/app.js:12:5', { functionName: 'f', url: 'file:///srv/app.js', lineNumber: 11, columnNumber: 4 }],
    ['f /srv/a%20b#c.js:1:1', { functionName: 'f', url: 'file:///srv/a%2520b%23c.js', lineNumber: 0, columnNumber: 0 }],
    ['f /srv/app.js:12', { functionName: 'f', url: 'file:///srv/app.js', lineNumber: 11, columnNumber: 0 }],
    ['f node:fs:3:2', { functionName: 'f', url: 'node:fs', lineNumber: 2, columnNumber: 1 }],
    ['(anonymous) /srv/app.js:2:9', { functionName: '', url: 'file:///srv/app.js', lineNumber: 1, columnNumber: 8 }],
    ['(garbage collector)', { functionName: '(garbage collector)', url: '', lineNumber: -1, columnNumber: -1 }],
  ])('of %s has its lines and columns from 0 and an address that opens', async (written, callFrame) => {
    const { nodes } = await write(profileOf(CPU_HEAD, [[[written], [1, 1000]]]));
    expect(nodes[1]!.callFrame).toMatchObject(callFrame);
  });

  test('has the id of its script, as readers tell functions of one name apart by it', async () => {
    const written = ['f /a.js:1:1', 'f /b.js:1:1', 'g /a.js:2:1', '(program)'];
    const { nodes } = await write(
      profileOf(
        CPU_HEAD,
        written.map((frame) => [[frame], [1, 1000]]),
      ),
    );
    expect(nodes.slice(1).map(({ callFrame }) => callFrame.scriptId)).toEqual(['1', '2', '1', '0']);
  });
});

test('has only the nodes that lead to time, each once', async () => {
  const file = await write(
    profileOf(CPU_HEAD, [
      [
        ['a', 'b', 'c'],
        [1, 1000],
      ],
      [
        ['a', 'waits'],
        [5, 0],
      ],
      [['(idle)'], [9, 0]],
    ]),
  );
  expect(file.nodes.map(({ callFrame }) => callFrame.functionName)).toEqual(['(root)', 'a', 'b', 'c']);
  expect(file.nodes.flatMap(({ children }) => children)).toEqual(file.nodes.slice(1).map(({ id }) => id));
});

test('opens without a sample too', async () => {
  const file = await write(profileOf(CPU_HEAD, []));
  expect(file).toMatchObject({ samples: [1], timeDeltas: [0] });
  expect(parse(file).profileHead.children).toEqual([]);
});

test('has the stacks of a profile of 20,000', async () => {
  const profile = wideProfile({ shared: 30 });
  const file = await write(profile);
  expect(file.samples).toHaveLength(20_001);
  const total = profile.values.reduce((sum, value, i) => (i % 2 === 1 ? sum + value : sum), 0);
  expect(file.endTime - file.startTime).toBe(Math.round(total / 1000));
});
