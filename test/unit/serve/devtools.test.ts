// The DevTools endpoints over known reads: what they accept, what they answer, what they refuse. The files themselves are
// opened by DevTools in test/contract/devtools.test.ts.
import { once } from 'node:events';
import { request } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Guard } from '../../../src/core/guard.ts';
import type { HeapSamples } from '../../../src/core/heap-samples.ts';
import type { CpuProfileRead, RecordedCpuProfile } from '../../../src/profile/devtools.ts';
import type { SnapshotEstimate } from '../../../src/profile/heap-snapshot.ts';
import { ProfileError } from '../../../src/profile/profile-error.ts';
import { AdminServer } from '../../../src/serve/admin.ts';
import type { DevtoolsReads, HeapSnapshotReads } from '../../../src/serve/devtools.ts';
import { ask, endpointsOf, Said } from './fixture.ts';

const PROFILE: RecordedCpuProfile = {
  profiler: 'v8-profiler-next',
  profile: { nodes: [], startTime: 1, endTime: 2, samples: [7], timeDeltas: [1] },
};
const HEAP: HeapSamples = {
  head: { callFrame: { functionName: '(root)', url: '', lineNumber: -1, columnNumber: -1 }, selfSize: 0, id: 1, children: [] },
  samples: [{ size: 16, nodeId: 1, ordinal: 3 }],
};
const ESTIMATE: SnapshotEstimate = { heapUsedBytes: 88e6, memoryBytes: 2e9, fileBytes: 150e6, seconds: 14, profiler: 'inspector' };

/** Reads that answer what is known at once and keep what they were asked. */
class KnownReads implements DevtoolsReads, HeapSnapshotReads {
  readonly asked: unknown[] = [];
  signal: AbortSignal | undefined;
  failure: Error | undefined;
  wait: Promise<unknown> | undefined;

  async cpuProfile({ signal, ...read }: CpuProfileRead): Promise<RecordedCpuProfile> {
    this.signal = signal;
    return this.#answer(['cpu', read], PROFILE);
  }

  async heapProfile(options: { readonly gc: boolean }): Promise<HeapSamples> {
    return this.#answer(['heap', options], HEAP);
  }

  async estimate(): Promise<SnapshotEstimate> {
    return this.#answer(['estimate'], ESTIMATE);
  }

  async take(estimate: SnapshotEstimate, signal: AbortSignal): Promise<AsyncIterable<string>> {
    this.signal = signal;
    async function* pieces(): AsyncGenerator<string> {
      yield '{"snapshot":';
      yield '{}}';
    }
    return this.#answer(['take', estimate], pieces());
  }

  async #answer<T>(asked: unknown, value: T): Promise<T> {
    this.asked.push(asked);
    await this.wait;
    if (this.failure !== undefined) throw this.failure;
    return value;
  }
}

let said: Said;
let reads: KnownReads;
let admin: AdminServer;
let url: string;

beforeEach(async () => {
  said = new Said();
  reads = new KnownReads();
  url = await serve({ devtools: reads, heapSnapshots: reads });
});

afterEach(() => admin.close());

async function serve(deps: Partial<Parameters<typeof endpointsOf>[0]>): Promise<string> {
  const guard = new Guard(said.diag);
  admin = new AdminServer(
    endpointsOf({ guard, ...deps }),
    { host: '127.0.0.1', port: 0, portIsExplicit: true },
    { guard, diag: said.diag },
  );
  return `${(await admin.listen())!.url}/debug`;
}

describe('what is accepted', () => {
  const cpu = (seconds: number, intervalMicros: number, deoptimize = false): unknown => ['cpu', { seconds, intervalMicros, deoptimize }];

  it.each([
    ['cpuprofile', cpu(30, 1000)],
    ['cpuprofile?seconds=1', cpu(1, 1000)],
    ['cpuprofile?seconds=300', cpu(300, 1000)],
    ['cpuprofile?seconds=30&interval=100', cpu(30, 100)],
    ['cpuprofile?seconds=300&interval=1000', cpu(300, 1000)],
    ['cpuprofile?interval=100000', cpu(30, 100_000)],
    ['cpuprofile?seconds=01&interval=0200', cpu(1, 200)],
    ['cpuprofile?deoptimize=1', cpu(30, 1000, true)],
    ['cpuprofile?deoptimize=0', cpu(30, 1000)],
    ['heapprofile', ['heap', { gc: false }]],
    ['heapprofile?gc=0', ['heap', { gc: false }]],
    ['heapprofile?gc=1', ['heap', { gc: true }]],
  ])('%s', async (query, read) => {
    expect((await ask(`${url}/${query}`)).status).toBe(200);
    expect(reads.asked).toEqual([read]);
  });
});

