// Operations of client-request.ts: one outgoing request, and what its span says of it.
import type { ClientRequests, ClientTarget } from '../../../src/client-request.ts';
import { enter, type SpanIds } from '../../../src/core/context.ts';
import { newSpanId, newTraceId } from '../../../src/core/ids.ts';
import type { Span } from '../../../src/trace/span.ts';
import { inTurn, keep, operation, subject, subjectWithInput, type Operation } from '../operation.ts';
import { countOf, wireParts } from '../parts.ts';

const TARGETS: readonly ClientTarget[] = Array.from({ length: 16 }, (_, index) => ({
  method: index % 4 === 0 ? 'POST' : 'GET',
  url: `http://stock-${index % 4}.internal:8080/products/${index}?warehouse=${index}`,
  scheme: 'http',
  address: `stock-${index % 4}.internal`,
  port: 8080,
}));

export function clientRequest(): Operation {
  const { tracing, clients } = wireParts();
  const server = tracing.startServer({ traceparent: undefined, tracestate: undefined, baggage: undefined });
  const target = inTurn(TARGETS);
  const headers: Record<string, string> = {};
  const set = (name: string, value: string): void => {
    headers[name] = value;
  };
  const cells = new Map(TARGETS.map(({ address }) => [address, { counts: new Float64Array(15), sum: 0 }]));
  const sent = (ids: SpanIds): boolean => headers.traceparent === `00-${ids.traceId}-${ids.spanId}-01`;
  return operation({
    enter: () => enter(server),
    ours: subject(
      () => {
        const record = clients.begin(target());
        clients.inject(record, set);
        answer(record.facts);
        clients.end(record, undefined);
        return keep(record.span);
      },
      {
        isRight: (span) =>
          sent(span as Span) && (span as Span).ended && (span as Span).traceId === server.traceId && countOf(clients.families()[0]) > 0,
      },
    ),
    bound: subject(
      () => {
        const { method, url, address } = target();
        const record = { startMillis: performance.now(), method, url, traceId: server.traceId, spanId: newSpanId(), statusCode: 0 };
        set('traceparent', `00-${record.traceId}-${record.spanId}-01`);
        record.statusCode = 200;
        const millis = performance.now() - record.startMillis;
        const cell = cells.get(address)!;
        cell.counts[millis < 5 ? 0 : 1]! += 1;
        cell.sum += millis;
        return keep(record);
      },
      { isRight: (record) => sent({ ...(record as SpanIds), traceFlags: 1 }) },
    ),
    boundIs: 'two clock readings, an object of six fields, a span id, a template literal, one Map.get, a typed-array increment and a sum',
  });
}

function answer(facts: ReturnType<ClientRequests['begin']>['facts']): void {
  facts.statusCode = 200;
  facts.protocolVersion = '1.1';
  facts.peerAddress = '10.0.0.7';
  facts.peerPort = 8080;
}

export function clientAttributes(): Operation {
  const { clients } = wireParts();
  const target = inTurn(TARGETS);
  const input = (): Span => {
    const record = clients.begin(target());
    answer(record.facts);
    return record.span;
  };
  const isRight = (attributes: unknown): boolean => Object.keys(attributes as object).length === 8;
  return operation({
    ours: subjectWithInput(input, (span) => keep(span.attributes), { isRight }),
    bound: subjectWithInput(
      input,
      (span) => {
        const facts = span.subject as ReturnType<ClientRequests['begin']>['facts'];
        return keep({
          'http.request.method': span.method,
          'server.address': facts.serverAddress,
          'server.port': facts.serverPort,
          'url.full': span.target,
          'network.protocol.version': facts.protocolVersion,
          'network.peer.address': facts.peerAddress,
          'network.peer.port': facts.peerPort,
          'http.response.status_code': facts.statusCode,
        });
      },
      { isRight },
    ),
    boundIs: 'a literal of the same 8 attributes, without looking for secrets in the URL',
  });
}

/** The headers of one outgoing request. */
export function injectTrace(): Operation {
  const { clients } = wireParts();
  const records = inTurn(TARGETS.map((target) => clients.begin(target)));
  let header = '';
  const set = (_name: string, value: string): void => {
    header = value;
  };
  const ids = inTurn(Array.from({ length: 16 }, () => ({ traceId: newTraceId(), spanId: newSpanId() })));
  const isRight = (value: unknown): boolean => /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/.test(String(value));
  return operation({
    ours: subject(
      () => {
        clients.inject(records(), set);
        return keep(header);
      },
      { isRight },
    ),
    bound: subject(
      () => {
        const { traceId, spanId } = ids();
        set('traceparent', `00-${traceId}-${spanId}-01`);
        return keep(header);
      },
      { isRight },
    ),
    boundIs: 'one template literal handed to the same function',
  });
}
