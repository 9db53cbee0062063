// Labels of the CPU profile on each Node: what `go tool pprof` makes of them, and that they are true. The service's two
// routes and its requests without one use known shares of CPU, with awaits between, pipelined on the same connections.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { nodeBinary } from '../helpers/nodes.mjs';
import { killAll, startService, type Service } from '../helpers/process.ts';
import { requirePeer } from '../helpers/require-peer.ts';

const SOURCE = path.resolve(import.meta.dirname, '../fixtures/profile/routes.cjs');

const OWN_LABELS = path.resolve(import.meta.dirname, '../fixtures/profile/own-labels.cjs');

/** 1,100 samples on a busy core: a share of four tenths is then off by more than 1.5 points in one run of three, and by 5 in one of a thousand. */
const SECONDS = 8;
const ENV = { SONDE_PROFILING_HZ: '199', SONDE_OVERHEAD_CPU_PERCENT: '50' };

type Turns = Record<'/a' | '/b' | '/plain', number>;

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'sonde-labels-'));
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

beforeEach((context) => requirePeer(context, 'go'));

afterEach(killAll);

/** Runs `go tool pprof`; resolves to what it prints. */
async function pprof(...args: string[]): Promise<string> {
  const env = { ...process.env, PPROF_TMPDIR: directory, HOME: directory };
  const { stdout } = await promisify(execFile)('go', ['tool', 'pprof', ...args], { env, maxBuffer: 64 * 1024 * 1024 });
  return stdout;
}

/** All requests of a path are of one trace, so that what traces are labelled with can be counted too. */
const TRACES: Record<keyof Turns, string> = { '/a': 'a'.repeat(32), '/b': 'b'.repeat(32), '/plain': 'c'.repeat(32) };

/** Keeps a connection busy with pipelined requests, the next lot when the last is answered. */
function keepBusy(port: number): void {
  const lot = (['/a', '/plain', '/b', '/plain'] as const)
    .map((target) => `GET ${target} HTTP/1.1\r\nHost: x\r\ntraceparent: 00-${TRACES[target]}-00f067aa0ba902b7-01\r\n\r\n`)
    .join('');
  let answered = 0;
  const socket = net.connect(port, '127.0.0.1', () => socket.write(lot));
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    const before = answered;
    answered += chunk.toString('latin1').split('HTTP/1.1 200').length - 1;
    if (Math.floor(answered / 4) > Math.floor(before / 4)) socket.write(lot);
  });
}

/** A CPU profile of the busy service in a file, and the turns of work that fell into its time. */
async function profile(service: Service, name: string): Promise<{ file: string; turns: Turns }> {
  const base = await service.sondeUrl();
  const count = async (): Promise<Turns> => (await fetch(`http://127.0.0.1:${service.port}/turns`)).json() as Promise<Turns>;
  for (let status = 503; status === 503;) ({ status } = await fetch(`${base}/debug/pprof/heap`));
  for (let i = 0; i < 3; i++) keepBusy(service.port);
  const before = await count();
  const answer = await fetch(`${base}/debug/pprof/profile?seconds=${SECONDS}`);
  const after = await count();
  const file = path.join(directory, `${name}.pb.gz`);
  writeFileSync(file, Buffer.from(await answer.arrayBuffer()));
  return {
    file,
    turns: { '/a': after['/a'] - before['/a'], '/b': after['/b'] - before['/b'], '/plain': after['/plain'] - before['/plain'] },
  };
}

/** Milliseconds below `work` in the samples that the flags leave. */
async function workMillis(file: string, ...flags: string[]): Promise<number> {
  const output = await pprof('-top', '-cum', '-nodefraction=0', '-unit=ms', ...flags, file);
  return Number(/ ([\d.]+)ms +[\d.]+% +work$/m.exec(output)?.[1] ?? 0);
}

