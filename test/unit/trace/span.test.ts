// Sonde's span against OpenTelemetry's own: the same calls must give the same exported span. The SDK is the oracle;
// where Sonde differs on purpose, the difference is a test of its own below.
import {
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Span as ApiSpan,
  type SpanContext,
  type Tracer,
} from '@opentelemetry/api';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor, type ReadableSpan } from '@opentelemetry/sdk-trace-node';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { SpanLimits } from '../../../src/trace/span.ts';
import { Harness } from '../../helpers/harness.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';

const EPOCH = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const ELAPSED = 5000;

/** Milliseconds since the process started; the SDK and Sonde read the same clocks, which stand still. */
let now = ELAPSED;

beforeEach(() => {
  now = ELAPSED;
  vi.spyOn(performance, 'now').mockImplementation(() => now);
  vi.spyOn(Date, 'now').mockImplementation(() => EPOCH - ELAPSED + now);
});

afterEach(() => {
  vi.restoreAllMocks();
});

function pass(millis: number): void {
  now += millis;
}

/** A time to the microsecond, which is what Sonde keeps; the SDK keeps the nanoseconds that it is given. */
function micros([seconds, nanos]: readonly [number, number]): number {
  return seconds * 1e6 + Math.round(nanos / 1000);
}

/** The clock of the process as the SDK sees it under fake timers. */
class FakedClock extends ManualClock {
  override monotonicMillis(): number {
    return performance.now();
  }

  override epochMillis(monotonicMillis: number): number {
    return Date.now() - performance.now() + monotonicMillis;
  }
}

/** What an exporter reads of a span, without what must differ. */
function exported(span: ReadableSpan): Record<string, unknown> {
  return {
    name: span.name,
    kind: span.kind,
    parent:
      span.parentSpanContext === undefined
        ? undefined
        : {
            traceId: span.parentSpanContext.traceId,
            spanId: span.parentSpanContext.spanId,
            isRemote: span.parentSpanContext.isRemote === true,
          },
    flags: span.spanContext().traceFlags,
    traceState: span.spanContext().traceState?.serialize(),
    startTime: micros(span.startTime),
    endTime: micros(span.endTime),
    duration: micros(span.duration),
    ended: span.ended,
    status: span.status,
    attributes: span.attributes,
    events: span.events.map((event) => ({
      name: event.name,
      time: micros(event.time),
      attributes: event.attributes ?? {},
      dropped: event.droppedAttributesCount ?? 0,
    })),
    links: span.links.map((link) => ({
      spanId: link.context.spanId,
      attributes: link.attributes ?? {},
      dropped: link.droppedAttributesCount ?? 0,
    })),
    dropped: [span.droppedAttributesCount, span.droppedEventsCount, span.droppedLinksCount],
    scope: {
      name: span.instrumentationScope.name,
      version: span.instrumentationScope.version,
      schemaUrl: span.instrumentationScope.schemaUrl,
    },
  };
}

type Script = (tracer: Tracer, end: (span: ApiSpan) => void) => void;

function withSdk(script: Script, limits: Partial<SpanLimits>): unknown[] {
  now = ELAPSED;
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({
    spanProcessors: [new SimpleSpanProcessor(exporter)],
    spanLimits: {
      ...(limits.attributeCount === undefined ? {} : { attributeCountLimit: limits.attributeCount }),
      ...(limits.attributeValueLength === undefined ? {} : { attributeValueLengthLimit: limits.attributeValueLength }),
      ...(limits.eventCount === undefined ? {} : { eventCountLimit: limits.eventCount }),
      ...(limits.linkCount === undefined ? {} : { linkCountLimit: limits.linkCount }),
      ...(limits.attributePerEventCount === undefined ? {} : { attributePerEventCountLimit: limits.attributePerEventCount }),
      ...(limits.attributePerLinkCount === undefined ? {} : { attributePerLinkCountLimit: limits.attributePerLinkCount }),
    },
  });
  const spans: ReadableSpan[] = [];
  script(provider.getTracer('scope', '1.2.3', { schemaUrl: 'https://schema.example/1' }), (span) => {
    span.end();
    spans.push(span as unknown as ReadableSpan);
  });
  return spans.map(exported);
}

