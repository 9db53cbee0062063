// What the thread that reads source maps does to a process: nothing but its work. On every Node, on the built package.
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { MAJORS, nodeBinary } from '../helpers/nodes.mjs';
import { killAll, ownLines, REGISTER, ROOT, startService, type Service, type ServiceOptions } from '../helpers/process.ts';

const FIXTURES = path.join(ROOT, 'test/fixtures/typescript');
const THREADS = path.join(FIXTURES, 'threads.cjs');

let directory: string;
let app: string;
let largeApp: string;

/** The service as one minified file with a map beside it. */
async function bundle(folder: string): Promise<string> {
  const outfile = path.join(directory, folder, 'service.cjs');
  await build({
    entryPoints: [path.join(FIXTURES, 'service.ts')],
    bundle: true,
    minify: true,
    platform: 'node',
    format: 'cjs',
    sourcemap: 'linked',
    outfile,
  });
  return outfile;
}

beforeAll(async () => {
  directory = realpathSync(mkdtempSync(path.join(tmpdir(), 'sonde-threads-')));
  app = await bundle('small');
  largeApp = await bundle('large');
  // 60 MB that are read before what is looked for.
  const map = readFileSync(`${largeApp}.map`, 'utf8');
  writeFileSync(`${largeApp}.map`, '{"x_filler":["');
  for (let i = 0; i < 60; i++) appendFileSync(`${largeApp}.map`, '\\"x'.repeat(333_333));
  appendFileSync(`${largeApp}.map`, `"],${map.slice(1)}`);
});

afterEach(killAll);
afterAll(() => rmSync(directory, { recursive: true }));

const start = (major: number, options: Partial<ServiceOptions> = {}): Promise<Service> =>
  startService({ app, node: nodeBinary(major), ...options });

/** The text of the heap profile of a service that has kept rows since profiling began. */
async function heap(service: Service): Promise<string> {
  const url = `${await service.sondeUrl()}/debug/pprof/heap`;
  for (let status = 503; status === 503;) ({ status } = await fetch(url));
  await service.get('/keep');
  const answer = await fetch(url);
  return gunzipSync(Buffer.from(await answer.arrayBuffer())).toString('latin1');
}

const SOURCE = path.join(FIXTURES, 'service.ts');

describe.each(MAJORS)('on Node %i the thread', (major) => {
  test('preloads nothing and is no second Sonde, whether the preload is a flag or a variable', async () => {
    for (const how of [
      { flags: ['--require', THREADS, '--require', REGISTER] },
      { flags: [], env: { NODE_OPTIONS: `--require ${THREADS} --require ${REGISTER}` } },
    ]) {
      const service = await start(major, how);
      expect(await heap(service)).toContain(SOURCE);
      const { running } = service;
      await running.seen(/worker made/);
      expect(running.stdout).toBe(`preloaded\napp ${service.port}\nworker made\n`);
      expect(ownLines(running.stderr)).toEqual({ rest: '', lines: [expect.stringContaining(' listening on ')] });
    }
  });

  test('writes no profile of its own where Node was told to write one', async () => {
    const profiles = path.join(directory, `profiles-${major}`);
    const service = await start(major, { flags: ['--cpu-prof', `--cpu-prof-dir=${profiles}`, '--require', REGISTER] });
    expect(await heap(service)).toContain(SOURCE);
    await service.get('/close');
    expect(await service.running.ended).toMatchObject({ code: 0 });
    expect(readdirSync(profiles)).toHaveLength(1);
  });

  test('does not keep a process that has nothing more to do', async () => {
    const service = await start(major);
    expect(await heap(service)).toContain(SOURCE);
    const asked = performance.now();
    await service.get('/close');
    expect(await service.running.ended).toMatchObject({ code: 0, signal: null });
    // It would wait for another five seconds.
    expect(performance.now() - asked).toBeLessThan(4000);
  });

  test('does not hold up or change an exit in the middle of its work', async () => {
    const service = await start(major, { app: largeApp, flags: ['--require', THREADS, '--require', REGISTER] });
    await service.sondeUrl();
    const read = heap(service).then(
      () => 'answered',
      () => 'cut off',
    );
    await service.running.seen(/worker made/);
    const asked = performance.now();
    await service.get('/exit');
    expect(await service.running.ended).toMatchObject({ code: 7, signal: null });
    expect(performance.now() - asked).toBeLessThan(2000);
    expect(await read).toBe('cut off');
  });

  // Node 20 allows neither addons nor the inspector with it, so that there are no profiles.
  // Node 20's permission model leaves no profile at all.
  test.each([major].filter((version) => version >= 22))(
    'of Node %i is done without when Node is not allowed to make one, and one line says so',
    async () => {
      const allowed = ['--allow-fs-read=*', '--allow-addons', ...(major >= 26 ? ['--allow-net', '--allow-inspector'] : [])];
      const service = await start(major, { flags: ['--permission', ...allowed, '--require', REGISTER] });
      const profile = await heap(service);
      expect(profile).toContain(app);
      expect(profile).not.toContain(SOURCE);
      const lines = ownLines(service.running.stderr).lines.filter((line) => line.startsWith('sonde: '));
      expect(lines).toEqual([
        expect.stringMatching(/^sonde: the thread that reads source maps failed at .*service\.cjs, .*--allow-worker/),
      ]);
      expect(await service.get('/')).toMatch(/ok$/);
    },
  );

  test('is asked the same when Node itself uses source maps, and not at all when it is switched off', async () => {
    const own = await start(major, { flags: ['--enable-source-maps', '--require', REGISTER] });
    expect(await heap(own)).toContain(SOURCE);
    const off = await start(major, { flags: ['--require', THREADS, '--require', REGISTER], env: { SONDE_SOURCE_MAPS: 'false' } });
    const profile = await heap(off);
    expect(profile).toContain(app);
    expect(profile).not.toContain(SOURCE);
    expect(off.running.stdout).not.toContain('worker');
  });
});

test('a program without source maps is read without the thread', async () => {
  mkdirSync(path.join(directory, 'plain'));
  const plain = path.join(directory, 'plain/service.cjs');
  writeFileSync(plain, readFileSync(app, 'utf8').replace(/\/\/# sourceMappingURL=.*/, ''));
  const service = await start(MAJORS[0]!, { app: plain, flags: ['--require', THREADS, '--require', REGISTER] });
  expect(await heap(service)).toContain(plain);
  expect(service.running.stdout).toBe(`preloaded\napp ${service.port}\n`);
});
