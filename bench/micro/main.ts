// The process that measures: bundled with src by run.mjs and run by each Node. Says the names of its operations, then
// times one for each name that it is asked for.
import { Exchanges } from './exchanges.ts';
import { measureOperation, type Operation } from './operation.ts';
import { clientAttributes, clientRequest, injectTrace } from './operations/client.ts';
import { contextEnter, contextRead, guardedCall, idsRead } from './operations/context.ts';
import { otlpEncode } from './operations/export.ts';
import { baggageFormatted, baggageParsed, traceparentFormatted, traceparentParsed } from './operations/headers.ts';
import { pinoLine } from './operations/logs.ts';
import { observe, observeTraced } from './operations/metrics.ts';
import { requestBegin, requestEnd, requestNamed, requestWhole, requestWholePushed } from './operations/request.ts';
import { apiSpan, ids, ringOffer, serverAttributes, serverSpan, setAttributes } from './operations/span.ts';

const OPERATIONS: Readonly<Record<string, (exchanges: Exchanges) => Operation>> = {
  'request begin': (exchanges) => requestBegin(exchanges),
  'request begin, traceparent': (exchanges) => requestBegin(exchanges, { isTraced: true }),
  'request begin, not sampled': (exchanges) => requestBegin(exchanges, { isSampled: false }),
  'request named': requestNamed,
  'request end': (exchanges) => requestEnd(exchanges),
  'request end, no route': (exchanges) => requestEnd(exchanges, { isNamed: false }),
  'request end, not sampled': (exchanges) => requestEnd(exchanges, { isSampled: false }),
  'request begin, named, end': requestWhole,
  'request begin, named, end, encoded as OTLP': requestWholePushed,
  'server span': () => serverSpan(false),
  'server span, traceparent': () => serverSpan(true),
  'span start and end through the api': apiSpan,
  'setAttribute, five times': setAttributes,
  'trace id and span id': ids,
  'attributes of a server span': (exchanges) => serverAttributes(exchanges, true),
  'attributes of a server span, headers unread': (exchanges) => serverAttributes(exchanges, false),
  'client begin, inject, end': clientRequest,
  'attributes of a client span': clientAttributes,
  'context enter': contextEnter,
  'active ids': idsRead,
  'active context': contextRead,
  'guarded call': guardedCall,
  'histogram observe': observe,
  'histogram observe with exemplar': observeTraced,
  'ring offer, not taken': ringOffer,
  'traceparent parsed': traceparentParsed,
  'traceparent formatted': traceparentFormatted,
  'trace headers injected': injectTrace,
  'baggage parsed': baggageParsed,
  'baggage formatted': baggageFormatted,
  'pino line, no-op stream': () => pinoLine('no-op stream'),
  'pino line, /dev/null': () => pinoLine('/dev/null'),
  'OTLP protobuf, per span': (exchanges) => otlpEncode(exchanges, 'http/protobuf'),
  'OTLP JSON, per span': (exchanges) => otlpEncode(exchanges, 'http/json'),
};

async function main(): Promise<void> {
  const exchanges = await Exchanges.open();
  process.on('message', (name: string) => {
    measureOperation(OPERATIONS[name]!(exchanges)).then(
      (figures) => process.send!({ figures }),
      (error: unknown) => process.send!({ error: error instanceof Error ? error.stack : String(error) }),
    );
  });
  process.send!({ names: Object.keys(OPERATIONS) });
}

void main();
