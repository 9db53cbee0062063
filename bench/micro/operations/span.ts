// Operations of trace/: making spans, what is put on them, what they say of themselves, and the local ring's verdict.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Attributes, Span as ApiSpan } from '@opentelemetry/api';
import { BasicTracerProvider, RandomIdGenerator } from '@opentelemetry/sdk-trace-node';
import { ROOT } from '../../../src/core/context.ts';
import { newSpanId, newTraceId } from '../../../src/core/ids.ts';
import type { Span } from '../../../src/trace/span.ts';
import { HOST_AT, ROUTES, traceparentOf, USER_AGENT_AT, type Exchanges } from '../exchanges.ts';
import { inTurn, keep, operation, subject, subjectWithInput, type Operation } from '../operation.ts';
import { wireParts, type Parts } from '../parts.ts';

/** Attributes set by hand. */
const OWN_ATTRIBUTES: readonly (readonly [string, string | number | boolean])[] = [
  ['shop.order', 'o-4711'],
  ['shop.lines', 3],
  ['shop.total', 17.4],
  ['shop.express', true],
  ['shop.customer', 'c-42'],
];

const NAMES: readonly string[] = ['price', 'reserve', 'charge', 'notify'];

export function serverSpan(isTraced: boolean): Operation {
  const { tracing } = wireParts();
  const headers = inTurn(
    Array.from({ length: 64 }, (_, index) => ({
      traceparent: isTraced ? traceparentOf(index) : undefined,
      tracestate: undefined,
      baggage: undefined,
    })),
  );
  return operation({
    ours: subject(() => keep(tracing.startServer(headers())), { isRight: (span) => hasParent(span) === isTraced }),
    bound: subject(
      () => {
        const { traceparent } = headers();
        const record = plainSpan('', performance.now());
        if (traceparent !== undefined) {
          record.traceId = traceparent.slice(3, 35);
          record.parentSpanId = traceparent.slice(36, 52);
          record.traceFlags = traceparent.charCodeAt(54) & 1;
        }
        return keep(record);
      },
      { isRight: (record) => ((record as PlainSpan).traceId.length === 32) === isTraced },
    ),
    boundIs: `one clock reading, a literal of the span's fields${isTraced ? ', two slices of traceparent' : ''}`,
  });
}

function hasParent(span: unknown): boolean {
  return (span as Span).parentSpanId?.length === 16;
}

/** A span of the application's through the api. */
export function apiSpan(): Operation {
  const { tracing, tracers } = wireParts();
  let ended = 0;
  tracing.push = () => (ended += 1);
  const tracer = tracers.getTracer('bench', '1.0.0');
  const sdkTracer = sdkTracerProvider(() => (ended += 1)).getTracer('bench', '1.0.0');
  const name = inTurn(NAMES);
  const effects = (): number => ended;
  return operation({
    ours: subject(() => keep(tracer.startSpan(name(), {}, ROOT)).end(), { effects }),
    bound: subject(
      () => {
        const record = plainSpan(name(), performance.now());
        record.endMillis = performance.now();
        ended += 1;
        return keep(record);
      },
      { effects },
    ),
    boundIs: 'two clock readings, a literal of the fields of a span',
    peers: { 'OpenTelemetry SDK': subject(() => keep(sdkTracer.startSpan(name())).end(), { effects }) },
  });
}

export function setAttributes(): Operation {
  const { tracers } = wireParts();
  const tracer = tracers.getTracer('bench');
  const sdkTracer = sdkTracerProvider(() => {}).getTracer('bench');
  const isRight = (attributes: unknown): boolean => Object.keys(attributes as Attributes).length === OWN_ATTRIBUTES.length;
  const setAll = (span: ApiSpan): unknown => {
    for (const [key, value] of OWN_ATTRIBUTES) span.setAttribute(key, value);
    return (span as unknown as { attributes: Attributes }).attributes;
  };
  return operation({
    ours: subjectWithInput(
      () => tracer.startSpan('price', {}, ROOT),
      (span) => keep(setAll(span)),
      { isRight },
    ),
    bound: subject(
      () => {
        const attributes: Attributes = {};
        for (const [key, value] of OWN_ATTRIBUTES) attributes[key] = value;
        return keep(attributes);
      },
      { isRight },
    ),
    boundIs: 'the same five keys set on a new object',
    peers: {
      'OpenTelemetry SDK': subjectWithInput(
        () => sdkTracer.startSpan('price'),
        (span) => keep(setAllSdk(span)),
        { isRight },
      ),
    },
  });
}

/** The same as `setAll`, apart so that neither SDK's span makes the other's calls polymorphic. */
function setAllSdk(span: ApiSpan): unknown {
  for (const [key, value] of OWN_ATTRIBUTES) span.setAttribute(key, value);
  return (span as unknown as { attributes: Attributes }).attributes;
}

export function ids(): Operation {
  const pool = Buffer.alloc(8192, 7);
  let at = 0;
  const sdkIds = new RandomIdGenerator();
  const isRight = (drawn: unknown): boolean => /^[0-9a-f]{48}$/.test(String(drawn)) && !/^0{32}|0{16}$/.test(String(drawn));
  return operation({
    ours: subject(() => keep(newTraceId()) + keep(newSpanId()), { isRight }),
    bound: subject(
      () => {
        at = at + 48 > pool.length ? 0 : at + 24;
        return keep(pool.toString('hex', at, at + 16)) + keep(pool.toString('hex', at + 16, at + 24));
      },
      { isRight },
    ),
    boundIs: 'hex of 16 and of 8 bytes of a pool that is never filled again',
    peers: { 'OpenTelemetry SDK': subject(() => keep(sdkIds.generateTraceId()) + keep(sdkIds.generateSpanId()), { isRight }) },
  });
}

