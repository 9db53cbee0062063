// W3C Trace Context and W3C Baggage, in and out: the rows of the specifications, then the api's propagators as oracle.
import {
  defaultTextMapGetter,
  defaultTextMapSetter,
  propagation,
  ROOT_CONTEXT,
  trace,
  type Baggage,
  type Context,
} from '@opentelemetry/api';
import { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } from '@opentelemetry/core';
import { describe, expect, it } from 'vitest';
import {
  formatBaggage,
  formatTraceparent,
  parseBaggage,
  parseTraceparent,
  TraceStateHeader,
  W3CPropagator,
} from '../../../src/trace/propagation.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';

describe('a traceparent is read', () => {
  it.each<[header: string, flags: number]>([
    [`00-${TRACE}-${SPAN}-00`, 0],
    [`00-${TRACE}-${SPAN}-01`, 1],
    [`00-${TRACE}-${SPAN}-02`, 2],
    [`00-${TRACE}-${SPAN}-ff`, 255],
    [`01-${TRACE}-${SPAN}-01`, 1],
    [`01-${TRACE}-${SPAN}-01-what-the-future-will-be-like`, 1],
    [`01-${TRACE}-${SPAN}-01-`, 1],
    [`cc-${TRACE}-${SPAN}-01`, 1],
    [`fe-${TRACE}-${SPAN}-01`, 1],
    [`00-${'f'.repeat(32)}-${'f'.repeat(16)}-01`, 1],
    [`00-${'0'.repeat(31)}1-${'0'.repeat(15)}1-01`, 1],
  ])('%s', (header, traceFlags) => {
    expect(parseTraceparent(header, undefined)).toEqual({
      traceId: header.slice(3, 35),
      spanId: header.slice(36, 52),
      traceFlags,
      traceState: '',
    });
  });

  it.each([
    undefined,
    '',
    '00',
    `00-${TRACE}-${SPAN}-0`,
    `00-${TRACE}-${SPAN}-`,
    `00-${TRACE}-${SPAN}`,
    `00-${TRACE}-${SPAN}-01-`,
    `00-${TRACE}-${SPAN}-01-extra`,
    `00-${TRACE}-${SPAN}-011`,
    `00-${TRACE}-${SPAN}-01 `,
    ` 00-${TRACE}-${SPAN}-01`,
    `ff-${TRACE}-${SPAN}-01`,
    `0-${TRACE}-${SPAN}-01`,
    `000-${TRACE}-${SPAN}-01`,
    `0g-${TRACE}-${SPAN}-01`,
    `.0-${TRACE}-${SPAN}-01`,
    `01-${TRACE}-${SPAN}-01.what`,
    `01-${TRACE}-${SPAN}-011`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${TRACE}-${SPAN.toUpperCase()}-01`,
    `00-${TRACE}-${SPAN}-0A`,
    `0A-${TRACE}-${SPAN}-01`,
    `00-${'0'.repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `00-${TRACE.slice(1)}-${SPAN}-01`,
    `00-${TRACE}0-${SPAN}-01`,
    `00-${TRACE}-${SPAN.slice(1)}-01`,
    `00-${TRACE.slice(1)}g-${SPAN}-01`,
    `00_${TRACE}-${SPAN}-01`,
    `00-${TRACE}_${SPAN}-01`,
    `00-${TRACE}-${SPAN}_01`,
    `00-${TRACE}-${SPAN}-01,00-${TRACE}-${SPAN}-01`,
    `00-${TRACE.replace('0', 'é')}-${SPAN}-01`,
    '0'.repeat(55),
    '-'.repeat(100_000),
  ])('not when it is %s', (header) => {
    expect(parseTraceparent(header, 'a=1')).toBeUndefined();
  });

  it('and written with the flags that version 00 and its level 2 define, sampled and random', () => {
    for (const [traceFlags, text] of [
      [0, '00'],
      [1, '01'],
      [2, '02'],
      [255, '03'],
    ] as const) {
      expect(formatTraceparent({ traceId: TRACE, spanId: SPAN, traceFlags })).toBe(`00-${TRACE}-${SPAN}-${text}`);
    }
  });
});

describe('a tracestate', () => {
  const state = (header: string): string => parseTraceparent(`00-${TRACE}-${SPAN}-01`, header)!.traceState;

  it('is carried on as it is, up to 512 characters', () => {
    const at = `a=${'x'.repeat(510)}`;
    expect(state(at)).toBe(at);
    expect(state(`${at}x`)).toBe('');
    expect(state(`a=${'x'.repeat(100_000)}`)).toBe('');
  });

  it('answers its members', () => {
    const header = new TraceStateHeader('a=1, b=2\t,c=x=y,broken,=none');
    expect([header.get('a'), header.get('b'), header.get('c'), header.get('broken'), header.get('')]).toEqual([
      '1',
      '2',
      'x=y',
      undefined,
      undefined,
    ]);
  });

  it('puts what is set first, in place of what was', () => {
    expect(new TraceStateHeader('a=1,b=2').set('b', '3').serialize()).toBe('b=3,a=1');
    expect(new TraceStateHeader('a=1,b=2').set('c', '3').serialize()).toBe('c=3,a=1,b=2');
    expect(new TraceStateHeader('a=1,b=2').unset('a').serialize()).toBe('b=2');
  });

  it('refuses to set what no header can hold', () => {
    const state = new TraceStateHeader('a=1');
    for (const [key, value] of [
      ['', '1'],
      ['Upper', '1'],
      ['k k', '1'],
      ['k'.repeat(257), '1'],
      ['k', ''],
      ['k', 'a,b'],
      ['k', 'a=b'],
      ['k', 'line\r\nbreak'],
      ['k', 'é'],
      ['k', 'ends in a space '],
      ['k', 'v'.repeat(257)],
    ] as const) {
      expect(state.set(key, value).serialize(), `${key}=${value}`).toBe('a=1');
    }
    expect(state.set('k'.repeat(256), 'v'.repeat(256)).get('k'.repeat(256))).toHaveLength(256);
  });

  it('keeps 32 members and drops the oldest', () => {
    const full = new TraceStateHeader(Array.from({ length: 32 }, (_, i) => `k${i}=v`).join(','));
    expect(full.set('k0', 'w').serialize().split(',')).toHaveLength(32);
    const over = full.set('new', 'v').serialize().split(',');
    expect(over).toHaveLength(32);
    expect([over[0], over.at(-1)]).toEqual(['new=v', 'k30=v']);
  });
});

describe('a baggage header', () => {
  const entries = (header: string): unknown[] =>
    parseBaggage(header)
      .getAllEntries()
      .map(([key, { value, metadata }]) => (metadata === undefined ? [key, value] : [key, value, metadata.toString()]));

  it.each<[header: string, read: unknown[]]>([
    ['a=1', [['a', '1']]],
    [
      'a=1,b=2',
      [
        ['a', '1'],
        ['b', '2'],
      ],
    ],
    [
      ' a = 1 , b=2 ',
      [
        ['a', '1'],
        ['b', '2'],
      ],
    ],
    ['a=', [['a', '']]],
    ['a=x=y', [['a', 'x=y']]],
    ['a=Am%C3%A9lie', [['a', 'Amélie']]],
    ['a=%2C%3B%3D%20', [['a', ',;= ']]],
    ['a=1;p=2;q', [['a', '1', 'p=2;q']]],
    ['a=1;', [['a', '1', '']]],
    ['a=1,a=2', [['a', '2']]],
    ['__proto__=1', [['__proto__', '1']]],
    ['', []],
    [',,,', []],
    ['a', []],
    ['=1', []],
    [' =1', []],
    ['a=%', []],
    ['a=%zz', []],
    ['a=%c3%28', []],
    ['%=1', []],
    ['a=%,b=2', [['b', '2']]],
    [
      'a,b=2,c=',
      [
        ['b', '2'],
        ['c', ''],
      ],
    ],
  ])('%j is read member by member', (header, read) => {
    expect(entries(header)).toEqual(read);
  });

  it('is read up to 8192 bytes and 180 members', () => {
    const at = `a=${'x'.repeat(8190)}`;
    expect(entries(at)).toHaveLength(1);
    expect(entries(`${at}x`)).toEqual([]);
    expect(entries(`a=${'x'.repeat(100_000)}`)).toEqual([]);
    const members = (n: number): string => Array.from({ length: n }, (_, i) => `k${i}=v`).join(',');
    expect(entries(members(180))).toHaveLength(180);
    expect(entries(members(181))).toHaveLength(180);
  });

  it('is written up to 8192 bytes and 180 members, what does not fit left out', () => {
    const at = propagation.createBaggage({ a: { value: 'x'.repeat(8190) } });
    expect(formatBaggage(at)).toHaveLength(8192);
    expect(formatBaggage(at.setEntry('b', { value: 'y' }))).toHaveLength(8192);
    expect(formatBaggage(propagation.createBaggage({ a: { value: 'x'.repeat(8191) }, b: { value: 'y' } }))).toBe('b=y');
    const many = propagation.createBaggage(Object.fromEntries(Array.from({ length: 181 }, (_, i) => [`k${i}`, { value: 'v' }])));
    expect(formatBaggage(many).split(',')).toHaveLength(180);
  });

  it('leaves out an entry that cannot be written, and the rest goes on', () => {
    const baggage = propagation.createBaggage({ bad: { value: '\ud800' }, good: { value: 'x' } });
    expect(formatBaggage(baggage)).toBe('good=x');
    const injected: string = formatBaggage(propagation.createBaggage({ bad: { value: 5 as never }, good: { value: 'x' } }));
    expect(injected).toContain('good=x');
  });

  it('never breaks the header it is written into', () => {
    const baggage = propagation.createBaggage({ 'a\r\nx: y': { value: '\r\nevil: 1' } });
    expect(formatBaggage(baggage)).not.toMatch(/[\r\n]/);
    for (const bad of ['p\r\nevil: 1', 'p=\u20ac', 'p=\0', 'p=\x7f']) {
      const metadata = { toString: () => bad } as never;
      expect(formatBaggage(propagation.createBaggage({ a: { value: '1', metadata }, b: { value: '2' } }))).toBe('b=2');
    }
  });

  it('is immutable', () => {
    const baggage: Baggage = parseBaggage('a=1,b=2');
    expect(baggage.setEntry('c', { value: '3' }).getAllEntries()).toHaveLength(3);
    expect(baggage.removeEntry('a').getEntry('a')).toBeUndefined();
    expect(baggage.removeEntries('a', 'b').getAllEntries()).toEqual([]);
    expect(baggage.clear().getAllEntries()).toEqual([]);
    baggage.getEntry('a')!.value = 'changed';
    expect(baggage.getAllEntries()).toHaveLength(2);
    expect(baggage.getEntry('a')).toEqual({ value: '1' });
  });
});

describe('the propagator reads and writes what the SDK does:', () => {
  const mine = new W3CPropagator({ traceContext: true, baggage: true });
  const theirs = new CompositePropagator({ propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator()] });

  const read = (context: Context): unknown => {
    const span = trace.getSpanContext(context);
    return {
      span: span === undefined ? undefined : { ...span, traceState: span.traceState?.serialize() || undefined },
      baggage: propagation
        .getBaggage(context)
        ?.getAllEntries()
        .map(([key, { value, metadata }]) => [key, value, metadata?.toString() || undefined]),
    };
  };

  it.each<[carrier: Record<string, string | string[]>]>([
    [{}],
    [{ traceparent: `00-${TRACE}-${SPAN}-01` }],
    [{ traceparent: `00-${TRACE}-${SPAN}-00`, tracestate: 'a=1,b=2' }],
    [{ traceparent: `01-${TRACE}-${SPAN}-01-future` }],
    [{ traceparent: `00-${TRACE}-${SPAN}-01-no` }],
    [{ traceparent: `ff-${TRACE}-${SPAN}-01` }],
    [{ traceparent: [`00-${TRACE}-${SPAN}-01`] }],
    [{ traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: ['a=1', 'b=2'] }],
    [{ tracestate: 'a=1' }],
    [{ baggage: 'a=1,b=2;meta=x' }],
    [{ baggage: ['a=1', 'b=Am%C3%A9lie'] }],
    [{ baggage: '' }],
    [{ baggage: 'broken' }],
    [{ traceparent: 'broken', baggage: 'a=1' }],
  ])('from %j', (carrier) => {
    expect(read(mine.extract(ROOT_CONTEXT, carrier, defaultTextMapGetter))).toEqual(
      read(theirs.extract(ROOT_CONTEXT, carrier, defaultTextMapGetter)),
    );
  });

  it('when it reads into a context that has a span and baggage already', () => {
    const before = theirs.extract(ROOT_CONTEXT, { traceparent: `00-${TRACE}-${SPAN}-01`, baggage: 'old=1' }, defaultTextMapGetter);
    for (const carrier of [{}, { traceparent: 'broken' }, { baggage: 'new=2' }, { traceparent: `00-${'9'.repeat(32)}-${SPAN}-00` }]) {
      expect(read(mine.extract(before, carrier, defaultTextMapGetter))).toEqual(
        read(theirs.extract(before, carrier, defaultTextMapGetter)),
      );
    }
  });

  it.each<[what: string, context: Context]>([
    ['nothing', ROOT_CONTEXT],
    ['a span', trace.setSpanContext(ROOT_CONTEXT, { traceId: TRACE, spanId: SPAN, traceFlags: 1 })],
    ['an unsampled span', trace.setSpanContext(ROOT_CONTEXT, { traceId: TRACE, spanId: SPAN, traceFlags: 0 })],
    [
      'a span with a state',
      trace.setSpanContext(ROOT_CONTEXT, { traceId: TRACE, spanId: SPAN, traceFlags: 1, traceState: new TraceStateHeader('a=1') }),
    ],
    ['an invalid span', trace.setSpanContext(ROOT_CONTEXT, { traceId: '0'.repeat(32), spanId: '0'.repeat(16), traceFlags: 1 })],
    ['a span with an id that is none', trace.setSpanContext(ROOT_CONTEXT, { traceId: 'abc', spanId: SPAN, traceFlags: 1 })],
    ['baggage', propagation.setBaggage(ROOT_CONTEXT, propagation.createBaggage({ a: { value: 'Amélie' }, 'k y': { value: '' } }))],
    ['empty baggage', propagation.setBaggage(ROOT_CONTEXT, propagation.createBaggage({}))],
  ])('out of a context with %s', (_what, context) => {
    const [my, their]: Record<string, string>[] = [{}, {}];
    mine.inject(context, my, defaultTextMapSetter);
    theirs.inject(context, their, defaultTextMapSetter);
    expect(my).toEqual(their);
  });

  it('only what it is told to', () => {
    const context = theirs.extract(ROOT_CONTEXT, { traceparent: `00-${TRACE}-${SPAN}-01`, baggage: 'a=1' }, defaultTextMapGetter);
    for (const [options, fields] of [
      [{ traceContext: true, baggage: false }, ['traceparent', 'tracestate']],
      [{ traceContext: false, baggage: true }, ['baggage']],
      [{ traceContext: false, baggage: false }, []],
    ] as const) {
      const propagator = new W3CPropagator(options);
      const carrier: Record<string, string> = {};
      propagator.inject(context, carrier, defaultTextMapSetter);
      expect(propagator.fields()).toEqual(fields);
      expect(Object.keys(carrier).every((key) => (fields as readonly string[]).includes(key))).toBe(true);
      expect(
        trace.getSpanContext(propagator.extract(ROOT_CONTEXT, { traceparent: `00-${TRACE}-${SPAN}-01` }, defaultTextMapGetter)) !==
          undefined,
      ).toBe(options.traceContext);
    }
  });
});
