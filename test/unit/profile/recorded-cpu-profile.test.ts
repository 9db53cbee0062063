// The .cpuprofile made from either profiler's result; what DevTools makes of it is in test/contract/devtools.test.ts.
import { describe, expect, it } from 'vitest';
import { cpuProfileJson, fromCallTree, fromInspector, type CallTree, type CpuProfile } from '../../../src/profile/recorded-cpu-profile.ts';

async function textOf(profile: CpuProfile): Promise<{ text: string; pieces: number }> {
  let text = '';
  let pieces = 0;
  for await (const piece of cpuProfileJson(profile)) {
    text += piece;
    pieces += 1;
  }
  return { text, pieces };
}

const callFrame = { functionName: '(root)', scriptId: '0', url: '', lineNumber: -1, columnNumber: -1 };
const ROOT_NODE = { id: 1, callFrame, hitCount: 0 };

const node = (id: number, name: string, rest: Partial<CallTree> = {}): CallTree => ({
  id,
  functionName: name,
  scriptId: 12,
  url: '/shop/app.js',
  lineNumber: 7,
  columnNumber: 3,
  hitCount: 0,
  bailoutReason: '',
  children: [],
  ...rest,
});

describe('from the inspector', () => {
  it('stays as it is when it is in order', () => {
    const profile = { nodes: [ROOT_NODE], startTime: 1000, endTime: 5000, samples: [1, 2, 1], timeDeltas: [10, 0, 990] };
    expect(fromInspector(profile)).toEqual(profile);
  });

  it('has its samples in time order, and begins no later than the first', () => {
    const { startTime, endTime, samples, timeDeltas } = fromInspector({
      nodes: [ROOT_NODE],
      startTime: 1000,
      endTime: 1050,
      // At 1020, 1010, 990, 1060.
      samples: [1, 2, 3, 4],
      timeDeltas: [20, -10, -20, 70],
    });
    expect({ startTime, endTime, samples, timeDeltas }).toEqual({
      startTime: 990,
      endTime: 1060,
      samples: [3, 2, 1, 4],
      timeDeltas: [0, 20, 10, 40],
    });
  });

  it('without samples is a profile without samples', () => {
    const { samples, timeDeltas, startTime } = fromInspector({ nodes: [ROOT_NODE], startTime: 5, endTime: 9 });
    expect({ samples, timeDeltas }).toEqual({ samples: [], timeDeltas: [] });
    expect(startTime).toBeLessThanOrEqual(5);
  });
});

describe('from v8-profiler-next', () => {
  it('has nodes as the inspector has them: flat, lines and columns from 0, scripts by their addresses', () => {
    const head = node(1, '(root)', {
      scriptId: 0,
      url: '',
      lineNumber: 0,
      columnNumber: 0,
      children: [
        node(2, 'serve', {
          hitCount: 3,
          lineTicks: [{ line: 9, hitCount: 3 }],
          children: [node(3, 'parse', { url: 'node:url', bailoutReason: 'no inlining' })],
        }),
        node(4, 'render', { url: 'file:///shop/view.mjs' }),
      ],
    });
    const { nodes } = fromCallTree(head, [2], [100]);
    expect(nodes.toSorted((a, b) => a.id - b.id)).toEqual([
      { id: 1, callFrame, hitCount: 0, children: [2, 4] },
      {
        id: 2,
        callFrame: { functionName: 'serve', scriptId: '12', url: 'file:///shop/app.js', lineNumber: 6, columnNumber: 2 },
        hitCount: 3,
        children: [3],
        positionTicks: [{ line: 9, ticks: 3 }],
      },
      {
        id: 3,
        callFrame: { functionName: 'parse', scriptId: '12', url: 'node:url', lineNumber: 6, columnNumber: 2 },
        hitCount: 0,
        deoptReason: 'no inlining',
      },
      {
        id: 4,
        callFrame: { functionName: 'render', scriptId: '12', url: 'file:///shop/view.mjs', lineNumber: 6, columnNumber: 2 },
        hitCount: 0,
      },
    ]);
    // The root is the first: DevTools takes the first for it.
    expect(nodes[0]!.id).toBe(1);
  });

  it('has differences for its times, in order', () => {
    const { startTime, endTime, samples, timeDeltas } = fromCallTree(node(1, '(root)'), [1, 2, 3], [500, 800, 700]);
    expect({ startTime, endTime, samples, timeDeltas }).toEqual({
      startTime: 500,
      endTime: 800,
      samples: [1, 3, 2],
      timeDeltas: [0, 200, 100],
    });
  });
});

describe('the file', () => {
  it('is the profile as JSON', async () => {
    const profile = { nodes: [ROOT_NODE], startTime: 1, endTime: 9, samples: [1, 1], timeDeltas: [3, 4] };
    expect(JSON.parse((await textOf(profile)).text)).toEqual(profile);
    const empty = { ...profile, nodes: [], samples: [], timeDeltas: [] };
    expect(JSON.parse((await textOf(empty)).text)).toEqual(empty);
  });

  it.each([499, 500, 501, 1001])('with %i nodes comes in pieces that join without a seam', async (count) => {
    const nodes = Array.from({ length: count }, (_, id) => ({ ...ROOT_NODE, id }));
    const samples = Array.from({ length: 80 * count }, (_, i) => i % count);
    const profile = { nodes, startTime: 1, endTime: 9, samples, timeDeltas: samples };
    const { text, pieces } = await textOf(profile);
    expect(JSON.parse(text)).toEqual(profile);
    expect(pieces).toBe(4 + Math.ceil(count / 500) + 2 * Math.ceil((80 * count) / 20_000));
  });
});
