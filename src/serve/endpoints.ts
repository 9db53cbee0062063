// The table of endpoints: path to handler, who may read it, what it is called on the index page. One table and one
// `handle` serve the admin server (admin.ts) and the middlewares (../express.ts, ../fastify.ts). What is switched off
// answers 404 and names the switch; what fails answers 500 and nothing else of the process notices.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../core/clock.ts';
import type { Guard } from '../core/guard.ts';
import { contentType, negotiate, write } from '../export/prometheus.ts';
import type { Family, Labels } from '../metrics/family.ts';
import type { TraceEntry } from '../trace/trace-entry.ts';
import type { Access } from './access.ts';
import { devtoolsEndpoints, type DevtoolsReads, type HeapSnapshotReads } from './devtools.ts';
import { html, json, redirect, send, text, type Answer } from './answer.ts';
import { classHistogram, type ClassReads } from './classes.ts';
import { leakGeneration, leakVerdict, type LeakReads } from './leaks.ts';
import { linksPage } from './page.ts';
import { ABSENT_PROFILES, pprofError, pprofProfiles, type PprofRequest, type ProfileReads } from './pprof.ts';
import { pprofIndex } from './pprof-index.ts';
import { redact } from './redact.ts';
import { lastStalls, type StallReads } from './stalls.ts';
import { withProfiles, type ProfileHistory } from './trace-profiles.ts';
import { parseTarget, positiveInteger, relativeReference, type Target } from './target.ts';

/** Longest profile on request, in seconds. */
export const PROFILE_SECONDS_MAX = 300;

const PPROF_BARE = '/debug/pprof';
const PPROF = `${PPROF_BARE}/`;

/** Traces answered when no `?limit=` says otherwise. */
const TRACES_DEFAULT = 50;

/** What the endpoints read. A part that is undefined is switched off. */
export interface EndpointDeps {
  readonly guard: Guard;
  readonly clock: Clock;
  readonly access: Access;
  /** For the titles of the index page and of flame graphs, as in the start line. */
  readonly title: string;
  readonly metrics:
    | {
        collect(): Promise<readonly Family[]>;
        readonly resource: Labels;
        /** Told the name of each metric or series that had to be left out of a page. */
        readonly onDropped: (name: string) => void;
      }
    | undefined;
  readonly profiles: ProfileReads | undefined;
  readonly devtools: DevtoolsReads | undefined;
  readonly heapSnapshots: HeapSnapshotReads | undefined;
  readonly traces: { list(): readonly TraceEntry[] } | undefined;
  readonly stalls: StallReads | undefined;
  readonly leaks: LeakReads | undefined;
  readonly classes: ClassReads | undefined;
  /** The settings in force; secrets are taken out here. */
  readonly config: () => unknown;
  /** Whether the application is ready to take requests. */
  readonly isReady: () => boolean;
  /** Takes a response out of the application's count. */
  readonly ignore: (res: ServerResponse) => void;
}

/** Where the endpoints hang on the server that took a request. */
export interface Mount {
  /** Path that precedes `target`, without its last slash; empty on the admin server. */
  readonly prefix: string;
  /** Path and query below the prefix, as the client sent them. */
  readonly target: string;
  /** The whole path and query of the request line. */
  readonly address: string;
}

/** What a handler may know of a request. */
interface EndpointRequest extends PprofRequest {
  readonly accept: string | undefined;
  /** Where the endpoints are to this client, as `http://127.0.0.1:9464`. */
  readonly address: string;
  /** A page of another origin makes a browser ask; browsers say so since 2023 (Sec-Fetch-Site). */
  readonly isForeignPage: boolean;
}

interface Endpoint {
  readonly path: string;
  readonly description: string;
  /** Open to everyone who reaches the server, whatever address it listens on. */
  readonly isPublic?: boolean;
  answer(request: EndpointRequest): Answer | Promise<Answer>;
}

/** A profile that Go has and Node does not, or that nobody has. */
const UNKNOWN_PROFILE: Endpoint = { path: `${PPROF}*`, description: '', answer: () => pprofError(404, 'Unknown profile') };

export class Endpoints {
  readonly #deps: EndpointDeps;
  readonly #table: ReadonlyMap<string, Endpoint>;

  constructor(deps: EndpointDeps) {
    this.#deps = deps;
    const files = devtoolsEndpoints(deps.devtools, deps.heapSnapshots, switchedOff);
    const endpoints = [...signalEndpoints(deps), ...leakEndpoints(deps), ...profileEndpoints(deps), ...files, ...processEndpoints(deps)];
    this.#table = new Map([indexEndpoint(deps.title, endpoints), ...endpoints].map((endpoint) => [endpoint.path, endpoint]));
  }

  /** Whether a path and query, below a mount's prefix, is one of ours. Never throws. */
  owns(target: string): boolean {
    const parsed = parseTarget(target);
    return typeof parsed !== 'string' && this.#find(parsed.path) !== undefined;
  }

