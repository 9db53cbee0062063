import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { pyroscopeExporter, type PyroscopeOptions } from '../../../src/export/pyroscope.ts';
import { seriesLabels, seriesName } from '../../../src/export/pyroscope-labels.ts';
import type { ProfileExporter } from '../../../src/export/profile-exporter.ts';
import { encodePprof } from '../../../src/profile/pprof.ts';
import { ProfileBuilder, type Profile } from '../../../src/profile/profile.ts';
import { split } from '../../../src/profile/split.ts';
import { describeDelivery } from '../../helpers/delivery-contract.ts';
import { otlpDeps, startReceiver, until } from '../../helpers/otlp.ts';
import { cpuProfile, heapProfile, OfferedProfiles, SPAN_ID, TRACE_ID, wallProfile } from '../../helpers/profiles.ts';
import { parseName, startPyroscope, type PyroscopeServer } from '../../helpers/pyroscope.ts';

const INTERVAL_MILLIS = 15_000;
const RESOURCE = { attributes: { 'service.name': '@shop/orders', 'host.name': 'pod-1', 'service.instance.id': 'abc', 'process.pid': 7 } };

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

function options(address: string, overrides: Partial<PyroscopeOptions> = {}): PyroscopeOptions {
  return {
    url: `${address}/ingest`,
    headers: {},
    compression: 'none',
    timeoutMillis: 10_000,
    intervalMillis: INTERVAL_MILLIS,
    applicationName: undefined,
    labels: {},
    traceIds: true,
    ...overrides,
  };
}

interface Pushing {
  readonly exporter: ProfileExporter;
  readonly source: OfferedProfiles;
  readonly deps: ReturnType<typeof otlpDeps>;
}

function pushing(address: string, overrides: Partial<PyroscopeOptions> = {}, resource = RESOURCE): Pushing {
  const source = new OfferedProfiles();
  const deps = otlpDeps();
  const exporter = pyroscopeExporter(options(address, overrides), { ...deps, source, resource, pprof: { split, encode: encodePprof } });
  closers.push(() => exporter.shutdown(1));
  return { exporter, source, deps };
}

/** Profiles that the exporter knows of. */
function counted(exporter: ProfileExporter): number {
  const { exported, dropped, queueSize } = exporter.stats();
  return [...dropped.values()].reduce((a, b) => a + b, exported + queueSize);
}

async function pyroscope(): Promise<PyroscopeServer> {
  const server = await startPyroscope();
  closers.push(server.close);
  return server;
}

describe('a push', () => {
  it('comes out as process_cpu, wall and memory, with units, times and values', async () => {
    const server = await pyroscope();
    const { exporter, source } = pushing(server.address);
    source.offer(cpuProfile(), wallProfile(), heapProfile());

    await exporter.flush(5000);

    expect(server.refusals).toEqual([]);
    const [cpu, wall, heap] = server.pushes;
    expect(cpu).toMatchObject({
      method: 'POST',
      path: '/ingest',
      name: 'process_cpu',
      types: ['process_cpu:samples:count:cpu:nanoseconds', 'process_cpu:cpu:nanoseconds:cpu:nanoseconds'],
      totals: { samples: 2, cpu: 20_202_000 },
      samples: [{ stack: ['work', 'main'], values: [2, 20_202_000], labels: {} }],
      query: { format: 'pprof', spyName: 'nodespy', sampleRate: '99', from: '1790000000', until: '1790000016' },
      period: 10_101_000,
      durationNanos: 15_000_000_000n,
    });
    // A double holds every 256th nanosecond of today.
    expect(Math.abs(Number(cpu!.timeNanos - 1_790_000_000_123_500_000n))).toBeLessThan(256);
    expect(wall).toMatchObject({
      name: 'wall',
      types: ['wall:samples:count:wall:nanoseconds', 'wall:wall:nanoseconds:wall:nanoseconds'],
      totals: { samples: 3, wall: 30_303_000 },
      query: { sampleRate: '99' },
    });
    expect(heap).toMatchObject({
      name: 'memory',
      types: ['memory:inuse_objects:count:inuse_space:bytes', 'memory:inuse_space:bytes:inuse_space:bytes'],
      totals: { inuse_objects: 7, inuse_space: 524_288 },
      query: { from: '1790000000', until: '1790000001' },
      period: 524_288,
    });
    expect(heap!.query['sampleRate']).toBeUndefined();
    expect(exporter.stats()).toEqual({ exported: 3, dropped: new Map(), queueSize: 0 });
  });

  it('has the headers that were configured, the type of a raw body, and no content encoding', async () => {
    const server = await pyroscope();
    const { exporter, source } = pushing(server.address, { headers: { Authorization: 'Bearer key', 'X-Scope-OrgID': 'one' } });
    source.offer(cpuProfile());

    await exporter.flush(5000);

    const { headers } = server.pushes[0]!;
    expect(headers).toMatchObject({ authorization: 'Bearer key', 'x-scope-orgid': 'one', 'content-type': 'application/octet-stream' });
    expect(headers['content-encoding']).toBeUndefined();
  });

  it('of nothing is none', async () => {
    const server = await pyroscope();
    const { exporter, source } = pushing(server.address);
    source.offer(cpuProfile([]));

    await exporter.flush(5000);
    await exporter.flush(5000);

    expect(server.receiver.requests).toHaveLength(0);
    expect(exporter.stats()).toEqual({ exported: 0, dropped: new Map(), queueSize: 0 });
  });
});

