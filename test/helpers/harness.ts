// The data plane as sdk.ts wires it, in this process: guard, clock, tracing, server and client requests, and every
// sampled span that ended. Beside it loopback servers that are closed after the test file, and raw sockets for what
// no client library would send.
import { once } from 'node:events';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { ClientRequests } from '../../src/client-request.ts';
import { readConfig } from '../../src/config.ts';
import { SystemClock, type Clock } from '../../src/core/clock.ts';
import { StderrDiag } from '../../src/core/diag.ts';
import { Guard } from '../../src/core/guard.ts';
import { describeClient, describeServer } from '../../src/instrument/http-semconv.ts';
import type { Family, Labels } from '../../src/metrics/family.ts';
import { ServerRequests } from '../../src/request.ts';
import { createSampler, type SamplerName } from '../../src/trace/sampling.ts';
import type { Span, SpanLimits } from '../../src/trace/span.ts';
import { SondeTracerProvider, Tracing } from '../../src/trace/tracer.ts';

const { config: DEFAULTS } = readConfig({}, {});

const KNOWN_METHODS: readonly string[] = DEFAULTS.knownMethods;
const SPAN_LIMITS: SpanLimits = DEFAULTS.spanLimits;

export interface HarnessOptions {
  readonly clock?: Clock;
  readonly sampler?: SamplerName;
  readonly limits?: Partial<SpanLimits>;
  readonly seriesLimit?: number;
  readonly keep?: (root: Span) => void;
}

/** One labelled value of `http.server.request.duration` or `http.client.request.duration`. */
export interface Counted {
  readonly labels: Labels;
  readonly count: number;
}

export class Harness {
  /** What Sonde said about itself; a test that expects nothing asserts that this is empty. */
  readonly lines: string[] = [];
  readonly guard: Guard;
  readonly clock: Clock;
  readonly tracing: Tracing;
  readonly provider: SondeTracerProvider;
  readonly requests: ServerRequests;
  readonly clients: ClientRequests;
  /** Sampled spans in the order in which they ended. */
  spans: Span[] = [];
  #waiting: { readonly count: number; readonly resolve: () => void }[] = [];

  constructor(options: HarnessOptions = {}) {
    this.clock = options.clock ?? new SystemClock();
    this.guard = new Guard(new StderrDiag('debug', (line) => this.lines.push(line)));
    this.tracing = new Tracing({
      clock: this.clock,
      sampler: createSampler(options.sampler ?? 'parentbased_always_on', 1),
      limits: { ...SPAN_LIMITS, ...options.limits },
      propagation: { traceContext: true, baggage: true },
      resource: resourceFromAttributes({ 'service.name': 'test' }),
      push: (span) => this.#ended(span),
      keep: options.keep,
    });
    this.provider = new SondeTracerProvider(this.tracing);
    const seriesLimit = options.seriesLimit ?? DEFAULTS.seriesLimit;
    this.requests = new ServerRequests(
      { knownMethods: KNOWN_METHODS, seriesLimit },
      { guard: this.guard, clock: this.clock, tracing: this.tracing, describer: describeServer({ knownMethods: KNOWN_METHODS }) },
    );
    this.clients = new ClientRequests({
      clock: this.clock,
      tracing: this.tracing,
      describer: describeClient({ knownMethods: KNOWN_METHODS }),
      knownMethods: KNOWN_METHODS,
      seriesLimit,
    });
  }

  /** Resolves when that many spans have ended since the last `take`. */
  async ended(count: number): Promise<Span[]> {
    if (this.spans.length < count) await new Promise<void>((resolve) => this.#waiting.push({ count, resolve }));
    return this.spans;
  }

  /** Waits for that many spans, takes them out and returns them. */
  async take(count: number): Promise<Span[]> {
    await this.ended(count);
    return this.spans.splice(0);
  }

  /** Server requests measured so far, by label set. */
  served(): Counted[] {
    return counted(this.requests.families()[0]!);
  }

  /** Client requests measured so far, by label set. */
  called(): Counted[] {
    return counted(this.clients.families()[0]!);
  }

  /** Sum of `http.server.active_requests` over all its series. */
  active(): number {
    const family = this.requests.families()[1]!;
    return (family.points as readonly { readonly value: number }[]).reduce((sum, { value }) => sum + value, 0);
  }

  #ended(span: Span): void {
    span.settle();
    this.spans.push(span);
    const ready = this.#waiting.filter(({ count }) => count <= this.spans.length);
    this.#waiting = this.#waiting.filter(({ count }) => count > this.spans.length);
    for (const { resolve } of ready) resolve();
  }
}

function counted(family: Family): Counted[] {
  if (family.type !== 'histogram') throw new Error(`${family.name} is no histogram`);
  return family.points.map(({ labels, counts }) => ({ labels, count: Array.from(counts).reduce((sum, count) => sum + count, 0) }));
}

/** Loopback servers of one test file. */
export class Servers {
  readonly #open: http.Server[] = [];

  /** Listens on a free port; returns the base URL without a slash at the end. */
  async listen(server: http.Server | http.RequestListener): Promise<string> {
    const listening = typeof server === 'function' ? http.createServer(server) : server;
    this.#open.push(listening);
    listening.listen(0, '127.0.0.1');
    await once(listening, 'listening');
    return `http://127.0.0.1:${(listening.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    for (const server of this.#open.splice(0)) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }
}

/** What a server answered. */
export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/** One request on a connection of its own, by node:http. */
export function request(url: string, options: http.RequestOptions & { readonly body?: string } = {}): Promise<Answer> {
  const { body, ...rest } = options;
  return new Promise((resolve, reject) => {
    const req = http.request(url, { agent: false, ...rest }, (res) => {
      const chunks: Buffer[] = [];
      res.on('data', (chunk: Buffer) => chunks.push(chunk));
      res.on('error', reject);
      res.on('end', () => resolve({ status: res.statusCode ?? 0, headers: res.headers, body: Buffer.concat(chunks).toString() }));
    });
    req.on('error', reject);
    req.end(body);
  });
}

/** A connection on which bytes are written as they are. */
export class RawConnection {
  readonly socket: net.Socket;
  received = '';

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('data', (chunk) => (this.received += chunk.toString('latin1')));
    socket.on('error', () => {});
  }

  static async open(url: string): Promise<RawConnection> {
    const { hostname, port } = new URL(url);
    const socket = net.connect(Number(port), hostname);
    await once(socket, 'connect');
    return new RawConnection(socket);
  }

  write(text: string): void {
    this.socket.write(text);
  }

  /** Resolves when what has been received holds the text that many times. */
  async seen(text: string, times = 1): Promise<void> {
    while (this.received.split(text).length - 1 < times) await once(this.socket, 'data');
  }

  /** Resolves when the other side has closed. */
  async closed(): Promise<void> {
    if (!this.socket.closed) await once(this.socket, 'close');
  }
}
