// The preload on the built package: how it is loaded, into what, what it prints, where it listens, what it costs.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { nodeBinary } from '../helpers/nodes.mjs';
import { APPS, exchange, killAll, ownLines, REGISTER, ROOT, run, runToEnd, startService } from '../helpers/process.ts';

const REGISTER_MODULE = REGISTER.replace(/js$/, 'mjs');
const START_LINE = /^sonde \d+\.\d+\.\d+\S* \S+ listening on http:\/\/127\.0\.0\.1:\d+$/;

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'sonde-preload-'));
  // A second copy of the package, as one gets from two versions in one tree.
  mkdirSync(path.join(directory, 'copy'));
  cpSync(path.join(ROOT, 'dist'), path.join(directory, 'copy/dist'), { recursive: true });
  cpSync(path.join(ROOT, 'package.json'), path.join(directory, 'copy/package.json'));
});

afterEach(killAll);
afterAll(() => rmSync(directory, { recursive: true }));

/** Asks the service three times; answers what Sonde has counted and all that it has printed. */
async function countThree(
  options: Parameters<typeof startService>[0],
): Promise<{ counted: number; lines: readonly string[]; rest: string }> {
  const service = await startService(options);
  for (let i = 0; i < 3; i++) await service.get('/ok');
  const counted = await service.counted();
  return { counted, ...ownLines(service.running.stderr) };
}

describe('loading', () => {
  test.each([
    ['--require', 'http.cjs', REGISTER],
    ['--require', 'http.mjs', REGISTER],
    ['--import', 'http.cjs', REGISTER_MODULE],
    ['--import', 'http.mjs', REGISTER_MODULE],
  ])('by %s it counts the requests of %s and prints one line', async (flag, app, file) => {
    const { counted, lines, rest } = await countThree({ app, flags: [flag, file] });
    expect(counted).toBe(3);
    expect(lines).toEqual([expect.stringMatching(START_LINE)]);
    expect(rest).toBe('');
  });

  test.each([
    ['--require', REGISTER],
    ['--import', REGISTER_MODULE],
  ])('%s in NODE_OPTIONS works as the flag does', async (flag, file) => {
    const { counted, lines } = await countThree({ app: 'http.mjs', flags: [], env: { NODE_OPTIONS: `${flag} ${file}` } });
    expect(counted).toBe(3);
    expect(lines).toHaveLength(1);
  });

  test.each<[string, () => { flags: string[]; env?: Record<string, string> }]>([
    ['twice by --require', () => ({ flags: ['--require', REGISTER, '--require', REGISTER] })],
    ['by --require and --import', () => ({ flags: ['--require', REGISTER, '--import', REGISTER_MODULE] })],
    ['by a flag and NODE_OPTIONS', () => ({ flags: ['--import', REGISTER_MODULE], env: { NODE_OPTIONS: `--require ${REGISTER}` } })],
    [
      'from two copies of the package',
      () => ({ flags: ['--require', REGISTER, '--require', path.join(directory, 'copy/dist/register.js')] }),
    ],
    [
      'from two copies in two formats',
      () => ({ flags: ['--import', path.join(directory, 'copy/dist/register.mjs'), '--require', REGISTER] }),
    ],
  ])('loaded %s it is one sonde', async (_how, how) => {
    const { counted, lines } = await countThree({ app: 'http.cjs', ...how() });
    expect(counted).toBe(3);
    expect(lines).toEqual([expect.stringMatching(START_LINE)]);
  });

  test('start() of another copy answers the sonde of the preload', async () => {
    const entry = path.join(directory, 'copy/dist/index.js');
    const { stdout, stderr } = await runToEnd({
      args: ['--require', REGISTER, path.join(APPS, 'start.cjs')],
      env: { SONDE_ENTRY: entry, START_OPTIONS: '{"port":0}', SONDE_PORT: '0' },
    });
    expect(stdout).toBe('started\n');
    expect(ownLines(stderr).lines.length).toBeLessThanOrEqual(1);
  });

  test('nothing of it runs on the thread of module hooks, and the hooks work', async () => {
    for (const flags of [
      ['--require', REGISTER],
      ['--import', REGISTER_MODULE],
    ]) {
      const service = await startService({ app: 'loader.mjs', flags });
      expect(await service.get('/')).toMatch(/from the hooks\n/);
      expect(await service.counted()).toBe(1);
      expect(ownLines(service.running.stderr)).toEqual({ rest: '', lines: [expect.stringMatching(START_LINE)] });
    }
  });

  test('a worker thread that serves HTTP is left alone', async () => {
    const service = await startService({ app: 'workers.cjs' });
    const [, workerPort] = await service.running.seen(/^worker (\d+)$/m);
    expect(await exchange(Number(workerPort), ['GET', '/'])).toMatch(/worker\n/);
    await service.sondeUrl();
    expect(await service.get('/')).toMatch(/main\n/);
    expect(await service.running.ended).toMatchObject({ code: 0, signal: null });
    expect(ownLines(service.running.stderr)).toEqual({ rest: '', lines: [expect.stringMatching(START_LINE)] });
  });

  test('a TypeScript application is run by Node itself', async () => {
    const { counted, lines } = await countThree({ app: 'http.mts', node: nodeBinary(24) });
    expect(counted).toBe(3);
    expect(lines).toHaveLength(1);
  });
});

