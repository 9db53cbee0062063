// What is published, as a user gets it: packed, installed without install scripts beside the applications' packages,
// and run by every Node that is promised; and its declarations, read by the strictest compiler settings.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { MAJORS, nodeBinary } from '../helpers/nodes.mjs';
import { APPS, killAll, ownLines, ROOT, startService, type Service } from '../helpers/process.ts';

const { devDependencies } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as {
  devDependencies: Record<string, string>;
};

const TYPESCRIPT = path.join(ROOT, 'test/fixtures/typescript/service.ts');

let directory: string;
let tarball: string;
let files: string[];

beforeAll(async () => {
  directory = realpathSync(mkdtempSync(path.join(os.tmpdir(), 'sonde-package-')));
  const packed = npm(ROOT, 'pack', '--json', '--ignore-scripts', '--pack-destination', directory);
  const [{ filename, files: list }] = JSON.parse(packed) as [{ filename: string; files: { path: string }[] }];
  tarball = path.join(directory, filename);
  files = list.map((file) => file.path);
  install('service', 'express', 'fastify', '@opentelemetry/api');
  for (const app of ['packaged-express.cjs', 'packaged-fastify.mjs', 'packaged-start.mjs', 'http.cjs', 'http.mjs']) {
    cpSync(path.join(APPS, app), path.join(directory, 'service', app));
  }
  await build({
    entryPoints: [TYPESCRIPT],
    bundle: true,
    minify: true,
    platform: 'node',
    sourcemap: true,
    outfile: path.join(directory, 'service/typescript.js'),
  });
  for (const major of MAJORS) nodeBinary(major);
}, 300_000);

afterEach(killAll);
afterAll(() => rmSync(directory, { recursive: true }));

/** A project with the tarball and these development dependencies of ours, in the versions that we have. */
function install(name: string, ...packages: string[]): void {
  mkdirSync(path.join(directory, name));
  writeFileSync(path.join(directory, name, 'package.json'), JSON.stringify({ name, private: true }));
  npm(
    path.join(directory, name),
    'install',
    '--ignore-scripts',
    '--prefer-offline',
    '--no-audit',
    '--no-fund',
    tarball,
    ...packages.map((of) => `${of}@${devDependencies[of]}`),
  );
}

function npm(cwd: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync('npm', args, { cwd, encoding: 'utf8' });
  if (status !== 0) throw new Error(`npm ${args.join(' ')}: ${stderr}${stdout}`);
  return stdout;
}

test('the tarball holds the build, the licence and the notices, and no sources or tests', () => {
  for (const file of [
    'package.json',
    'LICENSE',
    'dist/register.js',
    'dist/index.d.ts',
    'dist/profile/source-map-worker.js',
    'dist/near-end-exporter.js',
  ]) {
    expect(files).toContain(file);
  }
  expect(files.filter((file) => !/^(?:dist\/.+\.(?:js|mjs|d\.ts|d\.mts)|package\.json|LICENSE|NOTICE|README\.md)$/.test(file))).toEqual([]);
});

