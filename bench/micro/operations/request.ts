// Operations of request.ts: one incoming request from its first byte to its close.
import { AsyncLocalStorage } from 'node:async_hooks';
import type { ServerResponse } from 'node:http';
import { SAMPLED } from '../../../src/core/context.ts';
import { spanBatch } from '../../../src/export/otlp-spans.ts';
import type { Span } from '../../../src/trace/span.ts';
import { ROUTES, TRACEPARENT_AT, type Exchange, type Exchanges } from '../exchanges.ts';
import { inTurn, keep, operation, subject, subjectWithInput, type Operation, type Subject } from '../operation.ts';
import { countOf, sumOf, wireParts, type Parts } from '../parts.ts';
import { begunSpan } from './span.ts';

const SPANS_PER_REQUEST = 512;
/** Bytes of a server span as protobuf. */
const SPAN_BYTES = 400;

const BEGIN_IS = 'one clock reading, an object of five fields, a counter, a property of the response, its close listener, a bare enterWith';
const END_IS = 'one clock reading, one Map.get by status, a typed-array increment and a sum';

export function requestBegin(
  exchanges: Exchanges,
  { isTraced = false, isSampled = true }: { isTraced?: boolean; isSampled?: boolean } = {},
): Operation {
  const { requests } = wireParts(isSampled ? 'parentbased_always_on' : 'always_off');
  const plain = new PlainRequests();
  const input = (): Exchange => exchanges.received(isTraced);
  return operation({
    ours: subjectWithInput(input, ({ req, res }) => requests.begin(req, res), { effects: () => sumOf(requests.families()[1]) }),
    bound: subjectWithInput(input, (exchange) => (isTraced ? plain.beginTraced(exchange) : plain.begin(exchange)), {
      effects: () => plain.active,
    }),
    boundIs: isTraced ? `${BEGIN_IS}, three slices of traceparent` : BEGIN_IS,
  });
}

export function requestNamed(exchanges: Exchanges): Operation {
  const { requests } = wireParts();
  const plain = new PlainRequests();
  const begun = inTurn(
    Array.from({ length: 64 }, () => {
      const exchange = exchanges.received();
      const span = begunSpan(requests, exchange);
      plain.begin(exchange);
      return { res: exchange.res, span };
    }),
  );
  const route = inTurn(ROUTES);
  let last = '';
  return operation({
    ours: subject(
      () => {
        const { res, span } = begun();
        requests.named(res, (last = route()));
        return span;
      },
      { isRight: (span) => (span as Span).route === last },
    ),
    bound: subject(
      () => {
        const { res } = begun();
        plain.named(res, (last = route()));
        return res;
      },
      { isRight: (res) => plain.routeOf(res as ServerResponse) === last },
    ),
    boundIs: 'one property read, one written',
  });
}

export function requestEnd(
  exchanges: Exchanges,
  { isNamed = true, isSampled = true }: { isNamed?: boolean; isSampled?: boolean } = {},
): Operation {
  const { requests } = wireParts(isSampled ? 'parentbased_always_on' : 'always_off');
  const plain = new PlainRequests();
  const route = inTurn(ROUTES);
  const input = (): Exchange => {
    const exchange = exchanges.received();
    requests.begin(exchange.req, exchange.res);
    if (isNamed) requests.named(exchange.res, route());
    exchanges.answer(exchange);
    return exchange;
  };
  const plainInput = (): Exchange => {
    const exchange = exchanges.received();
    plain.begin(exchange);
    if (isNamed) plain.named(exchange.res, route());
    exchanges.answer(exchange);
    return exchange;
  };
  return operation({
    ours: subjectWithInput(input, ({ res }) => requests.end(res), { effects: () => finished(requests) }),
    bound: subjectWithInput(plainInput, ({ res }) => plain.end(res), { effects: () => plain.count }),
    boundIs: END_IS,
  });
}

export function requestWhole(exchanges: Exchanges): Operation {
  const { requests } = wireParts();
  const plain = new PlainRequests();
  return operation({
    ours: whole(exchanges, requests),
    bound: subjectWithInput(answered(exchanges), (exchange) => plain.whole(exchange), { effects: () => plain.count }),
    boundIs: 'the bounds of begin, named and end together',
  });
}

