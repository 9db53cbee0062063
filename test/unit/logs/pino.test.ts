import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fastify from 'fastify';
import pino, { type Logger, type LoggerOptions } from 'pino';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { activeIds, type SpanIds } from '../../../src/core/context.ts';
import { correlatePino } from '../../../src/logs/pino.ts';
import { FIELDS, IDS, inRequest, newGuard, Sink } from './request.ts';

const OTHER = 'f'.repeat(32);
const guard = newGuard();
let sink: Sink;
let earlyLine: string;
let earlyLogger: Logger;
let failing: Error | undefined;

function ids(): SpanIds | undefined {
  if (failing !== undefined) throw failing;
  return activeIds();
}

function make(options: LoggerOptions = {}): Logger {
  return pino({ base: null, timestamp: false, ...options }, sink);
}

/** What one logger writes inside of a request. */
function inside(options: LoggerOptions, log: (logger: Logger) => void): Record<string, unknown> | undefined {
  const logger = make(options);
  inRequest(() => log(logger));
  return sink.take()[0];
}

// The patch is on what all loggers of this copy of pino share, so it is made once.
beforeAll(() => {
  sink = new Sink();
  earlyLogger = make();
  earlyLogger.info({ a: 1 }, 'hello');
  earlyLine = sink.text;
  correlatePino(pino, ids, guard);
});

beforeEach(() => {
  sink = new Sink();
  failing = undefined;
});

describe('a line', () => {
  it('has the ids after what pino writes inside a request', () => {
    inRequest(() => make().info({ a: 1 }, 'hello'));
    expect(sink.text).toBe(`${earlyLine.slice(0, -2)},${JSON.stringify(FIELDS).slice(1)}\n`);
  });

  it('is the same byte for byte outside of a request', () => {
    inRequest(() => make().info('inside'));
    sink.take();
    make().info({ a: 1 }, 'hello');
    expect(sink.text).toBe(earlyLine);
  });

  it('tells by its flags that the trace is not sampled', () => {
    const logger = make();
    inRequest(() => logger.info('x'), { ...IDS, traceFlags: 0 });
    expect(sink.take()[0]).toMatchObject({ trace_flags: '00' });
  });

  it.each(['', '0'.repeat(32)])('has no ids when the active span has the invalid trace id "%s"', (traceId) => {
    inRequest(() => make().info({ a: 1 }, 'hello'), { ...IDS, traceId });
    expect(sink.text).toBe(earlyLine);
  });

  it('ends as crlf asks for', () => {
    inRequest(() => make({ crlf: true }).info('x'));
    expect(sink.text).toBe(`{"level":30,"msg":"x",${JSON.stringify(FIELDS).slice(1)}\r\n`);
  });

  it('has the ids when its logger was made before the patch', () => {
    const write = sink.write.bind(sink);
    (earlyLogger as unknown as Record<symbol, unknown>)[pino.symbols.streamSym as unknown as symbol] = { write };
    inRequest(() => earlyLogger.info('x'));
    expect(sink.take()[0]).toMatchObject(FIELDS);
  });

  it('has the ids of a child logger with its own bindings, serializers and redaction', () => {
    const line = inside({ redact: ['secret'] }, (logger) =>
      logger
        .child({ reqId: 7 }, { serializers: { user: () => 'someone' } })
        .child({ deep: true })
        .info({ user: { id: 1 }, secret: 'x' }, 'hello'),
    );
    expect(line).toEqual({
      level: 30,
      reqId: 7,
      deep: true,
      user: 'someone',
      secret: '[Redacted]',
      msg: 'hello',
      ...FIELDS,
    });
  });

  it('has the ids of an Error', () => {
    const line = inside({}, (logger) => logger.error(new RangeError('boom')));
    expect(line).toMatchObject({ msg: 'boom', err: { type: 'RangeError' }, ...FIELDS });
  });
});

