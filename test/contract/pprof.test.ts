// Profiles of a service under the preload, read by the real `go tool pprof`, over HTTP as a person would.
import path from 'node:path';
import { CPUProfileDataModel } from '@paulirish/trace_engine/models/cpu_profile/CPUProfileDataModel.js';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { GoPprof } from '../helpers/go-pprof.ts';
import { killAll, startService, type Service } from '../helpers/process.ts';
import { requirePeer } from '../helpers/require-peer.ts';

const SOURCE = path.resolve(import.meta.dirname, '../fixtures/profile/burn.cjs');

/** A machine busy with other tests does not take every sample in its time. */
const BUSY = { retry: 2 };

const go = new GoPprof();
let service: Service;
let base: string;

const pprof = (...args: string[]): Promise<string> => go.run(...args);

/** The rows of `-top`: flat and cumulative value by function, and the header. */
function top(output: string): { header: string; flat: Map<string, number>; cumulative: Map<string, number> } {
  const [header = '', table = ''] = output.split(/^ +flat.*$/m);
  const rows = [...table.matchAll(/^ *(-?[\d.]+)\S* +\S+ +\S+ +(-?[\d.]+)\S* +\S+ +(.+)$/gm)];
  return {
    header,
    flat: new Map(rows.map(([, flat, , name]) => [name!, Number(flat)])),
    cumulative: new Map(rows.map(([, , cumulative, name]) => [name!, Number(cumulative)])),
  };
}

async function saved(name: string, endpoint: string): Promise<string> {
  return go.file(name, Buffer.from(await (await fetch(`${base}/${endpoint}`)).arrayBuffer()));
}

const processCpuSeconds = async (): Promise<number> => {
  const lines = await service.read('/metrics');
  return [...lines.matchAll(/^process_cpu_time_seconds_total\{.*\} (\S+)$/gm)].reduce((sum, [, value]) => sum + Number(value), 0);
};

beforeAll(async () => {
  service = await startService({ app: SOURCE });
  base = `${await service.sondeUrl()}/debug/pprof`;
  // The profilers start a moment after the server.
  for (let status = 503; status === 503;) ({ status } = await fetch(`${base}/heap`));
});

afterAll(() => {
  killAll();
  go.close();
});

beforeEach((context) => requirePeer(context, 'go'));

describe('the CPU profile', () => {
  test('has the time of its seconds in the functions that used it, though the loop idles in between', BUSY, async () => {
    const before = await processCpuSeconds();
    const profile = top(await pprof('-top', '-unit=ms', `${base}/profile?seconds=4`));
    const usedMillis = ((await processCpuSeconds()) - before) * 1000;
    expect(profile.header).toMatch(/^Type: cpu$/m);
    const duration = /Duration: ([\d.]+)s, Total samples = ([\d.]+)ms/.exec(profile.header);
    expect(Number(duration![1])).toBeCloseTo(4, 0);
    expect(Number(duration![2])).toBeGreaterThan(0.7 * usedMillis);
    expect(Number(duration![2])).toBeLessThan(1.1 * usedMillis);
    const [two, one] = ['burnTwoParts', 'burnOnePart'].map((name) => profile.flat.get(name)!);
    expect(two! / (two! + one!)).toBeGreaterThan(0.5);
    expect(two! / (two! + one!)).toBeLessThan(0.83);
  });

  test('of the seconds that have passed is there at once', async () => {
    const asked = performance.now();
    const file = await saved('past.pb.gz', 'profile?last=60');
    expect(performance.now() - asked).toBeLessThan(1000);
    expect(top(await pprof('-top', file)).flat.get('burnTwoParts')).toBeGreaterThan(0);
  });

  test('carries its types, period, file and line, and gives all stacks to -raw', async () => {
    const raw = await pprof('-raw', `${base}/profile?last=60`);
    expect(raw).toMatch(/^PeriodType: wall nanoseconds\nPeriod: 20408000\n/);
    expect(raw).toMatch(/^samples\/count cpu\/nanoseconds\[dflt\]$/m);
    expect(raw).toContain(`burnTwoParts ${SOURCE}:6 s=6`);
    expect(raw).not.toContain('file://');
  });

  test('is right for readers at the same time, and nobody is disturbed', async () => {
    const reads = ['seconds=2', 'seconds=3', 'seconds=1', 'seconds=2'].map((query) =>
      pprof('-top', '-unit=ms', `${base}/profile?${query}`),
    );
    const shares = (await Promise.all(reads)).map((output) => {
      const { header, flat } = top(output);
      return ((flat.get('burnTwoParts') ?? 0) + (flat.get('burnOnePart') ?? 0)) / Number(/Duration: ([\d.]+)s/.exec(header)![1]);
    });
    // CPU a second is about the same for all; none has lost its samples to another.
    expect(Math.min(...shares)).toBeGreaterThan(0.4 * Math.max(...shares));
  });
});

