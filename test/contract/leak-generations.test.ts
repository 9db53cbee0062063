// The kept live-heap profiles of /debug/leaks/heap in the real `go tool pprof`, as files and by their address.
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { Guard } from '../../src/core/guard.ts';
import type { LeakVerdict } from '../../src/leak/finding.ts';
import { ProfileBuilder, type Profile } from '../../src/profile/profile.ts';
import { AdminServer } from '../../src/serve/admin.ts';
import { GoPprof } from '../helpers/go-pprof.ts';
import { requirePeer } from '../helpers/require-peer.ts';
import { ask, endpointsOf, Said } from '../unit/serve/fixture.ts';

const MEGABYTE = 1024 * 1024;

/** main > remember holds more in each generation, main > cache always the same. */
function liveHeap(megabytes: number): Profile {
  const builder = new ProfileBuilder(2);
  const main = builder.node(-1, builder.frame('main', '/shop/app.js', 1));
  for (const [name, size] of [
    ['remember', megabytes],
    ['cache', 40],
  ] as const) {
    const node = builder.node(main, builder.frame(name, '/shop/store.js', 12));
    builder.add(node, 0, size * 1000);
    builder.add(node, 1, size * MEGABYTE);
  }
  return builder.build({
    sampleTypes: [
      { type: 'inuse_objects', unit: 'count' },
      { type: 'inuse_space', unit: 'bytes' },
    ],
    defaultSampleType: 'inuse_space',
    periodType: { type: 'space', unit: 'bytes' },
    period: 524_288,
    startEpochMillis: 1_700_000_000_000,
    durationMillis: 0,
  });
}

const MEGABYTES = [10, 25, 60];
const VERDICT: LeakVerdict = {
  level: 'leak',
  findings: [],
  kinds: [],
  generations: MEGABYTES.map((size, index) => ({ index, epochMillis: 1_700_000_000_000 + index * 60_000, bytes: size * MEGABYTE })),
  notes: [],
};

const pprof = new GoPprof();
const { diag, lines } = new Said();
let server: AdminServer;
let url: string;

beforeAll(async () => {
  const guard = new Guard(diag);
  const leaks = {
    verdict: () => VERDICT,
    generation: (index: number) => Promise.resolve(MEGABYTES[index] === undefined ? undefined : liveHeap(MEGABYTES[index])),
  };
  server = new AdminServer(endpointsOf({ guard, leaks }), { host: '127.0.0.1', port: 0, portIsExplicit: true }, { guard, diag });
  url = `${(await server.listen())!.url}/debug/leaks/heap?generation=`;
});

afterAll(() => {
  server.close();
  pprof.close();
  expect(lines).toEqual([]);
});

beforeEach((context) => requirePeer(context, 'go'));

it('two files are what has been added between them, by function', async () => {
  const [first, last] = await Promise.all(['first', 'last'].map(async (name) => pprof.file(`${name}.pb.gz`, (await ask(url + name)).body)));
  const rows = await pprof.top('-sample_index=inuse_space', '-unit=mb', '-diff_base', first!, last!);
  expect(rows.get('remember')?.flat).toBe(50);
  expect(rows.get('cache')?.flat ?? 0).toBe(0);
  expect(rows.get('main')?.cumulative).toBe(50);
});

it.each([
  ['0', 'last', 50],
  ['first', '1', 15],
  ['1', '2', 35],
])('generation %s and %s by their address likewise', async (base, other, megabytes) => {
  const rows = await pprof.top('-unit=mb', '-diff_base', url + base, url + other);
  expect(rows.get('remember')?.flat).toBe(megabytes);
});

it('the command that the page names is one that works', async () => {
  const page = (await ask(url.replace('/heap?generation=', '?format=text'))).body.toString();
  const [, base, last] = /go tool pprof -diff_base '(\S+)' '(\S+)'/.exec(page) ?? [];
  const rows = await pprof.top('-unit=mb', '-diff_base', base!, last!);
  expect(rows.get('remember')?.flat).toBe(50);
});

it('what is wrong is shown in its words', async () => {
  await expect(pprof.top(`${url}7`)).rejects.toThrow(/there is no generation 7: there are 0, 1, 2/);
});