describe('children that inherit NODE_OPTIONS', () => {
  const env = { NODE_OPTIONS: `--require ${REGISTER}`, SONDE_PORT: '0' };

  test('a child that serves no HTTP prints nothing, and neither does its parent', async () => {
    const { stdout, stderr, code } = await runToEnd({ args: [path.join(APPS, 'children.cjs')], env });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ stdout: 'child\n', stderr: 'child error\n' });
    expect(stderr).toBe('');
  });

  test('it prints nothing even when the environment is wrong', async () => {
    const wrong = { ...env, SONDE_METRICS: 'perhaps', SONDE_HOST: '999.9.9.9' };
    const { stdout, stderr } = await runToEnd({ args: [path.join(APPS, 'children.cjs')], env: wrong });
    expect(JSON.parse(stdout)).toEqual({ stdout: 'child\n', stderr: 'child error\n' });
    expect(stderr).toBe('');
  });

  test.each([
    ['npm run', 'npm', ['run', '--silent', 'serve']],
    ['npx', 'npm', ['exec', '--offline', '--', 'node', path.join(APPS, 'http.cjs')]],
  ])('under %s only the service starts a sonde', async (_name, command, args) => {
    const project = path.join(directory, 'project');
    mkdirSync(project, { recursive: true });
    writeFileSync(path.join(project, 'package.json'), JSON.stringify({ name: 'launched', scripts: { serve: `node ${APPS}/http.cjs` } }));
    const running = run({ node: command, args, cwd: project, env });
    await running.seen(/listening on/);
    const [, port] = await running.seen(/^app (\d+)$/m);
    expect(await exchange(Number(port), ['GET', '/ok'])).toMatch(/ok\n/);
    await exchange(Number(port), ['GET', '/close']);
    const { stderr, code } = await running.ended;
    expect(code).toBe(0);
    expect(ownLines(stderr).lines).toEqual([expect.stringMatching(START_LINE)]);
  });

  test('npm itself prints what it prints without it', () => {
    const npm = (extra: NodeJS.ProcessEnv): unknown => {
      const { status, stdout, stderr } = spawnSync('npm', ['pkg', 'get', 'name'], {
        cwd: directory,
        env: { ...process.env, ...extra },
        encoding: 'utf8',
      });
      return { status, stdout, stderr };
    };
    writeFileSync(path.join(directory, 'package.json'), '{ "name": "asked" }');
    expect(npm(env)).toEqual(npm({}));
  });

  test('under node --run only the service starts a sonde', async () => {
    const project = path.join(directory, 'run');
    mkdirSync(project, { recursive: true });
    const node = nodeBinary(24);
    writeFileSync(path.join(project, 'package.json'), JSON.stringify({ name: 'run', scripts: { serve: `"${node}" ${APPS}/http.cjs` } }));
    const running = run({ node, args: ['--run', 'serve'], cwd: project, env });
    const [, port] = await running.seen(/^app (\d+)$/m);
    await running.seen(/listening on/);
    await exchange(Number(port), ['GET', '/close']);
    const { stderr, code } = await running.ended;
    expect(code).toBe(0);
    expect(ownLines(stderr).lines).toEqual([expect.stringMatching(START_LINE)]);
  });
});

