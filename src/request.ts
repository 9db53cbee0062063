// THE HOT PATH: one incoming request from its first byte to its close. Read this first.
//
//   http.server.request.start ──► begin(req, res)   parse traceparent, decide sampling, make the one record (a Span),
//                                                   make it active, hang it on the response, count it as active
//   a router matches          ──► named(res, route)  and label the samples of the profiler
//   a framework sees an error ──► failed(res, error)
//   res 'close'               ──► end(res)          observe the duration in the route's held cell, end the span
//
// 'close' fires for finished and aborted responses alike ('finish' does not), and the record is found from the
// response, never from the context: pipelined requests close in one another's context. Everything here is
// synchronous, makes no closure and no string per request, and reads no header but the three that carry a trace.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from './core/clock.ts';
import { enter, SAMPLED } from './core/context.ts';
import type { Guard } from './core/guard.ts';
import type { Family } from './metrics/family.ts';
import {
  histogramFamily,
  histogramSeries,
  HTTP_DURATION_BOUNDS_SECONDS,
  numberFamily,
  numberSeries,
  type HistogramCell,
  type NumberCell,
  type Series,
} from './metrics/series.ts';
import { STATUS_ERROR, type Span, type SpanDescriber } from './trace/span.ts';
import type { IncomingHeaders, Tracing } from './trace/tracer.ts';

/** On a server of Sonde's own: its requests are not the application's. */
export const OWN_SERVER: unique symbol = Symbol('sonde.own-server');

/** Where a response keeps its record. */
const RECORD: unique symbol = Symbol('sonde.record');

/** The error a response's span has noted last: on its way through a framework it passes several who report it. */
const NOTED: unique symbol = Symbol('sonde.noted-error');

/** On a connection: its pipelined responses that wait, or have waited, for another to be sent. */
const WAITING: unique symbol = Symbol('sonde.waiting');

/** Where the profiler is told what the samples that it takes from now on are about. */
export interface SampleLabels {
  /** A request has become active. */
  begun(request: Span): void;
  /** The active request is served by `route`; empty when nothing serves it after all. */
  routed(route: string): void;
}

/** Longest route template kept; what is longer is a generated pattern nobody reads. */
const ROUTE_LENGTH_MAX = 256;

export interface RequestsOptions {
  /** Methods that keep their name (`OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS`). */
  readonly knownMethods: readonly string[];
  /** Series at most per metric. */
  readonly seriesLimit: number;
}

export interface RequestsDeps {
  readonly guard: Guard;
  readonly clock: Clock;
  readonly tracing: Tracing;
  /** Says what a server span is called and which attributes it has. */
  readonly describer: SpanDescriber;
  /** Absent when nothing is profiled. */
  readonly labels?: SampleLabels | undefined;
}

type RecordedResponse = ServerResponse & { [RECORD]?: Span | undefined; [NOTED]?: unknown; req: IncomingMessage };

/** `_httpMessage` is the response that Node is sending on the connection, null for none. */
type PipelinedSocket = IncomingMessage['socket'] & { [WAITING]?: Set<ServerResponse>; readonly _httpMessage?: ServerResponse | null };

/** Cells of one route, by method, status, scheme and version in one number. */
type RouteCells = Map<number, HistogramCell>;

export class ServerRequests {
  readonly #clock: Clock;
  readonly #tracing: Tracing;
  readonly #describer: SpanDescriber;
  readonly #labels: SampleLabels | undefined;
  readonly #durations: Series<HistogramCell>;
  readonly #active: Series<NumberCell>;
  readonly #routes = new Map<string, RouteCells>();
  readonly #activeCells: NumberCell[] = [];
  readonly #methods: readonly string[];
  readonly #methodIndex: ReadonlyMap<string, number>;
  readonly #headers: IncomingHeaders = { traceparent: undefined, tracestate: undefined, baggage: undefined };
  readonly #onClose: (this: ServerResponse) => void;
  readonly #onConnectionClose: (this: PipelinedSocket) => void;