describe('labels of samples', () => {
  it('are those that Pyroscope takes, and nothing else', async () => {
    const server = await pyroscope();
    const { exporter, source } = pushing(server.address);
    source.offer(
      cpuProfile([
        [['a'], [1, 1], { 'http.route': '/a/{id}', trace_id: TRACE_ID, span_id: SPAN_ID, thread: 'main' }],
        [['b'], [1, 1], { 'tenant id': 'ü, {1}', '9lives': 'x', empty: '', __hidden: 'x', service_name: 'x', constructor: 'x' }],
        [['c'], [1, 1], {}],
      ]),
    );

    await exporter.flush(5000);

    expect(server.refusals).toEqual([]);
    expect(server.pushes[0]!.samples.map(({ stack, labels }) => [stack[0], labels])).toEqual([
      ['a', { http_route: '/a/{id}', trace_id: TRACE_ID, span_id: SPAN_ID, thread: 'main' }],
      ['b', { tenant_id: 'ü, {1}', _9lives: 'x', constructor: 'x' }],
      ['c', {}],
    ]);
  });

  it('have no trace id for a Pyroscope that would make a series of each', async () => {
    const server = await pyroscope();
    const { exporter, source } = pushing(server.address, { traceIds: false });
    source.offer(cpuProfile([[['a'], [1, 1], { trace_id: TRACE_ID, span_id: SPAN_ID }]]));

    await exporter.flush(5000);

    expect(server.pushes[0]!.samples[0]!.labels).toEqual({ span_id: SPAN_ID });
  });
});

describe('the name', () => {
  it.each([
    ['orders', {}, { __name__: 'orders' }],
    ['team/orders-api_v2.1', { a: '1' }, { __name__: 'team/orders-api_v2.1', a: '1' }],
    ['@shop/orders', {}, { __name__: '_shop/orders' }],
    ['unknown_service:node', {}, { __name__: 'unknown_service_node' }],
    ['a{b=c}, d', {}, { __name__: 'a_b_c___d' }],
    ['größe', {}, { __name__: 'gr__e' }],
    ['x', { route: '/a={b', region: 'eu west' }, { __name__: 'x', route: '/a={b', region: 'eu west' }],
  ])('%j with %j is read by Pyroscope as %j', (application, given, expected) => {
    const { labels } = seriesLabels(given, {});

    expect(parseName(seriesName(application, labels))).toEqual(expected);
  });

  it.each([
    ['a,b}c', 'a_b_c'],
    [' trimmed ', 'trimmed'],
    ['line\nbreak', 'line_break'],
  ])('the value %j is %j', (value, expected) => {
    expect(seriesLabels({ key: value }, {}).labels).toEqual({ key: expected });
  });

  it.each([1024, 1025])('a value of %i characters has 1,024', (length) => {
    expect(seriesLabels({ key: 'x'.repeat(length) }, {}).labels).toEqual({ key: 'x'.repeat(1024) });
  });

  it.each(['', ' ', '\t'])('the value %j is left out', (value) => {
    expect(seriesLabels({ key: value }, {}).labels).toEqual({});
  });

  it.each([
    ['deployment.environment.name', 'deployment_environment_name'],
    ['a-b c', 'a_b_c'],
    ['1st', '_1st'],
    ['ü', '_'],
  ])('the label %j is called %j', (name, expected) => {
    expect(seriesLabels({ [name]: 'x' }, {}).labels).toEqual({ [expected]: 'x' });
  });

  it.each(['', '__name__', '__x', 'service_name', 'service.name', 'app_name', 'profile_id', 'pyroscope_spy'])(
    'the label %j is not ours to set',
    (name) => {
      expect(seriesLabels({ [name]: 'x' }, {}).labels).toEqual({});
    },
  );

  it('has what the resource says, but nothing that is another series at every start; given labels win', () => {
    const resource = {
      'service.name': 'x',
      'service.version': '1.2',
      'service.instance.id': 'abc',
      'process.pid': 7,
      'host.name': 'pod-1',
      'process.runtime.version': '24.1.0',
      'telemetry.sdk.name': 'sonde',
      'cloud.region': 'eu',
      'k8s.replicas': 3,
    };

    expect(seriesLabels({ cloud_region: 'mine', team: 'a' }, resource)).toEqual({
      labels: {
        cloud_region: 'mine',
        team: 'a',
        service_version: '1.2',
        host_name: 'pod-1',
        process_runtime_version: '24.1.0',
        k8s_replicas: '3',
      },
      dropped: [],
    });
  });

  it('has 20 labels at most, the given first; the rest is said', async () => {
    const server = await pyroscope();
    const given = Object.fromEntries(Array.from({ length: 19 }, (_, i) => [`given_${i}`, 'x']));
    const attributes = { 'service.name': 'x', 'cloud.region': 'eu', 'cloud.zone': 'eu-1' };
    const { exporter, source, deps } = pushing(server.address, { labels: given }, { attributes } as never);
    source.offer(cpuProfile());

    await exporter.flush(5000);

    expect(Object.keys(server.pushes[0]!.labels)).toEqual(['__name__', ...Object.keys(given), 'cloud_region']);
    expect(deps.lines).toEqual(['sonde: Pyroscope takes few labels, these resource attributes are left out: cloud.zone']);
  });

  it('is the application name where one is given', async () => {
    const server = await pyroscope();
    const { exporter, source } = pushing(server.address, { applicationName: 'orders' });
    source.offer(cpuProfile());

    await exporter.flush(5000);

    expect(server.pushes[0]!.labels).toEqual({ __name__: 'orders', host_name: 'pod-1' });
  });
});

