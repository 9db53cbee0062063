// Services under the built preload push their profiles: to a receiver that takes them as Pyroscope's documented API does, read
// by the real `go tool pprof` too, and by OTLP to one that decodes with the official definitions. In the middle of a window
// they end by a signal or by themselves; their receiver may be down, hang or refuse.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import protobuf from 'protobufjs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { SpanEntry } from '../../src/trace/trace-entry.ts';
import { nodeBinary } from '../helpers/nodes.mjs';
import { startReceiver, until } from '../helpers/otlp.ts';
import { APPS, killAll, startService, type Service } from '../helpers/process.ts';
import { startPyroscope, type PyroscopeServer } from '../helpers/pyroscope.ts';
import { requirePeer } from '../helpers/require-peer.ts';

const ROUTES = path.resolve(APPS, '../profile/routes.cjs');
const ENDING = path.resolve(APPS, '../profile/ending.cjs');

let directory: string;
const closers: (() => unknown)[] = [];

beforeAll(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'sonde-pyroscope-'));
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

afterEach(async () => {
  killAll();
  for (const close of closers.splice(0)) await close();
});

async function pyroscope(...args: Parameters<typeof startPyroscope>): Promise<PyroscopeServer> {
  const server = await startPyroscope(...args);
  closers.push(server.close);
  return server;
}

function env(server: PyroscopeServer, more: Record<string, string> = {}): Record<string, string> {
  return { PYROSCOPE_SERVER_ADDRESS: server.address, OTEL_SERVICE_NAME: 'orders', ...more };
}

/** Starts a service, and waits until it is profiled. */
async function profiled(app: string, settings: Record<string, string>, node?: string): Promise<Service> {
  const service = await startService({ app, env: settings, ...(node === undefined ? {} : { node }) });
  const base = await service.sondeUrl();
  for (let status = 503; status === 503;) ({ status } = await fetch(`${base}/debug/pprof/heap`));
  return service;
}

/** Asks for a target again and again until told to stop. */
function keepBusy(service: Service, target: string): () => Promise<void> {
  const over = new AbortController();
  const ask = async (): Promise<void> => {
    while (!over.signal.aborted) await (await fetch(`http://127.0.0.1:${service.port}${target}`)).text();
  };
  const done = ask().catch(() => {});
  return () => {
    over.abort();
    return done;
  };
}

async function serverSpans(service: Service): Promise<SpanEntry[]> {
  const { traces } = JSON.parse(await service.read('/debug/traces')) as { traces: { spans: SpanEntry[] }[] };
  const spans = traces.flatMap((trace) => trace.spans).filter(({ kind }) => kind === 'SERVER');
  expect(spans).not.toEqual([]);
  return spans;
}

/** Of the routes' work: `burn` has become a part of `work` when V8 has compiled that. */
function isWork(stack: readonly string[]): boolean {
  return stack.includes('burn') || stack.includes('work');
}

/** Time passes for the service too. */
async function seconds(count: number): Promise<void> {
  const end = performance.now() + count * 1000;
  await until(() => performance.now() >= end);
}

test(
  'windows follow each other without gap or overlap, with CPU, wall and heap in each, labelled by route',
  { timeout: 60_000 },
  async () => {
    const server = await pyroscope();
    const service = await profiled(ROUTES, env(server, { PYROSCOPE_FLUSH_INTERVAL_MS: '2000', PYROSCOPE_LABELS: 'team=a,region=eu west' }));
    const stop = keepBusy(service, '/a');
    await until(() => server.pushes.filter(({ name }) => name === 'process_cpu').length === 4);
    await stop();

    expect(server.refusals).toEqual([]);
    const of = (name: string): PyroscopeServer['pushes'] => server.pushes.filter((push) => push.name === name);
    expect(of('wall').length).toBeGreaterThanOrEqual(3);
    expect(of('memory').length).toBeGreaterThanOrEqual(3);
    for (const push of server.pushes) {
      expect(push.labels).toMatchObject({ __name__: 'orders', team: 'a', region: 'eu west', process_runtime_name: 'nodejs' });
      expect(push.labels).not.toHaveProperty('service_instance_id');
    }
    const cpu = of('process_cpu');
    for (const [index, next] of cpu.slice(1).entries()) {
      const { timeNanos, durationNanos } = cpu[index]!;
      // V8 tells how long it sampled, we when a window was cut. One that is missing or there twice would be off by a second.
      expect(Math.abs(Number(next.timeNanos - (timeNanos + durationNanos))) / 1e6).toBeLessThan(400);
    }
    const all = cpu.flatMap(({ samples }) => samples);
    const nanosOf = (samples: typeof all): number => samples.reduce((sum, { values }) => sum + values[1]!, 0);
    const working = all.filter(({ stack }) => isWork(stack));
    expect(nanosOf(working.filter(({ labels }) => labels['http_route'] === '/a'))).toBeGreaterThan(0.8 * nanosOf(working));
    const names = new Set(all.flatMap(({ labels }) => Object.keys(labels)));
    for (const name of names) expect(['http_route', 'trace_id', 'span_id', 'thread']).toContain(name);
    // The first may have ended before the first request.
    for (const { samples } of of('wall').slice(1)) expect(samples.some(({ stack }) => isWork(stack))).toBe(true);
    for (const { totals } of of('memory')) expect(totals['inuse_space']).toBeGreaterThan(1e6);
  },
);

