import { expect, test } from 'vitest';
import { Follower } from '../../../src/profile/follower.ts';
import { type Profile, sizeBytes } from '../../../src/profile/profile.ts';
import { randomProfile } from './profiles.ts';

const BYTES_MAX = 4 * 1024 * 1024;

/** A window of exactly so many bytes more than one without a sample. */
function windowOf(bytes: number): Profile {
  const window = randomProfile({ seed: 1, stacks: 0, depth: 0, functions: 1 });
  return { ...window, sampleNodes: new Int32Array(0), values: new Float64Array(bytes / 8) };
}

const EMPTY_BYTES = sizeBytes(windowOf(0));

function create(): { follower: Follower; cuts: () => number; left: Follower[] } {
  let cuts = 0;
  const left: Follower[] = [];
  const follower = new Follower({ cut: () => (cuts += 1), leave: (one) => left.push(one), finish: async (profile) => profile });
  return { follower, cuts: () => cuts, left };
}

test('what has come is taken once, added up, with the window that is cut for it', async () => {
  const follower: Follower = new Follower({
    cut: () => follower.push(randomProfile({ seed: 3, stacks: 1, depth: 1, functions: 1 })),
    leave: () => {},
    finish: async (profile) => profile,
  });
  follower.push(randomProfile({ seed: 1, stacks: 1, depth: 1, functions: 1, startEpochMillis: 5000 }));
  follower.push(randomProfile({ seed: 2, stacks: 1, depth: 1, functions: 1, startEpochMillis: 6000 }));
  const first = await follower.take();
  expect(first).toMatchObject({ startEpochMillis: 5000, durationMillis: 3000 });
  expect(first!.values[0]).toBe(3);
  expect((await follower.take())!.values[0]).toBe(1);
  expect(follower.bytes).toBe(0);
});

test('nothing is taken where nothing has come', async () => {
  const { follower, cuts } = create();
  expect(await follower.take()).toBeUndefined();
  expect(cuts()).toBe(1);
});

test('four mebibytes wait to be taken, of more the oldest are dropped and counted', () => {
  const { follower } = create();
  const quarter = BYTES_MAX / 4 - EMPTY_BYTES;
  for (let i = 0; i < 4; i++) follower.push(windowOf(quarter));
  expect([follower.bytes, follower.dropped]).toEqual([BYTES_MAX, 0]);
  follower.push(windowOf(0));
  expect([follower.bytes, follower.dropped]).toEqual([(BYTES_MAX * 3) / 4 + EMPTY_BYTES, 1]);
});

test('a large window drops as many small ones as it takes', () => {
  const { follower } = create();
  for (let i = 0; i < 1024; i++) follower.push(windowOf(4096 - EMPTY_BYTES));
  expect(follower.dropped).toBe(0);
  for (let i = 1; i <= 10; i++) {
    follower.push(windowOf(1024 * 1024 - EMPTY_BYTES));
    expect(follower.bytes).toBeLessThanOrEqual(BYTES_MAX);
  }
});

test('a single window beyond all of it is kept until the next one comes', async () => {
  const { follower } = create();
  follower.push(windowOf(BYTES_MAX));
  expect(follower.dropped).toBe(0);
  follower.push(windowOf(8));
  expect([follower.bytes, follower.dropped]).toEqual([EMPTY_BYTES + 8, 1]);
});

test('who stops leaves and holds nothing any more', async () => {
  const { follower, left } = create();
  follower.push(windowOf(4096));
  follower.stop();
  expect(left).toEqual([follower]);
  expect(follower.bytes).toBe(0);
});
