// Node's channels and classes differ from version to version, and vitest runs on one of them. Here the unit tests of
// what touches Node itself run on the others.
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { MAJORS, nodeBinary } from '../helpers/nodes.mjs';
import { ROOT, runToEnd } from '../helpers/process.ts';

const VITEST = path.join(ROOT, 'node_modules/vitest/vitest.mjs');
const FOLDERS = ['test/unit/instrument', 'test/unit/request', 'test/unit/core', 'test/unit/trace'];

const others = MAJORS.filter((major) => !process.versions.node.startsWith(`${major}.`));

describe.each(others)('on Node %i', (major) => {
  it('requests in and out, routes and contexts are seen as here', { timeout: 180_000 }, async () => {
    const { code, stdout, stderr } = await runToEnd({
      node: nodeBinary(major),
      args: [VITEST, 'run', '--reporter=dot', ...FOLDERS],
      env: { NO_COLOR: '1' },
    });
    expect(code, stdout + stderr).toBe(0);
    expect(stdout).toMatch(/Tests\s+\d{3,} passed/);
  });
});
