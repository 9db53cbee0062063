// Wrong settings, broken surroundings and hostile requests: the application behaves as without Sonde, one clear line
// says what is wrong, and what can still work does. Child processes on the built package.
import { once } from 'node:events';
import { closeSync, cpSync, mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startReceiver } from '../helpers/otlp.ts';
import {
  APPS,
  exchange,
  killAll,
  ownLines,
  REGISTER,
  ROOT,
  runToEnd,
  startService,
  withAndWithout,
  type Service,
} from '../helpers/process.ts';

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'sonde-bad-input-'));
});

afterEach(killAll);
afterAll(() => rmSync(directory, { recursive: true }));

const closing = async (service: Service, ...routes: string[]): Promise<string[]> => {
  const answers: string[] = [];
  for (const route of [...routes, '/close']) answers.push(await service.get(route));
  return answers;
};

describe('the environment', () => {
  const WRONG = {
    SONDE_METRICS: 'yes',
    SONDE_HOST: '',
    SONDE_SERIES_LIMIT: '0',
    OTEL_TRACES_SAMPLER: 'sometimes',
    OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318',
    OTEL_EXPORTER_OTLP_PROTOCOL: 'carrier-pigeon',
    OTEL_RESOURCE_ATTRIBUTES: 'no-equals-sign',
  };

  test('every value that cannot be used is said in one line with what is accepted, and the default is used', async () => {
    const { bare, sonde, lines } = await withAndWithout({ app: 'http.cjs', env: WRONG }, (service) => closing(service, '/ok'));
    expect(sonde).toEqual(bare);
    expect(lines.slice(0, -1).toSorted()).toEqual([
      'sonde: OTEL_EXPORTER_OTLP_ENDPOINT="collector:4318" is not an http:// or https:// URL; the default is used',
      'sonde: OTEL_EXPORTER_OTLP_PROTOCOL="carrier-pigeon" is not one of http/protobuf, http/json; the default is used',
      'sonde: OTEL_RESOURCE_ATTRIBUTES="no-equals-sign" is not a list of key=value pairs separated by commas, percent-encoded; the default is used',
      'sonde: OTEL_TRACES_SAMPLER="sometimes" is not one of always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, parentbased_traceidratio; the default is used',
      'sonde: SONDE_METRICS="yes" is not true or false; the default is used',
      'sonde: SONDE_SERIES_LIMIT="0" is not a whole number from 1 to 100000; the default is used',
    ]);
    expect(lines.at(-1)).toMatch(/^sonde \S+ \S+ listening on http:\/\/127\.0\.0\.1:\d+$/);
  });

  test.each(['65536', '-1', '94.64', 'http'])('SONDE_PORT=%s is said and an unset one is meant', async (SONDE_PORT) => {
    const service = await startService({ app: 'http.cjs', env: { SONDE_PORT } });
    await service.running.seen(/^sonde .*listening|is taken/m);
    expect(service.running.stderr).toContain(
      `sonde: SONDE_PORT="${SONDE_PORT}" is not a whole number from 0 to 65535; the default is used\n`,
    );
    expect(service.running.stderr).toMatch(/:94(?:6[4-9]|7[0-3])\b/);
  });

  test('OTEL_LOG_LEVEL=none says nothing at all', async () => {
    const service = await startService({ app: 'http.cjs', env: { ...WRONG, OTEL_LOG_LEVEL: 'none' } });
    await closing(service, '/ok');
    expect(await service.running.ended).toMatchObject({ code: 0, stderr: '' });
  });

  test('an address that this machine does not have is said, and the application runs', async () => {
    const { bare, sonde, lines } = await withAndWithout(
      { app: 'http.cjs', env: { SONDE_HOST: '192.0.2.1' }, startsSilently: true },
      async (service) => {
        if (service.hasSonde) await service.running.seen(/^sonde: /m);
        return closing(service, '/ok');
      },
    );
    expect(sonde).toEqual(bare);
    expect(lines).toEqual([
      expect.stringMatching(/^sonde: the endpoints are not served on 192\.0\.2\.1:\d+: this machine has no such address/),
    ]);
  });

  test('a middleware that starts Sonde says what cannot be used, and the application runs', async () => {
    const env = { ...WRONG, APP_MIDDLEWARE: path.join(ROOT, 'dist/express.js') };
    const service = await startService({ app: 'express.cjs', flags: [], env });
    expect(await service.get('/handled/1')).toMatch(/^HTTP\/1\.1 422 /);
    expect(await service.counted()).toBe(1);
    expect(service.running.stderr).toContain('sonde: SONDE_METRICS="yes" is not true or false; the default is used\n');
  });

  test('start() throws one ConfigError with all options and variables that cannot be used', async () => {
    const { stdout, stderr, code } = await runToEnd({
      args: [path.join(APPS, 'start.cjs')],
      env: {
        SONDE_ENTRY: path.join(ROOT, 'dist/index.js'),
        START_OPTIONS: JSON.stringify({ port: 65_536, samplerRatio: 2, sampler: 'traceidratio', metrics: 'no' }),
        SONDE_TRACES: 'on',
      },
    });
    expect(code).toBe(0);
    expect(stderr).toBe('');
    const error = JSON.parse(stdout) as { isConfigError: boolean; name: string; message: string; problems: { name: string }[] };
    expect(error).toMatchObject({ isConfigError: true, name: 'ConfigError' });
    expect(error.problems.map(({ name }) => name).toSorted()).toEqual([
      'SONDE_TRACES',
      'options.metrics',
      'options.port',
      'options.samplerRatio',
    ]);
    for (const { name } of error.problems) expect(error.message).toContain(`${name}=`);
    expect(error.message).toContain('a whole number from 0 to 65535');
  });
});