/** As many different stacks of three functions each, of a hundred. */
function wideProfile(stacks: number): Profile {
  const builder = new ProfileBuilder(2);
  for (let i = 0; i < stacks; i++) {
    let node = -1;
    for (const digit of [i % 100, Math.floor(i / 100) % 100, Math.floor(i / 10_000)]) {
      node = builder.node(node, builder.frame(`f${digit}`, '/app/wide.js', 1));
    }
    const labels = builder.labels({ 'http.route': `/route/${i % 40}` });
    builder.add(node, 0, 1, labels);
    builder.add(node, 1, 10_101_000 + i, labels);
  }
  return { ...builder.build(cpuProfile()), durationMillis: 900_000 };
}

/** Each stack with its labels, and what it is worth. */
function sums(samples: PyroscopeServer['pushes'][number]['samples']): Map<string, number> {
  const all = new Map<string, number>();
  for (const { stack, labels, values } of samples) {
    const key = `${stack.join(';')} ${JSON.stringify(labels)}`;
    all.set(key, (all.get(key) ?? 0) + values[1]!);
  }
  return all;
}

describe('a profile above a limit of Pyroscope', () => {
  it.each([
    [16_000, 1],
    [16_001, 2],
  ])('by its %i samples arrives as its sum in %i', async (stacks, parts) => {
    const server = await pyroscope();
    const { exporter, source } = pushing(server.address);
    source.offer(wideProfile(stacks));

    await exporter.flush(60_000);

    expect(server.refusals).toEqual([]);
    expect(server.pushes).toHaveLength(parts);
    const all = sums(server.pushes.flatMap(({ samples }) => samples));
    expect(all.size).toBe(stacks);
    expect([...all.values()].reduce((a, b) => a + b, 0)).toBe(stacks * 10_101_000 + (stacks * (stacks - 1)) / 2);
    expect(exporter.stats()).toEqual({ exported: parts, dropped: new Map(), queueSize: 0 });
  });
});