  /** Answers a request, one for a path that is not ours with 404. Never rejects. */
  async handle(req: IncomingMessage, res: ServerResponse, mount: Mount): Promise<void> {
    const target = parseTarget(mount.target);
    const endpoint = typeof target === 'string' ? undefined : this.#find(target.path);
    await this.#deps.guard.runAsync(`serve:${endpoint?.path ?? 'other'}`, async () => {
      this.#deps.ignore(res);
      const answer = typeof target === 'string' ? text(400, target) : await this.#answer({ req, res, mount, target, endpoint });
      await send(req, res, answer, this.#deps.guard);
    });
    // The guard has said why; a response that has neither begun nor gone still waits for its end.
    if (!res.headersSent && !res.destroyed) await send(req, res, FAILED, this.#deps.guard);
  }

  /** A slash is added before anything is checked: it tells nothing, and the cookie is for what lies below it. */
  async #answer({ req, res, mount, target, endpoint }: Routed): Promise<Answer> {
    const { path, query } = target;
    if (endpoint === undefined) return NOT_FOUND;
    if (path === PPROF_BARE || (path === '/' && !mount.address.replace(/\?.*/, '').endsWith('/'))) {
      return redirect(relativeReference(mount.address, '/', query));
    }
    const token = query.get('token') ?? undefined;
    query.delete('token');
    const decision = this.#deps.access.decide(req, { isPublic: endpoint.isPublic === true, token, prefix: mount.prefix });
    if (decision.kind === 'signed-in') return redirect(relativeReference(mount.address, '', query), { 'set-cookie': decision.cookie });
    if (decision.kind === 'refused') {
      const challenge = decision.status === 401 ? { 'www-authenticate': 'Bearer realm="sonde"' } : {};
      // `go tool pprof` shows the text of an error that carries this header, and only its status otherwise.
      return text(decision.status, decision.message, { ...challenge, ...(path.startsWith(PPROF) ? { 'x-go-pprof': '1' } : {}) });
    }
    if (req.method !== 'GET' && req.method !== 'HEAD') return NOT_ALLOWED;
    return endpoint.answer(requestOf({ req, res, query, prefix: mount.prefix }));
  }

  #find(path: string): Endpoint | undefined {
    if (path === PPROF_BARE) return this.#table.get(PPROF);
    const known = this.#table.get(path);
    if (known !== undefined || !path.startsWith(PPROF)) return known;
    return this.#deps.profiles === undefined ? this.#table.get(PPROF) : UNKNOWN_PROFILE;
  }
}

interface Routed {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly mount: Mount;
  readonly target: Target;
  readonly endpoint: Endpoint | undefined;
}

const NOT_FOUND = text(404, 'not found: the index page at / lists what there is');
const NOT_ALLOWED = text(405, 'only GET and HEAD are answered here', { allow: 'GET, HEAD' });
const FAILED = text(500, 'Sonde failed to answer; the reason is on the standard error of the process');

function requestOf({
  req,
  res,
  query,
  prefix,
}: Pick<Routed, 'req' | 'res'> & Pick<Target, 'query'> & Pick<Mount, 'prefix'>): EndpointRequest {
  const gone = new AbortController();
  res.once('close', () => gone.abort());
  // As Go with its WriteTimeout: a server that closes idle sockets would cut the profile off.
  const { server } = req.socket as { server?: { timeout?: number } };
  const serverSeconds = (server?.timeout ?? 0) / 1000;
  return {
    query,
    headersOnly: req.method === 'HEAD',
    accept: req.headers.accept,
    address: addressOf(req, prefix),
    isForeignPage: !['same-origin', 'none'].includes(req.headers['sec-fetch-site'] ?? 'none'),
    signal: gone.signal,
    secondsMax: serverSeconds > 0 ? Math.min(PROFILE_SECONDS_MAX, Math.ceil(serverSeconds) - 1) : PROFILE_SECONDS_MAX,
  };
}

/** As the client wrote it, for commands that it can copy. */
function addressOf({ headers: { host = '' }, socket }: IncomingMessage, prefix: string): string {
  const scheme = (socket as { encrypted?: boolean }).encrypted === true ? 'https' : 'http';
  const authority = /^[\w.:[\]-]+$/.test(host) ? host : `${socket.localAddress ?? '127.0.0.1'}:${socket.localPort ?? ''}`;
  return `${scheme}://${authority}${prefix}`;
}

function indexEndpoint(title: string, endpoints: readonly Endpoint[]): Endpoint {
  const links = endpoints
    .filter(({ path }) => !path.startsWith(PPROF) || path === PPROF)
    .map(({ path, description }) => ({ href: path.slice(1), description }));
  const page = linksPage(title, 'What this process says about itself.', links);
  return { path: '/', description: 'This page.', answer: () => html(page) };
}