describe('what is refused', () => {
  const SECONDS = 'accepted is seconds=1 to 300 seconds (30 when left out)';
  const INTERVAL = 'accepted is interval=100 to 100000 microseconds (1000 when left out)';
  const ALL = `${SECONDS}, ${INTERVAL.slice('accepted is '.length)}, deoptimize=0 to 1 (0 when left out)`;

  it.each([
    ['cpuprofile?seconds=0', `invalid value for "seconds": ${SECONDS}`],
    ['cpuprofile?seconds=301', `invalid value for "seconds": ${SECONDS}`],
    ['cpuprofile?seconds=', `invalid value for "seconds": ${SECONDS}`],
    ['cpuprofile?seconds=-1', `invalid value for "seconds": ${SECONDS}`],
    ['cpuprofile?seconds=1.5', `invalid value for "seconds": ${SECONDS}`],
    ['cpuprofile?seconds=1e2', `invalid value for "seconds": ${SECONDS}`],
    ['cpuprofile?seconds=30s', `invalid value for "seconds": ${SECONDS}`],
    ['cpuprofile?seconds=99999999999999999999', `invalid value for "seconds": ${SECONDS}`],
    ['cpuprofile?seconds=1&seconds=2', `invalid value for "seconds": ${SECONDS}`],
    ['cpuprofile?interval=99', `invalid value for "interval": ${INTERVAL}`],
    ['cpuprofile?interval=100001', `invalid value for "interval": ${INTERVAL}`],
    ['cpuprofile?interval=fast', `invalid value for "interval": ${INTERVAL}`],
    ['cpuprofile?seconds=31&interval=103', 'a profile holds at most 300000 samples: with seconds=31 accepted is interval=104 to 100000'],
    ['cpuprofile?seconds=300&interval=999', 'a profile holds at most 300000 samples: with seconds=300 accepted is interval=1000 to 100000'],
    ['cpuprofile?deoptimize=yes', 'invalid value for "deoptimize": accepted is deoptimize=0 to 1 (0 when left out)'],
    ['cpuprofile?last=60', `unknown parameter "last": ${ALL}`],
    ['cpuprofile?Seconds=1', `unknown parameter "Seconds": ${ALL}`],
    ['cpuprofile?', undefined],
    ['heapprofile?gc=2', 'invalid value for "gc": accepted is gc=0 to 1 (0 when left out)'],
    ['heapprofile?gc=true', 'invalid value for "gc": accepted is gc=0 to 1 (0 when left out)'],
    ['heapprofile?seconds=1', 'unknown parameter "seconds": accepted is gc=0 to 1 (0 when left out)'],
    ['heapsnapshot?force=1', 'unknown parameter "force": none is accepted'],
    ['heapsnapshot?__proto__=1', 'unknown parameter "__proto__": none is accepted'],
  ])('%s', async (query, message) => {
    for (const method of ['GET', 'HEAD']) {
      const { status, headers, body } = await ask(`${url}/${query}`, { method });
      expect(status).toBe(message === undefined ? 200 : 400);
      if (message === undefined) continue;
      expect(headers['content-type']).toBe('text/plain; charset=utf-8');
      expect(headers['content-disposition']).toBeUndefined();
      if (method === 'GET') expect(body.toString()).toBe(`${message}\n`);
    }
    if (message !== undefined) expect(reads.asked).toEqual([]);
  });

  it('is no longer than the server that it is mounted in allows', async () => {
    admin.close();
    const guard = new Guard(said.diag);
    const endpoints = endpointsOf({ guard, devtools: reads });
    const { createServer } = await import('node:http');
    const server = createServer(
      (req, res) => void endpoints.handle(req, res, { prefix: '', target: req.url ?? '', address: req.url ?? '' }),
    );
    server.timeout = 5000;
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const mounted = `http://127.0.0.1:${(server.address() as { port: number }).port}/debug/cpuprofile`;
    expect((await ask(mounted)).status).toBe(200);
    expect(reads.asked).toEqual([['cpu', { seconds: 4, intervalMicros: 1000, deoptimize: false }]]);
    expect((await ask(`${mounted}?seconds=5`)).body.toString()).toContain('accepted is seconds=1 to 4 seconds (4 when left out)');
    server.close();
  });
});

