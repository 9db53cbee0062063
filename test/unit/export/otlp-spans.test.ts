// What spans say once they are encoded, against OpenTelemetry's own serialiser and the official proto files.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Attributes, AttributeValue, Link } from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { describe, expect, it, test } from 'vitest';
import { spanBatch, type EncodableSpan, type SpanBatch } from '../../../src/export/otlp-spans.ts';
import { RESOURCE } from '../../helpers/otlp.ts';
import { decodeJson, decodeProtobuf, oracle, rewritten, testSpan, type Json, type TestSpan } from './otlp-span-oracle.ts';

const PROTOCOLS = ['http/protobuf', 'http/json'] as const;
const OTHER_SPAN_ID = '00f067aa0ba902b7';
const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';

function link(fields: Partial<Link['context']> = {}, attributes?: Attributes): Link {
  const context = { traceId: TRACE_ID, spanId: OTHER_SPAN_ID, traceFlags: 1, ...fields };
  return attributes === undefined ? { context } : { context, attributes };
}

function said(protocol: (typeof PROTOCOLS)[number], request: Uint8Array): Json {
  return protocol === 'http/json' ? decodeJson(request) : decodeProtobuf(request);
}

function appendAll(batch: SpanBatch, spans: readonly EncodableSpan[]): SpanBatch {
  for (const span of spans) batch.append(span);
  return batch;
}

/** Encodes spans twice with one batch, so that what it remembers of the first time is used, and compares with the oracle. */
function expectAsOracle(spans: readonly TestSpan[]): void {
  const expected = oracle(spans);
  for (const protocol of PROTOCOLS) {
    const batch = spanBatch(protocol, spans[0]!.resource);
    for (let time = 0; time < 2; time++) {
      const request = appendAll(batch, spans).take();
      expect(said(protocol, request)).toEqual(expected);
      if (protocol === 'http/protobuf') expect(Buffer.from(request).equals(rewritten(request))).toBe(true);
    }
  }
}

function firstSpan(protocol: (typeof PROTOCOLS)[number], fields: object): Json {
  const request = appendAll(spanBatch(protocol, RESOURCE), [testSpan(fields)]).take();
  return said(protocol, request)['resourceSpans'][0].scopeSpans[0].spans[0];
}

const HUGE = 'x'.repeat(20_000);
const attribute = (value: unknown): Partial<EncodableSpan> => ({ attributes: { key: value as AttributeValue } });

