import { expect, test } from 'vitest';
import { StderrDiag } from '../../../src/core/diag.ts';
import { Guard } from '../../../src/core/guard.ts';
import type { Family } from '../../../src/metrics/family.ts';
import { Registry } from '../../../src/metrics/registry.ts';

const family = (name: string, value: number, type: 'gauge' | 'counter' = 'gauge'): Family => ({
  type,
  name,
  unit: '',
  description: '',
  points: [{ labels: {}, value }],
});

test('collections that overlap are one reading', async () => {
  const registry = new Registry(new Guard(new StderrDiag('none')));
  let readings = 0;
  registry.register('a', () => [family('a', ++readings)]);
  const [first, second] = await Promise.all([registry.collect(), registry.collect()]);
  expect(first).toBe(second);
  expect(readings).toBe(1);
  await registry.collect();
  expect(readings).toBe(2);
});

test('a collector that fails is left out and counted, the others answer', async () => {
  const guard = new Guard(new StderrDiag('none'));
  const registry = new Registry(guard);
  registry.register('broken', () => {
    throw new Error('broken');
  });
  registry.register('works', async () => [family('a', 1)]);
  expect(await registry.collect()).toEqual([family('a', 1)]);
  expect(guard.failures().get('metrics:broken')).toBe(1);
});

test('families of one name and type are merged, of another type the first is kept', async () => {
  const registry = new Registry(new Guard(new StderrDiag('none')));
  registry.register('a', () => [family('m', 1)]);
  registry.register('b', () => [family('m', 2)]);
  registry.register('c', () => [family('m', 3, 'counter')]);
  const [merged, ...others] = await registry.collect();
  expect(others).toEqual([]);
  expect(merged!.type).toBe('gauge');
  expect(merged!.points).toEqual([
    { labels: {}, value: 1 },
    { labels: {}, value: 2 },
  ]);
});