describe("the user's own", () => {
  it('mixin and merge strategy get and give what they do without us', () => {
    const seen: unknown[] = [];
    const line = inside(
      {
        mixin: (object, level) => {
          seen.push(object, level);
          return { a: 'mixin', b: 'mixin' };
        },
        mixinMergeStrategy: (object, mixin) => {
          seen.push(mixin);
          return { ...object, ...mixin };
        },
      },
      (logger) => logger.info({ a: 'line' }),
    );
    expect(line).toEqual({ level: 30, a: 'mixin', b: 'mixin', ...FIELDS });
    expect(seen).toEqual([{ a: 'line' }, 30, { a: 'mixin', b: 'mixin' }]);
  });

  it('formatters get what they do without us, and the ids are beside what they make', () => {
    const line = inside({ formatters: { level: (label) => ({ severity: label }), log: (object) => ({ data: object }) } }, (logger) =>
      logger.info({ a: 1 }),
    );
    expect(line).toEqual({ severity: 'info', data: { a: 1 }, ...FIELDS });
  });

  it('nestedKey leaves the ids at the top', () => {
    const line = inside({ nestedKey: 'payload' }, (logger) => logger.info({ a: 1 }, 'hello'));
    expect(line).toEqual({ level: 30, payload: { a: 1 }, msg: 'hello', ...FIELDS });
  });

  it.each<[string, LoggerOptions, (logger: Logger) => void]>([
    ['the logged object', {}, (logger) => logger.info({ trace_id: OTHER }, 'x')],
    ['a child logger', {}, (logger) => logger.child({ trace_id: OTHER }).info('x')],
    ['base', { base: { trace_id: OTHER } }, (logger) => logger.info('x')],
    ['a mixin', { mixin: () => ({ trace_id: OTHER }) }, (logger) => logger.info('x')],
    ['a formatter', { formatters: { log: (o) => ({ ...o, trace_id: OTHER }) } }, (logger) => logger.info('x')],
  ])('trace_id in %s stays the only one, and no span of another trace is put beside it', (_where, options, log) => {
    const logger = make(options);
    inRequest(() => log(logger));
    expect(sink.text.split('trace_id')).toHaveLength(2);
    expect(sink.take()[0]).toMatchObject({ trace_id: OTHER });
    expect(sink.text).not.toContain('span_id');
  });

  it('trace_id deeper in an object, or spelled out in the message, does not stand for the line', () => {
    const line = inside({}, (logger) => logger.info({ event: { trace_id: OTHER } }, 'got "trace_id": "1"'));
    expect(line).toEqual({ level: 30, event: { trace_id: OTHER }, msg: 'got "trace_id": "1"', ...FIELDS });
  });

  it('objects are not written to', () => {
    const object = Object.freeze({ a: 1 });
    const bindings = Object.freeze({ b: 1 });
    const mixed = { c: 1 };
    inside({ mixin: () => mixed, mixinMergeStrategy: (o, m) => ({ ...o, ...m }) }, (logger) => logger.child(bindings).info(object));
    expect([object, bindings, mixed]).toEqual([{ a: 1 }, { b: 1 }, { c: 1 }]);
  });

  it('serializer that throws throws into the application as it does without us', () => {
    const failure = new Error('serializer');
    const logger = make({
      serializers: {
        a: () => {
          throw failure;
        },
      },
    });
    expect(() => inRequest(() => logger.info({ a: 1 }))).toThrow(failure);
    expect(guard.failures().size).toBe(0);
  });
});

describe('the ids', () => {
  it('reach a transport in a worker thread', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'sonde-pino-'));
    const destination = join(directory, 'log');
    const transport = pino.transport({ target: 'pino/file', options: { destination } });
    const logger = pino({}, transport);
    inRequest(() => logger.info('x'));
    await new Promise((resolve) => {
      transport.once('close', resolve);
      transport.end();
    });
    expect(JSON.parse(readFileSync(destination, 'utf8'))).toMatchObject({ msg: 'x', ...FIELDS });
    rmSync(directory, { recursive: true });
  });

  it("are in the lines of fastify's own logger", async () => {
    const app = fastify({ logger: { stream: sink } });
    app.get('/', (request) => inRequest(() => (request.log.info('handled'), 'ok')));
    await app.inject('/');
    const line = sink.take().find(({ msg }) => msg === 'handled');
    expect(line).toMatchObject({ reqId: expect.any(String), ...FIELDS });
    await app.close();
  });

  it('that cannot be had leave the line as it is, and are counted', () => {
    failing = new Error('ids');
    make().info({ a: 1 }, 'hello');
    expect(sink.text).toBe(earlyLine);
    expect(guard.failures()).toEqual(new Map([['logs.pino', 1]]));
  });
});

it('refuses a pino that is built otherwise than we know, before it has changed anything', () => {
  const symbols = { asJsonSym: Symbol('asJson'), endSym: Symbol('end') };
  const unknown = Object.assign(() => ({}), { symbols });
  expect(() => correlatePino(unknown, ids, guard)).toThrow('no prototype of its loggers has Symbol(asJson)');
});
