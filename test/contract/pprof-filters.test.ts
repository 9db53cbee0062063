// What a reader asks for with ?route=, ?trace_id= and ?span_id= is what `go tool pprof -tagfocus` leaves of the same data: of profiles
// of seeded chance, function by function, as they come and out of the ring.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { PackedWindow } from '../../src/profile/packed-window.ts';
import { encodePprof } from '../../src/profile/pprof.ts';
import { type LabelSet, merge, only, type Profile, type SampleFilter, select } from '../../src/profile/profile.ts';
import { GoPprof, type TopRow } from '../helpers/go-pprof.ts';
import { requirePeer } from '../helpers/require-peer.ts';
import { randomIds, randomProfile } from '../unit/profile/profiles.ts';

const pprof = new GoPprof();

/** Two spans of each of ten traces, over three routes; and what has no ids, no route, or neither. */
const SETS: LabelSet[] = [
  ...Array.from({ length: 20 }, (_, i) => ({
    'http.route': `/route/${i % 3}`,
    trace_id: randomIds(Math.floor(i / 2)).trace_id,
    span_id: randomIds(100 + i).span_id,
    thread: 'main',
  })),
  { trace_id: randomIds(3).trace_id, span_id: randomIds(200).span_id },
  { 'http.route': '/route/1' },
  { thread: 'main' },
];

let windows: Profile[];
let file: string;

beforeAll(async () => {
  windows = [1, 2, 3].map((seed) => randomProfile({ seed, stacks: 400, depth: 8, functions: 60, labelSets: SETS }));
  file = pprof.file('all.pb.gz', await encodePprof(select(await merge(windows), ['samples', 'cpu'])));
});

afterAll(() => pprof.close());

beforeEach((context) => requirePeer(context, 'go'));

/** Rows with a value; a focus lists functions without one, too. */
async function top(...args: string[]): Promise<Record<string, TopRow>> {
  const rows = await pprof.top('-unit=ns', '-sample_index=cpu', '-nodecount=0', ...args);
  return Object.fromEntries([...rows].filter(([, { cumulative }]) => cumulative !== 0).toSorted());
}

const { trace_id: traceId, span_id: spanId } = SETS[7]!;

test.each<[name: string, wanted: SampleFilter, flags: string[]]>([
  ['a route', { route: '/route/1' }, ['-tagfocus=http.route=^/route/1$']],
  ['no route', { route: '' }, ['-tagignore=http.route=.']],
  ['a trace', { traceId }, [`-tagfocus=trace_id=^${traceId}$`]],
  ['a span', { spanId }, [`-tagfocus=span_id=^${spanId}$`]],
  ['a span that is not of the trace', { traceId: randomIds(9).trace_id, spanId }, ['-tagfocus=http.route=^none$']],
])('%s', async (name, wanted, flags) => {
  const filtered = windows.map((window) => only(window, wanted));
  const fromRing = windows.map((window) => only(new PackedWindow(window).unpack(), wanted));
  const focused = await top(...flags, file);
  expect(Object.keys(focused).length > 0).toBe(name !== 'a span that is not of the trace');
  for (const [kind, profiles] of Object.entries({ filtered, fromRing })) {
    const profile = select(await merge(profiles), ['samples', 'cpu']);
    expect(await top(pprof.file(`${kind}.pb.gz`, await encodePprof(profile)))).toEqual(focused);
  }
});

test('what is asked for of two labels has both', async () => {
  const profile = await merge(windows.map((window) => only(window, { route: '/route/1', traceId: SETS[7]!['trace_id'] })));
  const own = await top(pprof.file('both.pb.gz', await encodePprof(select(profile, ['samples', 'cpu']))));
  // pprof joins tags by "or": first one, then of what is left the other.
  const ofRoute = pprof.file('route.pb.gz', Buffer.from(''));
  await pprof.run('-proto', `-output=${ofRoute}`, '-tagfocus=http.route=^/route/1$', file);
  expect(own).toEqual(await top(`-tagfocus=trace_id=^${traceId}$`, ofRoute));
  expect(Object.keys(own).length).toBeGreaterThan(0);
});
