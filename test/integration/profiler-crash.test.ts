// What has made native profilers crash a process, on the built package and on each Node: reports/numbers beside each test
// are those of the addon and of dd-trace. A process passes that ends by itself, well.
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { MAJORS, nodeBinary } from '../helpers/nodes.mjs';
import { killAll, ROOT, startService } from '../helpers/process.ts';

const FIXTURES = path.join(ROOT, 'test/fixtures/crash');

afterEach(killAll);

test.each(MAJORS)('on Node %i an application that runs the same profiler itself goes on', async (major) => {
  const service = await startService({ app: path.join(FIXTURES, 'own-profiler.cjs'), node: nodeBinary(major) });
  await service.sondeUrl();
  await service.get('/');
  const { code, signal, stdout, stderr } = await service.running.ended;
  expect({ code, signal, stderr }).toMatchObject({ code: 0, signal: null });
  expect(stdout).toContain('ended well');
  expect(stderr).toContain('another profiler is already active');
});
