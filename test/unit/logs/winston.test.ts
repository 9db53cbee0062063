import { type PassThrough, Writable } from 'node:stream';
import winston, { type Logger, type LoggerOptions } from 'winston';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { activeIds, type SpanIds } from '../../../src/core/context.ts';
import { correlateWinston } from '../../../src/logs/winston.ts';
import { FIELDS, IDS, inRequest, newGuard, Sink } from './request.ts';

const { combine, errors, json, printf, simple, splat } = winston.format;
const guard = newGuard();
let sink: Sink;
let early: Logger;
let failing: Error | undefined;

function ids(): SpanIds | undefined {
  if (failing !== undefined) throw failing;
  return activeIds();
}

// The patch is on what all loggers of this copy of winston share, so it is made once.
beforeAll(() => {
  early = winston.createLogger();
  correlateWinston(winston, ids, guard);
});

beforeEach(() => {
  sink = new Sink();
  failing = undefined;
});

function make(options: LoggerOptions = {}): Logger {
  return winston.createLogger({ transports: [new winston.transports.Stream({ stream: sink })], ...options });
}

/** What one logger writes inside of a request. */
function inside(options: LoggerOptions, log: (logger: Logger) => void): Record<string, unknown> | undefined {
  const logger = make(options);
  inRequest(() => log(logger));
  return sink.take()[0];
}

describe('an info', () => {
  it('has the ids inside a request and nothing of ours outside', () => {
    const logger = make();
    logger.info('outside', { a: 1 });
    inRequest(() => logger.info('inside', { a: 1 }));
    expect(sink.take()).toEqual([
      { level: 'info', message: 'outside', a: 1 },
      { level: 'info', message: 'inside', a: 1, ...FIELDS },
    ]);
  });

  it.each<[string, (logger: Logger) => void]>([
    ['a message', (logger) => logger.info('hello')],
    ['log with a level', (logger) => logger.log('info', 'hello')],
    ['log with an entry', (logger) => logger.log({ level: 'info', message: 'hello' })],
    ['an object', (logger) => logger.info({ message: 'hello' })],
    ['write', (logger) => logger.write({ level: 'info', message: 'hello' })],
  ])('has the ids when it is logged by %s', (_how, log) => {
    expect(inside({}, log)).toEqual({ level: 'info', message: 'hello', ...FIELDS });
  });

  it('has the ids when its logger was made before the patch', () => {
    early.add(new winston.transports.Stream({ stream: sink }));
    inRequest(() => early.info('x'));
    expect(sink.take()[0]).toMatchObject(FIELDS);
  });

  it("has the ids in the default logger's lines", () => {
    winston.configure({ transports: [new winston.transports.Stream({ stream: sink })] });
    inRequest(() => winston.info('x'));
    expect(sink.take()[0]).toMatchObject(FIELDS);
  });

  it('has the ids beside the fields of child loggers and defaultMeta', () => {
    const line = inside({ defaultMeta: { service: 's' } }, (logger) => logger.child({ b: 1 }).child({ c: 1 }).info('x'));
    expect(line).toEqual({ level: 'info', message: 'x', service: 's', b: 1, c: 1, ...FIELDS });
  });

  it.each<[string, LoggerOptions, (logger: Logger) => void]>([
    ['its fields', {}, (logger) => logger.info('x', { trace_id: 'own' })],
    ['a child logger', {}, (logger) => logger.child({ trace_id: 'own' }).info('x')],
    ['defaultMeta', { defaultMeta: { trace_id: 'own' } }, (logger) => logger.info('x')],
  ])('that has a trace_id in %s keeps it, and gets no span of another trace', (_where, options, log) => {
    expect(inside(options, log)).toEqual({ level: 'info', message: 'x', trace_id: 'own' });
  });

  it('that the application reuses carries no ids into another line', () => {
    const logger = make();
    const info = { level: 'info', message: 'x' };
    const other = { ...IDS, traceId: 'f'.repeat(32) };
    inRequest(() => logger.log(info));
    inRequest(() => logger.log(info), other);
    logger.log(info);
    expect(sink.take().map((line) => line['trace_id'])).toEqual([IDS.traceId, other.traceId, undefined]);
    expect(Object.keys(info)).toEqual(['level', 'message']);
  });

  it('has the ids of the request that wrote it, however long a slow transport holds it back', () => {
    const pending: (() => void)[] = [];
    const slow = new Writable({
      objectMode: true,
      highWaterMark: 1,
      write: (info: Record<symbol, string>, _encoding, callback) => {
        sink.write(`${info[Symbol.for('message')]}\n`);
        pending.push(callback);
      },
    });
    const logger = winston.createLogger({ format: combine(errors(), json()) });
    (logger as unknown as PassThrough).pipe(slow);
    const traceIds = Array.from({ length: 60 }, (_, i) => (i + 1).toString(16).padStart(32, '0'));
    for (const [i, traceId] of traceIds.entries()) {
      inRequest(() => (i % 2 === 0 ? logger.info('x') : logger.error(new Error('x'))), { ...IDS, traceId });
    }
    expect((logger as unknown as PassThrough).writableLength).toBeGreaterThan(0);
    return new Promise<void>((resolve) => {
      const drain = (): void => {
        pending.shift()?.();
        if (sink.text.split('\n').length > traceIds.length) resolve();
        else setImmediate(drain);
      };
      drain();
    }).then(() => expect(sink.take().map((line) => line['trace_id'])).toEqual(traceIds));
  });
});

