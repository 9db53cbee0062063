import { describe, expect, test } from 'vitest';
import { scriptPath } from '../../../src/core/script-path.ts';
import { type LabelSet, NO_LABELS, type Profile } from '../../../src/profile/profile.ts';
import { fromAllocationTree, fromCpuProfile, fromHeapSamples, fromTimeTree, type TimeNode } from '../../../src/profile/v8.ts';

const OPTIONS = { startEpochMillis: 0, intervalMicros: 10_101 };

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
    const profile = fromTimeTree(timeTree([node('(program)', [1]), node('(garbage collector)', [9, 9]), node('work', [10, 10, 8])]), {
      ...OPTIONS,
      startEpochMillis: 5,
    });
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
    const profile = byName(fromTimeTree(tree, OPTIONS));
    expect(profile['(idle)']?.[1]).toBe(0);
    expect(profile['short']?.[1]).toBe(22);
    expect(profile['long']?.[1]).toBe(19);
    expect(profile['blocked']?.[1]).toBe(0.06);
  });

  test('leave CPU time with (idle) when no hit found the thread running', () => {
    expect(byName(fromTimeTree(timeTree([node('(idle)', [4, 0])]), OPTIONS))['(idle)']?.[1]).toBe(4);
  });

  test('count a hit outside (idle) as an interval of CPU where none is measured', () => {
    const profile = byName(fromTimeTree(timeTree([node('(idle)', [0, 0, 0, 0, 0]), node('work', [0, 0, 0, 0, 0])], false), OPTIONS));
    expect(profile).toEqual({ '(idle)': [5, 0, 50.51], work: [5, 50.51, 50.51] });
  });

  test('take what other threads used as one row without samples', () => {
    const profile = fromTimeTree({ ...timeTree([node('work', [5])]), nonJSThreadsCpuTime: 7e6 }, OPTIONS);
    expect(byName(profile)['(non-JS threads)']).toEqual([0, 7, 0]);
  });

  test('name files as paths that can be opened, and nameless functions (anonymous)', () => {
    const { frames } = fromTimeTree(timeTree([node('', [1])]), OPTIONS);
    expect(frames).toEqual([{ name: '(anonymous)', file: '/app/a b.mjs', line: 3, column: 0 }]);
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
    expect(profile.frames).toEqual([{ name: 'work', file: '/app/x.mjs', line: 10, column: 1 }]);
    expect(byName(profile)).toEqual({ work: [10, 101.01, 101.01] });
  });
});

describe('labels', () => {
  const contextA = { of: '/a' };
  const contextB = { of: '/b' };
  const labelsOf = (context: object): LabelSet => ('of' in context ? { 'http.route': context.of as string } : NO_LABELS);

  const OPTIONS = { startEpochMillis: 0, intervalMicros: 10_101 };

  /** A node with one hit for each CPU time, in nanoseconds, and what the sampler found. */
  function labelled(name: string, hits: [cpuNanos: number, context?: object][], children: TimeNode[] = []): TimeNode {
    const contexts = hits.map(([cpuTime, context]) => ({ timestamp: 0n, cpuTime, ...(context && { context }) }));
    return { name, scriptName: '/app/x.js', lineNumber: 1, hitCount: hits.length, contexts, children };
  }

  const rowsOf = (profile: Profile): [string, string | undefined, number[]][] =>
    Array.from(profile.sampleNodes, (leaf, i) => [
      profile.frames[profile.nodeFrames[leaf]!]!.name,
      profile.labelSets[profile.sampleLabels[i]!]!['http.route'],
      Array.from(profile.values.subarray(i * 3, i * 3 + 2)),
    ]);

  test('follow each hit with its CPU time', () => {
    const tree = timeTree([
      labelled('work', [[7_000_000, contextA], [1_000_000, contextB], [2_000_000], [3_000_000, contextA], [4_000_000, {}]]),
    ]);
    expect(rowsOf(fromTimeTree(tree, { ...OPTIONS, labelsOf }))).toEqual([
      ['work', '/a', [2, 10_000_000]],
      ['work', '/b', [1, 1_000_000]],
      ['work', undefined, [2, 6_000_000]],
    ]);
  });

  test('take their part of the CPU time that was charged to (idle), and add up to the profile without labels exactly', () => {
    const work = labelled('work', [
      [9_000_001, contextA],
      [60_000, contextB],
      [20_000, contextB],
    ]);
    const tree = timeTree([labelled('(idle)', [[1_000_000], [7]]), work, labelled('(garbage collector)', [[333_333, contextA]])]);
    const profile = fromTimeTree(tree, { ...OPTIONS, labelsOf });
    const spread = Math.round(1_000_007 / 3);
    expect(rowsOf(profile).toSorted(([a, b], [c, d]) => `${a}${b}`.localeCompare(`${c}${d}`))).toEqual([
      ['(garbage collector)', '/a', [1, 333_333 + spread]],
      ['(idle)', undefined, [2, 0]],
      ['work', '/a', [1, 9_000_001 + spread]],
      ['work', '/b', [2, 80_000 + spread]],
    ]);
    const sums = (of: Profile): number[] =>
      [0, 1, 2].map((column) => of.values.reduce((sum, value, i) => (i % 3 === column ? sum + value : sum), 0));
    expect(sums(profile)).toEqual(sums(fromTimeTree(tree, OPTIONS)));
  });

  test('are asked once for a context, however many hits it has', () => {
    const asked: object[] = [];
    const tree = timeTree([
      labelled('f', [
        [1, contextA],
        [1, contextA],
      ]),
      labelled('g', [[1, contextA], [1]]),
    ]);
    const labelsOf = (context: object): LabelSet => {
      asked.push(context);
      return NO_LABELS;
    };
    fromTimeTree(tree, { ...OPTIONS, labelsOf });
    expect(asked).toEqual([contextA]);
  });

  test('hits that the sampler had no room for are counted without', () => {
    const work = { ...labelled('work', [[5_000_000, contextA]]), hitCount: 3 };
    expect(rowsOf(fromTimeTree(timeTree([work]), { ...OPTIONS, labelsOf }))).toEqual([
      ['work', '/a', [1, 5_000_000]],
      ['work', undefined, [2, 0]],
    ]);
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
    const profile = fromAllocationTree(root, 4096, { startEpochMillis: 0, intervalBytes: 524_288 });
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
    const profile = fromHeapSamples({ head, samples: [] }, 0, { startEpochMillis: 0, intervalBytes: 524_288 });
    expect(profile.sampleTypes.map(({ type }) => type)).toEqual(['inuse_space']);
    expect(Array.from(profile.values)).toEqual([350]);
    expect(profile.frames).toEqual([{ name: 'keep', file: '/app/x.js', line: 4, column: 1 }]);
  });
});