/** The attributes of a server span; whether Node has made its header object already is for the application. */
export function serverAttributes(exchanges: Exchanges, areHeadersRead: boolean): Operation {
  const { serverDescriber } = wireParts();
  const { requests } = wireParts();
  const route = inTurn(ROUTES);
  const input = (): Span => {
    const exchange = exchanges.received();
    const { req, res } = exchange;
    const span = begunSpan(requests, exchange);
    requests.named(res, route());
    exchanges.answer(exchange);
    if (areHeadersRead && req.headers.host === undefined) throw new Error('a request without its headers');
    return span;
  };
  const isRight = (attributes: unknown): boolean => {
    const { 'http.response.status_code': status, 'client.address': address, 'http.route': named } = attributes as Attributes;
    return typeof status === 'number' && address === '127.0.0.1' && typeof named === 'string';
  };
  return operation({
    ours: subjectWithInput(input, (span) => keep(serverDescriber.attributes(span)), { isRight }),
    bound: subjectWithInput(input, (span) => keep(plainServerAttributes(span)), { isRight }),
    boundIs: 'a literal of the same 13 attributes; headers at known places, no search for proxies, secrets or ports',
  });
}

function plainServerAttributes(span: Span): Attributes {
  const res = span.subject as ServerResponse & { readonly req: IncomingMessage };
  const { req } = res;
  const { socket, rawHeaders } = req;
  const query = span.target.indexOf('?');
  const host = rawHeaders[HOST_AT]!;
  return {
    'http.request.method': span.method,
    'url.scheme': 'http',
    'network.protocol.version': req.httpVersion,
    'url.path': span.target.slice(0, query),
    'url.query': span.target.slice(query + 1),
    'http.route': span.route,
    'server.address': host.slice(0, host.indexOf(':')),
    'server.port': 3000,
    'user_agent.original': rawHeaders[USER_AGENT_AT]!,
    'network.peer.address': socket.remoteAddress!,
    'network.peer.port': socket.remotePort!,
    'client.address': socket.remoteAddress!,
    'http.response.status_code': res.statusCode,
  };
}

/** The span that `begin` makes and hides on the response. */
export function begunSpan(requests: Parts['requests'], { req, res }: ReturnType<Exchanges['received']>): Span {
  requests.begin(req, res);
  const symbol = Object.getOwnPropertySymbols(res).find((one) => one.description === 'sonde.record');
  if (symbol === undefined) throw new Error('begin left no record on the response');
  return (res as unknown as Record<symbol, Span>)[symbol]!;
}

/** At 20,000 requests a second, of which the ring takes a few. */
export function ringOffer(): Operation {
  const { tracing, ring } = wireParts();
  const spans = inTurn(
    Array.from({ length: 64 }, () => {
      const span = tracing.startServer({ traceparent: undefined, tracestate: undefined, baggage: undefined });
      span.endMonotonicMillis = span.startMonotonicMillis + 1;
      return span;
    }),
  );
  let [offered, plainOffered, taken] = [0, 0, 0];
  const start = performance.now();
  return operation({
    ours: subject(
      () => {
        const span = spans();
        offered += 1;
        span.startMonotonicMillis = start + offered * 0.05;
        span.endMonotonicMillis = start + offered * 0.05 + 1;
        ring.offer(span);
      },
      { effects: () => (ring.list().length > 0 ? offered : 0) },
    ),
    bound: subject(
      () => {
        const span = spans();
        plainOffered += 1;
        span.startMonotonicMillis = start + plainOffered * 0.05;
        span.endMonotonicMillis = start + plainOffered * 0.05 + 1;
        if ((Math.floor(Math.random() * 65_536) & 4095) === 0) taken += 1;
      },
      { effects: () => (taken < plainOffered ? plainOffered : 0) },
    ),
    boundIs: 'sixteen random bits against a mask',
  });
}

interface PlainSpan {
  traceId: string;
  parentSpanId: string | undefined;
  traceFlags: number;
  endMillis: number;
}

function plainSpan(name: string, startMillis: number): PlainSpan {
  const span = {
    owner: undefined,
    scope: undefined,
    kind: 1,
    startMillis,
    endMillis: 0,
    traceFlags: 1,
    parentSpanId: undefined as string | undefined,
    parentIsRemote: false,
    traceState: '',
    root: undefined,
    baggage: undefined,
    statusCode: 0,
    statusMessage: undefined,
    route: '',
    target: '',
    method: '',
    errorType: '',
    subject: undefined,
    describer: undefined,
    children: undefined,
    traceId: '',
    spanId: '',
    name,
    additions: undefined,
  };
  return span;
}

function sdkTracerProvider(onEnd: () => void): BasicTracerProvider {
  return new BasicTracerProvider({
    spanProcessors: [{ onStart: () => {}, onEnd, forceFlush: () => Promise.resolve(), shutdown: () => Promise.resolve() }],
  });
}
