import { expect, test } from 'vitest';
import { folded } from '../../../src/profile/folded.ts';
import { CPU_HEAD, profileOf, textOf } from '../../fixtures/profile/stacks.ts';
import { wideProfile } from '../../fixtures/profile/wide.ts';

test('writes a line for each stack with its value of the default sample type', async () => {
  const profile = profileOf(CPU_HEAD, [
    [
      ['main /srv/app.js:1:1', 'handle /srv/app.js:30:5'],
      [2, 20_000_000],
    ],
    [['main /srv/app.js:1:1'], [1, 10_000_000.4]],
    [['(garbage collector)'], [1, 3]],
  ]);
  expect(await textOf(folded(profile))).toBe(
    ['main (/srv/app.js:1) 10000000', 'main (/srv/app.js:1);handle (/srv/app.js:30) 20000000', '(garbage collector) 3', ''].join('\n'),
  );
});

test('adds up a stack over its labels and leaves out what has nothing', async () => {
  const profile = profileOf(CPU_HEAD, [
    [['a'], [1, 10], { 'http.route': '/x' }],
    [['a'], [1, 20], { 'http.route': '/y' }],
    [
      ['a', 'b'],
      [1, 0],
    ],
    [
      ['a', 'c'],
      [1, 0.4],
    ],
  ]);
  expect(await textOf(folded(profile))).toBe('a 30\n');
});

test('keeps frames and lines apart whatever a function is called', async () => {
  const profile = profileOf(CPU_HEAD, [
    [
      ['a;b', 'line\r\nbreak', 'x \u2028 y', 'of 3 words'],
      [1, 7],
    ],
  ]);
  expect(await textOf(folded(profile))).toBe('a:b;line break;x   y;of 3 words 7\n');
});

test('writes what a difference has lost as negative values', async () => {
  expect(await textOf(folded(profileOf(CPU_HEAD, [[['a'], [-1, -5]]])))).toBe('a -5\n');
});

test('writes 20,000 stacks, each once and whole', async () => {
  const profile = wideProfile({ shared: 30 });
  const lines = (await textOf(folded(profile))).trimEnd().split('\n');
  expect(new Set(lines.map((line) => line.replace(/ \d+$/, ''))).size).toBe(20_000);
  expect(lines.every((line) => line.split(';').length === 40)).toBe(true);
});
