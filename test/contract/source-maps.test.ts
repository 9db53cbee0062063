// A service written in TypeScript, as the TypeScript compiler makes it, bundled and minified by esbuild, and run as it is:
// `go tool pprof` shows its .ts files, its lines and its names, in CPU and heap profiles.
import { execFile, execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { nodeBinary } from '../helpers/nodes.mjs';
import { killAll, ownLines, REGISTER, ROOT, startService, type Service, type ServiceOptions } from '../helpers/process.ts';
import { requirePeer } from '../helpers/require-peer.ts';

const FIXTURES = path.join(ROOT, 'test/fixtures/typescript');

let directory: string;

/** Runs `go tool pprof`; resolves to what it prints. */
async function pprof(...args: string[]): Promise<string> {
  const env = { ...process.env, PPROF_TMPDIR: directory, HOME: directory };
  const { stdout } = await promisify(execFile)('go', ['tool', 'pprof', ...args], { env });
  return stdout;
}

/** The service as the TypeScript compiler makes it; below ES2017 it makes other functions of async ones. */
function compile(target: string): string {
  const outDir = path.join(directory, `tsc-${target}`);
  const flags = ['--ignoreConfig', '--target', target, '--module', 'commonjs', '--lib', 'es2023', '--types', 'node', '--skipLibCheck'];
  const output = ['--outDir', outDir, '--rootDir', FIXTURES, '--sourceMap', '--rewriteRelativeImportExtensions'];
  const tsc = path.join(ROOT, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, path.join(FIXTURES, 'service.ts'), ...flags, ...output], { cwd: ROOT });
  return path.join(outDir, 'service.js');
}

async function bundle(format: 'cjs' | 'esm', sourcemap: 'linked' | 'inline'): Promise<string> {
  const outfile = path.join(directory, `esbuild-${format}`, format === 'esm' ? 'service.mjs' : 'service.cjs');
  await build({
    entryPoints: [path.join(FIXTURES, 'service.ts')],
    bundle: true,
    minify: true,
    platform: 'node',
    format,
    sourcemap,
    outfile,
  });
  return outfile;
}

/** The service where Node takes it for ES modules, with text of the test's own before the code. */
function copy(folder: string, before = ''): string {
  const to = path.join(directory, folder);
  cpSync(FIXTURES, to, { recursive: true });
  writeFileSync(path.join(to, 'package.json'), '{"type":"module"}');
  for (const file of ['pricing.ts', 'service.ts']) writeFileSync(path.join(to, file), before + readFileSync(path.join(to, file), 'utf8'));
  return path.join(to, 'service.ts');
}

/** A source and the line of it that holds a text, from 1, as pprof writes them. */
function placeOf(file: string, text: string): string {
  const lines = readFileSync(file, 'utf8').split('\n');
  return `${file}:${lines.findIndex((line) => line.includes(text)) + 1}`;
}

/** A CPU profile of two busy seconds and then the heap, in files. */
async function profiles(service: Service): Promise<{ cpu: string; heap: string }> {
  const base = `${await service.sondeUrl()}/debug/pprof`;
  for (let status = 503; status === 503;) ({ status } = await fetch(`${base}/heap`));
  await service.get('/keep');
  const state = { isBusy: true };
  const load = (async () => {
    while (state.isBusy) await service.get('/quote');
  })();
  const read = async (target: string): Promise<string> => {
    const answer = await fetch(`${base}/${target}`);
    expect(answer.status).toBe(200);
    const file = path.join(directory, `${target.replace(/\W.*/, '')}.pb.gz`);
    writeFileSync(file, Buffer.from(await answer.arrayBuffer()));
    return file;
  };
  const cpu = await read('profile?seconds=2');
  state.isBusy = false;
  await load;
  return { cpu, heap: await read('heap?gc=1') };
}

beforeAll(() => {
  directory = realpathSync(mkdtempSync(path.join(tmpdir(), 'sonde-typescript-')));
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

beforeEach((context) => requirePeer(context, 'go'));

afterEach(killAll);

/** Starts a service, and checks its profiles against the sources in a folder. */
async function check(major: number, options: Pick<ServiceOptions, 'app' | 'flags'>, sources: string): Promise<void> {
  const service = await startService({ ...options, node: nodeBinary(major) });
  const { cpu, heap } = await profiles(service);
  const [pricing, main] = ['pricing.ts', 'service.ts'].map((file) => path.join(sources, file)) as [string, string];

  const hot = await pprof('-top', '-lines', cpu);
  for (const [name, text] of [
    ['priceOf', 'priceOf('],
    ['discounted', 'const discounted'],
    ['quote', 'function quote('],
  ] as const) {
    expect(hot).toContain(` ${name} ${placeOf(pricing, text)}\n`);
  }
  // The time is in the functions that used it, not in the whole file.
  const listed = await pprof('-list', '^discounted$', cpu);
  expect(listed).toContain(`ROUTINE ======================== discounted in ${pricing}`);
  expect(listed).toMatch(/^ +[1-9][\d.]*m?s +\S+ +\d+:export const discounted = /m);

  const kept = await pprof('-top', '-lines', heap);
  expect(kept).toContain(` keepRows ${placeOf(main, 'function keepRows(')}\n`);
  expect(kept).toContain(` ${placeOf(main, 'createServer(async')}\n`);

  expect(ownLines(service.running.stderr).lines).toHaveLength(1);
}

describe.each([20, 24])('on Node %i the profiles of a TypeScript service show its sources', (major) => {
  test.each([
    ['compiled for ES2022', () => compile('es2022')],
    ['compiled for ES2016', () => compile('es2016')],
    ['bundled and minified, as CommonJS with the map in it', () => bundle('cjs', 'inline')],
    ['bundled and minified, as an ES module', () => bundle('esm', 'linked')],
  ])('%s', { timeout: 60_000 }, async (_, make) => {
    await check(major, { app: await make() }, FIXTURES);
  });
});

describe('the profiles of a TypeScript service that is run as it is show its files', () => {
  test.each([22, 24, 26])('on Node %i, which strips the types', { timeout: 60_000 }, async (major) => {
    await check(major, { app: copy('copied') }, path.join(directory, 'copied'));
  });

  // Node 26 has no such flag any more.
  test.each([22, 24])('on Node %i where it makes other code of it', { timeout: 60_000 }, async (major) => {
    const app = copy('transformed', 'enum Kind {\n  Simple,\n  Complex,\n}\n\nnamespace Kinds {\n  export const all = [Kind.Simple];\n}\n');
    await check(major, { app, flags: ['--experimental-transform-types', '--require', REGISTER] }, path.join(directory, 'transformed'));
  });
});
