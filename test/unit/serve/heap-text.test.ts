import { expect, test } from 'vitest';
import { heapText } from '../../../src/serve/heap-text.ts';
import { HEAP_HEAD, profileOf } from '../../fixtures/profile/stacks.ts';

const SPACE = { type: 'inuse_space', unit: 'bytes' };

test('has what lives first and what was allocated in brackets, where a profile has both', () => {
  const sampleTypes = ['alloc_objects', 'alloc_space', 'inuse_objects', 'inuse_space'].map((type) => ({ type, unit: 'count' }));
  const profile = profileOf({ ...HEAP_HEAD, sampleTypes }, [
    [['a'], [9, 900, 1, 100]],
    [['b'], [5, 500, 2, 200]],
  ]);
  expect(heapText(profile)).toBe(
    'heap profile: 3: 300 [14: 1400] @ heap/524288\n2: 200 [5: 500] @\n#\tb\t:0\n1: 100 [9: 900] @\n#\ta\t:0\n',
  );
});

test('repeats what was allocated where nothing tells what lives', () => {
  const sampleTypes = ['alloc_objects', 'alloc_space'].map((type) => ({ type, unit: 'count' }));
  expect(heapText(profileOf({ ...HEAP_HEAD, sampleTypes }, [[['a'], [9, 900]]]))).toContain('\n9: 900 [9: 900] @\n');
});

test('has no counts of objects where the profile has none', () => {
  const profile = profileOf({ ...HEAP_HEAD, sampleTypes: [SPACE] }, [
    [['a'], [100]],
    [['b'], [200]],
  ]);
  expect(heapText(profile)).toBe('heap profile: 0: 300 [0: 300] @ heap/524288\n0: 200 [0: 200] @\n#\tb\t:0\n0: 100 [0: 100] @\n#\ta\t:0\n');
});

test('writes the 500 largest stacks, and the sum of all', () => {
  const stacks = Array.from({ length: 501 }, (_, i) => [[`f${i}`], [1, i < 400 ? 1000 + i : 50]] as const);
  const paragraphs = heapText(profileOf(HEAP_HEAD, stacks)).trimEnd().split(' @\n');
  expect(paragraphs).toHaveLength(501);
  expect(paragraphs[0]).toBe(
    `heap profile: 501: ${400 * 1000 + (400 * 399) / 2 + 101 * 50} [501: ${400 * 1000 + (400 * 399) / 2 + 101 * 50}] @ heap/524288\n1: 1399 [1: 1399]`,
  );
  expect(paragraphs.at(-1)).toBe('#\tf499\t:0');
});

test('is empty but for its head without samples', () => {
  expect(heapText(profileOf(HEAP_HEAD, []))).toBe('heap profile: 0: 0 [0: 0] @ heap/524288\n\n');
});
