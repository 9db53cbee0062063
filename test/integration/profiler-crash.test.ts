// What has made native profilers crash a process, on the built package and on each Node; numbers beside the tests are reports to
// the addon (DataDog/pprof-nodejs), to dd-trace (DataDog/dd-trace-js) or to Node. What crashes is seen by its signal.
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { MAJORS, nodeBinary } from '../helpers/nodes.mjs';
import { killAll, REGISTER, ROOT, startService, type Ended, type Service, type ServiceOptions } from '../helpers/process.ts';

const FIXTURES = path.join(ROOT, 'test/fixtures/crash');

let directory: string;
let otherCopy: string;

beforeAll(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'sonde-crash-'));
  // Another copy of the addon, as one that came with another package; only loaded by path it is one.
  const addon = path.join(directory, 'node_modules/@datadog/pprof');
  cpSync(path.join(ROOT, 'node_modules/@datadog/pprof'), addon, { recursive: true, dereference: true });
  symlinkSync(path.join(ROOT, 'node_modules/node-gyp-build'), path.join(directory, 'node_modules/node-gyp-build'));
  otherCopy = path.join(addon, 'out/src/time-profiler-bindings.js');
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

afterEach(killAll);

type Options = Partial<ServiceOptions> & { readonly during?: (service: Service) => Promise<void> };

/** Plays a scenario of busy.cjs to the end of the process. */
async function play(major: number, scenario: string, { during, ...options }: Options = {}): Promise<Ended> {
  const service = await startService({ app: path.join(FIXTURES, 'busy.cjs'), node: nodeBinary(major), ...options });
  await service.sondeUrl();
  await service.get(`/${encodeURIComponent(scenario)}`);
  await during?.(service);
  return await service.running.ended;
}

/** That it ended by itself as it was to. */
function expectEnded({ code, signal, stdout, stderr }: Ended, wanted: { code?: number | null; signal?: string | null } = {}): void {
  expect({ code, signal, stderr }).toMatchObject({ code: 0, signal: null, ...wanted });
  expect(stdout).toContain('ended well');
}

describe.each(MAJORS)('on Node %i', (major) => {
  test('an application that runs the same copy of the profiler goes on', async () => {
    // Ours: a profiler that was collected freed the holders it had made twice.
    const service = await startService({ app: path.join(FIXTURES, 'own-profiler.cjs'), node: nodeBinary(major) });
    await service.sondeUrl();
    await service.get('/');
    const ended = await service.running.ended;
    expectEnded(ended);
    expect(ended.stderr).toContain('another profiler is already active');
  });

  test('another copy that ran before Sonde may stop and start again', async () => {
    // pprof-nodejs#319 between two copies: each called the other's signal handler for ever.
    const env = { OTHER_COPY: otherCopy, OTHER_COPY_FIRST: 'true' };
    const ended = await play(major, 'copy that ran before starts again', { env });
    expectEnded(ended);
    expect(ended.stderr).toContain(`another copy of it is sampling already, ${directory}`);
  });

  test('another copy that starts later may come and go', async () => {
    const ended = await play(major, 'copy that starts later', { env: { OTHER_COPY: otherCopy } });
    expectEnded(ended);
    expect(ended.stderr).not.toContain('another copy');
  });

  test.each([
    // pprof-nodejs#92, #215, #245, #399, dd-trace-js#3112, #9891.
    'workers terminated',
    'worker exits itself',
    'children',
    // nodejs/node#23070.
    'inspector profiles',
    // The heap sampler outlived the heap's spaces: pprof-nodejs#212.
    'profiles read',
  ])('%s', async (scenario) => {
    expectEnded(await play(major, scenario));
  });

  test('exit with workers', async () => {
    expectEnded(await play(major, 'exit with workers'), { code: 7 });
  });

  test('an error of the application and an abort end it as they would', async () => {
    expectEnded(await play(major, 'throws'), { code: 1 });
    expectEnded(await play(major, 'abort'), { code: null, signal: 'SIGABRT' });
  });

  test('a storm of sampling signals from outside', async () => {
    const during = async ({ running }: Service): Promise<void> => {
      for (let i = 0; i < 200; i++) {
        for (let n = 0; n < 20; n++) running.child.kill('SIGPROF');
        await new Promise(setImmediate);
      }
    };
    expectEnded(await play(major, 'children', { during }));
  });

  test.each([
    '--cpu-prof --heap-prof',
    '--cpu-prof --cpu-prof-interval 200',
    '--jitless',
    '--no-opt',
    '--max-old-space-size=64',
    '--expose-gc --gc-interval=500',
    ...(major < 24 ? [] : ['--no-async-context-frame']),
  ])('%s', async (written) => {
    const flags = [...written.split(' '), '--require', REGISTER];
    expectEnded(await play(major, 'profiles read', { flags, cwd: directory }));
  });
});
