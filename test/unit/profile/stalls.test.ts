// What becomes of a block that the engine tells of: the entry, the event, the measurement, the line.
import { setTimeout as delay } from 'node:timers/promises';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { StderrDiag } from '../../../src/core/diag.ts';
import { Guard } from '../../../src/core/guard.ts';
import { frameOf, type Frame } from '../../../src/profile/frame.ts';
import { ProfileBuilder } from '../../../src/profile/profile.ts';
import type { Block } from '../../../src/profile/stall-description.ts';
import type { StallEntry } from '../../../src/profile/stall-entry.ts';
import { Stalls, type StallEvent, type StallsOptions } from '../../../src/profile/stalls.ts';
import type { Stretch } from '../../../src/profile/stretch.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';

const TRACE = 'a'.repeat(32);
const SPAN = 'b'.repeat(16);

let clock: ManualClock;
let lines: string[];
let observed: { stall: StallEntry; endMillis: number }[];
let events: { active: object; event: StallEvent }[];

beforeEach(() => {
  clock = new ManualClock();
  lines = [];
  observed = [];
  events = [];
});

function create(options: Partial<StallsOptions> = {}): Stalls {
  // Of this test, also for a block that is told on when the test is over.
  const [ownLines, ownObserved, ownEvents] = [lines, observed, events];
  const diag = new StderrDiag('info', (line) => ownLines.push(line));
  return new Stalls({
    guard: new Guard(diag),
    diag,
    clock,
    thresholdMillis: 100,
    ownDirectory: '/sonde',
    observe: (stall, endMillis) => ownObserved.push({ stall, endMillis }),
    addEvent: (active, event) => ownEvents.push({ active, event }),
    nameOf: () => 'GET /products',
    isDebugged: () => false,
    ...options,
  });
}

/** 300 ms in handle > parseCatalog, of which `gcMillis` were collections. */
function stretchOf({ gcMillis = 0, active, ...facts }: Partial<Stretch> & { gcMillis?: number } = {}): Stretch {
  const builder = new ProfileBuilder(2);
  const labels = active === undefined ? 0 : builder.labels({ 'http.route': '/products', trace_id: TRACE, span_id: SPAN });
  const add = (node: number, millis: number): void => {
    builder.add(node, 0, millis / 10, labels);
    builder.add(node, 1, millis * 1e6, labels);
  };
  const handle = builder.node(-1, builder.frame('handle', '/app/dist/app.js', 10));
  add(builder.node(handle, builder.frame('parseCatalog', '/app/dist/app.js', 41)), 300 - gcMillis);
  if (gcMillis > 0) add(builder.node(-1, builder.frame('(garbage collector)', '', 0)), gcMillis);
  const type = { type: 'wall', unit: 'nanoseconds' };
  const head = {
    sampleTypes: [type, type],
    defaultSampleType: 'wall',
    periodType: type,
    period: 1e7,
    startEpochMillis: 0,
    durationMillis: 300,
  };
  return {
    profile: builder.build(head),
    active,
    activeCount: active === undefined ? 0 : 1,
    cpuMillis: 290,
    deadMillis: 0,
    skippedMillis: 0,
    ...facts,
  };
}

function blockOf(sampled: Block['sampled'] = stretchOf(), more: Partial<Block> = {}): Block {
  return { startMillis: clock.nowMillis - 300, durationMillis: 300, wasWaiting: false, sampled, ...more };
}

/** Waits until so many have been told on. */
const told = (count: number): Promise<void> => vi.waitFor(() => expect(observed).toHaveLength(count), { interval: 5 });

const LINE = 'sonde: event loop blocked 300 ms by parseCatalog (/app/dist/app.js:41)';

test('a block is an entry at once, and a measurement and a line a moment later', async () => {
  const stalls = create();
  stalls.add(blockOf());
  expect(stalls.list()).toEqual([
    {
      startEpochMillis: clock.epochMillis(clock.nowMillis - 300),
      durationMillis: 300,
      cause: 'code',
      reason: undefined,
      culprit: { function: 'parseCatalog', file: '/app/dist/app.js', line: 41 },
      stack: [
        { function: 'parseCatalog', file: '/app/dist/app.js', line: 41 },
        { function: 'handle', file: '/app/dist/app.js', line: 10 },
      ],
      share: 1,
      samples: 30,
      route: undefined,
      traceId: undefined,
      spanId: undefined,
      spanCount: 0,
      gcMillis: 0,
      cpuMillis: 290,
      notRunningMillis: 0,
    },
  ]);
  expect([observed, lines, events]).toEqual([[], [], []]);
  await told(1);
  expect(observed).toEqual([{ stall: stalls.list()[0], endMillis: clock.nowMillis }]);
  expect(lines).toEqual([`${LINE}; see /debug/stalls`]);
});

