import { describe, expect, test } from 'vitest';
import { merge, type Profile, ProfileBuilder, select, subtract } from '../../../src/profile/profile.ts';

const CPU = { type: 'cpu', unit: 'nanoseconds' };
const SAMPLES = { type: 'samples', unit: 'count' };

/** A profile of stacks written as `outer;inner`, with a number of samples and nanoseconds each. */
function profileOf(stacks: Record<string, [number, number]>, startEpochMillis = 0, durationMillis = 1000): Profile {
  const builder = new ProfileBuilder(2);
  for (const [stack, values] of Object.entries(stacks)) {
    let node = -1;
    for (const name of stack.split(';')) node = builder.node(node, builder.frame(name, `/app/${name}.js`, 7));
    values.forEach((value, column) => builder.add(node, column, value));
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
    return [names.join(';'), Array.from(profile.values.subarray(i * columns, (i + 1) * columns))] as const;
  });
  return Object.fromEntries(rows);
}

describe('merge', () => {
  test('adds up equal stacks and keeps the others apart', async () => {
    const merged = await merge([profileOf({ 'a;b': [1, 10], a: [2, 20] }), profileOf({ 'a;b': [3, 30], 'c;b': [4, 40] })]);
    expect(stacksOf(merged)).toEqual({ 'a;b': [4, 40], a: [2, 20], 'c;b': [4, 40] });
  });

  test('holds each function once, told apart by name, file and line', async () => {
    const merged = await merge([profileOf({ 'a;b': [1, 1] }), profileOf({ 'b;a': [1, 1] })]);
    expect(merged.frames.map(({ name }) => name).toSorted()).toEqual(['a', 'b']);
    const builder = new ProfileBuilder(1);
    const ids = [
      builder.frame('f', '/x.js', 1),
      builder.frame('f', '/x.js', 2),
      builder.frame('f', '/y.js', 1),
      builder.frame('f', '/x.js', 1),
    ];
    expect(ids).toEqual([0, 1, 2, 0]);
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
  test('answers what was added, with what went away as negative numbers and what stayed left out', () => {
    const difference = subtract(
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
