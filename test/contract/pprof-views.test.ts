// What people do with profiles in `go tool pprof`: the tables, differences, labels, and the pages of -http. Of profiles
// whose every value is known, and of the heap of a service.
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { encodePprof } from '../../src/profile/pprof.ts';
import { subtract } from '../../src/profile/profile.ts';
import { resourcesProfile } from '../../src/profile/resources.ts';
import { CPU_HEAD, HEAP_HEAD, profileOf } from '../fixtures/profile/stacks.ts';
import { GoPprof } from '../helpers/go-pprof.ts';
import { killAll, startService } from '../helpers/process.ts';
import { requirePeer } from '../helpers/require-peer.ts';

const SERVICE = path.resolve(import.meta.dirname, '../fixtures/profile/burn.cjs');
const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';
const SPAN_ID = 'b7ad6b7169203331';
const MIB = 2 ** 20;

const pprof = new GoPprof();
let cpu: string;
let heapBefore: string;
let heapAfter: string;
let delta: string;

beforeAll(async () => {
  const stack = ['main /srv/app.js:1:1', 'serve /srv/app.js:10:1'];
  const labelled = profileOf(CPU_HEAD, [
    [[...stack, 'parse /srv/node_modules/qs/lib/parse.js:5:9'], [3, 300e6], { 'http.route': '/a', thread: 'main' }],
    [[...stack, 'render /srv/view.js:7:1'], [2, 200e6], { 'http.route': '/b', thread: 'main' }],
    [[...stack, 'render /srv/view.js:7:1'], [1, 100e6], { 'http.route': '/b', trace_id: TRACE_ID, span_id: SPAN_ID }],
    [
      [...stack, '(anonymous) /srv/view.js:30:5'],
      [1, 50e6],
    ],
    [['(garbage collector)'], [1, 50e6]],
  ]);
  cpu = pprof.file('cpu.pb.gz', await encodePprof(labelled));
  const before = profileOf(HEAP_HEAD, [
    [
      ['main /srv/app.js:1', 'keepRows /srv/store.js:3'],
      [10, 10 * MIB],
    ],
    [
      ['main /srv/app.js:1', 'dropRows /srv/store.js:9'],
      [8, 8 * MIB],
    ],
  ]);
  const after = profileOf({ ...HEAP_HEAD, startEpochMillis: HEAP_HEAD.startEpochMillis + 5000 }, [
    [
      ['main /srv/app.js:1', 'keepRows /srv/store.js:3'],
      [16, 16 * MIB],
    ],
    [
      ['main /srv/app.js:1', 'dropRows /srv/store.js:9'],
      [5, 5 * MIB],
    ],
  ]);
  heapBefore = pprof.file('before.pb.gz', await encodePprof(before));
  heapAfter = pprof.file('after.pb.gz', await encodePprof(after));
  delta = pprof.file('delta.pb.gz', await encodePprof(await subtract(after, before)));
});

afterAll(() => {
  killAll();
  pprof.close();
});

beforeEach((context) => requirePeer(context, 'go'));

describe('labels', () => {
  const millis = async (...flags: string[]): Promise<Record<string, number>> =>
    Object.fromEntries(Array.from(await pprof.top('-unit=ms', ...flags, cpu), ([name, { flat }]) => [name, flat]));

  test('of no kind leave the functions their time', async () => {
    expect(await millis()).toEqual({
      parse: 300,
      render: 300,
      '(anonymous view.js:30)': 50,
      '(garbage collector)': 50,
      main: 0,
      serve: 0,
    });
  });

  test.each([
    ['http.route=^/a$', { parse: 300 }],
    ['http.route=/b', { render: 300 }],
    [`trace_id=${TRACE_ID}`, { render: 100 }],
    [`span_id=${SPAN_ID}`, { render: 100 }],
    ['thread=main', { parse: 300, render: 200 }],
    ['http.route=/none', {}],
  ])('%s is what is left by -tagfocus', async (focus, expected) => {
    const own = Object.entries(await millis(`-tagfocus=${focus}`)).filter(([, flat]) => flat > 0);
    expect(Object.fromEntries(own)).toEqual(expected);
  });

  test('are listed with their shares by -tags, and are roots of the tree by -tagroot', async () => {
    const tags = await pprof.run('-tags', '-unit=ms', cpu);
    expect(tags).toMatch(/http\.route: Total 600\.0ms/);
    expect(tags).toMatch(/300\.0ms \(50\.00%\): \/a\n/);
    expect(tags).toContain(TRACE_ID);
    const roots = await pprof.top('-unit=ms', '-tagroot=http.route', cpu);
    expect(roots.get('/b')).toEqual({ flat: 0, cumulative: 300 });
  });
});