test('what was active has its event at once, with the time at which the block began', async () => {
  const active = {};
  const stalls = create();
  stalls.add(blockOf(stretchOf({ active })));
  expect(events).toEqual([
    {
      active,
      event: {
        name: 'sonde.eventloop.stall',
        epochMillis: clock.epochMillis(clock.nowMillis - 300),
        attributes: {
          'sonde.eventloop.stall.duration': 0.3,
          'sonde.eventloop.stall.cause': 'code',
          'code.function.name': 'parseCatalog',
          'code.file.path': '/app/dist/app.js',
          'code.line.number': 41,
        },
      },
    },
  ]);
  expect(stalls.list()[0]).toMatchObject({ route: '/products', traceId: TRACE, spanId: SPAN, spanCount: 1 });
  await told(1);
  expect(lines).toEqual([`${LINE}, GET /products, trace ${TRACE}; see /debug/stalls`]);
});

describe('collections', () => {
  test('that the collector tells of later make it one, and are counted for their time inside the block', async () => {
    const stalls = create();
    const start = clock.nowMillis - 300;
    stalls.collected(start - 50, 60);
    stalls.add(blockOf());
    expect(stalls.list()[0]).toMatchObject({ cause: 'code', gcMillis: 10 });
    stalls.collected(start + 100, 140);
    stalls.collected(start + 299.5, 500);
    await told(1);
    expect(stalls.list()[0]).toMatchObject({ cause: 'garbage collection', gcMillis: 150.5, culprit: { function: 'parseCatalog' } });
    expect(lines).toEqual([
      'sonde: event loop blocked 300 ms by garbage collection (151 ms) while in parseCatalog (/app/dist/app.js:41); see /debug/stalls',
    ]);
  });

  test('that only samples tell of count too, and never more than the block', async () => {
    const stalls = create();
    stalls.add(blockOf(stretchOf({ gcMillis: 160 })));
    expect(stalls.list()[0]).toMatchObject({ cause: 'garbage collection', gcMillis: 160 });
    for (let i = 0; i < 3; i++) stalls.collected(clock.nowMillis - 300, 300);
    await told(1);
    expect(stalls.list()[0]!.gcMillis).toBe(300);
  });

  test('of a thousand before are forgotten, and what was told of a block stays', async () => {
    const stalls = create();
    stalls.collected(clock.nowMillis - 300, 200);
    stalls.add(blockOf());
    await told(1);
    for (let i = 0; i < 1024; i++) stalls.collected(clock.nowMillis + i, 1);
    expect(stalls.list()[0]).toMatchObject({ gcMillis: 200 });
    stalls.add(blockOf());
    expect(stalls.list()[0]).toMatchObject({ gcMillis: 0 });
  });
});

describe('where no function is to blame', () => {
  test('a process that did not wake has no stack, and its line is for those who want to know', async () => {
    create().add(blockOf('', { wasWaiting: true }));
    await told(1);
    expect(observed[0]!.stall).toMatchObject({ cause: 'not running', stack: [], culprit: undefined, notRunningMillis: 300 });
    expect(lines).toEqual([expect.stringMatching(/^sonde: event loop blocked 300 ms, the process did not run \(.*stopped/)]);
    const quiet: string[] = [];
    const diag = new StderrDiag('warn', (line) => quiet.push(line));
    const stalls = create({ diag, guard: new Guard(diag) });
    stalls.add(blockOf('', { wasWaiting: true }));
    stalls.add(blockOf());
    await told(3);
    // It has not used up the line of the other.
    expect(quiet).toEqual([`${LINE}; see /debug/stalls`]);
  });

  test('a process that was stopped in a function shows where it stood and does not name it', async () => {
    const active = {};
    create().add(blockOf(stretchOf({ active, deadMillis: 210 })));
    expect(events[0]!.event.attributes).toEqual({ 'sonde.eventloop.stall.duration': 0.3, 'sonde.eventloop.stall.cause': 'not running' });
    await told(1);
    expect(observed[0]!.stall).toMatchObject({ notRunningMillis: 210, stack: [{ function: 'parseCatalog' }, { function: 'handle' }] });
    expect(lines[0]).not.toContain('parseCatalog');
  });

  test('a function that took its time itself is named though the process was stopped in it, and the line says both', async () => {
    create().add(blockOf(stretchOf({ deadMillis: 190 })));
    await told(1);
    expect(observed[0]!.stall).toMatchObject({ cause: 'code', notRunningMillis: 190 });
    expect(lines).toEqual([`${LINE} (for 190 ms of it the process did not run); see /debug/stalls`]);
  });

  test('a debugger is asked for only where no CPU time passed', () => {
    const isDebugged = vi.fn(() => true);
    const stalls = create({ isDebugged });
    stalls.add(blockOf());
    expect(isDebugged).not.toHaveBeenCalled();
    stalls.add(blockOf(stretchOf({ cpuMillis: 1 })));
    expect(stalls.list()[0]).toMatchObject({ cause: 'not running', reason: expect.stringContaining('debugger') as string });
  });

  test('what was not sampled says why', async () => {
    create().add(blockOf('there is no sampler'));
    await told(1);
    expect(observed[0]!.stall).toMatchObject({ cause: 'unknown', reason: 'there is no sampler', cpuMillis: undefined, samples: 0 });
    expect(lines).toEqual(['sonde: event loop blocked 300 ms, by what is not known (there is no sampler); see /debug/stalls']);
  });
});

describe('the line', () => {
  test('comes once a minute, and counts those it left out', async () => {
    const stalls = create();
    const add = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) stalls.add(blockOf());
      await told(observed.length + count);
    };
    await add(1);
    clock.advance(59_999);
    await add(3);
    expect(lines).toEqual([`${LINE}; see /debug/stalls`]);
    clock.advance(1);
    await add(2);
    expect(lines.slice(1)).toEqual([`${LINE} (3 more since the last such line); see /debug/stalls`]);
    clock.advance(60_000);
    await add(1);
    expect(lines.slice(2)).toEqual([`${LINE} (1 more since the last such line); see /debug/stalls`]);
  });
});

