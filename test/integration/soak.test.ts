// The short form of `npm run bench:soak`: windows of the profiler under pressure, workers that come and go, changes of the rate.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { ROOT } from '../helpers/process.ts';

test.each([20, 22, 24, 26])('two hundred windows under pressure end no process on Node %i', { timeout: 120_000 }, async (major) => {
  const { stdout } = await promisify(execFile)(process.execPath, ['bench/soak.mjs', '--node', String(major), '--turns', '200'], {
    cwd: ROOT,
  });
  const [, rotations] = /profiled: .*? (\d+) rotations/.exec(stdout) ?? [];
  expect(Number(rotations), stdout).toBeGreaterThanOrEqual(200);
});