function withSonde(script: Script, limits: Partial<SpanLimits>): unknown[] {
  now = ELAPSED;
  const { provider } = new Harness({ clock: new FakedClock(), limits });
  const spans: ReadableSpan[] = [];
  script(provider.getTracer('scope', '1.2.3', { schemaUrl: 'https://schema.example/1' }), (span) => {
    span.end();
    spans.push(span as unknown as ReadableSpan);
  });
  return spans.map(exported);
}

/** A script that does one thing to one span. */
const on =
  (act: (span: ApiSpan) => unknown): Script =>
  (tracer, end) => {
    const span = tracer.startSpan('span');
    act(span);
    end(span);
  };

const linked = (n: number): SpanContext => ({ traceId: '1'.repeat(32), spanId: String(n).padStart(16, '2'), traceFlags: 1 });
const remote: SpanContext = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: TraceFlags.SAMPLED, isRemote: true };
const wrong = (value: unknown): never => value as never;

describe('the same calls give the same exported span:', () => {
  it.each<[what: string, script: Script, limits?: Partial<SpanLimits>]>([
    ['nothing but a name', on(() => {})],
    // Attributes
    [
      'attributes of each type',
      on((span) =>
        span.setAttributes({ s: 'x', n: 1.5, b: false, ss: ['a', 'b'], nn: [1, 2], bb: [true], empty: [], zero: 0, '': 'no key' }),
      ),
    ],
    ['attributes with gaps in their arrays', on((span) => span.setAttribute('a', ['x', null, undefined, 'y']))],
    [
      'attributes of types that are not allowed',
      on((span) =>
        span.setAttributes({
          o: wrong({}),
          f: wrong(() => 1),
          m: wrong(['a', 1]),
          y: wrong(Symbol.iterator),
          d: wrong(new Date()),
          nest: wrong([['a']]),
          big: wrong(1n),
        }),
      ),
    ],
    [
      'attributes of null and undefined',
      on((span) => span.setAttribute('a', wrong(null)).setAttribute('b', wrong(undefined)).setAttributes({ c: undefined })),
    ],
    ['no attributes at all', on((span) => span.setAttributes(wrong(undefined)).setAttributes(wrong(null)))],
    ['attributes of the numbers that are none', on((span) => span.setAttributes({ nan: Number.NaN, inf: Infinity, neg: -0 }))],
    [
      'attributes called like what every object has',
      on((span) => span.setAttributes({ constructor: 'a', toString: 'b', hasOwnProperty: 'c' })),
      { attributeCount: 2 },
    ],
    ['inherited attributes', on((span) => span.setAttributes(Object.create({ inherited: 1 }) as never))],
    ['an attribute that is set again', on((span) => span.setAttribute('a', 1).setAttribute('a', 2))],
    ['as many attributes as are allowed', on((span) => span.setAttributes({ a: 1, b: 2, c: 3 })), { attributeCount: 3 }],
    [
      'one attribute more than is allowed',
      on((span) => span.setAttributes({ a: 1, b: 2, c: 3, d: 4 }).setAttribute('a', 5).setAttribute('e', 6)),
      { attributeCount: 3 },
    ],
    [
      '128 attributes and one more',
      on((span) => {
        for (let i = 0; i <= 128; i++) span.setAttribute(`k${i}`, i);
      }),
    ],
    ['no attribute allowed', on((span) => span.setAttribute('a', 1)), { attributeCount: 0 }],
    [
      'values at the limit of their length and over it',
      on((span) => span.setAttributes({ at: 'abc', over: 'abcd', list: ['abc', 'abcd'], n: 12345, surrogate: 'ab😀' })),
      { attributeValueLength: 3 },
    ],
    // Events
    ['an event', on((span) => span.addEvent('e'))],
    ['an event with attributes', on((span) => span.addEvent('e', { a: 1, bad: wrong({}), mixed: wrong([1, 'a']) }))],
    [
      'an event with a time in each form',
      on((span) =>
        span
          .addEvent('ms', EPOCH + 1)
          .addEvent('date', new Date(EPOCH + 2))
          .addEvent('hr', [1_700_000_000, 5])
          .addEvent('perf', performance.now() - 1),
      ),
    ],
    ['an event with attributes and a time', on((span) => span.addEvent('e', { a: 1 }, EPOCH + 3))],
    ['an event with two times', on((span) => span.addEvent('e', wrong(EPOCH + 1), EPOCH + 2))],
    [
      'an event with attributes that are none',
      on((span) => span.addEvent('a', wrong(null)).addEvent('b', wrong('text')).addEvent('c', undefined, EPOCH)),
    ],
    ['events at their limit', on((span) => span.addEvent('1').addEvent('2')), { eventCount: 2 }],
    ['one event more than is allowed', on((span) => span.addEvent('1').addEvent('2').addEvent('3')), { eventCount: 2 }],
    ['no event allowed', on((span) => span.addEvent('1')), { eventCount: 0 }],
    [
      'attributes of an event over their limit',
      on((span) => span.addEvent('e', { a: 1, b: 2, c: 3, d: 'long' })),
      { attributePerEventCount: 2 },
    ],
    ['attributes of an event over their length', on((span) => span.addEvent('e', { a: 'abcd' })), { attributeValueLength: 3 }],
    // Links
    ['links', on((span) => span.addLink({ context: linked(1) }).addLinks([{ context: linked(2), attributes: { a: 1, bad: wrong({}) } }]))],
    ['links at their limit', on((span) => span.addLinks([{ context: linked(1) }, { context: linked(2) }])), { linkCount: 2 }],
    [
      'one link more than is allowed',
      on((span) => span.addLinks([{ context: linked(1) }, { context: linked(2) }, { context: linked(3) }])),
      { linkCount: 2 },
    ],
    ['no link allowed', on((span) => span.addLink({ context: linked(1) })), { linkCount: 0 }],
    [
      'attributes of a link over their limit',
      on((span) => span.addLink({ context: linked(1), attributes: { a: 1, b: 2 } })),
      { attributePerLinkCount: 1 },
    ],
    // Status
    ['status error with a message', on((span) => span.setStatus({ code: SpanStatusCode.ERROR, message: 'why' }))],
    ['status ok with a message', on((span) => span.setStatus({ code: SpanStatusCode.OK, message: 'why' }))],
    [
      'status ok after error',
      on((span) => span.setStatus({ code: SpanStatusCode.ERROR, message: 'why' }).setStatus({ code: SpanStatusCode.OK })),
    ],
    [
      'status error after ok',
      on((span) => span.setStatus({ code: SpanStatusCode.OK }).setStatus({ code: SpanStatusCode.ERROR, message: 'why' })),
    ],
    [
      'status error after error',
      on((span) => span.setStatus({ code: SpanStatusCode.ERROR, message: '1' }).setStatus({ code: SpanStatusCode.ERROR, message: '2' })),
    ],
    ['status unset after error', on((span) => span.setStatus({ code: SpanStatusCode.ERROR }).setStatus({ code: SpanStatusCode.UNSET }))],
    ['status with a message that is no text', on((span) => span.setStatus({ code: SpanStatusCode.ERROR, message: wrong(new Error('x')) }))],
    // Name
    ['a new name', on((span) => span.updateName('other'))],
    ['an empty name', on((span) => span.updateName(''))],
    // Exceptions
    ['an exception as text', on((span) => span.recordException('text'))],
    ['an exception with a code', on((span) => span.recordException({ code: 'ENOENT', name: 'Error', message: 'no file' }))],
    ['an exception with a number as code', on((span) => span.recordException({ code: 42, message: 'no file' }))],
    ['an exception with name, message and stack', on((span) => span.recordException({ name: 'TypeError', message: 'm', stack: 's' }))],
    ['an exception with nothing', on((span) => span.recordException(wrong({})))],
    ['an exception that is empty text', on((span) => span.recordException(''))],
    ['an exception that is none', on((span) => (span.recordException(wrong(undefined)), span.recordException(wrong(null))))],
    ['an exception with only a stack', on((span) => span.recordException(wrong({ stack: 's' })))],
    ['an exception with a time', on((span) => span.recordException('text', EPOCH + 7))],
    // After the end
    [
      'calls after the end',
      (tracer, end) => {
        const span = tracer.startSpan('span');
        span.setAttribute('a', 1).addEvent('e');
        end(span);
        span
          .setAttribute('a', 2)
          .setAttributes({ b: 1 })
          .addEvent('late')
          .addLink({ context: linked(1) })
          .setStatus({ code: SpanStatusCode.ERROR })
          .updateName('late');
        span.recordException('late');
        span.end(EPOCH + 60_000);
      },
    ],
    // Times
    ['time that passes', on((span) => (pass(1500), span.addEvent('later'), pass(250)))],
    ...(
      [
        ['milliseconds', EPOCH + 10],
        ['milliseconds with microseconds', EPOCH + 10.125],
        ['a Date', new Date(EPOCH + 10)],
        ['seconds and nanoseconds', [1_700_000_000, 123_456_789]],
        ['a reading of performance.now()', 4000],
        ['nothing', undefined],
        ['null', null],
        ['text', 'yesterday'],
        ['an invalid Date', new Date(Number.NaN)],
      ] as [string, unknown][]
    ).flatMap(([form, time]): [string, Script][] => {
      const invalid = form === 'an invalid Date';
      return invalid
        ? []
        : [
            [`a start time as ${form}`, (tracer, end) => end(tracer.startSpan('span', { startTime: wrong(time) }))],
            [
              `an end time as ${form}`,
              (tracer, end) => {
                const span = tracer.startSpan('span', { startTime: EPOCH - 60_000 });
                span.end(wrong(Array.isArray(time) ? [Math.floor(EPOCH / 1000), 999_999_999] : time));
                end(span);
              },
            ],
          ];
    }),
    [
      'an end before the start',
      (tracer, end) => {
        const span = tracer.startSpan('span', { startTime: EPOCH });
        span.end(EPOCH - 5000);
        end(span);
      },
    ],
    // What a span is started with
    ...[SpanKind.INTERNAL, SpanKind.SERVER, SpanKind.CLIENT, SpanKind.PRODUCER, SpanKind.CONSUMER].map((kind): [string, Script] => [
      `kind ${SpanKind[kind]}`,
      (tracer, end) => end(tracer.startSpan('span', { kind })),
    ]),
    [
      'attributes and links from the start',
      (tracer, end) =>
        end(
          tracer.startSpan('span', {
            attributes: { a: 1, bad: wrong({}), none: undefined },
            links: [{ context: linked(1), attributes: { x: 'y' } }],
          }),
        ),
    ],
    [
      'attributes over the limit from the start',
      (tracer, end) => end(tracer.startSpan('span', { attributes: { a: 1, b: 2, c: 3 } })),
      { attributeCount: 2 },
    ],
    ['an empty name from the start', (tracer, end) => end(tracer.startSpan(''))],
    ['a remote parent', (tracer, end) => end(tracer.startSpan('span', {}, trace.setSpanContext(ROOT_CONTEXT, remote)))],
    [
      'a remote parent that asks not to be its parent',
      (tracer, end) => end(tracer.startSpan('span', { root: true }, trace.setSpanContext(ROOT_CONTEXT, remote))),
    ],
    [
      'an invalid parent',
      (tracer, end) =>
        end(
          tracer.startSpan(
            'span',
            {},
            trace.setSpanContext(ROOT_CONTEXT, { traceId: '0'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1 }),
          ),
        ),
    ],
    [
      'a parent whose trace id is too short',
      (tracer, end) => end(tracer.startSpan('span', {}, trace.setSpanContext(ROOT_CONTEXT, { ...remote, traceId: 'abc' }))),
    ],
    [
      'a parent with flags beyond sampled',
      (tracer, end) => end(tracer.startSpan('span', {}, trace.setSpanContext(ROOT_CONTEXT, { ...remote, traceFlags: 3 }))),
    ],
  ])('%s', (_what, script, limits = {}) => {
    expect(withSonde(script, limits)).toEqual(withSdk(script, limits));
  });

  it('parents within the process, ids included', () => {
    for (const tracer of [new BasicTracerProvider().getTracer('t'), new Harness().provider.getTracer('t')]) {
      const parent = tracer.startSpan('parent');
      const child = tracer.startSpan('child', {}, trace.setSpan(ROOT_CONTEXT, parent)) as ApiSpan & ReadableSpan;
      const root = tracer.startSpan('root', { root: true }, trace.setSpan(ROOT_CONTEXT, parent)) as ApiSpan & ReadableSpan;
      expect(child.spanContext().traceId).toBe(parent.spanContext().traceId);
      expect(child.parentSpanContext?.spanId).toBe(parent.spanContext().spanId);
      expect(root.spanContext().traceId).not.toBe(parent.spanContext().traceId);
      expect(root.parentSpanContext).toBeUndefined();
    }
  });

  it('an unsampled parent gives a span that records nothing and is not exported', () => {
    const harness = new Harness();
    const span = harness.provider
      .getTracer('t')
      .startSpan('span', { attributes: { a: 1 } }, trace.setSpanContext(ROOT_CONTEXT, { ...remote, traceFlags: 0 }));
    span.setAttribute('b', 1).addEvent('e').end();
    expect(span.isRecording()).toBe(false);
    expect(span.spanContext()).toMatchObject({ traceId: remote.traceId, traceFlags: 0 });
    expect(harness.spans).toEqual([]);
  });

  it('recording is until the end', () => {
    const span = new Harness().provider.getTracer('t').startSpan('span');
    expect(span.isRecording()).toBe(true);
    span.end();
    expect(span.isRecording()).toBe(false);
  });
});

