import { describe, expect, test } from 'vitest';
import { type Frame, frameOf } from '../../../src/profile/frame.ts';
import { NO_LABELS, type Profile, ProfileBuilder } from '../../../src/profile/profile.ts';
import { replaceFrames } from '../../../src/profile/replace-frames.ts';
import { leastLongestTurnMillis } from '../../helpers/longest-turn.ts';

const HEAD = {
  sampleTypes: [
    { type: 'samples', unit: 'count' },
    { type: 'cpu', unit: 'nanoseconds' },
  ],
  defaultSampleType: 'cpu',
  periodType: { type: 'wall', unit: 'nanoseconds' },
  period: 10,
  startEpochMillis: 7,
  durationMillis: 8,
};

const original = (name: string): Frame => frameOf(name, '/app/x.ts', 3, 1);

/** A profile of stacks written as `outer;inner` or `outer;inner /route`, with a number of samples and nanoseconds each. */
function profileOf(stacks: Record<string, [number, number]>): Profile {
  const builder = new ProfileBuilder(2);
  for (const [written, values] of Object.entries(stacks)) {
    const [stack = '', route] = written.split(' ');
    const labels = builder.labels(route === undefined ? NO_LABELS : { 'http.route': route });
    let node = -1;
    for (const name of stack.split(';')) node = builder.node(node, builder.frame(name, '/app/x.js', 1));
    values.forEach((value, column) => builder.add(node, column, value, labels));
  }
  return builder.build(HEAD);
}

function stacksOf(profile: Profile): Record<string, number[]> {
  const rows = Array.from(profile.sampleNodes, (leaf, i) => {
    const names: string[] = [];
    for (let node = leaf; node !== -1; node = profile.parents[node]!) names.unshift(profile.frames[profile.nodeFrames[node]!]!.name);
    const labels = Object.values(profile.labelSets[profile.sampleLabels[i]!]!);
    return [[names.join(';'), ...labels].join(' '), Array.from(profile.values.subarray(2 * i, 2 * i + 2))] as const;
  });
  expect(new Set(rows.map(([stack]) => stack)).size).toBe(rows.length);
  return Object.fromEntries(rows);
}

/** The profile with each frame under the name that the table has for it. */
function renamed(profile: Profile, names: Record<string, string>): Promise<Profile> {
  return replaceFrames(
    profile,
    profile.frames.map(({ name }) => original(names[name] ?? name)),
  );
}

describe('a profile with other frames', () => {
  const profile = profileOf({ 'a;b /x': [1, 10], 'a;c /x': [2, 20], 'a;c': [3, 30], 'a;b;d': [4, 40] });

  test('has the same samples and head', async () => {
    const result = await renamed(profile, { a: 'first', d: 'last' });
    expect(stacksOf(result)).toEqual({ 'first;b /x': [1, 10], 'first;c /x': [2, 20], 'first;c': [3, 30], 'first;b;last': [4, 40] });
    expect(result).toMatchObject(HEAD);
    expect(result.frames.every(({ file, line }) => file === '/app/x.ts' && line === 3)).toBe(true);
  });

  test('adds samples up whose stacks become equal, each label set by itself', async () => {
    const result = await renamed(profile, { c: 'b' });
    expect(stacksOf(result)).toEqual({ 'a;b /x': [3, 30], 'a;b': [3, 30], 'a;b;d': [4, 40] });
    expect(result).toMatchObject(HEAD);
    expect(result.frames).toHaveLength(3);
  });

  test('keeps a function that calls itself under two names apart from one call', async () => {
    const result = await renamed(profileOf({ 'a;b;c': [1, 1], 'a;c': [2, 2] }), { b: 'a', c: 'a' });
    expect(stacksOf(result)).toEqual({ 'a;a;a': [1, 1], 'a;a': [2, 2] });
  });
});

test('holds the event loop for no more than a few milliseconds at a time, with 200,000 stacks that all change', async () => {
  const builder = new ProfileBuilder(2);
  for (let i = 0; i < 200_000; i++) {
    let node = -1;
    for (const depth of [i % 29, i % 10, i % 100, i % 1000, i % 8000])
      node = builder.node(node, builder.frame(`f${depth}`, '/app/x.js', depth));
    builder.add(node, 0, 1);
  }
  const profile = builder.build(HEAD);
  // Each two become one.
  const frames = profile.frames.map(({ line }) => original(`f${line - (line % 2)}`));
  const results: Profile[] = [];
  const replacing = await leastLongestTurnMillis(5, async () => results.push(await replaceFrames(profile, frames)));
  expect(results[0]!.frames).toHaveLength(4000);
  expect(results[0]!.sampleNodes.length).toBeLessThan(200_000);
  expect(replacing).toBeLessThan(10);
});