describe('a span says what the serialiser of OpenTelemetry says of it', () => {
  test.each<[string, Partial<EncodableSpan>]>([
    ['nothing but what it must', {}],
    ['a parent', { parentSpanId: OTHER_SPAN_ID }],
    ['a remote parent', { parentSpanId: OTHER_SPAN_ID, parentIsRemote: true }],
    ['ids in upper case', { traceId: TRACE_ID.toUpperCase(), spanId: 'ABCDEF0123456789', parentSpanId: 'FEDCBA9876543210' }],
    ['trace flags of 8 bits', { traceFlags: 0xff }],
    ['no trace flags', { traceFlags: 0 }],
    ['tracestate', { traceState: 'vendor=1,other=a:b' }],
    ['an empty name', { name: '' }],
    ['a name of 2, 3 and 4 bytes a character', { name: 'é 世界 👍' }],
    ['a huge name', { name: HUGE }],
    ...[0, 1, 2, 3, 4].map((kind): [string, Partial<EncodableSpan>] => [`kind ${kind}`, { kind }]),
    ['status ok', { statusCode: 1 }],
    ['status error', { statusCode: 2 }],
    ['status error with a message', { statusCode: 2, statusMessage: 'no such order: é' }],
    ['dropped counts', { droppedAttributesCount: 1, droppedEventsCount: 300, droppedLinksCount: 0xffffffff }],
    ['time 0', { startEpochMillis: 0, durationMillis: 0 }],
    ['microseconds', { startEpochMillis: 1_700_000_000_000.001, durationMillis: 0.001 }],
    ['a fraction that rounds to a whole second', { startEpochMillis: 1_700_000_000_999.999_8, durationMillis: 0.0004 }],
    ['2106, beyond 32 bits of seconds', { startEpochMillis: 2 ** 32 * 1000 + 0.5 }],
    ['2554, the last second of 64 bits but one', { startEpochMillis: 18_446_744_072_000 }],
    ['every ASCII character', attribute(String.fromCharCode(...Array.from({ length: 128 }, (_, code) => code)))],
    ['text', attribute('text')],
    ['an empty text', attribute('')],
    ['Latin-1', attribute('café')],
    ['a text of 16 characters of 3 bytes', attribute('世'.repeat(16))],
    ['a long text that is not ASCII', attribute('世界👍é'.repeat(50))],
    ['half a pair, first', attribute('a\ud83d')],
    ['half a pair, second', attribute('\udc4db')],
    ['half a pair in a long text', attribute(`${'long '.repeat(20)}\ud83d end`)],
    ['what looks like half a pair in JSON', attribute('\\ud83d')],
    ['a huge text', attribute(HUGE)],
    ['a huge text that is not ASCII', attribute('é'.repeat(20_000))],
    ['a key that is not ASCII', { attributes: { schlüssel: 1, 'half \ud83d': 'a' } }],
    ['a key called __proto__', { attributes: JSON.parse('{"__proto__":"a","b":1}') as Attributes }],
    ['what it inherits', { attributes: Object.assign(Object.create({ inherited: 'a' }) as Attributes, { own: 1 }) }],
    ['true', attribute(true)],
    ['false', attribute(false)],
    ...[0, 1, 127, 128, 200, 16_384, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, 2 ** 53, 2 ** 62, 2 ** 63 - 1024].flatMap(
      (value): [string, Partial<EncodableSpan>][] => [
        [`${value}`, attribute(value)],
        [`-${value}`, attribute(-value)],
      ],
    ),
    ['the smallest int64', attribute(-(2 ** 63))],
    ['a number beyond int64', attribute(2 ** 63)],
    ['a number below int64', attribute(-(2 ** 63) - 2048)],
    ...[0.5, -0.25, 1e300, Number.MIN_VALUE, NaN, Infinity, -Infinity].map((value): [string, Partial<EncodableSpan>] => [
      `the double ${value}`,
      attribute(value),
    ]),
    ['texts', attribute(['a', '', 'é', HUGE])],
    ['numbers', attribute([1, 2.5, -3, 2 ** 53])],
    ['booleans', attribute([true, false])],
    ['nothing in a list', attribute([])],
    ['holes in a list', attribute(['a', null, undefined, 'b'])],
    // eslint-disable-next-line no-sparse-arrays
    ['real holes in a list', attribute([1, , 3])],
    ['only holes', attribute([null])],
    ['a list of more than 16 KiB', attribute(Array.from({ length: 5000 }, (_, i) => i))],
    [
      '2,000 attributes',
      { attributes: Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`key ${i}`, i % 3 ? `value ${i}` : i])) },
    ],
    ['an event', { events: [{ name: 'exception', time: [1_700_000_000, 123_456_789], attributes: { line: 12, 'exception.type': 'E' } }] }],
    ['an event of nothing', { events: [{ name: '', time: [0, 0] }] }],
    ['an event that dropped', { events: [{ name: 'e', time: [1, 999_999_999], attributes: {}, droppedAttributesCount: 130 }] }],
    ['200 events', { events: Array.from({ length: 200 }, (_, i) => ({ name: `e${i}`, time: [i, i], attributes: { i, text: 'a' } })) }],
    ['an event with a huge attribute', { events: [{ name: 'e', time: [1, 1], attributes: { stack: HUGE } }] }],
    ['a link', { links: [link()] }],
    ['a link with everything', { links: [{ ...link({ isRemote: true, traceFlags: 0 }, { why: 'batch' }), droppedAttributesCount: 3 }] }],
    ['a link that is known to be local', { links: [link({ isRemote: false })] }],
    ['links', { links: Array.from({ length: 150 }, (_, i) => link({}, { i })) }],
    ['a scope with version', { instrumentationScope: { name: 'app', version: '1.2.3' } }],
    [
      'a scope with a schema',
      { instrumentationScope: { name: 'app', version: '1', schemaUrl: 'https://opentelemetry.io/schemas/1.36.0' } },
    ],
    ['a scope without a name', { instrumentationScope: { name: '' } }],
  ])('%s', (_, fields) => {
    expectAsOracle([testSpan(fields)]);
  });

  it('with tracestate on a link', () => {
    const traceState = { serialize: () => 'a=1,b=2' } as unknown as NonNullable<Link['context']['traceState']>;
    expectAsOracle([testSpan({ links: [link({ traceState })] })]);
  });

  it('with keys and texts of every length at which an encoding changes', () => {
    const spans: TestSpan[] = [];
    for (const chars of [1, 2, 58, 59, 60, 61, 62, 90, 118, 120, 122, 125, 128, 200, 20_000]) {
      const lengths = [0, 1, 15, 16, 17, 47, 48, 49, 60, 110, 120, 122, 124, 126, 127, 128, 129, 130, 1023, 1024, 1025, 16_382, 16_384];
      for (const [index, length] of lengths.entries()) {
        // A key of its own for each text, as of a key only so many texts are remembered.
        const key = `${index}`.padEnd(chars, 'k');
        spans.push(testSpan(attribute('v'.repeat(length))), testSpan({ attributes: { [key]: 'v'.repeat(length) } }));
        spans.push(testSpan({ attributes: { [key]: 'é'.repeat(length) } }));
      }
    }
    expectAsOracle(spans);
  });

  it('with the resource and its schema', () => {
    const resource = resourceFromAttributes(
      { 'service.name': 'café', 'process.pid': 4711, list: ['a'], ['k'.repeat(300)]: HUGE },
      { schemaUrl: 'https://opentelemetry.io/schemas/1.36.0' },
    );
    expectAsOracle([testSpan({}, resource)]);
  });

  it('with more keys, and more texts of a key, than are remembered', () => {
    const spans = Array.from({ length: 1500 }, (_, i) =>
      testSpan({
        attributes: { 'http.request.method': 'GET', [`key.${i}`]: `text ${i}`, 'url.path': `/orders/${i}`, 'http.route': `/${i % 40}` },
      }),
    );
    expectAsOracle([...spans, ...spans.slice(0, 20)]);
  });

  it('with more texts than there is room to remember', () => {
    const texts = Array.from({ length: 8 }, (_, i) => `${i}`.repeat(40));
    expectAsOracle(
      texts.flatMap((text) => Array.from({ length: 300 }, (_, i) => testSpan({ attributes: { [`some.longer.key.${i}`]: text } }))),
    );
  });

  it('whatever 4,000 random spans are made of', () => {
    const random = seeded(20_260_101);
    const batches = new Map(PROTOCOLS.map((protocol) => [protocol, spanBatch(protocol, RESOURCE)]));
    for (let round = 0; round < 40; round++) {
      const spans = Array.from({ length: 100 }, () => randomSpan(random));
      const expected = oracle(spans);
      for (const [protocol, batch] of batches) expect(said(protocol, appendAll(batch, spans).take())).toEqual(expected);
    }
  });
});