function signalEndpoints({ metrics, traces, stalls, profiles, clock }: EndpointDeps): Endpoint[] {
  return [
    {
      path: '/metrics',
      description: 'Metrics as Prometheus text or OpenMetrics with exemplars, by the Accept header.',
      isPublic: true,
      answer: metrics === undefined ? switchedOff('SONDE_METRICS') : ({ accept }) => metricsPage(metrics, accept),
    },
    {
      path: '/debug/traces',
      description: `The last traces, newest first: some of the ordinary, the failed and the slow. limit=${TRACES_DEFAULT}, trace_id=.`,
      answer:
        traces === undefined
          ? switchedOff('SONDE_TRACES')
          : ({ query }) => lastTraces(traces.list(), query, profileHistory({ profiles, clock })),
    },
    {
      path: '/debug/stalls',
      description: 'The last blocks of the event loop, newest first, and the stack that held it. limit=, route=, trace_id=, format=text.',
      answer: stalls === undefined ? switchedOff('SONDE_PROFILING') : ({ query, accept }) => lastStalls(stalls, query, accept),
    },
  ];
}

function leakEndpoints({ leaks, classes, title }: EndpointDeps): Endpoint[] {
  return [
    {
      path: '/debug/leaks',
      description: 'Whether memory leaks, and the function, file and line that leak it. format=text.',
      answer: leaks === undefined ? switchedOff('SONDE_LEAKS') : (request) => leakVerdict(leaks, request),
    },
    {
      path: '/debug/leaks/heap',
      description:
        'The live heap as it was sampled at earlier collections, for go tool pprof -diff_base. generation=first, last or an index.',
      answer: leaks === undefined ? switchedOff('SONDE_LEAKS') : (request) => leakGeneration(leaks, title, request),
    },
    {
      path: '/debug/leaks/classes',
      description:
        'Live objects by class, EventEmitters with most listeners, the largest collections. Says what it costs; confirm=1 stops the process and takes it.',
      answer: classes === undefined ? switchedOff('SONDE_PROFILING') : (request) => classHistogram(classes, request),
    },
  ];
}

function profileEndpoints({ profiles, clock, title }: EndpointDeps): Endpoint[] {
  const description = 'Profiles for go tool pprof, speedscope, DevTools, and as flame graphs: CPU, wall clock, heap.';
  if (profiles === undefined) return [{ path: PPROF, description, answer: switchedOff('SONDE_PROFILING') }];
  const named = pprofProfiles({ reads: profiles, clock, title });
  const absent = Object.entries(ABSENT_PROFILES).map(([name, instead]) => ({
    path: `${PPROF}${name}`,
    description: '',
    answer: () => pprofError(404, `Unknown profile: ${instead}`),
  }));
  return [
    { path: PPROF, description, answer: ({ query }) => pprofIndex(PPROF, named, query) },
    ...named.map(({ name, description: text, answer }) => ({ path: `${PPROF}${name}`, description: text, answer })),
    ...absent,
  ];
}

function processEndpoints({ config, isReady }: EndpointDeps): Endpoint[] {
  return [
    { path: '/debug/config', description: 'The settings in force, without secrets.', answer: () => json(redact(config())) },
    { path: '/healthz', description: 'Liveness probe: the event loop turns.', isPublic: true, answer: () => text(200, 'ok') },
    {
      path: '/readyz',
      description: 'Readiness probe.',
      isPublic: true,
      answer: () => (isReady() ? text(200, 'ok') : text(503, 'not ready')),
    },
  ];
}

function switchedOff(name: string): () => Answer {
  return () => text(404, `switched off by ${name}=false`);
}

async function metricsPage(metrics: NonNullable<EndpointDeps['metrics']>, accept: string | undefined): Promise<Answer> {
  const format = negotiate(accept);
  const body = write(await metrics.collect(), format, { resource: metrics.resource, onDropped: metrics.onDropped });
  return { status: 200, headers: { 'content-type': contentType(format) }, body };
}

/** Nothing where nothing is profiled. */
function profileHistory({ profiles, clock }: Pick<EndpointDeps, 'profiles' | 'clock'>): ProfileHistory {
  return { nowEpochMillis: clock.epochMillis(clock.monotonicMillis()), seconds: profiles?.stats().historySeconds ?? 0 };
}

function lastTraces(traces: readonly TraceEntry[], query: URLSearchParams, history: ProfileHistory): Answer {
  const traceId = query.get('trace_id');
  const limit = positiveInteger(query.get('limit') ?? String(TRACES_DEFAULT));
  if (limit === undefined) return text(400, 'invalid value for "limit" - must be a positive integer');
  if (traceId !== null && !/^[0-9a-f]{32}$/.test(traceId))
    return text(400, 'invalid value for "trace_id" - must be 32 lower-case hex digits');
  const asked = traceId === null ? traces : traces.filter((trace) => trace.traceId === traceId);
  return json({ traces: asked.slice(0, limit).map((trace) => withProfiles(trace, history)) });
}