/** With what the exporter does with a span that ends. */
export function requestWholePushed(exchanges: Exchanges): Operation {
  const { requests, tracing } = wireParts();
  const batch = spanBatch('http/protobuf', tracing.resource);
  let spans = 0;
  tracing.push = (span) => {
    batch.append(span);
    spans += 1;
    if (batch.count === SPANS_PER_REQUEST && batch.take().length < SPANS_PER_REQUEST) throw new Error('an empty export request');
  };
  const plain = new PlainRequests();
  const template = Buffer.alloc(SPAN_BYTES, 'x');
  const out = Buffer.alloc(SPAN_BYTES * SPANS_PER_REQUEST);
  let at = 0;
  return operation({
    ours: { ...whole(exchanges, requests), proof: { effects: () => spans } },
    bound: subjectWithInput(
      answered(exchanges),
      (exchange) => {
        plain.whole(exchange);
        out.set(template, at * SPAN_BYTES);
        at = (at + 1) % SPANS_PER_REQUEST;
        if (at === 0) keep(Buffer.from(out));
      },
      { effects: () => plain.count },
    ),
    boundIs: `the bounds of begin, named and end; ${SPAN_BYTES} bytes copied from a template; all of them once more for each ${SPANS_PER_REQUEST}`,
  });
}

function whole(exchanges: Exchanges, requests: Parts['requests']): Subject {
  const route = inTurn(ROUTES);
  return subjectWithInput(
    answered(exchanges),
    ({ req, res }) => {
      requests.begin(req, res);
      requests.named(res, route());
      requests.end(res);
    },
    { effects: () => finished(requests) },
  );
}

/** Answered before it begins, so that what Node does to answer is not in the time. */
function answered(exchanges: Exchanges): () => Exchange {
  return () => {
    const exchange = exchanges.received();
    exchanges.answer(exchange);
    return exchange;
  };
}

function finished(requests: Parts['requests']): number {
  const [durations] = requests.families();
  if (durations?.type === 'histogram' && durations.points.some(({ labels }) => labels['error.type'] !== undefined)) {
    throw new Error('a request that was answered counts as failed');
  }
  return countOf(durations);
}

const RECORD = Symbol('plain-record');

interface PlainRecord {
  startMillis: number;
  method: string;
  target: string;
  route: string;
  parent: { traceId: string; spanId: string; flags: number } | undefined;
}

type PlainResponse = ServerResponse & { [RECORD]?: PlainRecord };

/** The lower bound: the least code that has the effect. */
class PlainRequests {
  active = 0;
  readonly #storage = new AsyncLocalStorage<PlainRecord>();
  readonly #cells = new Map([200, 201, 404].map((status) => [status, { counts: new Float64Array(15), sum: 0 }]));
  readonly #onClose = (): void => {};
  readonly #route = inTurn(ROUTES);

  begin({ req, res }: Exchange): void {
    this.#enter(res, { startMillis: performance.now(), method: req.method!, target: req.url!, route: '', parent: undefined });
  }

  beginTraced({ req, res }: Exchange): void {
    const header = req.rawHeaders[TRACEPARENT_AT]!;
    this.#enter(res, {
      startMillis: performance.now(),
      method: req.method!,
      target: req.url!,
      route: '',
      parent: { traceId: header.slice(3, 35), spanId: header.slice(36, 52), flags: header.charCodeAt(54) & SAMPLED },
    });
  }

  named(res: ServerResponse, route: string): void {
    (res as PlainResponse)[RECORD]!.route = route;
  }

  routeOf(res: ServerResponse): string {
    return (res as PlainResponse)[RECORD]!.route;
  }

  end(res: ServerResponse): void {
    const record = (res as PlainResponse)[RECORD]!;
    const millis = performance.now() - record.startMillis;
    const cell = this.#cells.get(res.statusCode)!;
    cell.counts[millis < 5 ? 0 : 1]! += 1;
    cell.sum += millis;
    this.active -= 1;
  }

  whole(exchange: Exchange): void {
    this.begin(exchange);
    this.named(exchange.res, this.#route());
    this.end(exchange.res);
  }

  /** Requests that ended. */
  get count(): number {
    return [...this.#cells.values()].reduce((total, { counts }) => total + counts[0]! + counts[1]!, 0);
  }

  #enter(res: ServerResponse, record: PlainRecord): void {
    this.active += 1;
    (res as PlainResponse)[RECORD] = record;
    res.on('close', this.#onClose);
    this.#storage.enterWith(record);
  }
}