describe('a difference', () => {
  const expected = new Map([
    ['keepRows', { flat: 6, cumulative: 6 }],
    ['dropRows', { flat: -3, cumulative: -3 }],
    ['main', { flat: 0, cumulative: 3 }],
  ]);

  test('is the same whether taken here or by -diff_base', async () => {
    expect(await pprof.top('-unit=mb', delta)).toEqual(expected);
    expect(await pprof.top('-unit=mb', `-diff_base=${heapBefore}`, heapAfter)).toEqual(expected);
    expect(await pprof.top('-unit=mb', `-base=${heapBefore}`, heapAfter)).toEqual(expected);
  });

  test('has a duration', async () => {
    expect(await pprof.run('-top', delta)).toMatch(/^Duration: 5s/m);
  });
});

test('the resources are counts by type', async () => {
  const profile = resourcesProfile(['Timeout', 'TCPSocketWrap', 'Timeout'], CPU_HEAD.startEpochMillis);
  const rows = await pprof.top(pprof.file('resources.pb.gz', await encodePprof(profile)));
  expect(rows).toEqual(
    new Map([
      ['Timeout', { flat: 2, cumulative: 2 }],
      ['TCPSocketWrap', { flat: 1, cumulative: 1 }],
    ]),
  );
});

test('functions can be listed, line by line of their source', async () => {
  expect(await pprof.run('-list=burnTwoParts', '-unit=ms', await sourceProfile())).toMatch(/70ms +70ms .*function burnTwoParts\(\) \{/);
});

/** Time in a function whose source is there. */
async function sourceProfile(): Promise<string> {
  return pprof.file('source.pb.gz', await encodePprof(profileOf(CPU_HEAD, [[[`burnTwoParts ${SERVICE}:6:22`], [7, 70e6]]])));
}

describe('the pages of -http', () => {
  const pages = ['/ui/', '/ui/flamegraph', '/ui/top', '/ui/peek?f=.', '/ui/source?f=.'];

  beforeEach((context) => requirePeer(context, 'graphviz'));

  async function read(url: string, names: readonly string[]): Promise<void> {
    for (const page of pages) {
      const answer = await fetch(url + page);
      const html = await answer.text();
      expect(answer.status, page).toBe(200);
      // The source is shown of what there is on this machine.
      const shown = page.startsWith('/ui/source') ? [] : names;
      for (const name of shown) expect(html, `${name} in ${page}`).toContain(name);
    }
  }

  test('have the functions of a profile with labels, and of one label alone', async () => {
    const url = await pprof.serve(cpu);
    await read(url, ['parse', 'render', 'serve', 'main']);
    const focused = await (await fetch(`${url}/ui/top?tf=http.route%3D/a`)).text();
    expect(focused).toContain('parse');
    expect(focused).not.toContain('render');
  });

  test('have the functions of a heap profile of a service, and of its difference', { timeout: 60_000 }, async () => {
    const service = await startService({ app: SERVICE });
    const base = `${await service.sondeUrl()}/debug/pprof`;
    for (let status = 503; status === 503;) ({ status } = await fetch(`${base}/heap`));
    const difference = pprof.serve(`${base}/heap?seconds=2`);
    // In its two seconds, however long `go` takes to begin them.
    const keeping = setInterval(() => void service.get('/keep'), 100);
    const url = await difference;
    clearInterval(keeping);
    await read(url, ['keepRows']);
    await read(await pprof.serve(`${base}/heap`), ['keepRows']);
  });

  test('have the functions of a difference, those with less too', async () => {
    await read(await pprof.serve(delta), ['keepRows', 'dropRows']);
    await read(await pprof.serve(`-diff_base=${heapBefore}`, heapAfter), ['keepRows', 'dropRows']);
  });
});
