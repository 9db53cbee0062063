// DATA PLANE. One outgoing request, whichever client makes it: its span, the headers that carry its trace, its duration,
// its end. The counterpart of request.ts; instrument/http-client and instrument/undici only translate what their
// client says into these calls.
import { inspect } from 'node:util';
import type { Clock } from './core/clock.ts';
import { SAMPLED } from './core/context.ts';
import type { Family } from './metrics/family.ts';
import { histogramFamily, histogramSeries, HTTP_DURATION_BOUNDS_SECONDS, type HistogramCell, type Series } from './metrics/series.ts';
import { STATUS_ERROR, type Span, type SpanDescriber } from './trace/span.ts';
import { injectHeaders } from './trace/propagation.ts';
import type { Tracing } from './trace/tracer.ts';

/** The versions that Node's clients speak; others are looked up by their labels. */
const VERSIONS: readonly string[] = ['1.1', '1.0'];

/** What the client learns of a request on its way; the instrumentation fills it in. */
export interface ClientRequestFacts {
  readonly serverAddress: string;
  /** 0 while only the connection knows it. */
  serverPort: number;
  peerAddress: string | undefined;
  peerPort: number | undefined;
  /** 0 until a response arrives. */
  statusCode: number;
  protocolVersion: string;
}

/** A request on its way, kept by the client's own request object. */
export interface ClientRecord {
  readonly span: Span;
  readonly facts: ClientRequestFacts;
  readonly scheme: string;
}

/** Where a request goes. */
export interface ClientTarget {
  readonly method: string;
  /** Full URL. */
  readonly url: string;
  readonly scheme: string;
  readonly address: string;
  readonly port: number;
}

export interface ClientRequestsDeps {
  readonly clock: Clock;
  readonly tracing: Tracing;
  readonly describer: SpanDescriber;
  readonly knownMethods: readonly string[];
  readonly seriesLimit: number;
}

export class ClientRequests {
  readonly #tracing: Tracing;
  readonly #clock: Clock;
  readonly #describer: SpanDescriber;
  /** From 1; every other method is 0, `_OTHER`. */
  readonly #methodIndex: ReadonlyMap<string, number>;
  readonly #durations: Series<HistogramCell>;
  /** By the server's address, then by method, port, status, version and scheme in one number. */
  readonly #cells = new Map<string, Map<number, HistogramCell>>();

  constructor(deps: ClientRequestsDeps) {
    this.#tracing = deps.tracing;
    this.#clock = deps.clock;
    this.#describer = deps.describer;
    this.#methodIndex = new Map(deps.knownMethods.map((method, index) => [method, index + 1]));
    this.#durations = histogramSeries(
      {
        name: 'http.client.request.duration',
        unit: 's',
        description: 'Duration of HTTP client requests.',
        labelNames: [
          'http.request.method',
          'server.address',
          'server.port',
          'http.response.status_code',
          'url.scheme',
          'network.protocol.version',
          'error.type',
        ],
        limit: deps.seriesLimit,
      },
      HTTP_DURATION_BOUNDS_SECONDS,
    );
  }

  /** Starts the span of an outgoing request under what is active now. */
  begin(target: ClientTarget): ClientRecord {
    const span = this.#tracing.startClient();
    const facts: ClientRequestFacts = {
      serverAddress: target.address,
      serverPort: target.port,
      peerAddress: undefined,
      peerPort: undefined,
      statusCode: 0,
      protocolVersion: '',
    };
    span.method = target.method;
    span.target = target.url;
    span.subject = facts;
    span.describer = this.#describer;
    return { span, facts, scheme: target.scheme };
  }

  /** Hands the headers that carry the trace to `set`, one by one. */
  inject({ span }: ClientRecord, set: (name: string, value: string) => void): void {
    injectHeaders(this.#tracing.propagation, span, set);
  }

  /** Ends the span once; `error` is what stopped the request, when something did. */
  end(record: ClientRecord, error: unknown): void {
    const { span, facts } = record;
    if (span.ended) return;
    if (error !== undefined) {
      const message = error instanceof Error ? error.message : inspect(error, { depth: 0 });
      span.errorType = clientErrorType(error);
      span.recordException(error instanceof Error ? error : message);
      span.statusCode = STATUS_ERROR;
      span.statusMessage = message;
    } else if (facts.statusCode >= 400) {
      span.errorType = String(facts.statusCode);
      span.statusCode = STATUS_ERROR;
    }
    const now = this.#clock.monotonicMillis();
    const seconds = (now - span.startMonotonicMillis) / 1000;
    const cell = this.#cell(record);
    if ((span.traceFlags & SAMPLED) !== 0) cell.observeTraced(seconds, span, now);
    else cell.observe(seconds);
    span.endAt(now);
  }

  /** `http.client.request.duration`. */
  families(): Family[] {
    return [histogramFamily(this.#durations)];
  }

  /** Label sets that found the metric full. */
  get overflowed(): number {
    return this.#durations.overflowed;
  }

  /** The cell of a request that was answered is kept by address and number; the others are rare, and looked up by their labels. */
  #cell(record: ClientRecord): HistogramCell {
    const { span, facts, scheme } = record;
    const status = facts.statusCode;
    const method = this.#methodIndex.get(span.method) ?? 0;
    const version = VERSIONS.indexOf(facts.protocolVersion);
    const isPort = facts.serverPort >= 0 && facts.serverPort < 65_536;
    if (status === 0 || version === -1 || !isPort || (span.errorType !== '' && span.errorType !== String(status)))
      return this.#resolve(record);
    const cells = this.#cells.get(facts.serverAddress) ?? this.#keep(facts.serverAddress);
    if (cells === undefined) return this.#resolve(record);
    const key = (((method * 65_536 + facts.serverPort) * 1024 + status) * 2 + version) * 2 + (scheme === 'https' ? 1 : 0);
    let cell = cells.get(key);
    if (cell === undefined) {
      cell = this.#resolve(record);
      if (!this.#durations.full) cells.set(key, cell);
    }
    return cell;
  }

  /** Where the cells of an address are kept; none when the metric is full. */
  #keep(address: string): Map<number, HistogramCell> | undefined {
    if (this.#durations.full) return undefined;
    const cells = new Map<number, HistogramCell>();
    this.#cells.set(address, cells);
    return cells;
  }

  /** The cell by its labels; costs a key of all values. */
  #resolve({ span, facts, scheme }: ClientRecord): HistogramCell {
    return this.#durations.cell(
      this.#methodIndex.has(span.method) ? span.method : '_OTHER',
      facts.serverAddress,
      String(facts.serverPort),
      facts.statusCode === 0 ? '' : String(facts.statusCode),
      scheme,
      facts.protocolVersion,
      span.errorType,
    );
  }
}

/** `error.type` of a request that failed: the system's code where there is one, else the class. */
function clientErrorType(error: unknown): string {
  if (!(error instanceof Error)) return '_OTHER';
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && code !== '' ? code : error.constructor.name || 'Error';
}