describe.each(PROTOCOLS)('a batch for %s', (protocol) => {
  it('is empty until something is appended, and after it was taken', () => {
    const batch = spanBatch(protocol, RESOURCE);
    expect([batch.count, batch.bytes, batch.take()]).toEqual([0, 0, new Uint8Array(0)]);

    const request = appendAll(batch, [testSpan(), testSpan()]);
    expect(request.count).toBe(2);
    const { bytes } = batch;
    const size = batch.take().length;
    // Resource and scope come on top.
    expect(size).toBeGreaterThan(bytes);
    expect(size).toBeLessThan(bytes + 300);
    expect([batch.count, batch.bytes, batch.take().length]).toEqual([0, 0, 0]);
  });

  it('gives away a request that later spans do not change', () => {
    const batch = appendAll(spanBatch(protocol, RESOURCE), [testSpan({ name: 'first' })]);
    const request = batch.take();
    const copy = Buffer.from(request);
    appendAll(batch, [testSpan({ name: 'other' }), testSpan()]).take();
    expect(Buffer.from(request).equals(copy)).toBe(true);
  });

  it('holds spans of several scopes, each scope once, in order of appearance', () => {
    const scopes = [{ name: 'b' }, { name: 'a', version: '1' }, { name: 'a', version: '2', schemaUrl: 'https://a.test/' }];
    const spans = Array.from({ length: 30 }, (_, i) => testSpan({ name: `${i}`, instrumentationScope: scopes[(i * 7) % 3]! }));
    expect(said(protocol, appendAll(spanBatch(protocol, RESOURCE), spans).take())).toEqual(oracle(spans));
  });

  it('takes scopes that say the same for one', () => {
    const spans = Array.from({ length: 3 }, () => testSpan({ instrumentationScope: { name: 'app', version: '1' } }));
    const message = said(protocol, appendAll(spanBatch(protocol, RESOURCE), spans).take());
    expect(message['resourceSpans'][0].scopeSpans.map((group: Json) => group['spans'].length)).toEqual([3]);
  });

  it('loses no span of an application that makes up scopes', () => {
    const spans = Array.from({ length: 200 }, (_, i) => testSpan({ name: `${i}`, instrumentationScope: { name: `scope ${i % 100}` } }));
    const groups: Json[] = said(protocol, appendAll(spanBatch(protocol, RESOURCE), spans).take())['resourceSpans'][0].scopeSpans;
    const found = groups.flatMap((group) => group['spans'].map((span: Json) => [group['scope'].name, span['name']]));
    const sent = spans.map((span) => [span.instrumentationScope.name, span.name]);
    expect(found.toSorted()).toEqual(sent.toSorted());
    // 64 scopes are looked for; each span of the 36 others is alone.
    expect(groups.length).toBe(64 + 2 * 36);
  });

  it.each([
    ['its attributes', { attributes: throwing('attributes') }],
    ['a list in it', { attributes: { a: 1, list: throwing('list') } }],
    ['a link of it', { links: [link(), link({ traceState: { serialize: () => fail('link') } as never })] }],
    ['its scope', { instrumentationScope: throwing('scope') }],
  ])('is as it was when a span cannot be read: %s', (_, fields) => {
    const batch = appendAll(spanBatch(protocol, RESOURCE), [testSpan({ name: 'before' })]);
    const { bytes } = batch;

    expect(() => batch.append(testSpan(fields as object))).toThrow('unreadable');

    expect([batch.count, batch.bytes]).toEqual([1, bytes]);
    const after = testSpan({ name: 'after', attributes: { a: 'b' } });
    expect(said(protocol, appendAll(batch, [after]).take())).toEqual(oracle([testSpan({ name: 'before' }), after]));
  });

  it('goes on after a span larger than any buffer', () => {
    const batch = spanBatch(protocol, RESOURCE);
    for (const name of ['é'.repeat(3_000_000), 'small']) {
      const span = testSpan({ name });
      expect(said(protocol, appendAll(batch, [testSpan(), span, testSpan()]).take())).toEqual(oracle([testSpan(), span, testSpan()]));
    }
  });

  it('grows where a text does not fit, wherever its end was', () => {
    const wide = '世'.repeat(100);
    for (let room = 0; room < 600; room++) {
      // The first buffer has 65,536 bytes.
      const spans = [
        testSpan({ name: 'x'.repeat(65_480 - room) }),
        testSpan({ name: wide, attributes: { key: wide, other: 'é'.repeat(10) } }),
      ];
      const alone = appendAll(spanBatch(protocol, RESOURCE), spans.slice(0, 1)).take();
      expect(said(protocol, alone)['resourceSpans'][0].scopeSpans[0].spans[0].name).toBe(spans[0]!.name);
      const request = appendAll(spanBatch(protocol, RESOURCE), spans).take();
      const last = said(protocol, request)['resourceSpans'][0].scopeSpans[0].spans[1];
      expect([last.name, last.attributes]).toEqual([wide, oracle(spans.slice(1))['resourceSpans'][0].scopeSpans[0].spans[0].attributes]);
    }
  });

  it.each([
    ['before 1970', -0.001],
    ['long before 1970', -86_400_000.5],
    ['after 2554', 18_446_744_074_000],
    ['never', NaN],
  ])('says that a time is unknown which it cannot say: %s', (_, startEpochMillis) => {
    const span = firstSpan(protocol, { startEpochMillis, durationMillis: 0 });
    expect([span['startTimeUnixNano'], span['endTimeUnixNano']]).toEqual([undefined, undefined]);
  });

  it('says the time of an event before 1970 as unknown', () => {
    const span = firstSpan(protocol, { events: [{ name: 'e', time: [-1, -5e8] }] });
    expect(span['events']).toEqual([{ name: 'e' }]);
  });

  it.each([
    ['undefined', undefined, undefined],
    ['a number', 12, '12'],
    ['an object', { toString: () => 'no' }, undefined],
    ['a symbol', Symbol('no'), undefined],
  ])('takes a name that is no text: %s', (_, name, expected) => {
    const span = firstSpan(protocol, { name, events: [{ name, time: [1, 0] }], instrumentationScope: { name } });
    expect([span['name'], span['events'][0].name]).toEqual([expected, expected]);
  });

  it.each([
    ['too short', 'abc'],
    ['not hex', 'x'.repeat(32)],
    ['too long', 'a'.repeat(33)],
    ['nothing', undefined],
  ])('writes the ids of a link empty when they are %s, for which a receiver would refuse all spans', (_, id) => {
    const span = firstSpan(protocol, { links: [link({ traceId: id as string, spanId: id as string })] });
    expect(span['links']).toEqual([{ flags: 0x101 }]);
  });

  it('has no kind for what is none of the api', () => {
    for (const kind of [5, -1, 0.5, 'SERVER', NaN]) expect(firstSpan(protocol, { kind })['kind']).toBe(undefined);
  });

  it('gives a value of no kind that OTLP has as an empty one', () => {
    const attributes = { object: { a: 1 }, symbol: Symbol('a'), bigint: 1n, none: undefined };
    const span = firstSpan(protocol, { attributes });
    expect(span['attributes']).toEqual(Object.keys(attributes).map((key) => ({ key, value: {} })));
  });
});

