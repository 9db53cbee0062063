import { Console } from 'node:console';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { activeIds } from '../../../src/core/context.ts';
import type { Guard } from '../../../src/core/guard.ts';
import { ConsoleCorrelation, type ConsoleMode } from '../../../src/logs/console.ts';
import { FIELDS, inRequest, newGuard } from './request.ts';

const METHODS = ['log', 'info', 'warn', 'error', 'debug'] as const;
const TEXT = `trace_id=${FIELDS.trace_id} span_id=${FIELDS.span_id} trace_flags=01`;

let stream: PassThrough;
let target: Console;
let plain: Console;
let guard: Guard;
let correlation: ConsoleCorrelation | undefined;

beforeEach(() => {
  stream = new PassThrough();
  target = new Console(stream);
  plain = new Console(stream);
  guard = newGuard();
});

afterEach(() => correlation?.uninstall());

function install(mode: ConsoleMode, ids = activeIds): ConsoleCorrelation {
  correlation = new ConsoleCorrelation({ mode, activeIds: ids, guard, console: target });
  correlation.install();
  return correlation;
}

function written(): string {
  return String(stream.read() ?? '');
}

/** What console writes for these arguments when nothing is wrapped. */
function plainly(args: readonly unknown[]): string {
  plain.log(...args);
  return written();
}

const LINES: readonly (readonly [string, readonly unknown[]])[] = [
  ['nothing', []],
  ['text', ['hello']],
  ['text with percent signs', ['100%% of %s']],
  ['a format', ['%s has %d', 'a', 1]],
  ['an object', [{ a: 1 }]],
  ['a JSON array', ['[1]']],
  ['text in braces', ['{not json}']],
  ['a JSON object with a second argument', ['{"a":1}', 'b']],
  ['a String object', [new String('{"a":1}')]],
  ['JSON with a trace_id of its own', ['{"trace_id":"own"}']],
  ['JSON with an empty trace_id of its own', ['{"a":1,"trace_id":null}']],
];

describe('in mode json', () => {
  it.each(METHODS)('a line of console.%s that is a JSON object gets the ids', (method) => {
    install('json');
    inRequest(() => target[method]('{"a":1}'));
    expect(written()).toBe(`{"a":1,${JSON.stringify(FIELDS).slice(1)}\n`);
  });

  it.each([
    ['empty', '{}', FIELDS],
    ['empty with white space', '{ }', FIELDS],
    ['nested', '{"a":{"trace_id":"b"}}', { a: { trace_id: 'b' }, ...FIELDS }],
    ['with braces in a string', '{"a":"}{"}', { a: '}{', ...FIELDS }],
    ['ended by white space', '{"a":1} \t', { a: 1, ...FIELDS }],
  ])('an object that is %s gets the ids at its top', (_what, text, expected) => {
    install('json');
    inRequest(() => target.log(text));
    expect(JSON.parse(written())).toEqual(expected);
  });

  it('an object that is pretty-printed stays so', () => {
    install('json');
    inRequest(() => target.log(JSON.stringify({ a: 1 }, null, 2)));
    expect(written()).toBe(`{\n  "a": 1,${JSON.stringify(FIELDS).slice(1, -1)}\n}\n`);
  });

  it.each(LINES)('%s is written as it is', (_what, args) => {
    install('json');
    inRequest(() => target.log(...args));
    expect(written()).toBe(plainly(args));
  });

  it('an object of 65,536 characters gets the ids, one more is too long to be parsed on the way', () => {
    install('json');
    const text = (length: number): string => `{"a":"${'x'.repeat(length - 8)}"}`;
    inRequest(() => target.log(text(65_536)));
    expect(JSON.parse(written())).toMatchObject(FIELDS);
    inRequest(() => target.log(text(65_537)));
    expect(written()).toBe(`${text(65_537)}\n`);
  });
});