test.each([20, 22, 24, 26])(
  'on Node %i each route and each trace has its share of the CPU time, and requests without a route have no route',
  { timeout: 60_000 },
  async (major) => {
    const service = await startService({ app: SOURCE, node: nodeBinary(major), env: ENV });
    const { file, turns } = await profile(service, String(major));
    const all = await workMillis(file);
    const a = await workMillis(file, '-tagfocus=http.route=^/a$');
    const b = await workMillis(file, '-tagfocus=http.route=^/b$');
    const total = turns['/a'] + turns['/b'] + turns['/plain'];
    // Otherwise there is too little to judge by.
    expect(all).toBeGreaterThan(SECONDS * 250);
    expect(Math.abs(a / all - turns['/a'] / total), `/a: ${a} of ${all} ms, ${JSON.stringify(turns)}`).toBeLessThan(0.05);
    expect(Math.abs(b / all - turns['/b'] / total), `/b: ${b} of ${all} ms, ${JSON.stringify(turns)}`).toBeLessThan(0.05);
    expect(Math.abs((all - a - b) / all - turns['/plain'] / total), JSON.stringify(turns)).toBeLessThan(0.05);
    for (const target of ['/a', '/b', '/plain'] as const) {
      const millis = await workMillis(file, `-tagfocus=trace_id=${TRACES[target]}`);
      expect(Math.abs(millis / all - turns[target] / total), `trace of ${target}: ${millis} of ${all} ms`).toBeLessThan(0.05);
    }
    // The two routes and nothing else.
    const tags = await pprof('-tags', file);
    const routes = / http\.route: Total[^\n]*\n([^]*?)\n *\n/.exec(`${tags}\n\n`)?.[1] ?? '';
    expect(Array.from(routes.matchAll(/\): (.+)$/gm), ([, value]) => value).toSorted()).toEqual(['/a', '/b']);
    expect(tags).toContain('thread: Total');
    expect(tags).toContain('http.route: Total');
  },
);

test.each([20, 22, 24, 26])(
  'on Node %i what an application says about a scope is on the samples of everything that the scope has started',
  { timeout: 60_000 },
  async (major) => {
    const service = await startService({ app: OWN_LABELS, node: nodeBinary(major), env: ENV });
    const base = await service.sondeUrl();
    const count = async (): Promise<Record<string, number>> =>
      (await fetch(`http://127.0.0.1:${service.port}/`)).json() as Promise<Record<string, number>>;
    for (let status = 503; status === 503;) ({ status } = await fetch(`${base}/debug/pprof/heap`));
    const before = await count();
    const answer = await fetch(`${base}/debug/pprof/profile?seconds=${SECONDS}`);
    const after = await count();
    const file = path.join(directory, `own-${major}.pb.gz`);
    writeFileSync(file, Buffer.from(await answer.arrayBuffer()));
    const all = await workMillis(file);
    const turns = Object.fromEntries(Object.entries(after).map(([tenant, number]) => [tenant, number - before[tenant]!]));
    const total = Object.values(turns).reduce((sum, number) => sum + number, 0);
    expect(all).toBeGreaterThan(SECONDS * 250);
    for (const [tenant, number] of Object.entries(turns)) {
      const millis = await workMillis(file, `-tagfocus=tenant=^${tenant}$`);
      expect(Math.abs(millis / all - number / total), `${tenant}: ${millis} of ${all} ms, ${JSON.stringify(turns)}`).toBeLessThan(0.05);
    }
    // Labels of the scopes around, and the span's.
    const ofC = await workMillis(file, '-tagfocus=tenant=^c$');
    expect(await workMillis(file, '-tagfocus=queue=mail')).toBe(ofC);
    expect(await workMillis(file, '-tagfocus=tenant=^b$')).toBe(await workMillis(file, '-tagfocus=plan=free'));
    expect((await pprof('-tags', '-tagfocus=tenant=^c$', file)).match(/trace_id: Total/g)).toHaveLength(1);
    expect(await pprof('-tags', '-tagfocus=tenant=^a$', file)).not.toContain('trace_id');
  },
);