it('JSON has ids as hex, 64-bit integers as text, and numbers that JSON lacks as words', () => {
  const span = testSpan({ traceId: TRACE_ID, attributes: { a: 1, b: NaN, c: 2 ** 62, d: 0.5 } });
  const text = Buffer.from(appendAll(spanBatch('http/json', RESOURCE), [span]).take()).toString();
  const { traceId, startTimeUnixNano, kind, attributes } = JSON.parse(text).resourceSpans[0].scopeSpans[0].spans[0];
  expect({ traceId, startTimeUnixNano, kind }).toEqual({ traceId: TRACE_ID, startTimeUnixNano: '1700000000123250000', kind: 2 });
  expect(attributes.map((attribute: Json) => attribute['value'])).toEqual([
    { intValue: '1' },
    { doubleValue: 'NaN' },
    { intValue: '4611686018427387904' },
    { doubleValue: 0.5 },
  ]);
});

it('keeps nothing alive of the texts that it has seen', () => {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  const batch = spanBatch('http/protobuf', RESOURCE);
  const usedBytes = (): number => {
    gc();
    return process.memoryUsage().heapUsed;
  };
  batch.append(testSpan({ attributes: { warm: 'up' } }));
  const before = usedBytes();
  for (let i = 0; i < 30; i++) {
    const document = Buffer.alloc(1_000_000, `a document of the application ${i} `).toString('latin1');
    // Two spans: the second finds what is kept of the first.
    for (let time = 0; time < 2; time++)
      batch.append(testSpan({ name: document.slice(0, 33), attributes: { [`key.${i % 10}`]: document.slice(1, 33) } }));
  }
  expect(batch.count).toBe(61);
  expect(usedBytes() - before).toBeLessThan(5_000_000);
});

