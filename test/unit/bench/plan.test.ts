import { describe, expect, test } from 'vitest';
import { parsePlan } from '../../../bench/plan.mjs';

const HERE = ['--node', process.execPath];
const names = (list: readonly { name: string }[]): string[] => list.map(({ name }) => name);

test('quick unless told otherwise; --full takes all applications', () => {
  expect(names(parsePlan(HERE).applications)).toEqual(['http']);
  const full = parsePlan([...HERE, '--full']);
  expect(names(full.applications)).toEqual(['http', 'express', 'fastify', 'realistic']);
  expect(full.rounds).toBeGreaterThanOrEqual(5);
});

test('values are separated by commas or by repeating the option, and bare always runs', () => {
  const plan = parsePlan([...HERE, '--row', 'otlp,defaults', '--row', 'off', '--app', 'express', '--rounds', '100', '--seconds', '1']);
  expect(names(plan.rows)).toEqual(['bare', 'off', 'defaults', 'otlp']);
  expect(names(plan.applications)).toEqual(['express']);
  expect(plan).toMatchObject({ rounds: 100, seconds: 1, save: false });
});

test('a node is named by its major version or its path', () => {
  expect(parsePlan(HERE).nodes).toEqual([
    { binary: process.execPath, version: process.versions.node, major: Number.parseInt(process.versions.node, 10) },
  ]);
});

describe('what is not understood is an error that names what is', () => {
  test.each([
    [['--app', 'koa'], '--app koa: unknown. Accepted: http, express, fastify, realistic'],
    [['--row', 'bare,nothing'], '--row nothing: unknown. Accepted: bare, off, defaults, unprofiled, otlp, '],
    [['--node', '18'], '--node 18: unknown. Accepted: 20, 22, 24, 26, or the path of a node binary'],
    [['--node', '/no/such/node'], '--node /no/such/node: not a node that runs. Accepted: 20, 22, 24, 26, or the path of a node binary'],
    [['--rounds', '0'], '--rounds 0: not a whole number from 1 to 100'],
    [['--rounds', '101'], '--rounds 101: not a whole number from 1 to 100'],
    [['--seconds', '1.5'], '--seconds 1.5: not a whole number from 1 to 60'],
    [['--seconds', '61'], '--seconds 61: not a whole number from 1 to 60'],
    [['--fast'], 'Accepted: --full, --node, --app, --row, --rounds, --seconds, --save, --help'],
    [['--save', '--row', 'off'], '--save needs all rows'],
  ])('%j', (args, message) => {
    expect(() => parsePlan([...(args.includes('--node') ? [] : HERE), ...args])).toThrow(message);
  });
});
