// /debug/pprof/ with the semantics of Go's net/http/pprof, over the profiles that the engine takes all the time:
//
//   profile?seconds=30   CPU over the next seconds (30); ?last=60 the seconds that have just passed, at once
//   wall                 likewise, with the time that is spent waiting
//   heap                 live memory by allocation site; ?gc=1 collects first, ?seconds=N answers what changed in N
//                        seconds
//   allocs               likewise, memory allocated since the start
//   resources            what keeps the event loop alive, by type: in the place of Go's goroutine
//   cmdline              the command line, separated by NUL
//
//   go tool pprof http://127.0.0.1:9464/debug/pprof/profile?seconds=10
//
// Beyond Go: ?format=pprof|folded|speedscope|cpuprofile|svg, the svg being a flame graph; on profile and wall ?route=,
// ?trace_id= and ?span_id= keep only those samples (?route= alone those of no route). ?debug=1 is text: Go's layout for
// heap and allocs, counts for resources, and folded stacks for profile and wall, which have no text in Go.
//
// As in Go: a duration that the server would cut off is refused, a client that leaves ends its profile, errors are text
// with X-Go-Pprof. Unlike Go, which ignores them, unknown parameters and impossible values are refused (pprof-query.ts).
import type { Clock } from '../core/clock.ts';
import { ProfileError } from '../profile/profile-error.ts';
import type { Profile } from '../profile/profile.ts';
import { resourcesProfile } from '../profile/resources.ts';
import { text, type Answer } from './answer.ts';
import { heapText } from './heap-text.ts';
import {
  FORMATS,
  readQuery,
  TIME_FORMATS,
  tooLong,
  type Accepted,
  type Format,
  type ParameterName,
  type PprofQuery,
  type SampleFilter,
} from './pprof-query.ts';

/** What a sampled profile is taken over: the seconds to come or, at once, those that have just passed; and of which samples. */
export type ProfileSpan = ({ readonly seconds: number; readonly signal?: AbortSignal } | { readonly lastSeconds: number }) & {
  readonly only?: SampleFilter;
};

/** How the heap is read: as it is, after a collection, or as the difference over the seconds to come. */
export interface HeapOptions {
  readonly gc?: boolean;
  readonly seconds?: number;
  readonly signal?: AbortSignal;
}

/** The engine as seen from here. A read that cannot be served throws a ProfileError. */
export interface ProfileReads {
  cpu(span: ProfileSpan): Promise<Profile>;
  wall(span: ProfileSpan): Promise<Profile>;
  heap(options: HeapOptions): Promise<Profile>;
  /** Memory allocated since the start, what was freed included. */
  allocs(options: HeapOptions): Promise<Profile>;
  /** How CPU and heap are profiled at the moment: `off` when not. */
  stats(): { readonly cpu: string; readonly heap: string; readonly historySeconds: number };
}

/** What the endpoints need besides the profiles. */
export interface PprofDeps {
  readonly reads: ProfileReads;
  readonly clock: Clock;
  /** Whose profiles these are, for the titles of flame graphs. */
  readonly title: string;
}

/** One request for a profile. */
export interface PprofRequest {
  readonly query: URLSearchParams;
  /** HEAD: everything is checked and nothing is recorded. */
  readonly headersOnly: boolean;
  /** Aborts when the client leaves. */
  readonly signal: AbortSignal;
  /** Longest duration: beyond it the server would cut the connection. */
  readonly secondsMax: number;
}

/** A profile by its name below /debug/pprof/. */
export interface PprofProfile {
  readonly name: string;
  readonly description: string;
  /** Count or state at this moment. */
  state(): string;
  /** Queries worth a link, each with what it is called. */
  readonly examples: readonly (readonly [label: string, query: string])[];
  answer(request: PprofRequest): Promise<Answer>;
}

const SECONDS_DEFAULT = 30;

const TIME_PARAMETERS: readonly ParameterName[] = ['seconds', 'last', 'format', 'route', 'trace_id', 'span_id', 'debug'];
const HEAP_PARAMETERS: readonly ParameterName[] = ['seconds', 'gc', 'format', 'debug'];