describe.each(MAJORS)('on Node %i', (major) => {
  const start = (app: string, ...flags: string[]): Promise<Service> => {
    const cwd = path.join(directory, 'service');
    return startService({ app: path.join(cwd, app), flags, node: nodeBinary(major), cwd });
  };

  test.each([
    ['--require', 'http.cjs'],
    ['--require', 'http.mjs'],
    ['--import', 'http.cjs'],
    ['--import', 'http.mjs'],
  ])('%s sonde/register counts the requests of %s', async (flag, app) => {
    const service = await start(app, flag, 'sonde/register');
    await service.get('/ok');
    expect(await service.counted()).toBe(1);
    expect(ownLines(service.running.stderr)).toEqual({ rest: '', lines: [expect.stringContaining(' service listening on ')] });
  });

  test.each<[string, string, string[], string]>([
    ['sonde/express', 'packaged-express.cjs', ['--require', 'sonde/register'], '/items/:id'],
    ['sonde/express', 'packaged-express.cjs', [], '/items/:id'],
    ['sonde/fastify', 'packaged-fastify.mjs', ['--import', 'sonde/register'], '/items/:id'],
    // An instance that was there before Sonde.
    ['sonde/fastify', 'packaged-fastify.mjs', [], '/items/:id'],
  ])('%s mounts the endpoints in %s %j', async (_entry, app, flags, route) => {
    const service = await start(app, ...flags);
    expect(await service.get('/items/7')).toMatch(/\{"id":"7"\}/);
    const [count] = /^http_server_request_duration_seconds_count\{.*\} 1$/m.exec(await service.get('/sonde/metrics')) ?? [];
    expect(/http_route="(.*?)"/.exec(count!)?.[1] ?? '').toBe(route);
    expect(await service.counted()).toBe(1);
    expect(await service.get('/sonde/debug/traces')).toContain(route === '' ? '"GET"' : `"GET ${route}"`);
  });

  test('start() of sonde answers the one sonde, whose spans and those of @opentelemetry/api are one trace', async () => {
    const service = await start('packaged-start.mjs');
    expect(await service.get('/')).toMatch(/ok\n/);
    const { traces } = JSON.parse(await service.read('/debug/traces')) as { traces: { spans: { name: string }[] }[] };
    expect(traces[0]!.spans.map(({ name }) => name).toSorted()).toEqual(['GET', 'inner', 'outer']);
  });

  test('the native profiler runs when the start line is written', async () => {
    const service = await start('http.cjs', '--require', 'sonde/register');
    const response = await fetch(`${await service.sondeUrl()}/debug/pprof/profile?seconds=1`);
    expect(response.status).toBe(200);
    const profile = gunzipSync(Buffer.from(await response.arrayBuffer())).toString('latin1');
    expect(profile).toContain('nanoseconds');
    expect(ownLines(service.running.stderr).lines).toHaveLength(1);
  });

  test('profiles name the sources of what was compiled', async () => {
    const service = await start('typescript.js', '--require', 'sonde/register');
    const url = `${await service.sondeUrl()}/debug/pprof/heap`;
    await service.get('/keep');
    const profile = gunzipSync(Buffer.from(await (await fetch(url)).arrayBuffer())).toString('latin1');
    expect(profile).toContain(TYPESCRIPT);
    expect(ownLines(service.running.stderr).lines).toHaveLength(1);
  });
});

describe('the declarations', () => {
  const SOURCE = `
    import type { Server } from 'node:http';
    import { ConfigError, start, type Options, type Sonde } from 'sonde';
    import { sonde as middleware } from 'sonde/express';
    import { sonde as plugin } from 'sonde/fastify';
    import 'sonde/register';

    const options: Options = { port: 0, sampler: 'parentbased_always_on', otlp: { protocol: 'http/json' } };
    const sonde: Sonde = start(options);
    export const length: number = sonde.trace('name', (span) => span.spanContext().traceId.length);
    export const handler: (req: never, res: never, next: () => void) => void = middleware({ prefix: '/ops' });
    export const problems: readonly string[] = new ConfigError([]).problems.map(({ name }) => name);
    export const register: unknown = plugin;
    export type { Server };
    // @ts-expect-error: not a sampler
    start({ sampler: 'sometimes' });
  `;

  beforeAll(() => {
    // Only what a user's project has: no Express, no Fastify, and without the optional profiler.
    install('typed', '@opentelemetry/api', '@types/node');
    for (const name of ['consumer.mts', 'consumer.cts']) writeFileSync(path.join(directory, 'typed', name), SOURCE);
  }, 120_000);

  test.each(['node16', 'nodenext'])('compile for ES modules and CommonJS with strict checks of libraries and module %s', (module) => {
    const options = {
      module,
      moduleResolution: module,
      target: 'es2022',
      strict: true,
      skipLibCheck: false,
      noEmit: true,
      types: ['node'],
      exactOptionalPropertyTypes: true,
    };
    writeFileSync(
      path.join(directory, 'typed/tsconfig.json'),
      JSON.stringify({ compilerOptions: options, files: ['consumer.mts', 'consumer.cts'] }),
    );
    const tsc = path.join(ROOT, 'node_modules/typescript/bin/tsc');
    const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.json'], {
      cwd: path.join(directory, 'typed'),
      encoding: 'utf8',
    });
    expect(stdout).toBe('');
    expect(status).toBe(0);
  });
});
