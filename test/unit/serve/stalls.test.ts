// /debug/stalls over HTTP.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Guard } from '../../../src/core/guard.ts';
import type { StallEntry } from '../../../src/profile/stall-entry.ts';
import { AdminServer } from '../../../src/serve/admin.ts';
import { ask, endpointsOf, Said } from './fixture.ts';

const TRACE_A = 'a'.repeat(32);
const TRACE_B = 'b'.repeat(32);

const entry = (more: Partial<StallEntry>): StallEntry => ({
  startEpochMillis: Date.UTC(2026, 10, 21, 16, 20, 1, 123),
  durationMillis: 340.4,
  cause: 'code',
  reason: undefined,
  culprit: { function: 'runReport', file: '/app/report.ts', line: 41 },
  stack: [
    { function: 'spawn', file: '', line: 0 },
    { function: 'execSync', file: 'node:child_process', line: 954 },
    { function: 'runReport', file: '/app/report.ts', line: 41 },
  ],
  share: 0.94,
  samples: 33,
  route: '/report',
  traceId: TRACE_A,
  spanId: 'c'.repeat(16),
  spanCount: 1,
  gcMillis: 0,
  cpuMillis: 4,
  notRunningMillis: 0,
  ...more,
});

const STALLS: readonly StallEntry[] = [
  entry({}),
  entry({ durationMillis: 120, cause: 'garbage collection', gcMillis: 90, route: '/list', traceId: TRACE_B }),
  entry({
    durationMillis: 5000,
    cause: 'not running',
    reason: 'it was stopped',
    culprit: undefined,
    stack: [],
    samples: 0,
    route: undefined,
    traceId: undefined,
    cpuMillis: undefined,
    notRunningMillis: 5000,
  }),
];

let server: AdminServer;
let url: string;

async function serve(stalls: { read(): Promise<readonly StallEntry[]> } | undefined): Promise<void> {
  const { diag } = new Said();
  const guard = new Guard(diag);
  server = new AdminServer(endpointsOf({ guard, stalls }), { host: '127.0.0.1', port: 0, portIsExplicit: true }, { guard, diag });
  url = `${(await server.listen())!.url}/debug/stalls`;
}

beforeEach(() => serve({ read: async () => STALLS }));
afterEach(() => server.close());

const durations = async (query: string): Promise<number[]> =>
  (JSON.parse((await ask(url + query)).body.toString()) as { stalls: StallEntry[] }).stalls.map(({ durationMillis }) => durationMillis);

describe('as JSON', () => {
  it('has all that is known of each, newest first', async () => {
    const { status, headers, body } = await ask(url);
    expect([status, headers['content-type']]).toEqual([200, 'application/json; charset=utf-8']);
    expect(JSON.parse(body.toString())).toEqual(JSON.parse(JSON.stringify({ stalls: STALLS })));
  });

  it.each([
    ['', [340.4, 120, 5000]],
    ['?limit=1', [340.4]],
    ['?limit=99', [340.4, 120, 5000]],
    ['?route=/list', [120]],
    ['?route=', [5000]],
    ['?route=/nothing', []],
    [`?trace_id=${TRACE_B}`, [120]],
    [`?trace_id=${TRACE_B}&route=/report`, []],
    ['?format=json', [340.4, 120, 5000]],
  ])('%s', async (query, expected) => {
    expect(await durations(query)).toEqual(expected);
  });
});

describe('as text', () => {
  it('is a paragraph for each, which names the function and shows the stack', async () => {
    const { status, headers, body } = await ask(`${url}?format=text`);
    expect([status, headers['content-type']]).toEqual([200, 'text/plain; charset=utf-8']);
    expect(body.toString()).toBe(`2026-11-21T16:20:01.123Z  340 ms  code  /report  trace ${TRACE_A}
    94 % in runReport, 33 samples, 4 ms of CPU time
    spawn
    execSync (node:child_process:954)
    runReport (/app/report.ts:41)

2026-11-21T16:20:01.123Z  120 ms  garbage collection  /list  trace ${TRACE_B}
    94 % in runReport, 33 samples, 90 ms of garbage collection, 4 ms of CPU time
    spawn
    execSync (node:child_process:954)
    runReport (/app/report.ts:41)

2026-11-21T16:20:01.123Z  5000 ms  not running
    it was stopped
    5000 ms not running
`);
  });

  it('says so when there is nothing', async () => {
    server.close();
    await serve({ read: async () => [] });
    expect((await ask(`${url}?format=text`)).body.toString()).toBe('No block of the event loop.\n');
  });

  it.each([
    ['text/plain', 'text/plain'],
    ['text/plain, */*;q=0.1', 'text/plain'],
    ['text/plain, application/json', 'application/json'],
    ['text/html,application/xhtml+xml,*/*;q=0.8', 'application/json'],
    ['*/*', 'application/json'],
  ])('is for a client that accepts %s, or not', async (accept, type) => {
    expect((await ask(url, { headers: { accept } })).headers['content-type']).toBe(`${type}; charset=utf-8`);
    expect((await ask(`${url}?format=json`, { headers: { accept } })).headers['content-type']).toContain('application/json');
  });
});

describe('refuses', () => {
  it.each([
    ['?limit=0', 'invalid value for "limit" - must be a positive integer\n'],
    ['?limit=1.5', 'invalid value for "limit" - must be a positive integer\n'],
    ['?trace_id=abc', 'invalid value for "trace_id" - must be 32 lower-case hex digits\n'],
    [`?trace_id=${'A'.repeat(32)}`, 'invalid value for "trace_id" - must be 32 lower-case hex digits\n'],
    ['?format=xml', 'invalid value for "format" - must be json or text\n'],
    ['?traceid=x', 'unknown parameter "traceid" - there are limit, route, trace_id, format\n'],
  ])('%s', async (query, message) => {
    const { status, body } = await ask(url + query);
    expect([status, body.toString()]).toEqual([400, message]);
  });

  it('all when profiling is switched off, and names the switch', async () => {
    server.close();
    await serve(undefined);
    const { status, body } = await ask(url);
    expect([status, body.toString()]).toEqual([404, 'switched off by SONDE_PROFILING=false\n']);
  });
});
