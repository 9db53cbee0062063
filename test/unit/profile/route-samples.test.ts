import { describe, expect, test } from 'vitest';
import { frameOf } from '../../../src/profile/frame.ts';
import { type LabelSet, NO_LABELS, type Profile, ProfileBuilder } from '../../../src/profile/profile.ts';
import { samplesByRoute } from '../../../src/profile/route-samples.ts';
import { StackTable } from '../../../src/profile/stack-table.ts';

const TYPES = [
  { type: 'samples', unit: 'count' },
  { type: 'cpu', unit: 'nanoseconds' },
];

const route = (name: string): LabelSet => ({ 'http.route': name });

/** A window of samples: stacks written outermost first, with their labels and how many there were. */
function windowOf(samples: readonly (readonly [stack: string, labels: LabelSet, count: number])[], stacks?: StackTable): Profile {
  const builder = new ProfileBuilder(TYPES.length, { stacks });
  for (const [stack, labels, count] of samples) {
    const node = stack.split(';').reduce((parent, name) => builder.node(parent, builder.frame(name, '/app.js', 7, 3)), -1);
    builder.add(node, 0, count, builder.labels(labels));
    builder.add(node, 1, 1e7 * count, builder.labels(labels));
  }
  const head = { sampleTypes: TYPES, defaultSampleType: 'cpu', periodType: TYPES[1]!, period: 1, startEpochMillis: 0, durationMillis: 1 };
  return builder.build(head);
}

const REMEMBER = frameOf('remember', '/app.js', 7, 3);

const counted = (windows: readonly Profile[], wanted = REMEMBER): Record<string, number> =>
  Object.fromEntries(samplesByRoute(windows, wanted));

describe('the samples of a function by route', () => {
  test('are those that have it anywhere on their stack, added up over windows', () => {
    const first = windowOf([
      ['serve;remember', route('/users/:id'), 3],
      ['serve;remember;copy;clone', route('/users/:id'), 2],
      ['serve;copy', route('/users/:id'), 50],
      ['serve;remember', route('/orders'), 1],
    ]);
    expect(counted([first])).toEqual({ '/users/:id': 5, '/orders': 1 });
    expect(counted([first, windowOf([['remember', route('/orders'), 9]])])).toEqual({ '/users/:id': 5, '/orders': 10 });
  });

  test('leave out those of no route', () => {
    const window = windowOf([
      ['remember', NO_LABELS, 7],
      ['remember', { 'thread.name': 'main' }, 7],
      ['remember', { ...route('/'), 'thread.name': 'main' }, 2],
    ]);
    expect(counted([window])).toEqual({ '/': 2 });
  });

  test('count a stack once in which it calls itself', () => {
    expect(counted([windowOf([['remember;copy;remember', route('/'), 4]])])).toEqual({ '/': 4 });
  });

  test('are those of that name, file and line; the column may differ, as that of a mapped source does', () => {
    const window = windowOf([['remember', route('/'), 1]]);
    expect(counted([window], frameOf('remember', '/app.js', 7, 99))).toEqual({ '/': 1 });
    expect(counted([window], frameOf('remember', '/app.js', 8, 3))).toEqual({});
    expect(counted([window], frameOf('remember', '/other.js', 7, 3))).toEqual({});
    expect(counted([window], frameOf('forget', '/app.js', 7, 3))).toEqual({});
  });

  test('are right on a tree that windows share', () => {
    const stacks = new StackTable();
    const windows = [windowOf([['serve;remember', route('/a'), 1]], stacks), windowOf([['serve;remember;copy', route('/b'), 2]], stacks)];
    expect(counted(windows)).toEqual({ '/a': 1, '/b': 2 });
  });

  test('are none of no windows', () => {
    expect(counted([])).toEqual({});
  });
});
