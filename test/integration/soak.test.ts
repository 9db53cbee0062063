// The short form of `npm run bench:soak`: the profiling core under pressure in a process of its own.
// The long one also watches memory.
import { rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundleProgram, soak } from '../../bench/soak.mjs';
import { nodeBinary } from '../helpers/nodes.mjs';

const TURNS = 250;

let file: string;

beforeAll(async () => {
  file = await bundleProgram();
});

afterAll(() => rmSync(path.dirname(file), { recursive: true, force: true }));

test.each([20, 22, 24, 26])('Node %i comes through some hundred windows, lives, reads and workers without a failure', async (major) => {
  const report = await soak({ binary: nodeBinary(major), file, turns: TURNS, isProfiled: true });
  expect(report.failures).toEqual([]);
  expect(report.turns).toBe(TURNS);
  expect(report.rotations).toBeGreaterThan(TURNS);
  expect(report.lives).toBeGreaterThan(4);
  expect(report.reads).toBeGreaterThan(20);
  expect(report.rateChanges).toBeGreaterThan(0);
  expect(report.workers).toBeGreaterThan(0);
});