describe('what is answered', () => {
  it.each([
    ['cpuprofile', 'profile.cpuprofile', 'v8-profiler-next', PROFILE.profile],
    ['heapprofile', 'heap.heapprofile', 'inspector', HEAP],
    ['heapsnapshot', 'heap.heapsnapshot', 'inspector', { snapshot: {} }],
  ])('%s is a file called %s that says it was made by %s', async (name, filename, profiler, content) => {
    const { status, headers, body } = await ask(`${url}/${name}`);
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'content-disposition': `attachment; filename="${filename}"`,
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
      'x-sonde-profiler': profiler,
    });
    expect(JSON.parse(body.toString())).toEqual(content);
  });

  it('to HEAD are the headers, and nothing is recorded', async () => {
    for (const name of ['cpuprofile', 'heapprofile']) {
      const { status, headers, body } = await ask(`${url}/${name}`, { method: 'HEAD' });
      expect(status).toBe(200);
      expect(headers['content-disposition']).toMatch(/^attachment/);
      expect(body.length).toBe(0);
    }
    expect(reads.asked).toEqual([]);
  });

  it('about a snapshot is what it would cost, to HEAD as to GET', async () => {
    const costs = {
      'x-sonde-estimated-seconds': '14',
      'x-sonde-estimated-memory-bytes': '2000000000',
      'x-sonde-estimated-size-bytes': '150000000',
    };
    expect((await ask(`${url}/heapsnapshot`, { method: 'HEAD' })).headers).toMatchObject(costs);
    expect(reads.asked).toEqual([['estimate']]);
    expect((await ask(`${url}/heapsnapshot`)).headers).toMatchObject(costs);
    expect(reads.asked).toEqual([['estimate'], ['estimate'], ['take', ESTIMATE]]);
  });

  it('when it cannot be served now is the reason', async () => {
    reads.failure = new ProfileError(503, 'a heap snapshot is being taken already');
    for (const name of ['cpuprofile', 'heapprofile', 'heapsnapshot']) {
      const { status, headers, body } = await ask(`${url}/${name}`);
      expect(status).toBe(503);
      expect(headers['content-type']).toBe('text/plain; charset=utf-8');
      expect(headers['content-disposition']).toBeUndefined();
      expect(body.toString()).toBe('a heap snapshot is being taken already\n');
    }
    expect((await ask(`${url}/heapsnapshot`, { method: 'HEAD' })).status).toBe(503);
    expect(said.lines).toEqual([]);
  });

  it('when we fail is 500, and said', async () => {
    reads.failure = new Error('of our making');
    expect((await ask(`${url}/cpuprofile`)).status).toBe(500);
    expect(said.lines).toEqual([expect.stringContaining('serve:/debug/cpuprofile failed')]);
  });
});

describe('what is off', () => {
  it('names its switch', async () => {
    admin.close();
    url = await serve({});
    for (const name of ['cpuprofile', 'heapprofile']) {
      const { status, body } = await ask(`${url}/${name}`);
      expect([status, body.toString()]).toEqual([404, 'switched off by SONDE_PROFILING=false\n']);
    }
    const { status, body } = await ask(`${url}/heapsnapshot`);
    expect(status).toBe(404);
    expect(body.toString()).toContain('set SONDE_HEAP_SNAPSHOT=true, or the option heapSnapshot');
  });
});

it('the signal of a read aborts when the client leaves, and when a snapshot has been sent', async () => {
  let release: (() => void) | undefined;
  reads.wait = new Promise<void>((resolve) => (release = resolve));
  const req = request(`${url}/cpuprofile`).on('error', () => {});
  req.end();
  while (reads.signal === undefined) await ask(`${url}/config`);
  expect(reads.signal.aborted).toBe(false);
  req.destroy();
  await once(reads.signal, 'abort');
  release!();
  await ask(`${url}/heapsnapshot`);
  if (!reads.signal.aborted) await once(reads.signal, 'abort');
  expect(said.lines).toEqual([]);
});

it('the index page links to the files', async () => {
  const page = (await ask(url.replace(/debug$/, ''))).body.toString();
  for (const name of ['cpuprofile', 'heapprofile', 'heapsnapshot']) expect(page).toContain(`<a href="debug/${name}">`);
});