test('a span says by which id its profile is found, and a service without Pyroscope does not', { timeout: 60_000 }, async () => {
  const server = await pyroscope();
  const service = await profiled(ROUTES, env(server));
  const stop = keepBusy(service, '/a');
  await seconds(2);
  await stop();
  const spans = await serverSpans(service);
  service.running.kill('SIGTERM');
  await service.running.ended;

  for (const { spanId, attributes } of spans) expect(attributes['pyroscope.profile.id']).toBe(spanId);
  const pushed = new Set(server.pushes.flatMap(({ samples }) => samples.map(({ labels }) => labels['span_id'])));
  expect(spans.some(({ spanId }) => pushed.has(spanId))).toBe(true);

  const other = await profiled(ROUTES, {});
  await other.get('/a');
  for (const { attributes } of await serverSpans(other)) expect(attributes).not.toHaveProperty('pyroscope.profile.id');
});

test('go tool pprof reads what is pushed, with its types and routes', { timeout: 60_000 }, async (context) => {
  requirePeer(context, 'go');
  const server = await pyroscope();
  const service = await profiled(ROUTES, env(server));
  const stop = keepBusy(service, '/a');
  await seconds(3);
  await stop();
  service.running.kill('SIGTERM');
  await service.running.ended;

  const pprof = async (name: string, ...args: string[]): Promise<string> => {
    const file = path.join(directory, `${name}.pb.gz`);
    writeFileSync(file, server.pushes.find((push) => push.name === name)!.body);
    const environment = { ...process.env, PPROF_TMPDIR: directory, HOME: directory };
    return (await promisify(execFile)('go', ['tool', 'pprof', ...args, file], { env: environment })).stdout;
  };
  const raw = await pprof('process_cpu', '-raw');
  expect(raw).toMatch(/^PeriodType: cpu nanoseconds\nPeriod: 20408000\n/);
  expect(raw).toMatch(/^samples\/count cpu\/nanoseconds\[dflt\]$/m);
  expect(await pprof('process_cpu', '-top', '-tagfocus=http_route=/a')).toMatch(/ (?:burn|work)$/m);
  expect(await pprof('wall', '-raw')).toMatch(/^samples\/count wall\/nanoseconds\[dflt\]$/m);
  expect(await pprof('memory', '-raw')).toMatch(/^PeriodType: inuse_space bytes$/m);
});

describe.each([20, 24, 26])('in the middle of a window on Node %i', (major) => {
  test('a signal ends the service, and the window arrives', { timeout: 60_000 }, async () => {
    const server = await pyroscope();
    const service = await profiled(ROUTES, env(server), nodeBinary(major));
    const stop = keepBusy(service, '/a');
    await seconds(2);
    expect(server.pushes).toEqual([]);
    service.running.kill('SIGTERM');
    const ended = await service.running.ended;
    await stop();

    expect(ended).toMatchObject({ code: null, signal: 'SIGTERM' });
    expect(server.refusals).toEqual([]);
    expect(server.pushes.map(({ name }) => name)).toEqual(['process_cpu', 'wall', 'memory']);
    expect(server.pushes[0]!.samples.some(({ stack }) => isWork(stack))).toBe(true);
  });

  test('the service ends by itself, and the window arrives', { timeout: 60_000 }, async () => {
    const server = await pyroscope();
    const service = await profiled(ENDING, env(server, { APP_SECONDS: '2' }), nodeBinary(major));
    await service.get('/');
    const ended = await service.running.ended;

    expect(ended).toMatchObject({ code: 0, signal: null });
    expect(ended.stdout).toContain('closed');
    expect(server.refusals).toEqual([]);
    expect(server.pushes.map(({ name }) => name)).toEqual(['process_cpu', 'wall', 'memory']);
    expect(server.pushes[0]!.samples.some(({ stack }) => stack.includes('burnBeforeTheEnd'))).toBe(true);
  });
});

