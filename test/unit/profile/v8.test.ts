import { describe, expect, test } from 'vitest';
import { scriptPath } from '../../../src/core/script-path.ts';
import type { Profile } from '../../../src/profile/profile.ts';
import { fromAllocationTree, fromCpuProfile, fromHeapSamples, fromTimeTree, type TimeNode } from '../../../src/profile/v8.ts';

/** A node with one hit for each CPU time, in milliseconds. */
function node(name: string, cpuMillis: number[] = [], children: TimeNode[] = []): TimeNode {
  const contexts = cpuMillis.map((millis) => ({ timestamp: 0n, cpuTime: millis * 1e6 }));
  const scriptName = name.startsWith('(') ? '' : 'file:///app/a%20b.mjs';
  return { name, scriptName, lineNumber: 3, hitCount: cpuMillis.length, contexts, children };
}

function timeTree(children: TimeNode[], measured = true): Parameters<typeof fromTimeTree>[0] {
  return { topDownRoot: node('(root)', [], children), startTime: 0, endTime: 101_010, hasCpuTime: measured };
}

/** Values by innermost function, in milliseconds for the second and third column. */
function byName(profile: Profile): Record<string, number[]> {
  const columns = profile.sampleTypes.length;
  return Object.fromEntries(
    Array.from(profile.sampleNodes, (leaf, i) => {
      const values = Array.from(profile.values.subarray(i * columns, (i + 1) * columns), (value, j) =>
        j === 0 ? value : Math.round(value / 1e4) / 100,
      );
      return [profile.frames[profile.nodeFrames[leaf]!]!.name, values];
    }),
  );
}

describe('time profiles', () => {
  test('have samples, CPU time as measured and wall time by hits, under V8 names', () => {
    const profile = fromTimeTree(timeTree([node('(program)', [1]), node('(garbage collector)', [9, 9]), node('work', [10, 10, 8])]), 5);
    expect(profile.sampleTypes.map(({ type, unit }) => `${type}/${unit}`)).toEqual([
      'samples/count',
      'cpu/nanoseconds',
      'wall/nanoseconds',
    ]);
    const interval = 16.84;
    expect(byName(profile)).toEqual({
      '(program)': [1, 1, interval],
      '(garbage collector)': [2, 18, 33.67],
      work: [3, 28, 50.51],
    });
    expect(profile).toMatchObject({ startEpochMillis: 5, durationMillis: 101.01 });
  });

  test('spread CPU time charged to (idle) over the hits that found the thread running', () => {
    const waiting = 0.02;
    const tree = timeTree([
      node('(idle)', [30, 0, 0, 0]),
      node('short', [1, 1]),
      node('long', [9]),
      node('blocked', [waiting, waiting, waiting]),
    ]);
    const profile = byName(fromTimeTree(tree, 0));
    expect(profile['(idle)']?.[1]).toBe(0);
    expect(profile['short']?.[1]).toBe(22);
    expect(profile['long']?.[1]).toBe(19);
    expect(profile['blocked']?.[1]).toBe(0.06);
  });

  test('leave CPU time with (idle) when no hit found the thread running', () => {
    expect(byName(fromTimeTree(timeTree([node('(idle)', [4, 0])]), 0))['(idle)']?.[1]).toBe(4);
  });

  test('count a hit outside (idle) as an interval of CPU where none is measured', () => {
    const profile = byName(fromTimeTree(timeTree([node('(idle)', [0, 0, 0, 0, 0]), node('work', [0, 0, 0, 0, 0])], false), 0));
    expect(profile).toEqual({ '(idle)': [5, 0, 50.51], work: [5, 50.51, 50.51] });
  });

  test('take what other threads used as one row without samples', () => {
    const profile = fromTimeTree({ ...timeTree([node('work', [5])]), nonJSThreadsCpuTime: 7e6 }, 0);
    expect(byName(profile)['(non-JS threads)']).toEqual([0, 7, 0]);
  });

  test('name files as paths that can be opened, and nameless functions (anonymous)', () => {
    const { frames } = fromTimeTree(timeTree([node('', [1])]), 0);
    expect(frames).toEqual([{ name: '(anonymous)', file: '/app/a b.mjs', line: 3 }]);
    expect(['node:fs', '/app/x.js', '', 'file://%zz'].map(scriptPath)).toEqual(['node:fs', '/app/x.js', '', 'file://%zz']);
  });

  test('come from the inspector with its lines counted from 1', () => {
    const callFrame = { functionName: 'work', scriptId: '1', url: 'file:///app/x.mjs', lineNumber: 9, columnNumber: 0 };
    const root = { ...callFrame, functionName: '(root)', url: '' };
    const nodes = [
      { id: 1, callFrame: root, hitCount: 0, children: [2] },
      { id: 2, callFrame, hitCount: 10 },
    ];
    const profile = fromCpuProfile({ nodes, startTime: 0, endTime: 101_010 }, 0);
    expect(profile.frames).toEqual([{ name: 'work', file: '/app/x.mjs', line: 10 }]);
    expect(byName(profile)).toEqual({ work: [10, 101.01, 101.01] });
  });
});

describe('heap profiles', () => {
  test('have live objects and bytes per stack, and memory outside the heap as one row', () => {
    const leaf = {
      name: 'keep',
      scriptName: '/app/x.js',
      lineNumber: 4,
      children: [],
      allocations: [
        { sizeBytes: 100, count: 3 },
        { sizeBytes: 50, count: 1 },
      ],
    };
    const root = { name: '(root)', scriptName: '', children: [leaf], allocations: [] };
    const profile = fromAllocationTree(root, 4096, 0);
    expect(profile.sampleTypes.map(({ type }) => type)).toEqual(['inuse_objects', 'inuse_space']);
    expect(Array.from(profile.values)).toEqual([4, 350, 1, 4096]);
    expect(profile.frames.map(({ name }) => name)).toEqual(['keep', '(external)']);
  });

  test('from the inspector have bytes alone', () => {
    const frame = (functionName: string): { functionName: string; url: string; lineNumber: number; columnNumber: number } => ({
      functionName,
      url: '/app/x.js',
      lineNumber: 3,
      columnNumber: 0,
    });
    const leaf = { callFrame: frame('keep'), selfSize: 350, id: 2, children: [] };
    const head = { callFrame: frame('(root)'), selfSize: 0, id: 1, children: [leaf] };
    const profile = fromHeapSamples({ head, samples: [] }, 0, 0);
    expect(profile.sampleTypes.map(({ type }) => type)).toEqual(['inuse_space']);
    expect(Array.from(profile.values)).toEqual([350]);
    expect(profile.frames).toEqual([{ name: 'keep', file: '/app/x.js', line: 4 }]);
  });
});