const TIME_EXAMPLES = [
  ['flame graph of the last minute', 'last=60&format=svg'],
  ['speedscope', 'last=60&format=speedscope'],
  ['cpuprofile', 'last=60&format=cpuprofile'],
  ['folded', 'last=60&format=folded'],
  ['outside of routes', 'last=60&route=&format=svg'],
  ['next 10 s', 'seconds=10'],
] as const;
const HEAP_EXAMPLES = [
  ['flame graph', 'format=svg'],
  ['after a collection', 'gc=1&format=svg'],
  ['difference over 10 s', 'seconds=10&format=svg'],
  ['speedscope', 'format=speedscope'],
  ['folded', 'format=folded'],
  ['text', 'debug=1'],
] as const;
const RESOURCES_EXAMPLES = [
  ['flame graph', 'format=svg'],
  ['text', 'debug=1'],
] as const;

/** The profiles, by name. */
export function pprofProfiles(deps: PprofDeps): readonly PprofProfile[] {
  const { reads } = deps;
  return [
    {
      name: 'allocs',
      description: 'Memory allocated since the start, estimated from samples. Takes gc and seconds as heap does.',
      state: () => (reads.stats().heap === 'off' ? 'off' : 'sampled'),
      examples: HEAP_EXAMPLES,
      answer: (request) => heapProfile('allocs', (options) => reads.allocs(options), { deps, request }),
    },
    {
      name: 'cmdline',
      description: 'The command line of this process, separated by NUL.',
      state: () => '',
      examples: [],
      answer: (request) => commandLine(request),
    },
    {
      name: 'heap',
      description:
        'Live memory by the place that allocated it. gc=1 collects garbage first; seconds=N answers the difference over N seconds.',
      state: () => (reads.stats().heap === 'off' ? 'off' : 'sampled'),
      examples: HEAP_EXAMPLES,
      answer: (request) => heapProfile('heap', (options) => reads.heap(options), { deps, request }),
    },
    {
      name: 'profile',
      description:
        'CPU time of the next seconds (seconds=30) or, at once, of those that have just passed (last=60). route=, trace_id= and span_id= keep only those samples.',
      state: () => reads.stats().cpu,
      examples: TIME_EXAMPLES,
      answer: (request) => timeProfile('profile', (span) => reads.cpu(span), { deps, request }),
    },
    {
      name: 'resources',
      description: 'What keeps the event loop alive, by type: timers, sockets, requests. In the place of goroutine.',
      state: () => String(activeResources().length),
      examples: RESOURCES_EXAMPLES,
      answer: (request) => resources({ deps, request }),
    },
    {
      name: 'wall',
      description: 'Where wall-clock time goes, on the CPU or waiting. Takes what profile takes.',
      state: () => reads.stats().cpu,
      examples: TIME_EXAMPLES,
      answer: (request) => timeProfile('wall', (span) => reads.wall(span), { deps, request }),
    },
  ];
}

/** What Go has by a name that means nothing in Node, and what to ask for instead. */
export const ABSENT_PROFILES: Readonly<Record<string, string>> = {
  block: 'nothing waits for locks here: wall shows where time is spent waiting',
  goroutine: 'there are no goroutines here: resources counts what keeps the event loop alive',
  mutex: 'nothing waits for locks here: wall shows where time is spent waiting',
  symbol: 'there is nothing to look up: profiles carry the names of their functions',
  threadcreate: 'threads are not profiled: resources counts what keeps the event loop alive',
  trace:
    "Go's execution trace has no counterpart in Node: /debug/traces has the last requests with their spans,\n" +
    "profile?format=cpuprofile opens in Chrome's DevTools",
};

/** An error as `go tool pprof` expects it. */
export function pprofError(status: number, message: string): Answer {
  return text(status, message, { 'x-go-pprof': '1' });
}

interface Asked {
  readonly deps: PprofDeps;
  readonly request: PprofRequest;
}

/** A profile that is asked for without mistakes. */
interface Wanted extends Asked {
  readonly name: string;
  readonly query: PprofQuery;
  readonly format: Format | undefined;
  readonly read: () => Promise<Profile>;
}

