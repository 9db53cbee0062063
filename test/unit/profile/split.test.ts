import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { encodePprof } from '../../../src/profile/pprof.ts';
import { ProfileBuilder, type Profile } from '../../../src/profile/profile.ts';
import { split } from '../../../src/profile/split.ts';

const NO_LIMIT = { samples: Infinity, bytes: Infinity };

/** As many stacks of three functions: `root`, one of ten, and its own; each sample with one of three label sets or none. */
function profileOf(stacks: number): Profile {
  const builder = new ProfileBuilder(2);
  for (let i = 0; i < stacks; i++) {
    const root = builder.node(-1, builder.frame('root', '/app/root.js', 1));
    const middle = builder.node(root, builder.frame(`middle ${i % 10}`, '/app/middle.js', 2));
    const leaf = builder.node(middle, builder.frame(`leaf ${i}`, `/app/leaf ${i}.js`, 3, 4));
    const labels = i % 4 === 0 ? 0 : builder.labels({ route: `/${i % 4}`, thread: 'main' });
    builder.add(leaf, 0, 1, labels);
    builder.add(leaf, 1, 100 + i, labels);
  }
  return builder.build({
    sampleTypes: [
      { type: 'samples', unit: 'count' },
      { type: 'cpu', unit: 'nanoseconds' },
    ],
    defaultSampleType: 'cpu',
    periodType: { type: 'cpu', unit: 'nanoseconds' },
    period: 10,
    startEpochMillis: 1000,
    durationMillis: 2000,
  });
}

/** Every row in words. */
function rowsOf({ frames, parents, nodeFrames, sampleNodes, sampleLabels, labelSets, values }: Profile): string[] {
  return Array.from(sampleNodes, (node, row) => {
    const stack: string[] = [];
    for (let at = node; at !== -1; at = parents[at]!) {
      const { name, file, line, column } = frames[nodeFrames[at]!]!;
      stack.push(`${name} ${file}:${line}:${column}`);
    }
    return `${stack.join(' < ')} ${JSON.stringify(labelSets[sampleLabels[row]!])} ${values[row * 2]} ${values[row * 2 + 1]}`;
  });
}

describe('a profile', () => {
  it('within the limits is itself', async () => {
    const profile = profileOf(10);

    expect(await split(profile, { samples: 10, bytes: Infinity })).toEqual([profile]);
    expect((await split(profile, NO_LIMIT))[0]).toBe(profile);
  });

  it('without samples is itself', async () => {
    const profile = profileOf(0);

    expect(await split(profile, { samples: 1, bytes: 1 })).toEqual([profile]);
  });

  it.each([
    [1, 11],
    [3, 4],
    [10, 2],
    [11, 1],
  ])('of eleven samples where %i are allowed becomes %i with the same rows', async (samples, parts) => {
    const profile = profileOf(11);

    const split_ = await split(profile, { samples, bytes: Infinity });

    expect(split_).toHaveLength(parts);
    expect(split_.flatMap(rowsOf)).toEqual(rowsOf(profile));
    for (const part of split_) {
      expect(part.sampleNodes.length).toBeLessThanOrEqual(samples);
      expect(part.labelSets[0]).toEqual({});
      const { sampleTypes, periodType, period, startEpochMillis, durationMillis, defaultSampleType } = profile;
      expect(part).toMatchObject({ sampleTypes, periodType, period, startEpochMillis, durationMillis, defaultSampleType });
    }
  });

  it('has in each part the frames, nodes and label sets that it needs, and no more', async () => {
    const [part] = await split(profileOf(100), { samples: 2, bytes: Infinity });

    expect(part!.frames.map(({ name }) => name)).toEqual(['root', 'middle 0', 'leaf 0', 'middle 1', 'leaf 1']);
    expect(part!.parents.length).toBe(5);
    expect(part!.labelSets).toEqual([{}, { route: '/1', thread: 'main' }]);
  });

  it.each([10_000, 40_000])('is written in no more than %i bytes a part', async (bytes) => {
    const profile = profileOf(1000);

    const parts = await split(profile, { samples: Infinity, bytes });

    const sizes = await Promise.all(parts.map(async (part) => gunzipSync(await encodePprof(part)).length));
    expect(Math.max(...sizes)).toBeLessThanOrEqual(bytes);
    // And not in many more parts than needed.
    expect(Math.max(...sizes)).toBeGreaterThan(bytes / 3);
    expect(parts.flatMap(rowsOf)).toEqual(rowsOf(profile));
  });

  it('is cut by bytes where the names of its functions are what is large', async () => {
    const profile = profileOf(1000);

    const parts = await split(profile, { samples: Infinity, bytes: 20_000 });

    // A leaf is told by 40 characters and some hundred bytes around them.
    expect(parts.length).toBeGreaterThan(5);
    expect(parts.length).toBeLessThan(20);
    expect(parts.flatMap(rowsOf)).toEqual(rowsOf(profile));
  });

  it('whose every sample is above the limit becomes one part a sample', async () => {
    const profile = profileOf(5);

    expect(await split(profile, { samples: Infinity, bytes: 1 })).toHaveLength(5);
  });
});

it('leaves turns to others in between', async () => {
  const profile = profileOf(20_000);
  let turns = 0;
  let isDone = false;
  const count = (): void => {
    turns += 1;
    if (!isDone) setImmediate(count);
  };
  setImmediate(count);

  await split(profile, { samples: 10_000, bytes: Infinity });
  isDone = true;

  // 80,000 frames to look at, and as many nodes and rows to write.
  expect(turns).toBeGreaterThan(10);
});
