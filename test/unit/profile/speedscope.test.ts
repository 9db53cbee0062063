// What is written is held against the schema that speedscope publishes; that it opens is in test/contract.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { Ajv } from 'ajv';
import { expect, test } from 'vitest';
import type { Profile } from '../../../src/profile/profile.ts';
import { speedscope } from '../../../src/profile/speedscope.ts';
import { CPU_HEAD, HEAP_HEAD, profileOf, textOf } from '../../fixtures/profile/stacks.ts';
import { wideProfile } from '../../fixtures/profile/wide.ts';

interface File {
  readonly name: string;
  readonly activeProfileIndex: number;
  readonly shared: { readonly frames: readonly { name: string; file?: string; line?: number; col?: number }[] };
  readonly profiles: readonly {
    name: string;
    unit: string;
    startValue: number;
    endValue: number;
    samples: readonly (readonly number[])[];
    weights: readonly number[];
  }[];
}

const require = createRequire(import.meta.url);
const release = path.dirname(require.resolve('speedscope/dist/release/file-format-schema.json'));
const validate = new Ajv({ strict: false }).compile(
  JSON.parse(readFileSync(path.join(release, 'file-format-schema.json'), 'utf8')) as object,
);

async function write(profile: Profile): Promise<File> {
  const file = JSON.parse(await textOf(speedscope(profile))) as File;
  expect(validate(file), JSON.stringify(validate.errors)).toBe(true);
  return file;
}

/** Stacks of one profile of a file as `outer;inner`, with their weights. */
function stacks({ shared, profiles }: File, index: number): [string, number][] {
  const { samples, weights } = profiles[index]!;
  expect(weights).toHaveLength(samples.length);
  return samples.map((stack, i) => [stack.map((frame) => shared.frames[frame]!.name).join(';'), weights[i]!]);
}

test('has one profile for each sample type, and shows the default one', async () => {
  const file = await write(
    profileOf(CPU_HEAD, [
      [
        ['main /srv/app.js:1:7', 'handle /srv/app.js:30'],
        [2, 20],
      ],
      [['main /srv/app.js:1:7'], [1, 10]],
      [['(idle)'], [5, 0]],
      [['(anonymous) /srv/app.js:7:2'], [1, 0]],
    ]),
  );
  expect(file.profiles.map(({ name, unit, startValue, endValue }) => [name, unit, startValue, endValue])).toEqual([
    ['samples', 'none', 0, 9],
    ['cpu', 'nanoseconds', 0, 30],
  ]);
  expect(file.activeProfileIndex).toBe(1);
  expect(file.name).toBe('cpu 2026-11-21T14:03:10.000Z, 60.0 s');
  expect(file.shared.frames).toEqual([
    { name: 'main', file: '/srv/app.js', line: 1, col: 7 },
    { name: 'handle', file: '/srv/app.js', line: 30 },
    { name: '(idle)' },
    { name: '(anonymous app.js:7)', file: '/srv/app.js', line: 7, col: 2 },
  ]);
  expect(stacks(file, 0)).toEqual([
    ['main', 1],
    ['main;handle', 2],
    ['(idle)', 5],
    ['(anonymous app.js:7)', 1],
  ]);
  expect(stacks(file, 1)).toEqual([
    ['main', 10],
    ['main;handle', 20],
  ]);
});

test('has stacks with the same callers side by side, as the order of the call tree', async () => {
  const file = await write(
    profileOf(CPU_HEAD, [
      [
        ['a', 'b'],
        [1, 1],
      ],
      [['x'], [1, 2]],
      [['a', 'c'], [1, 3], { 'http.route': '/x' }],
      [
        ['a', 'c'],
        [1, 4],
      ],
    ]),
  );
  expect(stacks(file, 1)).toEqual([
    ['a;b', 1],
    ['a;c', 7],
    ['x', 2],
  ]);
});

test('has what a difference has lost in a profile of its own, as weights are never negative', async () => {
  const file = await write(
    profileOf(HEAP_HEAD, [
      [['a'], [1, 100]],
      [['b'], [-2, -300]],
    ]),
  );
  expect(file.profiles.map(({ name, unit, endValue }) => [name, unit, endValue])).toEqual([
    ['inuse_objects', 'none', 1],
    ['inuse_objects (less)', 'none', 2],
    ['inuse_space', 'bytes', 100],
    ['inuse_space (less)', 'bytes', 300],
  ]);
  expect(file.activeProfileIndex).toBe(2);
  expect(stacks(file, 3)).toEqual([['b', 300]]);
});

test('is valid for a profile without samples, and for names that JSON must escape', async () => {
  expect((await write(profileOf(CPU_HEAD, []))).profiles.map(({ samples }) => samples)).toEqual([[], []]);
  const name = '"\\\n</script>\u0000größe';
  expect((await write(profileOf(CPU_HEAD, [[[name], [1, 1]]]))).shared.frames).toEqual([{ name }]);
});

test('has every one of 20,000 stacks, labels or not', async () => {
  const profile = wideProfile({ shared: 30 });
  const file = await write(profile);
  expect(file.profiles[1]!.samples).toHaveLength(20_000);
  const total = profile.values.reduce((sum, value, i) => (i % 2 === 1 ? sum + value : sum), 0);
  expect(file.profiles[1]!.weights.reduce((sum, weight) => sum + weight, 0)).toBe(total);
  expect(file.profiles[1]!.endValue).toBe(total);
});