describe('in mode all', () => {
  it.each([
    ['text', ['hello'], `hello ${TEXT}`],
    ['text with percent signs', ['100%% of %s'], `100%% of %s ${TEXT}`],
    ['a format', ['%s has %d%%', 'a', 1], `a has 1% ${TEXT}`],
    ['a format with more arguments', ['%s', 'a', 'b'], `a b ${TEXT}`],
    ['a format of percent signs only', ['%% and %%', 'a'], `% and % a ${TEXT}`],
    ['a format with too few arguments', ['%s and %s', 'a'], `a and %s ${TEXT}`],
    ['an object', [{ a: 1 }], `{ a: 1 } ${TEXT}`],
    ['text in braces', ['{not json}'], `{not json} ${TEXT}`],
    ['a JSON object with a second argument', ['{"a":1}', 'b'], `{"a":1} b ${TEXT}`],
  ])('%s is followed by the ids', (_what, args, expected) => {
    install('all');
    inRequest(() => target.log(...args));
    expect(written()).toBe(`${expected}\n`);
  });

  it.each([
    ['an empty line', []],
    ['JSON with a trace_id of its own', ['{"trace_id":"own"}']],
    ['text in braces too long to be parsed', [`{${' '.repeat(65_536)}}`]],
  ])('%s is written as it is', (_what, args) => {
    install('all');
    inRequest(() => target.log(...args));
    expect(written()).toBe(plainly(args));
  });

  it('a JSON object gets the ids as members', () => {
    install('all');
    inRequest(() => target.log('{"a":1}'));
    expect(JSON.parse(written())).toEqual({ a: 1, ...FIELDS });
  });
});

describe('whatever the mode', () => {
  it.each(['json', 'all'] as const)('in mode %s nothing is changed outside of a request', (mode) => {
    install(mode);
    for (const args of [...LINES.map(([, each]) => each), ['{"a":1}']]) {
      target.log(...args);
      expect(written()).toBe(plainly(args));
    }
  });

  it('mode off wraps nothing', () => {
    const before = METHODS.map((method) => target[method]);
    install('off');
    expect(METHODS.map((method) => target[method])).toEqual(before);
  });

  it('methods keep their names, lengths and descriptors, and work without their object', () => {
    const describeMethods = (): unknown[] =>
      METHODS.map((method) => {
        const { value, ...descriptor } = Object.getOwnPropertyDescriptor(target, method) ?? {};
        return [method, (value as () => void).name, (value as () => void).length, descriptor];
      });
    const before = describeMethods();
    install('json');
    expect(describeMethods()).toEqual(before);
    const { log } = target;
    inRequest(() => log('{}'));
    expect(JSON.parse(written())).toEqual(FIELDS);
  });

  it('uninstalling gives the methods back, and a method kept from before adds nothing', () => {
    const before = METHODS.map((method) => target[method]);
    const installed = install('json');
    installed.install();
    const kept = target.log;
    installed.uninstall();
    expect(METHODS.map((method) => target[method])).toEqual(before);
    inRequest(() => kept('{"a":1}'));
    expect(written()).toBe('{"a":1}\n');
  });

  it('a method that the application replaced or wrapped later stays its own', () => {
    const installed = install('json');
    const ours = target.log;
    const theirs = (...args: unknown[]): void => ours('[theirs]', ...args);
    target.log = theirs;
    inRequest(() => target.log('{"a":1}'));
    expect(written()).toBe('[theirs] {"a":1}\n');
    installed.uninstall();
    expect(target.log).toBe(theirs);
    inRequest(() => target.log('x'));
    expect(written()).toBe('[theirs] x\n');
  });

  it('what the stream throws reaches the application, and is no failure of ours', () => {
    const failure = new Error('write');
    target.log = () => {
      throw failure;
    };
    install('json');
    expect(() => inRequest(() => target.log('{}'))).toThrow(failure);
    expect(guard.failures().size).toBe(0);
  });

  it('ids that cannot be had leave the line as it is, and are counted', () => {
    install('json', () => {
      throw new Error('ids');
    });
    target.log('{}');
    expect(written()).toBe('{}\n');
    expect(guard.failures()).toEqual(new Map([['logs.console', 1]]));
  });

  it('the console of the process is the one that is meant if none is named', () => {
    const { log } = globalThis.console;
    correlation = new ConsoleCorrelation({ mode: 'json', activeIds, guard });
    correlation.install();
    expect(globalThis.console.log).not.toBe(log);
    correlation.uninstall();
    expect(globalThis.console.log).toBe(log);
  });
});