describe('surroundings', () => {
  test('a stderr whose reader has gone changes nothing', async () => {
    const service = await startService({ app: 'http.cjs', stdio: 'pipe', env: { SONDE_METRICS: 'yes' } });
    service.running.child.stderr!.destroy();
    const answers = await closing(service, '/ok');
    expect(answers[0]).toMatch(/ok\n/);
    expect(await service.running.ended).toMatchObject({ code: 0, signal: null });
  });

  test.each(['read-only', 'closed'])('a stderr that is %s changes nothing', async (how) => {
    const descriptor = openSync(path.join(APPS, 'http.cjs'), 'r');
    const shell = how === 'closed' ? ['-c', 'exec "$0" "$@" 2>&-', process.execPath] : undefined;
    const service = await startService({
      app: 'http.cjs',
      node: shell === undefined ? process.execPath : 'sh',
      flags: [...(shell ?? []), '--require', REGISTER],
      env: { SONDE_METRICS: 'yes' },
      stdio: ['ignore', 'pipe', how === 'closed' ? 'ignore' : descriptor],
    });
    closeSync(descriptor);
    const answers = await closing(service, '/ok');
    expect(answers[0]).toMatch(/ok\n/);
    expect(await service.running.ended).toMatchObject({ code: 0, signal: null, stdout: expect.stringMatching(/^app \d+\n$/) });
  });

  test.each([
    ['down', 'ECONNREFUSED'],
    ['answering 500', '500'],
    ['hanging', 'no answer within 300 ms'],
  ])('an OTLP endpoint that is %s is said once, and the application and the local views work', async (state, word) => {
    const receiver = await startReceiver((response) => {
      if (state !== 'hanging') response.writeHead(500).end();
    });
    if (state === 'down') await receiver.close();
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: new URL(receiver.url).origin,
      OTEL_EXPORTER_OTLP_TIMEOUT: '300',
      OTEL_BSP_SCHEDULE_DELAY: '100',
      OTEL_METRIC_EXPORT_INTERVAL: '100',
    };
    const service = await startService({ app: 'http.cjs', env });
    expect(await service.get('/ok')).toMatch(/ok\n/);
    const [line] = await service.running.seen(/^sonde: .*$/m);
    expect(line).toContain(new URL(receiver.url).host);
    expect(line).toContain(word);
    expect(await service.get('/ok')).toMatch(/ok\n/);
    expect(await service.counted()).toBe(2);
    expect(await service.read('/debug/traces')).toContain('"GET"');
    await receiver.close().catch(() => {});
    // One line for each signal at the most.
    expect(ownLines(service.running.stderr).lines.filter((own) => own.startsWith('sonde:')).length).toBeLessThanOrEqual(2);
  });

  test('without the native profiler everything else works, and profiles come from the inspector', async () => {
    // A copy from which no node_modules can be reached.
    mkdirSync(path.join(directory, 'alone'));
    cpSync(path.join(ROOT, 'dist'), path.join(directory, 'alone/dist'), { recursive: true });
    const service = await startService({ app: 'http.cjs', flags: ['--require', path.join(directory, 'alone/dist/register.js')] });
    expect(await service.get('/ok')).toMatch(/ok\n/);
    const [line] = await service.running.seen(/^sonde: .*$/m);
    expect(line).toMatch(/^sonde: @datadog\/pprof is not running, CPU profiles are taken on request only, by the inspector: /);
    const profile = await fetch(`${await service.sondeUrl()}/debug/pprof/profile?seconds=1`);
    expect(profile.status).toBe(200);
    expect(new Uint8Array(await profile.arrayBuffer()).slice(0, 2)).toEqual(new Uint8Array([0x1f, 0x8b]));
    expect(await service.counted()).toBe(1);
    expect(ownLines(service.running.stderr).lines).toHaveLength(2);
    await service.get('/close');
    expect(await service.running.ended).toMatchObject({ code: 0, signal: null });
  });
});