describe('a receiver', () => {
  async function endMillis(address: string, signal: NodeJS.Signals): Promise<number> {
    const service = await profiled(ROUTES, { PYROSCOPE_SERVER_ADDRESS: address });
    await service.get('/a');
    await seconds(1.2);
    const killed = performance.now();
    service.running.kill(signal);
    expect(await service.running.ended).toMatchObject({ code: null, signal });
    return performance.now() - killed;
  }

  test('that hangs holds up the end for a second', { timeout: 60_000 }, async () => {
    const server = await pyroscope(() => true);

    expect(await endMillis(server.address, 'SIGTERM')).toBeLessThan(3000);
    expect(server.receiver.requests).toHaveLength(1);
  });

  test('that is down does not hold up the end', { timeout: 60_000 }, async () => {
    const server = await startPyroscope();
    await server.close();

    expect(await endMillis(server.address, 'SIGINT')).toBeLessThan(2000);
  });

  test('that refuses is said once, counted, and costs the service nothing', { timeout: 60_000 }, async () => {
    const server = await pyroscope((response) => {
      response.writeHead(401, { 'content-type': 'text/plain' }).end('no org id');
      return true;
    });
    const service = await profiled(ROUTES, env(server, { PYROSCOPE_FLUSH_INTERVAL_MS: '1000' }));
    await until(() => server.receiver.requests.length >= 6);

    const dropped =
      /^sonde_dropped_items_total\{reason="profiles_export_failed"\} (\d+)$|^sonde_dropped_total\{reason="profiles_export_failed"\} (\d+)$/m.exec(
        await service.read('/metrics'),
      );
    expect(Number(dropped?.[1] ?? dropped?.[2])).toBeGreaterThanOrEqual(3);
    expect(await service.get('/a')).toContain('200 OK');
    service.running.kill('SIGTERM');
    const { stderr } = await service.running.ended;
    expect(stderr.match(/cannot be exported/g)).toHaveLength(1);
    expect(stderr).toMatch(/profiles cannot be exported to http:\S+\/ingest: HTTP 401, check PYROSCOPE_AUTH_TOKEN.*: no org id\./);
  });
});

test('without a server address nothing is pushed, and what is wrong with the settings of another SDK is not ours to say', async () => {
  const service = await profiled(ROUTES, { PYROSCOPE_APPLICATION_NAME: 'a b', PYROSCOPE_HEAP_STACK_DEPTH: '7' });
  service.running.kill('SIGTERM');

  expect((await service.running.ended).stderr.split('\n').filter((line) => line !== '')).toHaveLength(1);
});

test('settings that cannot be used are said at the start, and the service pushes with the defaults', { timeout: 60_000 }, async () => {
  const server = await pyroscope();
  const service = await profiled(ROUTES, env(server, { PYROSCOPE_APPLICATION_NAME: 'a b', PYROSCOPE_HEAP_STACK_DEPTH: '7' }));
  await seconds(1.5);
  service.running.kill('SIGTERM');
  const { stderr } = await service.running.ended;

  expect(stderr).toContain('PYROSCOPE_APPLICATION_NAME="a b" is not a name of letters, digits, _, -, . and /; the default is used');
  expect(stderr).toContain('PYROSCOPE_HEAP_STACK_DEPTH="7" is not a setting of Sonde, unset it; the default is used');
  expect(server.pushes[0]!.labels['__name__']).toBe('orders');
});

test('by OTLP windows arrive at the path of profiles, beside those for Pyroscope', { timeout: 60_000 }, async () => {
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => path.resolve(APPS, '../otlp/proto', target);
  root.loadSync('opentelemetry/proto/collector/profiles/v1development/profiles_service.proto');
  const type = root.lookupType('opentelemetry.proto.collector.profiles.v1development.ExportProfilesServiceRequest');
  const server = await pyroscope();
  const otlp = await startReceiver((response) => response.end());
  closers.push(otlp.close);
  const endpoint = new URL(otlp.url).origin;
  const settings = {
    OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
    SONDE_OTLP_PROFILES: 'true',
    SONDE_OTLP_PROFILES_INTERVAL_SECONDS: '2',
    PYROSCOPE_FLUSH_INTERVAL_MS: '2000',
  };
  const service = await profiled(ROUTES, env(server, settings));
  const stop = keepBusy(service, '/a');
  const pushed = (): typeof otlp.requests => otlp.requests.filter(({ request }) => request.url === '/v1development/profiles');
  // The first may have ended before the first request.
  await until(() => pushed().length >= 2 && server.pushes.length >= 6);
  await stop();

  const { resourceProfiles, dictionary } = type.toObject(type.decode(pushed()[1]!.body), { longs: Number }) as Record<string, any>;
  const { profiles, scope } = resourceProfiles[0].scopeProfiles[0];
  expect(scope.name).toBe('sonde');
  const types = profiles.map(({ sampleType }: any) => dictionary['stringTable'][sampleType.typeStrindex]);
  expect(types).toEqual(['cpu', 'wall', 'inuse_objects', 'inuse_space']);
  const nanos = profiles[0].samples.reduce((sum: number, { values }: any) => sum + values[0], 0);
  expect(nanos).toBeGreaterThan(0.05e9);
  expect(dictionary['stringTable']).toEqual(expect.arrayContaining(['work', 'http.route', 'profile.frame.type']));
  expect(new Set(server.pushes.map(({ name }) => name))).toEqual(new Set(['process_cpu', 'wall', 'memory']));
});