describe('the start line', () => {
  test.each([
    ['OTEL_SERVICE_NAME', 'orders', { OTEL_SERVICE_NAME: 'orders', OTEL_RESOURCE_ATTRIBUTES: 'service.name=other' }],
    ['OTEL_RESOURCE_ATTRIBUTES', 'or ders', { OTEL_RESOURCE_ATTRIBUTES: 'a=b,service.name=or%20ders' }],
  ])('names the service by %s', async (_source, name, env) => {
    const service = await startService({ app: 'http.cjs', env });
    const url = await service.sondeUrl();
    const { version } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as { version: string };
    expect(service.running.stderr).toBe(`sonde ${version} ${name} listening on ${url}\n`);
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  });

  test.each([
    ['its package.json', '{ "name": "@scope/app" }', '@scope/app'],
    ['the package.json above one without a name', undefined, 'above'],
  ])('names the service by %s', async (_source, manifest, name) => {
    const project = mkdtempSync(path.join(directory, 'named-'));
    writeFileSync(path.join(project, 'package.json'), '{ "name": "above" }');
    mkdirSync(path.join(project, 'lib'));
    writeFileSync(path.join(project, 'lib/package.json'), manifest ?? '{ "type": "commonjs" }');
    cpSync(path.join(APPS, 'http.cjs'), path.join(project, 'lib/app.cjs'));
    const service = await startService({ app: path.join(project, 'lib/app.cjs') });
    await service.sondeUrl();
    expect(service.running.stderr).toContain(` ${name} listening on `);
  });
});