describe('windows', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('are taken at every interval, once started, however long the receiver hangs', async () => {
    const server = await startReceiver(() => {});
    closers.push(server.close);
    const { exporter, source } = pushing(new URL(server.url).origin);
    vi.advanceTimersByTime(2 * INTERVAL_MILLIS);
    expect(source.takes).toBe(0);

    exporter.start();
    for (let window = 1; window <= 4; window++) {
      source.offer(cpuProfile());
      vi.advanceTimersByTime(INTERVAL_MILLIS);
      await until(() => counted(exporter) === window);
    }

    expect(source.takes).toBe(4);
  });

  it('that wait are bounded: above 4 MiB the oldest are dropped and counted', async () => {
    const server = await startReceiver(() => {});
    closers.push(server.close);
    const source = new OfferedProfiles();
    const deps = otlpDeps();
    // What compresses to a MiB is rare; the bytes are what counts.
    const encode = (): Promise<Uint8Array> => Promise.resolve(new Uint8Array(1024 * 1024));
    const exporter = pyroscopeExporter(options(new URL(server.url).origin, { timeoutMillis: 10 * INTERVAL_MILLIS }), {
      ...deps,
      source,
      resource: RESOURCE,
      pprof: { split, encode },
    });
    exporter.start();

    for (let window = 1; window <= 7; window++) {
      source.offer(cpuProfile());
      vi.advanceTimersByTime(INTERVAL_MILLIS);
      await until(() => counted(exporter) === window && server.requests.length === 1);
    }

    // One is under way, four wait.
    expect(exporter.stats()).toEqual({ exported: 0, dropped: new Map([['queue_full', 2]]), queueSize: 5 });
    const done = exporter.shutdown(0);
    vi.advanceTimersByTime(0);
    await done;
    expect(exporter.stats().queueSize).toBe(0);
    expect(counted(exporter)).toBe(7);
    expect(source.stopped).toBe(true);
  });

  it('are flushed to the last, also while one is being encoded', async () => {
    const server = await pyroscope();
    const source = new OfferedProfiles();
    const released: (() => void)[] = [];
    const encode = async (profile: Profile): Promise<Uint8Array> => {
      await new Promise<void>((resolve) => released.push(resolve));
      return encodePprof(profile);
    };
    const handed = { ...otlpDeps(), source, resource: RESOURCE, pprof: { split, encode } };
    const exporter = pyroscopeExporter(options(server.address), handed);
    exporter.start();
    source.offer(cpuProfile());
    vi.advanceTimersByTime(INTERVAL_MILLIS);
    await until(() => released.length === 1);

    source.offer(wallProfile());
    const flushed = exporter.flush(5000);
    await until(() => (released.pop()?.(), server.pushes.length === 2));
    await flushed;

    expect(server.pushes.map(({ name }) => name)).toEqual(['process_cpu', 'wall']);
    await exporter.shutdown(1);
  });

  it('that end while the receiver wants to be left alone are counted as dropped', async () => {
    const server = await startReceiver((response) => response.writeHead(503, { 'retry-after': '120' }).end());
    closers.push(server.close);
    const { exporter, source } = pushing(new URL(server.url).origin);
    source.offer(cpuProfile());
    await exporter.flush(5000);
    source.offer(cpuProfile(), wallProfile());

    await exporter.shutdown(1000);

    expect(server.requests).toHaveLength(1);
    expect(exporter.stats().queueSize).toBe(0);
    expect(counted(exporter)).toBe(3);
  });

  it('that cannot be encoded are dropped and counted, and do not stop the next', async () => {
    const server = await pyroscope();
    const source = new OfferedProfiles();
    const deps = otlpDeps();
    let isBroken = true;
    const encode = (profile: Profile): Promise<Uint8Array> => (isBroken ? Promise.reject(new Error('broken')) : encodePprof(profile));
    const exporter = pyroscopeExporter(options(server.address), { ...deps, source, resource: RESOURCE, pprof: { split, encode } });
    closers.push(() => exporter.shutdown(1));
    source.offer(cpuProfile(), wallProfile());
    await exporter.flush(5000);
    isBroken = false;
    source.offer(heapProfile());
    await exporter.flush(5000);

    expect(exporter.stats()).toEqual({ exported: 1, dropped: new Map([['serialization_failed', 2]]), queueSize: 0 });
    expect(deps.lines).toEqual([expect.stringContaining('broken')]);
  });
});

it('what Pyroscope says about a refusal is shown', async () => {
  const server = await startPyroscope((response) => {
    response.writeHead(422, { 'content-type': 'text/plain; charset=utf-8' }).end('Maximum active series limit exceeded\n(5000/5000)');
    return true;
  });
  closers.push(server.close);
  const { exporter, source, deps } = pushing(server.address);
  source.offer(cpuProfile());

  await exporter.flush(5000);

  expect(deps.lines).toEqual([
    `sonde: profiles cannot be exported to ${server.address}/ingest: HTTP 422: Maximum active series limit exceeded (5000/5000). What cannot be sent is dropped and counted; the application is not affected.`,
  ]);
});

describeDelivery('profiles to Pyroscope', {
  make: (url, deps) => {
    const source = new OfferedProfiles();
    const exporter = pyroscopeExporter(
      { ...options(''), url },
      { ...deps, source, resource: RESOURCE, pprof: { split, encode: encodePprof } },
    );
    exporter.start();
    return { exporter, intervalMillis: INTERVAL_MILLIS, offer: () => source.offer(heapProfile()) };
  },
  signal: 'profiles',
  refusals: [
    [307, /redirects are not followed/],
    [400, /./],
    [401, /check PYROSCOPE_AUTH_TOKEN, or PYROSCOPE_BASIC_AUTH_USER/],
    [403, /PYROSCOPE_TENANT_ID/],
    [404, /check PYROSCOPE_SERVER_ADDRESS/],
    [413, /lower PYROSCOPE_FLUSH_INTERVAL_MS or raise the limit of the server/],
    [422, /./],
    [501, /./],
  ],
  retried: [408, 429, 500, 502, 503, 504],
  unreachable: /check that Pyroscope is listening there/,
});
