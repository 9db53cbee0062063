// What a block is said to be, from its samples: cause by cause, and which function is named.
import { describe, expect, test } from 'vitest';
import { ProfileBuilder, type LabelSet } from '../../../src/profile/profile.ts';
import { causeOf, culpritOf, describeStall, type Block, type StallDescription } from '../../../src/profile/stall-description.ts';
import type { Stretch } from '../../../src/profile/stretch.ts';

/** Frames by name: those in angle brackets are Node's, those with an at sign a dependency's, those with a hash Sonde's. */
const SONDE = '/app/node_modules/sonde/dist';

function fileOf(name: string): string {
  if (name.startsWith('(') || name.startsWith('native')) return '';
  if (name.startsWith('<')) return 'node:internal/timers';
  if (name.startsWith('@')) return `/app/node_modules/${name.slice(1)}/index.js`;
  return name.startsWith('#') ? `${SONDE}/index.js` : '/app/src/app.ts';
}

type Row = readonly [millis: number, stack: string, labels?: LabelSet];

/** A stretch of those samples, one every 10 ms; the stack is written from the outermost on. */
function stretchOf(rows: readonly Row[], facts: Partial<Stretch> = {}): Stretch {
  const builder = new ProfileBuilder(2);
  for (const [millis, stack, labels = {}] of rows) {
    const path = stack.startsWith('(') ? [stack] : stack.split(' ');
    const node = path.reduce((parent, name) => builder.node(parent, builder.frame(name, fileOf(name), 7)), -1);
    builder.add(node, 0, millis / 10, builder.labels(labels));
    builder.add(node, 1, millis * 1e6, builder.labels(labels));
  }
  const type = { type: 'wall', unit: 'nanoseconds' };
  const head = {
    sampleTypes: [type, type],
    defaultSampleType: 'wall',
    periodType: type,
    period: 1e7,
    startEpochMillis: 0,
    durationMillis: 0,
  };
  return { profile: builder.build(head), active: undefined, activeCount: 0, cpuMillis: 1e9, deadMillis: 0, skippedMillis: 0, ...facts };
}

const notDebugged = { thresholdMillis: 100, isDebugged: () => false };
const debugged = { thresholdMillis: 100, isDebugged: () => true };
const described = (...rows: Row[]): StallDescription => describeStall(300, stretchOf(rows), notDebugged);
const names = ({ frames }: StallDescription): string => frames.map(({ name }) => name).join(' ');
const cause = (description: StallDescription, durationMillis = 300): string =>
  causeOf({ startMillis: 0, durationMillis, wasWaiting: false, sampled: '' }, description, description.gcMillis).cause;

describe('the stack', () => {
  test('goes inwards as long as one function has half of the time, the innermost first', () => {
    const description = described([200, 'main handle parse'], [60, 'main handle render'], [40, 'main other']);
    expect(names(description)).toBe('parse handle main');
    expect(description.shares.map((share) => Math.round(share * 100))).toEqual([67, 87, 100]);
    expect(description.samples).toBe(30);
  });

  test.each([
    [150, 'parse main'],
    [149, 'main'],
  ])('ends where a function has less than half: %d of 300 ms', (millis, stack) => {
    expect(names(described([millis, 'main parse'], [149, 'main render'], [151 - millis, 'main']))).toBe(stack);
  });

  test('is that of JavaScript, however much else there was', () => {
    const description = described([40, 'main parse'], [140, '(garbage collector)'], [120, '(program)']);
    expect(names(description)).toBe('parse main');
    expect(description.shares[0]).toBeCloseTo(40 / 300);
    expect(description.gcMillis).toBe(140);
  });

  test('goes on to the heaviest function of the application where only Node’s had half of the time', () => {
    const description = described([140, '<timers <list first inner'], [90, '<timers <list second'], [70, '<timers <list third']);
    expect(names(description)).toBe('first <list <timers');
    expect(description.shares[0]).toBeCloseTo(140 / 300);
  });

  test('is empty where nothing of JavaScript was sampled', () => {
    expect(names(described([200, '(garbage collector)'], [100, '(program)']))).toBe('');
    expect(described().shares).toEqual([]);
  });

  test('keeps the 128 innermost functions', () => {
    const stack = Array.from({ length: 200 }, (_, i) => `f${i}`).join(' ');
    const { frames } = described([300, stack]);
    expect([frames.length, frames[0]!.name, frames.at(-1)!.name]).toEqual([128, 'f199', 'f72']);
  });
});

describe('the function to look at', () => {
  test.each<[stack: string, culprit: string | undefined]>([
    ['<timers handle parse', 'parse'],
    ['<timers handle runCommand <execSync native', 'runCommand'],
    ['handle @pg @pg-deep <parse', 'handle'],
    ['<timers @pg @pg-deep <parse', '@pg-deep'],
    ['#route handle #wrapped', 'handle'],
    ['<timers #beat', '#beat'],
    ['<timers <list', '<list'],
  ])('of %s is %s', (stack, culprit) => {
    const { frames } = described([300, stack]);
    expect(frames[culpritOf(frames, SONDE)]?.name).toBe(culprit);
  });

  test('of nothing is none', () => {
    expect(culpritOf([], SONDE)).toBe(-1);
  });
});