  constructor(options: RequestsOptions, deps: RequestsDeps) {
    this.#clock = deps.clock;
    this.#tracing = deps.tracing;
    this.#describer = deps.describer;
    this.#labels = deps.labels;
    this.#methods = ['_OTHER', ...options.knownMethods];
    this.#methodIndex = new Map(this.#methods.map((method, index) => [method, index]));
    this.#durations = histogramSeries(
      {
        name: 'http.server.request.duration',
        unit: 's',
        description: 'Duration of HTTP server requests.',
        labelNames: [
          'http.request.method',
          'http.route',
          'http.response.status_code',
          'url.scheme',
          'network.protocol.version',
          'error.type',
        ],
        limit: options.seriesLimit,
      },
      HTTP_DURATION_BOUNDS_SECONDS,
    );
    this.#active = numberSeries({
      name: 'http.server.active_requests',
      unit: '{request}',
      description: 'Number of active HTTP server requests.',
      labelNames: ['http.request.method', 'url.scheme'],
      limit: options.seriesLimit,
    });
    const end = deps.guard.wrap('http-server', (res: RecordedResponse) => this.end(res));
    // One listener for all responses: the emitter hands the response over as `this`.
    this.#onClose = function onClose(this: ServerResponse): void {
      end(this);
    };
    this.#onConnectionClose = function onConnectionClose(this: PipelinedSocket): void {
      for (const res of this[WAITING] ?? []) end(res);
    };
  }

  /** Starts the record of a request and makes it active for everything the application does about it. */
  begin(req: IncomingMessage, res: ServerResponse): void {
    const span = this.#tracing.startServer(this.#traceHeaders(req.rawHeaders));
    // Applications rewrite both while they route; the rest is read when somebody wants it.
    span.target = req.url ?? '';
    span.method = req.method ?? '';
    span.subject = res;
    span.describer = this.#describer;
    this.#activeCell(span, req).value += 1;
    (res as RecordedResponse)[RECORD] = span;
    res.on('close', this.#onClose);
    const socket = req.socket as PipelinedSocket;
    if (socket._httpMessage) this.#wait(socket, res);
    // Node looks the peer up once a connection and keeps it; of a connection that has gone it could not be asked any more.
    if ((span.traceFlags & SAMPLED) !== 0) void socket.remoteAddress;
    // Always, sampled or not: on Node 20 a keep-alive connection would otherwise show the previous request's store.
    enter(span);
    this.#labels?.begun(span);
  }

  /** Names the route that serves this response. */
  named(res: ServerResponse, route: string): void {
    const span = (res as RecordedResponse)[RECORD];
    if (span === undefined) return;
    span.route = route.length > ROUTE_LENGTH_MAX ? route.slice(0, ROUTE_LENGTH_MAX) : route;
    this.#labels?.routed(span.route);
  }

  /** Takes the route's name back: all routes have passed the request on, and nothing serves it. */
  unrouted(res: ServerResponse): void {
    const span = (res as RecordedResponse)[RECORD];
    if (span === undefined) return;
    span.route = '';
    this.#labels?.routed('');
  }

  /** Notes an error of the application's on this response's span, once however often it is reported. The status decides whether the request failed. */
  failed(res: ServerResponse, error: unknown): void {
    const { [RECORD]: span, [NOTED]: noted } = res as RecordedResponse;
    if (span === undefined || noted === error) return;
    (res as RecordedResponse)[NOTED] = error;
    span.recordException(error instanceof Error ? error : String(error));
    span.errorType = errorName(error);
  }

  /** The record of a response that has not closed; undefined of any other message. */
  recordOf(res: ServerResponse): Span | undefined {
    return (res as RecordedResponse)[RECORD];
  }

  /** Takes a response out of the count: it is served by Sonde, mounted in the application. */
  ignore(res: ServerResponse): void {
    const { [RECORD]: span, req } = res as RecordedResponse;
    if (span === undefined) return;
    (res as RecordedResponse)[RECORD] = undefined;
    (req.socket as PipelinedSocket)[WAITING]?.delete(res);
    this.#activeCell(span, req).value -= 1;
    span.release();
  }

  /** Ends the record of a response that has closed, finished or not. */
  end(res: ServerResponse): void {
    const { [RECORD]: span, req } = res as RecordedResponse;
    if (span === undefined) return;
    (res as RecordedResponse)[RECORD] = undefined;
    (req.socket as PipelinedSocket)[WAITING]?.delete(res);
    this.#activeCell(span, req).value -= 1;
    const now = this.#clock.monotonicMillis();
    // Nothing was sent before the client went away: 200 is only what the status would have been.
    const status = res.headersSent ? res.statusCode : 0;
    if (status >= 500) {
      if (span.errorType === '') span.errorType = String(status);
      if (span.statusCode === 0) span.statusCode = STATUS_ERROR;
    } else if (!res.writableFinished) {
      span.errorType = 'aborted';
    } else {
      // An error that the application answered with less than 500 is no failure of the request.
      span.errorType = '';
    }
    const seconds = (now - span.startMonotonicMillis) / 1000;
    const cell = this.#cell(span, req, status);
    if ((span.traceFlags & SAMPLED) !== 0) cell.observeTraced(seconds, span, now);
    else cell.observe(seconds);
    span.endAt(now);
  }

  /** `http.server.request.duration` and `http.server.active_requests`. */
  families(): Family[] {
    return [histogramFamily(this.#durations), numberFamily(this.#active, 'updowncounter')];
  }

  /** Requests answered so far, and those in flight. */
  traffic(): { readonly requests: number; readonly active: number } {
    const sum = (counts: Iterable<number>): number => [...counts].reduce((total, count) => total + count, 0);
    return {
      requests: sum(this.#durations.entries().map(({ cell }) => sum(cell.counts))),
      active: sum(this.#active.entries().map(({ cell }) => cell.value)),
    };
  }

  /** Label sets that found a metric full. */
  get overflowed(): number {
    return this.#durations.overflowed + this.#active.overflowed;
  }

  /** When a connection goes, Node closes the response it is sending and forgets those that were queued behind it. */
  #wait(socket: PipelinedSocket, res: ServerResponse): void {
    if (socket[WAITING] === undefined) {
      socket[WAITING] = new Set();
      socket.once('close', this.#onConnectionClose);
    }
    socket[WAITING].add(res);
  }

  /** The three headers that carry a trace, from the raw list: `req.headers` builds an object that a handler may never ask for. */
  #traceHeaders(raw: readonly string[]): IncomingHeaders {
    const found = this.#headers;
    found.traceparent = undefined;
    found.tracestate = undefined;
    found.baggage = undefined;
    for (let i = 0; i < raw.length; i += 2) {
      const name = raw[i]!;
      const length = name.length;
      if (length !== 11 && length !== 10 && length !== 7) continue;
      const first = name.charCodeAt(0) | 32;
      if (first !== 116 /* t */ && first !== 98 /* b */) continue;
      const lower = name.toLowerCase();
      const value = raw[i + 1]!;
      // Repeated: traceparent is then invalid, lists are joined (RFC 9110 5.3).
      if (lower === 'traceparent') found.traceparent = found.traceparent === undefined ? value : `${found.traceparent},${value}`;
      else if (lower === 'tracestate') found.tracestate = found.tracestate === undefined ? value : `${found.tracestate},${value}`;
      else if (lower === 'baggage') found.baggage = found.baggage === undefined ? value : `${found.baggage},${value}`;
    }
    return found;
  }

  #methodOf(span: Span): number {
    return this.#methodIndex.get(span.method) ?? 0;
  }

  #activeCell(span: Span, req: IncomingMessage): NumberCell {
    const method = this.#methodOf(span);
    const secure = isSecure(req);
    return (this.#activeCells[method * 2 + (secure ? 1 : 0)] ??= this.#active.cell(this.#methods[method]!, secure ? 'https' : 'http'));
  }

  #cell(span: Span, req: IncomingMessage, status: number): HistogramCell {
    const method = this.#methodOf(span);
    const secure = isSecure(req);
    const version10 = req.httpVersionMinor === 0;
    // An error type other than the status is rare and free text: it is looked up by its labels, not by number.
    if (span.errorType !== '' && span.errorType !== String(status)) return this.#resolve(span, req, status);
    let cells = this.#routes.get(span.route);
    if (cells === undefined) {
      if (this.#durations.full) return this.#resolve(span, req, status);
      this.#routes.set(span.route, (cells = new Map()));
    }
    const key = ((method * 1024 + status) * 2 + (secure ? 1 : 0)) * 2 + (version10 ? 1 : 0);
    let cell = cells.get(key);
    if (cell === undefined) {
      cell = this.#resolve(span, req, status);
      if (!this.#durations.full) cells.set(key, cell);
    }
    return cell;
  }

  /** The cell by its labels; costs a key of all values. */
  #resolve(span: Span, req: IncomingMessage, status: number): HistogramCell {
    return this.#durations.cell(
      this.#methods[this.#methodOf(span)]!,
      span.route,
      status === 0 ? '' : String(status),
      isSecure(req) ? 'https' : 'http',
      req.httpVersionMinor === 0 ? '1.0' : '1.1',
      span.errorType,
    );
  }
}

function isSecure(req: IncomingMessage): boolean {
  return (req.socket as { encrypted?: boolean }).encrypted === true;
}

/** `error.type`: the class of an exception, which is few, and never its message, which is many. */
function errorName(error: unknown): string {
  if (!(error instanceof Error)) return '_OTHER';
  const { name } = error.constructor;
  return name === '' || name === 'Error' ? error.name || 'Error' : name;
}