test('the wall profile covers all of its time, most of it idle', BUSY, async () => {
  const { header, flat } = top(await pprof('-top', '-unit=ms', `${base}/wall?seconds=2`));
  expect(header).toMatch(/^Type: wall$/m);
  const total = Number(/Total samples = ([\d.]+)ms/.exec(header)![1]);
  expect(total).toBeGreaterThan(1500);
  expect(total).toBeLessThan(2600);
  expect(flat.get('(idle)')).toBeGreaterThan(0.2 * total);
});

describe('the heap profile', () => {
  test('has live objects and bytes, and its difference to an earlier one is what was kept since', async () => {
    const earlier = await saved('earlier.pb.gz', 'heap?gc=1');
    await service.get('/keep');
    const output = await pprof('-top', '-unit=mb', `-diff_base=${earlier}`, `${base}/heap?gc=1`);
    const { header, cumulative } = top(output);
    expect(header).toMatch(/^Type: inuse_space$/m);
    expect(cumulative.get('keepRows')).toBeGreaterThan(4);
    expect(cumulative.get('keepRows')).toBeLessThan(40);
    expect(await pprof('-raw', `${base}/heap`)).toMatch(/^inuse_objects\/count inuse_space\/bytes\[dflt\]$/m);
  });

  test('over seconds is the difference by itself', async () => {
    const output = pprof('-top', '-unit=mb', `${base}/heap?seconds=2`);
    await new Promise((resolve) => setTimeout(resolve, 700));
    await service.get('/keep');
    const { header, cumulative } = top(await output);
    expect(header).toMatch(/Duration: 2(\.\d+)?s/);
    expect(cumulative.get('keepRows')).toBeGreaterThan(4);
  });
});

test('allocations are read under their own name', async () => {
  await service.get('/keep');
  expect(top(await pprof('-top', '-unit=mb', `${base}/allocs`)).cumulative.get('keepRows')).toBeGreaterThan(4);
});

test('resources are counts of what keeps the event loop alive', async () => {
  const { header, flat } = top(await pprof('-top', `${base}/resources`));
  expect(header).toMatch(/^Type: resources$/m);
  // The two intervals of the service.
  expect(flat.get('Timeout')).toBeGreaterThanOrEqual(2);
});

describe('the other formats', () => {
  test.each(['folded', 'speedscope', 'cpuprofile', 'svg'])('as %s names the functions that use CPU, and where they are', async (format) => {
    const answer = await fetch(`${base}/profile?last=60&format=${format}`);
    expect(answer.status).toBe(200);
    const text = await answer.text();
    expect(text).toContain('burnTwoParts');
    expect(text).toContain(SOURCE);
  });

  test("as cpuprofile has in the parser of Chrome's DevTools the time that it has in go tool pprof", BUSY, async () => {
    const query = 'profile?seconds=2';
    const [file, cpuprofile] = await Promise.all([
      saved('same.pb.gz', query),
      fetch(`${base}/${query}&format=cpuprofile`).then((answer) => answer.json()),
    ]);
    const model = new CPUProfileDataModel(cpuprofile as never);
    let millis = 0;
    const pending = [...model.profileHead.children];
    for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
      if (node.functionName === 'burnTwoParts') millis += node.self;
      pending.push(...node.children);
    }
    const expected = top(await pprof('-top', '-unit=ms', file)).flat.get('burnTwoParts')!;
    // The two reads do not begin at the same instant: a sample or two.
    expect(Math.abs(millis - expected)).toBeLessThan(0.15 * expected + 30);
    expect(millis).toBeGreaterThan(30);
  });
});