function fail(what: string): never {
  throw new Error(`unreadable ${what}`);
}

/** An object, also an array, that cannot be read. */
function throwing(what: string): never {
  return new Proxy([], { get: () => fail(what), ownKeys: () => fail(what) }) as never;
}

type Random = (below: number) => number;

/** Park and Miller's minimal generator: integers below the number it is asked. */
function seeded(seed: number): Random {
  let state = seed % 2_147_483_647;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

const CHARACTERS = [
  'a',
  'Z',
  '7',
  '/',
  '.',
  '"',
  '\\',
  '\n',
  '\0',
  '\x7f',
  '\x80',
  'é',
  '世',
  '👍',
  '\ud83d',
  '\udc4d',
  '\ufffd',
  '\u2028',
];

function randomText(random: Random): string {
  const kind = random(10);
  if (kind < 4) return ['GET', 'http', '1.1', '/orders/{id}', 'localhost'][random(5)]!;
  const length = kind < 8 ? random(40) : random(400);
  return Array.from({ length }, () => (kind % 2 ? CHARACTERS[random(CHARACTERS.length)]! : CHARACTERS[random(5)]!)).join('');
}

function randomNumber(random: Random): number {
  const magnitude = 2 ** random(70);
  const number = [random(1000), magnitude, magnitude + random(1000), magnitude / 3, Infinity, NaN, 0][random(7)]!;
  return random(2) ? -number : number;
}

function randomValue(random: Random): AttributeValue {
  const list = (item: () => unknown): AttributeValue =>
    Array.from({ length: random(5) }, () => (random(6) === 0 ? null : item())) as AttributeValue;
  const makers: (() => AttributeValue)[] = [
    () => randomText(random),
    () => randomText(random),
    () => randomNumber(random),
    () => random(2) === 0,
    () => list(() => randomText(random)),
    () => list(() => randomNumber(random)),
    () => list(() => random(2) === 0),
  ];
  return makers[random(makers.length)]!();
}

function randomAttributes(random: Random): Attributes {
  const keys = Array.from({ length: random(15) }, () => (random(4) ? `http.key.${random(30)}` : randomText(random)));
  return Object.fromEntries(keys.map((key) => [key, randomValue(random)]));
}

function randomHex(random: Random, digits: number): string {
  return Array.from({ length: digits }, () => random(16).toString(16)).join('');
}

/** Few scopes, as objects that stay the same: OpenTelemetry's serialiser groups by the object. */
const SCOPES = [{ name: 'sonde/http' }, { name: 'app', version: '1.0.0' }, { name: 'é', version: '', schemaUrl: 'https://schema.test/' }];

function randomSpan(random: Random): TestSpan {
  const some = <T>(make: () => T): T[] => (random(3) ? [] : Array.from({ length: random(4) }, make));
  return testSpan({
    traceId: randomHex(random, 32),
    spanId: randomHex(random, 16),
    ...(random(3) ? { parentSpanId: randomHex(random, 16), parentIsRemote: random(2) === 0 } : {}),
    traceFlags: random(256),
    traceState: random(4) ? '' : 'vendor=1',
    name: randomText(random),
    kind: random(5),
    startEpochMillis: random(2) ? 1_700_000_000_000 + random(1e9) / 1024 : random(2 ** 31 - 2) * random(8000),
    durationMillis: random(1e9) / 65_536,
    attributes: randomAttributes(random),
    events: some(() => ({
      name: randomText(random),
      time: [random(2 ** 31 - 2), random(1e9)],
      attributes: randomAttributes(random),
      droppedAttributesCount: random(200),
    })),
    links: some(() => ({
      ...link({ traceId: randomHex(random, 32), spanId: randomHex(random, 16), traceFlags: random(256), isRemote: random(2) === 0 }),
      attributes: randomAttributes(random),
      droppedAttributesCount: random(200),
    })),
    statusCode: random(3),
    statusMessage: random(2) ? randomText(random) : undefined,
    droppedAttributesCount: random(1000),
    droppedEventsCount: random(3),
    droppedLinksCount: random(3),
    instrumentationScope: SCOPES[random(SCOPES.length)]!,
  });
}
