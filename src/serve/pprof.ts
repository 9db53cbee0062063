// /debug/pprof/ with the semantics of Go's net/http/pprof, over the profiles that the engine takes all the time:
//
//   profile?seconds=30   CPU over the next seconds (30); ?last=60 the seconds that have just passed, at once
//   wall                 likewise, with the time that is spent waiting
//   heap                 live memory by allocation site; ?gc=1 collects first, ?seconds=N answers what changed in N
//                        seconds, ?debug=1 is text
//   allocs               the same data: Node before 26 keeps no record of memory that was freed
//   cmdline              the command line, separated by NUL
//
//   go tool pprof http://127.0.0.1:9464/debug/pprof/profile?seconds=10
//
// As in Go: a wrong `seconds` is the default for profile and an error for a difference, a duration that the server
// would cut off is refused, a client that leaves ends its profile, errors are text with X-Go-Pprof.
import { ProfileError } from '../profile/profile-error.ts';
import type { Profile } from '../profile/profile.ts';
import { text, type Answer } from './answer.ts';
import { heapText } from './heap-text.ts';
import { positiveInteger } from './target.ts';

/** What a sampled profile is taken over: the seconds to come or, at once, those that have just passed. */
export type ProfileSpan = { readonly seconds: number; readonly signal?: AbortSignal } | { readonly lastSeconds: number };

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
  answer(request: PprofRequest): Promise<Answer>;
}

const SECONDS_DEFAULT = 30;

/** The profiles, by name. */
export function pprofProfiles(reads: ProfileReads): readonly PprofProfile[] {
  const sampled =
    (name: string, read: (span: ProfileSpan) => Promise<Profile>) =>
    (request: PprofRequest): Promise<Answer> =>
      sampledProfile(name, read, request);
  return [
    {
      name: 'allocs',
      description: 'The same data as heap: Node keeps no record of memory that was freed. For clients that ask for this name.',
      answer: (request) => heapProfile('allocs', reads, request),
    },
    { name: 'cmdline', description: 'The command line of this process, separated by NUL.', answer: async () => commandLine() },
    {
      name: 'heap',
      description:
        'Live memory by the place that allocated it. gc=1 collects garbage first; seconds=N answers the difference over N seconds.',
      answer: (request) => heapProfile('heap', reads, request),
    },
    {
      name: 'profile',
      description: 'CPU profile of the next seconds (seconds=30) or, at once, of those that have just passed (last=60).',
      answer: sampled('profile', (span) => reads.cpu(span)),
    },
    {
      name: 'wall',
      description: 'Where wall-clock time goes, on the CPU or waiting. Takes seconds and last as profile does.',
      answer: sampled('wall', (span) => reads.wall(span)),
    },
  ];
}

/** An error as `go tool pprof` expects it. */
export function pprofError(status: number, message: string): Answer {
  return text(status, message, { 'x-go-pprof': '1' });
}

async function sampledProfile(name: string, read: (span: ProfileSpan) => Promise<Profile>, request: PprofRequest): Promise<Answer> {
  const { query, signal, secondsMax } = request;
  const last = query.get('last');
  if (last !== null) {
    const lastSeconds = positiveInteger(last);
    if (lastSeconds === undefined) return pprofError(400, 'invalid value for "last" - must be a positive integer');
    if (query.has('seconds')) return pprofError(400, 'seconds and last params are incompatible');
    return attachment(name, request, () => read({ lastSeconds }));
  }
  const seconds = positiveInteger(query.get('seconds') ?? '') ?? SECONDS_DEFAULT;
  if (seconds > secondsMax) return tooLong(secondsMax);
  return attachment(name, request, () => read({ seconds, signal }));
}

async function heapProfile(name: string, reads: ProfileReads, request: PprofRequest): Promise<Answer> {
  const { query, signal, secondsMax } = request;
  const asked = query.get('seconds');
  const asText = isOn(query.get('debug'));
  if (asked === null) {
    const read = (): Promise<Profile> => reads.heap({ gc: isOn(query.get('gc')) });
    if (!asText) return attachment(name, request, read);
    return checked(request, { 'content-type': 'text/plain; charset=utf-8' }, async () => heapText(await read()));
  }
  const seconds = positiveInteger(asked);
  if (seconds === undefined) return pprofError(400, 'invalid value for "seconds" - must be a positive integer');
  if (seconds > secondsMax) return tooLong(secondsMax);
  if (asText) return pprofError(400, 'seconds and debug params are incompatible');
  return attachment(`${name}-delta`, request, () => reads.heap({ seconds, signal }));
}

function commandLine(): Answer {
  const { execPath, execArgv, argv } = process;
  return {
    status: 200,
    headers: { 'content-type': 'text/plain; charset=utf-8' },
    body: [execPath, ...execArgv, ...argv.slice(1)].join('\0'),
  };
}

function tooLong(secondsMax: number): Answer {
  return pprofError(400, `profile duration exceeds what this server allows: ask for at most ${secondsMax} seconds`);
}

async function attachment(name: string, request: PprofRequest, read: () => Promise<Profile>): Promise<Answer> {
  const headers = { 'content-type': 'application/octet-stream', 'content-disposition': `attachment; filename="${name}"` };
  return checked(request, headers, async () => {
    const profile = await read();
    // Loaded with the first profile that is read: the writer brings node:zlib.
    const { encodePprof } = await import('../profile/pprof.ts');
    return encodePprof(profile);
  });
}

async function checked(
  request: PprofRequest,
  headers: Readonly<Record<string, string>>,
  body: () => Promise<string | Uint8Array>,
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

/** Go reads a switch as a number: 1 is on; 0, nothing and text are off. */
function isOn(value: string | null): boolean {
  return value !== null && positiveInteger(value) !== undefined;
}
