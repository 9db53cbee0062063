// Operations of trace/propagation.ts: what travels in headers, in and out.
import { propagation, ROOT_CONTEXT, type Baggage } from '@opentelemetry/api';
import { parseTraceParent, W3CBaggagePropagator } from '@opentelemetry/core';
import { newSpanId, newTraceId } from '../../../src/core/ids.ts';
import { formatBaggage, formatTraceparent, parseBaggage, parseTraceparent, type RemoteParent } from '../../../src/trace/propagation.ts';
import { traceparentOf } from '../exchanges.ts';
import { inTurn, keep, operation, subject, type Operation } from '../operation.ts';

const BAGGAGE_MEMBERS = 3;

export function traceparentParsed(): Operation {
  const header = inTurn(Array.from({ length: 64 }, (_, index) => Buffer.from(traceparentOf(index)).toString('latin1')));
  const isRight = (parent: unknown): boolean => {
    const { traceId, spanId, traceFlags } = parent as RemoteParent;
    return traceId.length === 32 && spanId.length === 16 && traceFlags === 1;
  };
  return operation({
    ours: subject(() => keep(parseTraceparent(header(), undefined)), { isRight }),
    bound: subject(
      () => {
        const text = header();
        return keep({ traceId: text.slice(3, 35), spanId: text.slice(36, 52), traceFlags: text.charCodeAt(54) & 1, traceState: '' });
      },
      { isRight },
    ),
    boundIs: 'two slices and one character at fixed places, nothing checked',
    peers: { 'OpenTelemetry core': subject(() => keep(parseTraceParent(header())), { isRight }) },
  });
}

export function traceparentFormatted(): Operation {
  const ids = inTurn(Array.from({ length: 64 }, () => ({ traceId: newTraceId(), spanId: newSpanId(), traceFlags: 1 })));
  const isRight = (header: unknown): boolean => /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/.test(String(header));
  return operation({
    ours: subject(() => keep(formatTraceparent(ids())), { isRight }),
    bound: subject(
      () => {
        const { traceId, spanId } = ids();
        return keep(`00-${traceId}-${spanId}-01`);
      },
      { isRight },
    ),
    boundIs: 'a template literal with fixed flags',
  });
}

export function baggageParsed(): Operation {
  const header = inTurn(baggageHeaders());
  const sdk = new W3CBaggagePropagator();
  const getter = { get: (carrier: unknown) => carrier as string, keys: () => ['baggage'] };
  const isRight = (baggage: unknown): boolean => (baggage as Baggage).getAllEntries().length === BAGGAGE_MEMBERS;
  return operation({
    ours: subject(() => keep(parseBaggage(header())), { isRight }),
    bound: subject(
      () => {
        const entries = new Map<string, { value: string }>();
        for (const member of header().split(',')) {
          const equals = member.indexOf('=');
          entries.set(member.slice(0, equals), { value: member.slice(equals + 1) });
        }
        return keep(entries);
      },
      { isRight: (entries) => (entries as Map<string, object>).size === BAGGAGE_MEMBERS },
    ),
    boundIs: 'split at commas, slices at the first equals sign into a Map, nothing decoded',
    peers: {
      'OpenTelemetry core': subject(() => keep(propagation.getBaggage(sdk.extract(ROOT_CONTEXT, header(), getter))), { isRight }),
    },
  });
}

export function baggageFormatted(): Operation {
  const headers = baggageHeaders();
  const baggage = inTurn(headers.map(parseBaggage));
  const sdk = new W3CBaggagePropagator();
  const contexts = inTurn(headers.map((header) => propagation.setBaggage(ROOT_CONTEXT, parseBaggage(header))));
  let sent = '';
  const setter = {
    set: (_carrier: unknown, _key: string, value: string): void => {
      sent = value;
    },
  };
  const isRight = (header: unknown): boolean => headers.includes(header as string);
  return operation({
    ours: subject(() => keep(formatBaggage(baggage())), { isRight }),
    bound: subject(
      () => {
        let header = '';
        for (const [key, { value }] of baggage().getAllEntries()) header += header === '' ? `${key}=${value}` : `,${key}=${value}`;
        return keep(header);
      },
      { isRight },
    ),
    boundIs: 'a template literal for each entry, nothing encoded',
    peers: {
      'OpenTelemetry core': subject(
        () => {
          sdk.inject(contexts(), undefined, setter);
          return keep(sent);
        },
        { isRight },
      ),
    },
  });
}

function baggageHeaders(): string[] {
  return Array.from({ length: 16 }, (_, index) =>
    Buffer.from(`user.tier=gold,tenant=t${index * 31},region=eu-${index}`).toString('latin1'),
  );
}
