import { expect, it } from 'vitest';
import { heaviestFunctions } from '../../../src/profile/heaviest.ts';
import { fromAllocationTree, type AllocationNode } from '../../../src/profile/v8.ts';

function node(name: string, scriptName: string, bytes: number, children: AllocationNode[] = []): AllocationNode {
  const allocations = bytes === 0 ? [] : [{ sizeBytes: bytes, count: 1 }];
  return { name, scriptName, lineNumber: 3, columnNumber: 1, allocations, children };
}

const profile = fromAllocationTree(
  node('(root)', '', 0, [
    node('handler', '/app/a.js', 100, [node('from', '', 5000), node('inner', 'node:internal/x', 700, [node('push', '', 300)])]),
    node('other', '/app/b.js', 2000),
    node('bootstrap', 'node:internal/main', 50),
  ]),
  400,
  { startEpochMillis: 0, intervalBytes: 1 },
);

it('names who called what built-in functions and Node`s own allocated', () => {
  expect(heaviestFunctions(profile)).toEqual([
    { function: 'handler', file: '/app/a.js', line: 3, bytes: 6100 },
    { function: 'other', file: '/app/b.js', line: 3, bytes: 2000 },
    { function: '(external)', file: '', line: 0, bytes: 400 },
    { function: 'bootstrap', file: 'node:internal/main', line: 3, bytes: 50 },
  ]);
});

it('answers ten at most', () => {
  const many = Array.from({ length: 11 }, (_, i) => node(`f${i}`, '/app/a.js', 100 + i));
  const heaviest = heaviestFunctions(fromAllocationTree(node('(root)', '', 0, many), 0, { startEpochMillis: 0, intervalBytes: 1 }));
  expect(heaviest).toHaveLength(10);
  expect(heaviest.map(({ function: name }) => name)).not.toContain('f0');
});