describe('switches', () => {
  test.each([{ SONDE_ENABLED: 'false' }, { OTEL_SDK_DISABLED: 'true' }, { SONDE_ENABLED: 'true', OTEL_SDK_DISABLED: 'true' }])(
    '%j prints nothing and opens no port',
    async (env) => {
      const port = await freePort();
      const service = await startService({ app: 'http.cjs', env: { ...env, SONDE_PORT: String(port) } });
      expect(await service.get('/ok')).toMatch(/ok\n/);
      expect(await exchange(port, ['GET', '/'])).toBe('ECONNREFUSED');
      await service.get('/close');
      expect(await service.running.ended).toMatchObject({ code: 0, stderr: '' });
    },
  );

  test.each([
    ['SONDE_METRICS', '/metrics'],
    ['SONDE_TRACES', '/debug/traces'],
    ['SONDE_PROFILING', '/debug/pprof/profile'],
    ['SONDE_LEAKS', '/debug/leaks'],
  ])('%s=false: the application runs and %s says which switch', async (name, endpoint) => {
    const service = await startService({ app: 'http.cjs', env: { [name]: 'false' } });
    expect(await service.get('/ok')).toMatch(/ok\n/);
    const response = await fetch((await service.sondeUrl()) + endpoint);
    expect(response.status).toBe(404);
    expect(await response.text()).toContain(`${name}=false`);
    expect(ownLines(service.running.stderr).lines).toHaveLength(1);
  });

  test.each([
    ['has trace_id', {}, /^\{"msg":"asked",.*"trace_id":"[0-9a-f]{32}"/m],
    ['is as the application wrote it', { SONDE_LOGS: 'false' }, /^\{"msg":"asked"\}$/m],
  ])('a JSON line of a request %s with %j', async (_how, env, line) => {
    const service = await startService({ app: 'json-log.cjs', env });
    await service.get('/');
    await service.running.seen(line, 5000);
  });

  test('with all of them off the application runs', async () => {
    const env = Object.fromEntries(['METRICS', 'TRACES', 'LOGS', 'PROFILING', 'LEAKS'].map((name) => [`SONDE_${name}`, 'false']));
    const service = await startService({ app: 'http.cjs', env });
    expect(await service.get('/ok')).toMatch(/ok\n/);
    expect(await service.read('/healthz')).toMatch(/^ok/);
  });
});

describe('ports', () => {
  test('an explicit port is used', async () => {
    const port = await freePort();
    const service = await startService({ app: 'http.cjs', env: { SONDE_PORT: String(port) } });
    expect(await service.sondeUrl()).toBe(`http://127.0.0.1:${port}`);
  });

  test('0 picks a free one', async () => {
    const services = await Promise.all([1, 2].map(() => startService({ app: 'http.cjs', env: { SONDE_PORT: '0' } })));
    const urls = await Promise.all(services.map((service) => service.sondeUrl()));
    expect(new Set(urls).size).toBe(2);
    for (const url of urls) expect(url).not.toMatch(/:0$/);
  });

  test('an explicit port that is taken is said once and the application goes on', async () => {
    const taken = net.createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const service = await startService({ app: 'http.cjs', env: { SONDE_PORT: String(port) } });
    await service.running.seen(/^sonde: .*$/m);
    expect(await service.get('/ok')).toMatch(/ok\n/);
    await service.get('/close');
    const { code, stderr } = await service.running.ended;
    expect(code).toBe(0);
    expect(stderr).toMatch(new RegExp(`^sonde: .*127\\.0\\.0\\.1:${port}: the port is taken; set SONDE_PORT .*\n$`));
    taken.close();
  });

  test('of eleven processes with no port set each has one of ten to itself, and the last says that all are taken', async () => {
    const services = await Promise.all(Array.from({ length: 11 }, () => startService({ app: 'http.cjs', env: { SONDE_PORT: undefined } })));
    await Promise.all(services.map((service) => service.running.seen(/^sonde.*$/m)));
    const ports = services.flatMap(({ running }) => /listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(running.stderr)?.[1] ?? []);
    const refused = services.filter(({ running }) => running.stderr.includes('127.0.0.1:9464 to 9473: the port is taken'));
    expect(ports.length + refused.length).toBe(11);
    expect(refused.length).toBeGreaterThan(0);
    expect(new Set(ports).size).toBe(ports.length);
    for (const port of ports) expect(Number(port)).toSatisfy((value: number) => value >= 9464 && value <= 9473);
    for (const service of services) expect(await service.get('/ok')).toMatch(/ok\n/);
  });

  test('on all addresses the metrics are open, and the rest needs the token', async () => {
    const open = await startService({ app: 'http.cjs', env: { SONDE_HOST: '0.0.0.0' } });
    const locked = await startService({ app: 'http.cjs', env: { SONDE_HOST: '0.0.0.0', SONDE_TOKEN: 'secret' } });
    const status = async (service: typeof open, endpoint: string, headers = {}): Promise<number> =>
      (await fetch((await service.sondeUrl()).replace('0.0.0.0', '127.0.0.1') + endpoint, { headers })).status;
    for (const service of [open, locked]) {
      expect(service.running.stderr + (await service.sondeUrl())).toMatch(/http:\/\/0\.0\.0\.0:\d+/);
      expect(await status(service, '/metrics')).toBe(200);
      expect(await status(service, '/healthz')).toBe(200);
    }
    expect(await status(open, '/debug/config')).toBe(403);
    expect(await status(open, '/')).toBe(403);
    expect(await status(locked, '/debug/config')).toBe(401);
    expect(await status(locked, '/debug/config', { authorization: 'Bearer secret' })).toBe(200);
    expect(await status(locked, '/debug/config', { authorization: 'Bearer secrets' })).toBe(401);
  });
});

describe('what is loaded', () => {
  test('an application that serves nothing gets a few files of ours and no package', async () => {
    const { stdout } = await runToEnd({ args: ['--require', REGISTER, path.join(APPS, 'loaded.cjs')] });
    const { files } = JSON.parse(stdout) as { files: string[] };
    expect(files.length).toBeLessThanOrEqual(8);
    for (const file of files) expect(path.dirname(file)).toBe(path.join(ROOT, 'dist'));
  });

  test('a service gets the profiler and nothing of OpenTelemetry', async () => {
    const service = await startService({ app: 'http.cjs', flags: ['--require', REGISTER, '--require', path.join(APPS, 'loaded.cjs')] });
    await service.sondeUrl();
    await service.get('/close');
    const { stdout } = await service.running.ended;
    const { files } = JSON.parse(stdout.trim().split('\n').at(-1)!) as { files: string[] };
    const foreign = files.filter((file) => file.includes('node_modules'));
    expect(foreign.filter((file) => !/node_modules\/(?:@datadog\/pprof|node-gyp-build)\//.test(file))).toEqual([]);
    expect(files.filter((file) => /otel-metrics-sdk|otlp-/.test(path.basename(file)))).toEqual([]);
  });

  test('a service listens at most 100 ms later than without it', async () => {
    const bare: number[] = [];
    const sonde: number[] = [];
    // Pairs in turn, so that what else the machine does falls on both; more of them while it is busy.
    for (let pair = 0; pair < 9 || (pair < 30 && median(sonde) - median(bare) > 100); pair++) {
      bare.push(await millisToListen([]));
      sonde.push(await millisToListen(['--require', REGISTER]));
    }
    expect(median(sonde) - median(bare)).toBeLessThanOrEqual(100);
  });
});

async function millisToListen(flags: readonly string[]): Promise<number> {
  const begun = performance.now();
  const child = spawn(process.execPath, [...flags, path.join(APPS, 'http.cjs')], { env: { ...process.env, SONDE_PORT: '0' } });
  await once(child.stdout, 'data');
  const millis = performance.now() - begun;
  child.kill('SIGKILL');
  await once(child, 'close');
  return millis;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