async function timeProfile(name: string, read: (span: ProfileSpan) => Promise<Profile>, asked: Asked): Promise<Answer> {
  const { signal, secondsMax } = asked.request;
  const query = queryOf(asked.request, { name, parameters: TIME_PARAMETERS, formats: TIME_FORMATS });
  if (typeof query === 'string') return pprofError(400, query);
  const only = query.only === undefined ? {} : { only: query.only };
  const format = query.debug ? 'folded' : query.format;
  const { seconds = SECONDS_DEFAULT, lastSeconds } = query;
  if (lastSeconds !== undefined) return profileAnswer({ ...asked, name, query, format, read: () => read({ lastSeconds, ...only }) });
  if (seconds > secondsMax) return pprofError(400, tooLong(seconds, secondsMax));
  return profileAnswer({ ...asked, name, query, format, read: () => read({ seconds, signal, ...only }) });
}

async function heapProfile(name: string, read: (options: HeapOptions) => Promise<Profile>, asked: Asked): Promise<Answer> {
  const query = queryOf(asked.request, { name, parameters: HEAP_PARAMETERS, formats: FORMATS });
  if (typeof query === 'string') return pprofError(400, query);
  const { seconds, gc, debug, format } = query;
  if (seconds !== undefined) {
    if (debug) return pprofError(400, 'seconds and debug params are incompatible');
    const { signal } = asked.request;
    return profileAnswer({ ...asked, name: `${name}-delta`, query, format, read: () => read({ gc, seconds, signal }) });
  }
  if (!debug) return profileAnswer({ ...asked, name, query, format, read: () => read({ gc }) });
  return checked(asked.request, TEXT, async () => heapText(await read({ gc })));
}

async function resources(asked: Asked): Promise<Answer> {
  const name = 'resources';
  const query = queryOf(asked.request, { name, parameters: ['format', 'debug'], formats: FORMATS });
  if (typeof query === 'string') return pprofError(400, query);
  if (query.debug) return checked(asked.request, TEXT, async () => resourcesText(activeResources()));
  const { clock } = asked.deps;
  const read = async (): Promise<Profile> => resourcesProfile(activeResources(), clock.epochMillis(clock.monotonicMillis()));
  return profileAnswer({ ...asked, name, query, format: query.format, read });
}

/** In the layout of Go's goroutine profile, the most frequent first. */
function resourcesText(names: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  const rows = [...counts].toSorted(([, a], [, b]) => b - a).map(([name, count]) => `${count} @\n#\t${name}\n`);
  return `resources profile: total ${names.length}\n${rows.join('\n')}`;
}

function activeResources(): readonly string[] {
  return process.getActiveResourcesInfo();
}

async function commandLine(request: PprofRequest): Promise<Answer> {
  const query = queryOf(request, { name: 'cmdline', parameters: [], formats: [] });
  if (typeof query === 'string') return pprofError(400, query);
  const { execPath, execArgv, argv } = process;
  return { status: 200, headers: TEXT, body: [execPath, ...execArgv, ...argv.slice(1)].join('\0') };
}

const TEXT = { 'content-type': 'text/plain; charset=utf-8' };

function queryOf({ query, secondsMax }: PprofRequest, accepted: Omit<Accepted, 'secondsMax'>): PprofQuery | string {
  return readQuery(query, { ...accepted, secondsMax });
}

async function profileAnswer({ deps, request, name, query, format, read }: Wanted): Promise<Answer> {
  const { formatAnswer } = await import('./pprof-format.ts');
  const { headers, body } = formatAnswer(format, name);
  const title = { subject: deps.title, filters: filtersOf(query.only) };
  // As text it is shown, not saved.
  return checked(request, query.debug ? TEXT : headers, async () => body(await read(), title));
}

/** The filter in words, by the names of the labels. */
function filtersOf({ route, traceId, spanId }: SampleFilter = {}): string[] {
  return [
    ...(route === undefined ? [] : [route === '' ? 'without a route' : `http.route=${route}`]),
    ...(traceId === undefined ? [] : [`trace_id=${traceId}`]),
    ...(spanId === undefined ? [] : [`span_id=${spanId}`]),
  ];
}

async function checked(
  request: PprofRequest,
  headers: Readonly<Record<string, string>>,
  body: () => Promise<Answer['body']>,
): Promise<Answer> {
  if (request.headersOnly) return { status: 200, headers, body: '' };
  try {
    return { status: 200, headers, body: await body() };
  } catch (error) {
    // The engine stopped because the client left: nobody reads the answer.
    if (request.signal.aborted) return pprofError(503, 'the client has left');
    // What it cannot do it says as a status and a sentence; anything else is a fault of ours.
    if (error instanceof ProfileError) return pprofError(error.status, error.message);
    throw error;
  }
}
