import { createRequire } from 'node:module';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { activeIds } from '../../../src/core/context.ts';
import { correlateBunyan } from '../../../src/logs/bunyan.ts';
import { FIELDS, inRequest, newGuard, Sink } from './request.ts';

interface Logger {
  info(...args: unknown[]): void;
  error(...args: unknown[]): void;
  child(fields: object): Logger;
}

const bunyan = createRequire(import.meta.url)('bunyan') as { createLogger(options: object): Logger };

let sink: Sink;
let early: Logger;
let earlySink: Sink;

beforeAll(() => {
  earlySink = new Sink();
  early = bunyan.createLogger({ name: 'early', stream: earlySink });
  correlateBunyan(bunyan, activeIds, newGuard());
});

beforeEach(() => {
  sink = new Sink();
});

function make(options: object = {}): Logger {
  return bunyan.createLogger({ name: 'app', stream: sink, ...options });
}

describe('a record', () => {
  it('has the ids inside a request and nothing of ours outside', () => {
    const logger = make();
    logger.info({ a: 1 }, 'outside');
    inRequest(() => logger.info({ a: 1 }, 'inside'));
    const [outside, inside] = sink.take();
    expect(inside).toMatchObject({ a: 1, msg: 'inside', ...FIELDS });
    expect(Object.keys(outside ?? {})).toEqual(['name', 'hostname', 'pid', 'level', 'a', 'msg', 'time', 'v']);
  });

  it('has the ids when its logger was made before the patch', () => {
    inRequest(() => early.info('x'));
    expect(earlySink.take()[0]).toMatchObject(FIELDS);
  });

  it('has the ids beside the bindings and serializers of a child logger', () => {
    const logger = make({ serializers: { user: () => 'someone' } }).child({ component: 'db' });
    inRequest(() => logger.error({ user: {}, err: new RangeError('boom') }));
    expect(sink.take()[0]).toMatchObject({ component: 'db', user: 'someone', msg: 'boom', ...FIELDS });
  });

  it('has the ids for raw streams too', () => {
    const records: unknown[] = [];
    const logger = make({ streams: [{ type: 'raw', stream: { write: (record: unknown) => records.push(record) } }], stream: undefined });
    inRequest(() => logger.info('x'));
    expect(records).toEqual([expect.objectContaining(FIELDS)]);
  });

  it.each([
    ['the logged fields', (logger: Logger) => logger.info({ trace_id: 'own' }, 'x')],
    ['a child logger', (logger: Logger) => logger.child({ trace_id: 'own' }).info('x')],
  ])('that has a trace_id in %s keeps it, and gets no span of another trace', (_where, log) => {
    const logger = make();
    inRequest(() => log(logger));
    const [record] = sink.take();
    expect(record).toMatchObject({ trace_id: 'own' });
    expect(record).not.toHaveProperty('span_id');
  });

  it('leaves no ids in the objects that the application logged', () => {
    const fields = { a: 1 };
    const logger = make();
    inRequest(() => logger.info(fields, 'x'));
    logger.info(fields, 'y');
    expect(fields).toEqual({ a: 1 });
    expect(sink.take()[1]).not.toHaveProperty('trace_id');
  });
});

it('leaves the record as it is when the ids cannot be had, and counts it', () => {
  const guard = newGuard();
  const emitted: unknown[] = [];
  const double = { prototype: { _emit: (record: unknown) => emitted.push(record) } };
  const failing = (): never => {
    throw new Error('ids');
  };
  correlateBunyan(double, failing, guard);
  double.prototype._emit({ msg: 'x' });
  expect(emitted).toEqual([{ msg: 'x' }]);
  expect(guard.failures()).toEqual(new Map([['logs.bunyan', 1]]));
});

it('refuses a bunyan that is built otherwise than we know', () => {
  expect(() => correlateBunyan({ prototype: {} }, activeIds, newGuard())).toThrow('_emit');
});
