import { describe, expect, test } from 'vitest';
import { CpuCosts } from '../../../src/profile/cpu-costs.ts';
import { NO_LABELS, type Profile, ProfileBuilder } from '../../../src/profile/profile.ts';
import { activityOf, type TimeNode, type TimeTree } from '../../../src/profile/v8.ts';

const SAMPLES = { type: 'samples', unit: 'count' };
const CPU = { type: 'cpu', unit: 'nanoseconds' };

/** Rows of files from the outermost in, CPU seconds, and the route. */
type Row = readonly [files: readonly string[], seconds: number, route?: string];

function windowOf(...rows: Row[]): Profile {
  const builder = new ProfileBuilder(2);
  for (const [files, seconds, route] of rows) {
    let node = -1;
    for (const file of files) node = builder.node(node, builder.frame(`in ${file}`, file, 1));
    const labels = builder.labels(route === undefined ? NO_LABELS : { 'http.route': route });
    builder.add(node, 0, 1, labels);
    builder.add(node, 1, seconds * 1e9, labels);
  }
  const head = {
    sampleTypes: [SAMPLES, CPU],
    defaultSampleType: 'cpu',
    periodType: CPU,
    period: 1,
    startEpochMillis: 0,
    durationMillis: 1,
  };
  return builder.build(head);
}

const create = (): CpuCosts => new CpuCosts('/app/node_modules/sonde/dist');
const SONDE = '/app/node_modules/sonde/dist/chunk.js';

describe('by route', () => {
  test('seconds add up over rows and windows; what has no route is under the empty name', () => {
    const costs = create();
    costs.add(windowOf([['/app/a.js'], 1, '/a'], [['/app/b.js'], 2, '/a'], [['/app/b.js'], 4, '/b'], [['/app/b.js'], 8]));
    costs.add(windowOf([['/app/a.js'], 16, '/a'], [[''], 32]));
    expect(Object.fromEntries(costs.byRoute)).toEqual({ '': 40, '/a': 19, '/b': 4 });
  });

  test('the thousandth route has its own, the next counts as none, and those that are known go on', () => {
    const costs = create();
    costs.add(windowOf(...Array.from({ length: 1000 }, (_, i): Row => [['/app/a.js'], 1, `/${i + 1}`])));
    expect([costs.byRoute.size, costs.byRoute.get('/1000'), costs.byRoute.get('')]).toEqual([1001, 1, 0]);
    costs.add(windowOf([['/app/a.js'], 2, '/1001'], [['/app/a.js'], 4, '/1000']));
    expect([costs.byRoute.size, costs.byRoute.get('/1001'), costs.byRoute.get('')]).toEqual([1001, undefined, 2]);
    expect(costs.byRoute.get('/1000')).toBe(5);
  });
});

describe("Sonde's own", () => {
  test.each<[of: string, files: readonly string[], isOwn: boolean]>([
    ['is what its own function uses', ['/app/a.js', SONDE], true],
    ['is what Node and V8 do for it', ['node:internal/timers', SONDE, 'node:zlib', ''], true],
    ['is not what it calls of the application', [SONDE, '/app/a.js'], false],
    ['is not what Node does for the application that it calls', [SONDE, '/app/a.js', 'node:fs'], false],
    ['is not what Node does by itself', ['node:internal/timers', ''], false],
    ['is not what is beside its directory', ['/app/node_modules/sonde/dist-of-others/x.js'], false],
    ['is not what depends on it', ['/app/node_modules/sonde-plugin/x.js'], false],
  ])('%s', (_, files, isOwn) => {
    const costs = create();
    costs.add(windowOf([files, 3]));
    expect(costs.ownSeconds).toBe(isOwn ? 3 : 0);
  });

  test('adds up over windows', () => {
    const costs = create();
    for (let i = 0; i < 3; i++) costs.add(windowOf([[SONDE], 1], [['/app/a.js'], 10]));
    expect(costs.ownSeconds).toBe(3);
  });
});

/** By the CPU nanoseconds of its samples. */
function node(name: string, cpuTimes: readonly number[], children: readonly TimeNode[] = []): TimeNode {
  const contexts = cpuTimes.map((cpuTime) => ({ timestamp: 1n, cpuTime }));
  return { name, scriptName: '', hitCount: cpuTimes.length, contexts, children };
}

/** A second. */
function tree(...children: TimeNode[]): TimeTree {
  return { topDownRoot: node('(root)', [], children), startTime: 0, endTime: 1_000_000 };
}

describe('the thread was active', () => {
  test.each<[string, TimeTree, number]>([
    ['as often as it was in a function, though that waited', tree(node('(idle)', [0, 0, 0]), node('f', [0], [])), 0.25],
    ['for the CPU time that it used, be it between two functions', tree(node('(idle)', [0, 0, 300e6]), node('f', [200e6])), 0.5],
    ['not because it is sampled', tree(node('(idle)', Array<number>(100).fill(50_000))), 0],
    ['not at all where nothing was sampled', tree(), 0],
  ])('%s', (_, sampled, seconds) => {
    const costs = create();
    costs.addActivity(activityOf(sampled));
    costs.addActivity(activityOf(sampled));
    expect(costs.activeSeconds).toBeCloseTo(2 * seconds, 9);
    expect(costs.sampledSeconds).toBe(2);
  });
});

describe('being sampled', () => {
  test('costs for each sample what one costs that finds the thread waiting', () => {
    const costs = create();
    expect(costs.samplingSeconds).toBe(0);
    costs.addActivity(activityOf(tree(node('(idle)', [10_000, 30_000]), node('f', [5e6, 5e6], [node('g', [9e6])]))));
    expect(costs.samplingSeconds).toBeCloseTo((5 * 20_000) / 1e9, 12);
    costs.addActivity(activityOf(tree(node('(idle)', [20_000]), node('f', [1e7, 1e7]))));
    expect(costs.samplingSeconds).toBeCloseTo((8 * 20_000) / 1e9, 12);
  });

  test('is not judged by a sample in which the thread has worked: 50 us is waiting, more is not', () => {
    const costs = create();
    costs.addActivity(activityOf(tree(node('(idle)', [50_000, 50_001, 4e6]))));
    expect(costs.samplingSeconds).toBeCloseTo((3 * 50_000) / 1e9, 12);
  });

  test('costs nothing as long as nothing is known of it', () => {
    const costs = create();
    costs.addActivity(activityOf(tree(node('f', [1e7]))));
    expect(costs.samplingSeconds).toBe(0);
  });
});