describe('the cause', () => {
  test.each<[what: string, description: StallDescription, cause: string]>([
    [
      'collections that were not let run',
      describeStall(
        300,
        stretchOf(
          [
            [150, 'main'],
            [150, '(garbage collector)'],
          ],
          { deadMillis: 300 },
        ),
        notDebugged,
      ),
      'garbage collection',
    ],
    ['JavaScript', described([300, 'main parse']), 'code'],
    ['a call that waits', describeStall(300, stretchOf([[300, 'main <execSync native']], { cpuMillis: 2 }), debugged), 'code'],
    ['collections for half of the time', described([150, 'main'], [150, '(garbage collector)']), 'garbage collection'],
    ['collections for less', described([151, 'main'], [149, '(garbage collector)']), 'code'],
    ['native work without any JavaScript', described([300, '(program)']), 'unknown'],
    ['no sample', described(), 'unknown'],
    [
      'a process that ran for less than the threshold',
      describeStall(300, stretchOf([[300, 'main']], { deadMillis: 201 }), notDebugged),
      'not running',
    ],
    ['one that ran for as long', describeStall(300, stretchOf([[300, 'main']], { deadMillis: 200 }), notDebugged), 'code'],
    [
      'a debugger that holds a function of Node',
      describeStall(300, stretchOf([[300, 'main <list']], { cpuMillis: 1 }), debugged),
      'not running',
    ],
    [
      'a debugger that holds it where there is no JavaScript',
      describeStall(300, stretchOf([[300, '(program)']], { cpuMillis: 1 }), debugged),
      'not running',
    ],
    ['a debugger that holds a function', describeStall(300, stretchOf([[300, 'main']], { cpuMillis: 14 }), debugged), 'not running'],
    ['a debugger, and a function that runs', describeStall(300, stretchOf([[300, 'main']], { cpuMillis: 15 }), debugged), 'code'],
    ['a function that waits, and no debugger', describeStall(300, stretchOf([[300, 'main']], { cpuMillis: 1 }), notDebugged), 'code'],
  ])('of %s', (_what, description, expected) => {
    expect(cause(description)).toBe(expected);
  });

  test('is a collection by the collector’s own records too, and says why it is not known', () => {
    const block: Block = { startMillis: 0, durationMillis: 300, wasWaiting: false, sampled: 'there is no sampler' };
    expect(causeOf(block, undefined, 150)).toEqual({ cause: 'garbage collection', reason: undefined });
    expect(causeOf(block, undefined, 149)).toEqual({ cause: 'unknown', reason: 'there is no sampler' });
    expect(causeOf(block, described([300, '(program)']), 0).cause).toBe('unknown');
    expect(causeOf({ ...block, wasWaiting: true }, undefined, 300).cause).toBe('not running');
  });
});

describe('whose it is', () => {
  const labels = (route: string, trace: string, span = '1'): LabelSet => ({ 'http.route': route, trace_id: trace, span_id: span });

  test.each<[what: string, rows: Row[], subject: [route?: string, traceId?: string, spanId?: string]]>([
    ['one request', [[300, 'a', labels('/a', 't1')]], ['/a', 't1', '1']],
    [
      'half of the time is enough',
      [
        [150, 'a', labels('/a', 't1')],
        [150, 'b'],
      ],
      ['/a', 't1', '1'],
    ],
    [
      'less is not',
      [
        [149, 'a', labels('/a', 't1')],
        [151, 'b'],
      ],
      [],
    ],
    [
      'many requests of a route',
      [
        [100, 'a', labels('/a', 't1')],
        [100, 'a', labels('/a', 't2')],
        [100, 'a', labels('/a', 't3')],
      ],
      ['/a'],
    ],
    [
      'many spans of a trace',
      [
        [100, 'a', labels('/a', 't1', '1')],
        [100, 'a', labels('/a', 't1', '2')],
        [100, 'a', labels('/a', 't1', '3')],
      ],
      ['/a', 't1'],
    ],
    [
      'collections that have no labels do not speak against it',
      [
        [100, 'a', labels('/a', 't1')],
        [200, '(garbage collector)'],
      ],
      ['/a', 't1', '1'],
    ],
    [
      'collections that have labels tell it too',
      [
        [100, 'a'],
        [200, '(garbage collector)', labels('/a', 't1')],
      ],
      ['/a', 't1', '1'],
    ],
    ['a route without a trace', [[300, 'a', { 'http.route': '/a' }]], ['/a']],
  ])('%s', (_what, rows, [route, traceId, spanId]) => {
    expect(described(...rows)).toMatchObject({ route, traceId, spanId });
  });
});
