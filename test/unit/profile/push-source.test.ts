import { describe, expect, it } from 'vitest';
import { ProfileError } from '../../../src/profile/profile-error.ts';
import type { Profile } from '../../../src/profile/profile.ts';
import { PushSource, type FollowedEngine } from '../../../src/profile/push-source.ts';
import { CPU, heapProfile, profileOf, SAMPLES, WALL } from '../../helpers/profiles.ts';

/** A window with a hit on the CPU, a wait, and CPU time that is nobody's. */
const WINDOW = profileOf(
  [SAMPLES, CPU, WALL],
  [
    [
      ['main', 'work'],
      [2, 20, 22],
    ],
    [['(idle)'], [3, 0, 33]],
    [['(non-JS threads)'], [0, 5, 0]],
  ],
);

function engine(
  overrides: Partial<FollowedEngine> & { windows?: Profile[] } = {},
): FollowedEngine & { followers: number; stopped: number } {
  const windows = overrides.windows ?? [];
  const self = {
    followers: 0,
    stopped: 0,
    follow: () => {
      self.followers += 1;
      return { take: async () => windows.shift(), stop: () => void (self.stopped += 1) };
    },
    heap: async () => heapProfile(),
    stats: () => ({ heap: 'native' as const }),
    ...overrides,
  };
  return self;
}

/** Innermost functions with their values. */
function rows({ frames, nodeFrames, sampleNodes, sampleTypes, values }: Profile): [string, ...number[]][] {
  const columns = sampleTypes.length;
  return Array.from(sampleNodes, (node, row) => [frames[nodeFrames[node]!]!.name, ...values.subarray(row * columns, (row + 1) * columns)]);
}

describe('what is pushed of a window', () => {
  it('is CPU time by its own period, wall time, and the live heap', async () => {
    const [cpu, wall, heap] = await new PushSource(engine({ windows: [WINDOW] })).take();

    expect(cpu).toMatchObject({ sampleTypes: [SAMPLES, CPU], periodType: CPU, defaultSampleType: 'cpu' });
    expect(rows(cpu!)).toEqual([
      ['work', 2, 20],
      ['(non-JS threads)', 0, 5],
    ]);
    expect(wall).toMatchObject({ sampleTypes: [SAMPLES, WALL], periodType: WALL, defaultSampleType: 'wall' });
    expect(rows(wall!)).toEqual([
      ['work', 2, 22],
      ['(idle)', 3, 33],
    ]);
    expect(heap).toEqual(heapProfile());
  });

  it('is followed by one reader for as long as it is pushed', async () => {
    const followed = engine({ windows: [WINDOW, WINDOW] });
    const source = new PushSource(followed);

    expect(await source.take()).toHaveLength(3);
    expect(await source.take()).toHaveLength(3);
    expect(await source.take()).toHaveLength(1);
    source.stop();
    source.stop();

    expect(await source.take()).toEqual([]);
    expect([followed.followers, followed.stopped]).toEqual([1, 1]);
  });

  it.each(['inspector', 'off'] as const)('has no heap where that is %s: a read would collect garbage, or fail', async (heap) => {
    expect(await new PushSource(engine({ windows: [WINDOW], stats: () => ({ heap }) })).take()).toHaveLength(2);
  });

  it('is the rest where the heap sampler was stopped by somebody else', async () => {
    const heap = (): Promise<Profile> => Promise.reject(new ProfileError(503, 'stopped'));

    expect(await new PushSource(engine({ windows: [WINDOW], heap })).take()).toHaveLength(2);
  });

  it('fails with what is a mistake of ours', async () => {
    const heap = (): Promise<Profile> => Promise.reject(new Error('broken'));

    await expect(new PushSource(engine({ heap })).take()).rejects.toThrow('broken');
  });
});