describe('requests', () => {
  const HEX = 'a'.repeat(32);
  const MALFORMED: readonly string[] = [
    'traceparent: ',
    'traceparent: 00',
    `traceparent: 00-${HEX}-bbbbbbbbbbbbbbbb`,
    `traceparent: 00-${'0'.repeat(32)}-bbbbbbbbbbbbbbbb-01`,
    `traceparent: 00-${HEX}-bbbbbbbbbbbbbbbb-01-more`,
    `traceparent: ff-${HEX}-bbbbbbbbbbbbbbbb-01`,
    `traceparent: 00-${HEX.toUpperCase()}-bbbbbbbbbbbbbbbb-01`,
    `traceparent: \u00ff\u00fe-${HEX}`,
    `tracestate: ${'=,'.repeat(500)}`,
    'baggage: ;;;=,=,%,%zz=%zz',
    `baggage: ${'k=v,'.repeat(1000)}`,
  ];

  test('malformed trace context and baggage change nothing of the answers, and every request is counted', async () => {
    const { bare, sonde, lines } = await withAndWithout({ app: 'http.cjs' }, async (service) => {
      const answers: string[] = [];
      for (const header of MALFORMED) answers.push(await service.get('/ok', [header, header]));
      if (service.hasSonde) {
        expect(await service.counted()).toBe(MALFORMED.length);
        const { traces } = JSON.parse(await service.read('/debug/traces')) as { traces: { traceId: string }[] };
        expect(traces.length).toBeGreaterThan(0);
        for (const { traceId } of traces)
          expect(traceId).toSatisfy((id: string) => /^[0-9a-f]{32}$/.test(id) && !/^0+$/.test(id) && id !== HEX);
      }
      await service.get('/close');
      return answers;
    });
    expect(sonde).toEqual(bare);
    expect(lines).toHaveLength(1);
  });

  test.each([
    ['allowed', 200, '200000'],
    ['refused by Node', 431, '16384'],
  ])('headers of 100 kB that are %s get the same answer', async (_how, status, limit) => {
    const headers = ['traceparent', 'tracestate', 'baggage', 'x-other'].map((name) => `${name}: ${'k=v,'.repeat(6250)}`);
    const { bare, sonde } = await withAndWithout({ app: 'http.cjs', flags: [`--max-http-header-size=${limit}`] }, async (service) => [
      await service.get('/length', headers),
      ...(await closing(service, '/ok')),
    ]);
    expect(bare.result[0]).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(sonde).toEqual(bare);
  });

  test('bytes that are no HTTP get the same answer', async () => {
    const { bare, sonde } = await withAndWithout({ app: 'http.cjs' }, async (service) => {
      const answer = await exchange(service.port, ['\u0000\u0001', 'not http']);
      await service.get('/close');
      return answer;
    });
    expect(bare.result).toMatch(/^HTTP\/1\.1 400 /);
    expect(sonde).toEqual(bare);
  });

  test('a client that goes away is seen by the application as without Sonde, and counted', async () => {
    const { bare, sonde } = await withAndWithout({ app: 'http.cjs' }, async (service) => {
      const socket = net.connect(service.port, '127.0.0.1');
      socket.write('GET /wait HTTP/1.1\r\nHost: app\r\n\r\n');
      // Answered on the same loop after it: the one before has reached the application.
      const answer = await service.get('/ok');
      socket.destroy();
      await service.running.seen(/^gone/m);
      if (service.hasSonde) expect(await service.counted()).toBe(2);
      await service.get('/close');
      return answer;
    });
    expect(bare.ended.stdout).toContain('gone, finished false');
    expect(sonde).toEqual(bare);
  });

  test('a client that reads slowly gets every byte', async () => {
    const { bare, sonde } = await withAndWithout({ app: 'http.cjs' }, async (service) => {
      const bytes = await readSlowly(service.port, '/stream');
      await service.get('/close');
      return bytes;
    });
    expect(bare.result).toBeGreaterThan(10_000_000);
    expect(sonde).toEqual(bare);
  });
});