describe('nothing that the application passes makes a span throw:', () => {
  const values = [
    undefined,
    null,
    0,
    -1,
    Number.NaN,
    Infinity,
    '',
    'x',
    true,
    Symbol.iterator,
    1n,
    {},
    [],
    [1],
    [1, 2, 3],
    ['a', 'b'],
    new Date(Number.NaN),
    () => 1,
  ];

  it.each<[method: string, call: (span: ApiSpan, value: never) => unknown]>([
    ['setAttribute', (span, value) => span.setAttribute('a', value)],
    ['setAttribute with any key', (span, value) => span.setAttribute(value, 1)],
    ['setAttributes', (span, value) => span.setAttributes(value)],
    ['addEvent', (span, value) => span.addEvent('e', value, value)],
    ['addEvent with any name', (span, value) => span.addEvent(value)],
    ['addLink', (span, value) => span.addLink(value)],
    ['addLinks', (span, value) => span.addLinks(value)],
    ['setStatus', (span, value) => span.setStatus(value)],
    ['updateName', (span, value) => span.updateName(value)],
    ['recordException', (span, value) => span.recordException(value, value)],
    ['end', (span, value) => span.end(value)],
  ])('%s', (_method, call) => {
    for (const value of values) {
      const harness = new Harness();
      const span = harness.provider.getTracer('t').startSpan('span');
      expect(() => call(span, value as never), String(value as symbol)).not.toThrow();
      span.end();
      const [{ startTime, endTime, duration }] = harness.spans as unknown as [ReadableSpan];
      for (const time of [startTime, endTime, duration])
        expect(time.every(Number.isFinite), `${String(value as symbol)} ${String(time)}`).toBe(true);
    }
  });

  it('startSpan', () => {
    const tracer = new Harness().provider.getTracer('t');
    for (const value of values as never[]) {
      for (const options of [value, { startTime: value }, { attributes: value }, { links: value }, { kind: value }]) {
        expect(() => tracer.startSpan('span', options as never).end(), String(value as symbol)).not.toThrow();
      }
    }
  });
});