describe('formats', () => {
  it('of the logger see the fields', () => {
    const logger = make({ format: printf((info) => JSON.stringify([info['trace_id'], info['span_id'], info['trace_flags']])) });
    inRequest(() => logger.info('x'));
    expect(sink.text.trim()).toBe(JSON.stringify(Object.values(FIELDS)));
  });

  it('of a transport see the fields', () => {
    const stream = new winston.transports.Stream({ stream: sink, format: simple() });
    const logger = winston.createLogger({ transports: [stream] });
    inRequest(() => logger.info('x'));
    expect(sink.text).toMatch(/^info: x /);
    expect(JSON.parse(sink.text.slice('info: x '.length))).toEqual(FIELDS);
  });

  it('with splat keep working', () => {
    const line = inside({ format: combine(splat(), json()) }, (logger) => logger.info('a %s', 'b', { c: 1 }));
    expect(line).toEqual({ level: 'info', message: 'a b', c: 1, ...FIELDS });
  });

  it('that throw throw into the application as they do without us', () => {
    const failure = new Error('format');
    const logger = make({
      format: printf(() => {
        throw failure;
      }),
    });
    const error = new Error('logged');
    expect(() => inRequest(() => logger.info('x'))).toThrow(failure);
    expect(() => inRequest(() => logger.error(error))).toThrow(failure);
    expect(error).not.toHaveProperty('trace_id');
    expect(guard.failures().size).toBe(0);
  });
});

describe('an error that is logged', () => {
  it('has the ids in its line and none afterwards', () => {
    const error = Object.assign(new RangeError('boom'), { code: 'E_BOOM' });
    const line = inside({ format: combine(errors({ stack: true }), json()) }, (logger) => logger.error(error));
    expect(line).toMatchObject({ level: 'error', message: 'boom', code: 'E_BOOM', ...FIELDS });
    expect(line?.['stack']).toContain('RangeError: boom');
    expect(error).not.toHaveProperty('trace_id');
    expect(error).not.toHaveProperty('span_id');
    expect(error).not.toHaveProperty('trace_flags');
  });

  it('is the object itself for formats, so that getters on private fields keep working', () => {
    const error = new DOMException('stopped', 'AbortError');
    const line = inside({ format: combine(errors(), json()) }, (logger) => logger.error(error));
    expect(line).toEqual({ level: 'error', message: 'stopped', ...FIELDS });
  });

  it('has the ids when it is the message of an entry', () => {
    const error = new Error('boom');
    const line = inside({ format: combine(errors(), json()) }, (logger) =>
      logger.log({ level: 'error', message: error as unknown as string }),
    );
    expect(line).toEqual({ level: 'error', message: 'boom', ...FIELDS });
    expect(error).not.toHaveProperty('trace_id');
  });
});

it('leaves the line as it is when the ids cannot be had, and counts it', () => {
  failing = new Error('ids');
  make().info('x');
  expect(sink.take()).toEqual([{ level: 'info', message: 'x' }]);
  expect(guard.failures()).toEqual(new Map([['logs.winston', 1]]));
});

it('refuses a winston that is built otherwise than we know', () => {
  expect(() => correlateWinston({ createLogger: () => ({}) }, ids, guard)).toThrow('no prototype of its loggers');
});