describe('applications', () => {
  const FAILING: readonly [string, string][] = [
    ['Express', 'express.cjs'],
    ['Fastify', 'fastify.mjs'],
  ];

  test.each(FAILING)('handlers of %s that fail are answered as without Sonde, byte by byte', async (_name, app) => {
    const { bare, sonde, lines } = await withAndWithout({ app, env: { NODE_ENV: 'production' } }, (service) =>
      closing(service, '/throw/1', '/reject/2', '/next/3', '/handled/4', '/none'),
    );
    expect(bare.result.map((answer) => answer.slice(9, 12))).toEqual([
      '500',
      '418',
      app === 'express.cjs' ? '500' : '404',
      '422',
      '404',
      '200',
    ]);
    expect(sonde.result).toEqual(bare.result);
    expect(ownFramesOnly(sonde.ended.stderr)).toBe(ownFramesOnly(bare.ended.stderr));
    expect({ ...sonde.ended, stderr: '' }).toEqual({ ...bare.ended, stderr: '' });
    expect(lines).toHaveLength(1);
  });

  test.each(FAILING)('an error thrown late in %s ends the process as without Sonde', async (_name, app) => {
    const { bare, sonde } = await withAndWithout({ app }, (service) => service.get('/late/1'));
    expect(bare.ended).toMatchObject({ code: 1 });
    expect(bare.ended.stderr).toContain('Error: thrown late\n    at ');
    expect(sonde.result).toEqual(bare.result);
    expect({ ...sonde.ended, stderr: ownFramesOnly(sonde.ended.stderr) }).toEqual({
      ...bare.ended,
      stderr: ownFramesOnly(bare.ended.stderr),
    });
  });

  test.each(['cjs', 'mjs'])('an application of format %s that throws as it loads ends as without Sonde', async (format) => {
    const args = [path.join(APPS, `broken.${format}`)];
    const [bare, sonde] = await Promise.all([runToEnd({ args }), runToEnd({ args: ['--require', REGISTER, ...args] })]);
    expect(bare).toMatchObject({ code: 1, stderr: expect.stringContaining('Error: thrown while loading\n    at ') });
    expect({ ...sonde, stderr: ownFramesOnly(sonde.stderr) }).toEqual({ ...bare, stderr: ownFramesOnly(bare.stderr) });
  });

  test('an application that replaces the methods of console writes what it writes without Sonde', async () => {
    const { bare, sonde, lines } = await withAndWithout({ app: 'console.cjs', env: { SONDE_LOGS: 'false' } }, (service) =>
      closing(service, '/ok'),
    );
    expect(sonde).toEqual(bare);
    expect(lines).toHaveLength(1);
    const correlated = await withAndWithout({ app: 'console.cjs' }, (service) => closing(service, '/ok'));
    expect(correlated.sonde.ended.stdout.replaceAll(/,"(?:trace|span)_(?:id|flags)":"[0-9a-f]+"/g, '')).toBe(correlated.bare.ended.stdout);
  });

  test.each([
    ['one whose metrics throw and hang', {}, /^app_requests_total 1$/m],
    ['one that throws as a whole', { APP_REGISTRY: 'broken' }, /^http_server_request_duration_seconds_count/m],
  ])('of a prom-client registry, %s, what can be read is served with 200', async (_which, env, line) => {
    const service = await startService({ app: 'prom-client.cjs', env });
    expect(await service.get('/')).toMatch(/ok\n/);
    const response = await fetch(`${await service.sondeUrl()}/metrics`);
    expect(response.status).toBe(200);
    expect(await response.text()).toMatch(line);
    expect(await service.read('/metrics')).toMatch(line);
    await service.get('/close');
    expect(await service.running.ended).toMatchObject({ code: 0, signal: null });
  });
});

/**
 * Stack traces with the application's frames alone. Wrapped functions (a module's compile, a router's dispatch) add
 * frames, and on Node 20 and 22 so does any use of AsyncLocalStorage; as V8 keeps ten, others fall off the end.
 */
function ownFramesOnly(stderr: string): string {
  return stderr
    .split('\n')
    .filter((line) => !line.startsWith('    at ') || line.includes(APPS))
    .join('\n')
    .replaceAll(/(?<=    at .*) \{$/gm, '');
}

/** Reads an answer with pauses; resolves with the number of bytes. */
async function readSlowly(port: number, target: string): Promise<number> {
  const socket = net.connect(port, '127.0.0.1');
  socket.write(`GET ${target} HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n`);
  let bytes = 0;
  socket.on('data', (chunk) => {
    bytes += chunk.length;
    socket.pause();
    setTimeout(() => socket.resume(), 1);
  });
  await once(socket, 'close');
  return bytes;
}
