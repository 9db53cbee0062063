import { expect, test } from 'vitest';
import { PairTable } from '../../../src/profile/pair-table.ts';

test.each([1, 4, 100_000])('gives each pair one id, in the order in which they come, for %d expected', (expected) => {
  const table = new PairTable(expected);
  const ids = new Map<string, number>();
  let random = 1;
  const next = (below: number): number => (random = (random * 48_271) % 2_147_483_647) % below;
  const pairs: [number, number][] = [];
  // As in a call tree: -1, neighbours, the same numbers the other way round, and pairs that come again.
  for (let i = 0; i < 40_000; i++) pairs.push(i % 4 === 0 ? [-1, i] : i % 4 === 1 ? [i, 0] : [next(300), next(300)]);
  for (const [first, second] of pairs) {
    const key = `${first} ${second}`;
    if (!ids.has(key)) ids.set(key, ids.size);
    expect(table.id(first, second)).toBe(ids.get(key));
  }
  expect(table.size).toBe(ids.size);
  const seconds = table.seconds();
  expect(Array.from(table.firsts(), (first, id) => `${first} ${seconds[id]}`)).toEqual([...ids.keys()]);
});

test('holds the largest numbers that a profile may have', () => {
  const table = new PairTable();
  expect([table.id(2 ** 31 - 1, 2 ** 31 - 1), table.id(2 ** 31 - 1, 0), table.id(2 ** 31 - 1, 2 ** 31 - 1)]).toEqual([0, 1, 0]);
  expect([...table.firsts()]).toEqual([2 ** 31 - 1, 2 ** 31 - 1]);
});

test('stays quick for numbers that count up, which come into runs where a hash is weak', () => {
  const time = (pair: (i: number) => [number, number]): number => {
    const table = new PairTable(100_000);
    const start = performance.now();
    for (let i = 0; i < 100_000; i++) table.id(...pair(i));
    return performance.now() - start;
  };
  let random = 1;
  const scattered = (): number => Math.min(...[0, 1, 2].map(() => time(() => [(random = (random * 48_271) % 2_147_483_647), 7])));
  const reference = scattered();
  for (const pair of [(i: number) => [i - 1, i], (i: number) => [i, 0], (i: number) => [-1, i], (i: number) => [i >> 4, i & 15]] as const) {
    expect(Math.min(...[0, 1, 2].map(() => time((i) => pair(i) as [number, number])))).toBeLessThan(20 * reference + 5);
  }
});