describe('what is kept', () => {
  test('are the last hundred, newest first', () => {
    const stalls = create();
    for (let i = 0; i < 100; i++) stalls.add(blockOf(undefined, { durationMillis: 300 + i }));
    expect(stalls.list()).toHaveLength(100);
    stalls.add(blockOf(undefined, { durationMillis: 1000 }));
    const durations = stalls.list().map(({ durationMillis }) => durationMillis);
    expect([durations.length, durations[0], durations[1], durations.at(-1)]).toEqual([100, 1000, 399, 301]);
  });

  test('are twenty at most of those in which the process did not run', () => {
    const stalls = create();
    stalls.add(blockOf());
    for (let i = 0; i < 300; i++) stalls.add(blockOf('', { wasWaiting: true, durationMillis: 300 + i }));
    const list = stalls.list();
    expect(list).toHaveLength(21);
    expect(list.at(-1)!.cause).toBe('code');
    expect([list[0]!.durationMillis, list[19]!.durationMillis]).toEqual([599, 580]);
  });
});

describe('source maps', () => {
  const mapFrames = async (frames: readonly Frame[]): Promise<readonly Frame[]> => {
    await delay(5);
    return frames.map(({ name, line, column }) =>
      frameOf(name, name === 'parseCatalog' ? '/app/node_modules/csv/src/parse.ts' : '/app/src/app.ts', line * 10, column),
    );
  };

  test('are applied to the line, which waits for them, and to what is read', async () => {
    const stalls = create({ mapFrames });
    stalls.add(blockOf());
    const before = stalls.list()[0]!;
    expect(before.culprit).toMatchObject({ function: 'parseCatalog', line: 41 });
    // Bundled into one file with the application it seemed to be of the application.
    const [after] = await stalls.read();
    expect(after!.culprit).toEqual({ function: 'handle', file: '/app/src/app.ts', line: 100 });
    expect(after!.stack.map(({ file }) => file)).toEqual(['/app/node_modules/csv/src/parse.ts', '/app/src/app.ts']);
    await vi.waitFor(() =>
      expect(lines).toEqual([
        'sonde: event loop blocked 300 ms by handle (/app/src/app.ts:100) in parseCatalog (/app/node_modules/csv/src/parse.ts:410); see /debug/stalls',
      ]),
    );
    expect(stalls.list()[0]).toEqual(after);
  });

  test('are looked up once for each block', async () => {
    const map = vi.fn(mapFrames);
    const stalls = create({ mapFrames: map });
    stalls.add(blockOf());
    stalls.add(blockOf('no stack'));
    await stalls.read();
    await stalls.read();
    await told(2);
    await stalls.read();
    expect(map).toHaveBeenCalledTimes(1);
  });

  test('that fail leave the frames as they are', async () => {
    const stalls = create({ mapFrames: () => Promise.reject(new Error('no map')) });
    stalls.add(blockOf());
    await expect(stalls.read()).resolves.toMatchObject([{ culprit: { function: 'parseCatalog' } }]);
    await vi.waitFor(() => expect(lines).toContain(`${LINE}; see /debug/stalls`));
  });
});
