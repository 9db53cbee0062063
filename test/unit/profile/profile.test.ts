import { describe, expect, test } from 'vitest';
import { filter, merge, NO_LABELS, type Profile, ProfileBuilder, select, sizeBytes, subtract } from '../../../src/profile/profile.ts';

const CPU = { type: 'cpu', unit: 'nanoseconds' };
const SAMPLES = { type: 'samples', unit: 'count' };

/** A profile of stacks written as `outer;inner` or `outer;inner /route`, with a number of samples and nanoseconds each. */
function profileOf(stacks: Record<string, [number, number]>, startEpochMillis = 0, durationMillis = 1000): Profile {
  const builder = new ProfileBuilder(2);
  for (const [written, values] of Object.entries(stacks)) {
    const [stack = '', route] = written.split(' ');
    const labels = builder.labels(route === undefined ? NO_LABELS : { 'http.route': route });
    let node = -1;
    for (const name of stack.split(';')) node = builder.node(node, builder.frame(name, `/app/${name}.js`, 7));
    values.forEach((value, column) => builder.add(node, column, value, labels));
  }
  const head = { sampleTypes: [SAMPLES, CPU], defaultSampleType: 'cpu', periodType: CPU, period: 10, startEpochMillis, durationMillis };
  return builder.build(head);
}

/** The stacks of a profile in the same writing. */
function stacksOf(profile: Profile): Record<string, number[]> {
  const columns = profile.sampleTypes.length;
  const rows = Array.from(profile.sampleNodes, (leaf, i) => {
    const names: string[] = [];
    for (let node = leaf; node !== -1; node = profile.parents[node]!) names.unshift(profile.frames[profile.nodeFrames[node]!]!.name);
    const labels = Object.values(profile.labelSets[profile.sampleLabels[i]!]!);
    return [[names.join(';'), ...labels].join(' '), Array.from(profile.values.subarray(i * columns, (i + 1) * columns))] as const;
  });
  return Object.fromEntries(rows);
}

describe('filter', () => {
  test('keeps the samples whose labels are asked for, with all their values, and the totals of the head', () => {
    const profile = profileOf({ 'a;b /x': [1, 10], 'a;b /y': [2, 20], 'a;b': [3, 30], 'a;c /x': [4, 40] });
    expect(stacksOf(filter(profile, (labels) => labels['http.route'] === '/x'))).toEqual({ 'a;b /x': [1, 10], 'a;c /x': [4, 40] });
    expect(filter(profile, () => false)).toMatchObject({ durationMillis: 1000, values: new Float64Array(0) });
  });
});

describe('merge', () => {
  test('adds up equal stacks and keeps the others apart', async () => {
    const merged = await merge([profileOf({ 'a;b': [1, 10], a: [2, 20] }), profileOf({ 'a;b': [3, 30], 'c;b': [4, 40] })]);
    expect(stacksOf(merged)).toEqual({ 'a;b': [4, 40], a: [2, 20], 'c;b': [4, 40] });
  });

  test('holds each function once, told apart by name, file, line and column', async () => {
    const merged = await merge([profileOf({ 'a;b': [1, 1] }), profileOf({ 'b;a': [1, 1] })]);
    expect(merged.frames.map(({ name }) => name).toSorted()).toEqual(['a', 'b']);
    const builder = new ProfileBuilder(1);
    const ids = [
      builder.frame('f', '/x.js', 1),
      builder.frame('f', '/x.js', 2),
      builder.frame('f', '/y.js', 1),
      builder.frame('f', '/x.js', 1),
      builder.frame('f', '/x.js', 1, 80),
      builder.frame('f', '/x.js', 1, 81),
    ];
    expect(ids).toEqual([0, 1, 2, 0, 3, 4]);
  });

  test('begins with the first window and lasts as long as all together', async () => {
    const merged = await merge([profileOf({ a: [1, 1] }, 5000, 400), profileOf({ a: [1, 1] }, 5400, 600)]);
    expect(merged).toMatchObject({ startEpochMillis: 5000, durationMillis: 1000 });
  });

  test('leaves the windows as they are for others who read them', async () => {
    const window = profileOf({ a: [1, 10] });
    await merge([window, window]);
    expect(stacksOf(window)).toEqual({ a: [1, 10] });
  });
});

describe('subtract', () => {
  test('answers what was added, with what went away as negative numbers and what stayed left out', async () => {
    const difference = await subtract(
      profileOf({ a: [5, 50], b: [1, 10], c: [2, 20] }, 9000),
      profileOf({ b: [1, 10], c: [3, 35], d: [4, 40] }, 2000),
    );
    expect(stacksOf(difference)).toEqual({ a: [5, 50], c: [-1, -15], d: [-4, -40] });
    expect(difference).toMatchObject({ startEpochMillis: 2000, durationMillis: 7000 });
  });
});

describe('select', () => {
  test('keeps the named sample types, makes the last the default and leaves out samples without it', () => {
    const selected = select(profileOf({ a: [1, 0], 'a;b': [0, 10] }), ['samples', 'cpu']);
    expect(stacksOf(selected)).toEqual({ 'a;b': [0, 10] });
    const samples = select(profileOf({ a: [1, 0], 'a;b': [0, 10] }), ['samples']);
    expect(stacksOf(samples)).toEqual({ a: [1] });
    expect(samples).toMatchObject({ sampleTypes: [SAMPLES], defaultSampleType: 'samples' });
  });
});

describe('labels', () => {
  test('keep samples of one stack apart, and stay what they are when profiles with others are merged', async () => {
    const first = profileOf({ 'a;b /x': [1, 10], 'a;b': [2, 20] });
    const second = profileOf({ 'a;b /y': [3, 30], 'a;b /x': [4, 40], a: [5, 50] });
    const merged = await merge([first, second]);
    expect(stacksOf(merged)).toEqual({ 'a;b /x': [5, 50], 'a;b': [2, 20], 'a;b /y': [3, 30], a: [5, 50] });
    expect(merged.labelSets).toEqual([{}, { 'http.route': '/x' }, { 'http.route': '/y' }]);
    expect(merged.parents).toHaveLength(2);
    expect(stacksOf(first)).toEqual({ 'a;b /x': [1, 10], 'a;b': [2, 20] });
  });

  test('are each held once, told apart by name and value, the empty set first', () => {
    const builder = new ProfileBuilder(1);
    const sets = [{ r: 'x' }, { r: 'y' }, { s: 'x' }, { r: 'x' }, {}, { r: 'x', s: 'y' }];
    expect(sets.map((set) => builder.labels(set))).toEqual([1, 2, 3, 1, 0, 4]);
  });

  test('belong to what is subtracted and to what is selected', async () => {
    const difference = await subtract(
      profileOf({ 'a /x': [5, 50], 'a /y': [1, 10] }),
      profileOf({ 'a /y': [1, 10], 'a /x': [2, 20], a: [1, 10] }),
    );
    expect(stacksOf(difference)).toEqual({ 'a /x': [3, 30], a: [-1, -10] });
    expect(stacksOf(select(profileOf({ 'a /x': [1, 0], 'a /y': [0, 10], b: [2, 20] }), ['cpu']))).toEqual({ 'a /y': [10], b: [20] });
  });

  test('count for the size of a profile: a column, and each label set', () => {
    const row = 4 + 4 + 2 * 8;
    expect(sizeBytes(profileOf({ 'a /x': [1, 1], a: [1, 1] })) - sizeBytes(profileOf({ a: [1, 1] }))).toBe(row + 56);
  });
});
