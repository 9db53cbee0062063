// The detector in a process whose time, memory and collections the test plays: what it says, and when it asks for what.
import { describe, expect, test } from 'vitest';
import { StderrDiag } from '../../../src/core/diag.ts';
import { Guard } from '../../../src/core/guard.ts';
import type { LiveHeap } from '../../../src/core/live-heap.ts';
import { LeakDetector, type Suspicion } from '../../../src/leak/detector.ts';
import { LEAK_SETTINGS, type LeakSettings } from '../../../src/leak/settings.ts';
import type { LeakFinding } from '../../../src/leak/finding.ts';
import type { Named } from '../../../src/leak/findings.ts';
import { HeapNaming } from '../../../src/leak/heap-naming.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';
import { MIB, PaperHeap } from './paper-heap.ts';

const LEAK = '/app/main.js:10 handler > /app/store.js:20 remember';

const OPENER: Named = {
  keys: ['open'],
  site: { function: 'open', file: '/app/pool.js', line: 3, column: 1 },
  stack: [],
  leaves: [],
  className: null,
  note: '',
  route: null,
  share: 1,
  stopped: false,
};

class Process {
  readonly clock = new ManualClock();
  readonly heap = new PaperHeap();
  readonly lines: string[] = [];
  readonly guard = new Guard(new StderrDiag('warn', (line) => this.lines.push(line)));
  readonly told: string[] = [];
  readonly detector: LeakDetector;
  readonly resources = new Map<string, number>();
  /** What creations were told to watch, each time that it changed. */
  readonly watched: string[] = [];
  heapLimitMib = 1024;
  containerLeftMib = 8192;
  /** What lives. */
  heapMib = 40;
  externalMib = 5;
  nativeMib = 50;
  garbageMib = 0;
  youngMib = 0;
  active = 0;
  reads = 0;
  /** When memory was read, in seconds of its life. */
  readonly looks: number[] = [];
  forced = 0;
  forceMillis = 20;
  seconds = 0;
  readHeap: () => Promise<LiveHeap | undefined> = async () => this.heap.read();
  describe: (named: Named) => Promise<Named> = async (named) => named;
  onChange: (finding: LeakFinding) => void = () => {};
  name: (suspicion: Suspicion) => Promise<readonly Named[]> = async () => [OPENER];

  constructor(settings: Partial<LeakSettings> = {}) {
    const { clock, guard } = this;
    this.heap.keep('node:internal/boot:1 boot', 3);
    this.detector = new LeakDetector({
      guard,
      clock,
      settings: { ...LEAK_SETTINGS, ...settings },
      notes: () => ['a note'],
      memory: () => {
        this.looks.push(this.seconds);
        return {
          heapBytes: (this.heapMib + this.garbageMib) * MIB,
          youngBytes: this.youngMib * MIB,
          externalBytes: this.externalMib * MIB,
          nativeBytes: this.nativeMib * MIB,
          leftBytes: this.containerLeftMib * MIB,
          resources: this.resources,
        };
      },
      traffic: () => ({ requests: 100 * this.seconds, active: this.active }),
      heapLimitBytes: () => this.heapLimitMib * MIB,
      resourceLimit: () => 10_000,
      heapNaming: new HeapNaming({
        clock,
        ownership: {},
        sampleBytes: MIB,
        readsCollect: () => false,
        readHeap: async () => {
          this.reads += 1;
          return await this.readHeap();
        },
      }),
      creations: {
        watch: (growing) => {
          const list = growing.map(({ kind, resourceType }) => resourceType ?? kind).join();
          if (list !== (this.watched.at(-1) ?? '')) this.watched.push(list);
        },
        name: async (suspicion) => await this.name(suspicion),
      },
      describe: async (named) => await this.describe(named),
      collectGarbage: async () => {
        this.forced += 1;
        this.garbageMib = 0;
        this.clock.advance(this.forceMillis);
      },
      onChange: (finding) => {
        this.told.push(`${finding.level} ${finding.site?.function}`);
        this.onChange(finding);
      },
    });
    this.detector.start();
  }

  /** Plays seconds; major collections come each so many of them. The timer calls each second, and the warm-up ends at ten. */
  async play(seconds: number, program: (process: Process) => void = () => {}, collectSeconds = 15): Promise<this> {
    for (let i = 0; i < seconds; i++) {
      this.seconds += 1;
      this.clock.advance(1000);
      program(this);
      if (this.seconds === LEAK_SETTINGS.warmUpSeconds) await this.detector.warm();
      if (this.seconds % collectSeconds === 0) await this.collect();
      else await this.tick();
    }
    this.detector.stop();
    return this;
  }

  /** The observer reports a collection that was forced. */
  async tick(): Promise<void> {
    const { forced } = this;
    await this.detector.tick();
    if (this.forced > forced) await this.detector.collected();
  }

  async collect(): Promise<void> {
    this.garbageMib = 0;
    await this.detector.collected();
  }

  kind(wanted: string): string {
    return this.detector.verdict().kinds.find(({ kind }) => kind === wanted)!.level;
  }
}

function leak(process: Process): void {
  process.heapMib += 1;
  process.heap.keep(LEAK, 1);
}

describe('a process in which nothing grows', () => {
  test('has no readings before its warm-up is over, and says so', async () => {
    const process = await new Process().play(9);
    expect(process.detector.verdict()).toMatchObject({
      level: 'watching',
      kinds: [],
      notes: ['nothing has been read yet: it is in the 10 s of its warm-up', 'a note'],
    });
    expect((await process.play(1)).detector.verdict()).toMatchObject({ kinds: [{}, {}, {}, {}], notes: ['a note'] });
  });

  test('has a verdict that says so of all four kinds, with what was read last', async () => {
    const process = new Process();
    process.resources.set('Timeout', 3).set('TCPSocketWrap', 4);
    await process.play(600, (each) => (each.garbageMib += 1));
    const { level, findings, kinds, generations, notes } = process.detector.verdict();
    expect(level).toBe('watching');
    expect(findings).toEqual([]);
    expect(kinds).toEqual([
      { kind: 'heap', level: 'watching', current: 40 * MIB, perMinute: 0, heapLimit: null, containerLimit: null },
      { kind: 'external', level: 'watching', current: 5 * MIB, perMinute: 0, heapLimit: null, containerLimit: null },
      { kind: 'native', level: 'watching', current: 50 * MIB, perMinute: 0, heapLimit: null, containerLimit: null },
      { kind: 'resources', level: 'watching', current: 7, perMinute: 0, heapLimit: null, containerLimit: null },
    ]);
    expect(generations.length).toBeGreaterThan(15);
    expect(notes).toEqual(['a note']);
    expect([process.told, process.lines, process.watched, process.forced]).toEqual([[], [], [], 0]);
  });

  test('is not looked at before the warm-up has ended, collections or not', async () => {
    const process = await new Process().play(9, leak, 1);
    expect(process.reads).toBe(0);
    expect(process.detector.verdict()).toMatchObject({ level: 'watching', generations: [], kinds: [] });
    await process.play(1, leak);
    expect(process.reads).toBe(1);
  });
});

describe('a leak of 1 MiB a second', () => {
  test('is a suspect and a leak by name, with a forecast, and gone when it stops', async () => {
    const process = await new Process({ collectGarbage: false }).play(200, leak);
    const told = ['growing remember', 'suspect remember', 'leak remember'];
    expect(process.told).toEqual(told);
    const { level, findings, kinds } = process.detector.verdict();
    expect(level).toBe('leak');
    expect(findings).toHaveLength(1);
    expect(findings[0]).toMatchObject({
      kind: 'heap',
      level: 'leak',
      resourceType: null,
      className: null,
      route: null,
      note: '',
      site: { function: 'remember', file: '/app/store.js', line: 20 },
      grownCount: 0,
    });
    expect(findings[0]!.bytesPerHour / 3600).toBeCloseTo(MIB, -3);
    expect(findings[0]!.sinceEpochMillis).toBe(process.clock.epoch + 1_000_000 + 10_000);
    expect(kinds[0]!.perMinute).toBeCloseTo(60 * MIB, -4);
    expect(findings[0]!.heapLimit!.seconds).toBeCloseTo(1024 - 235, -1);
    expect(findings[0]!.containerLimit!.seconds).toBeCloseTo(8192, -1);
    await process.play(200);
    expect(process.told).toEqual([...told, 'gone remember']);
    expect(process.detector.verdict().level).toBe('gone');
  });

  test('beside requests in flight that rise as it does is only growing', async () => {
    const process = await new Process().play(300, (each) => {
      leak(each);
      each.active = each.heapMib;
    });
    expect(process.told).toEqual(['growing remember']);
  });

  test('without a function that accounts for it has no site, and a note that says why', async () => {
    const process = await new Process().play(200, (each) => (each.heapMib += 1));
    const [finding] = process.detector.verdict().findings;
    expect(finding).toMatchObject({ level: 'leak', site: null, stack: [], note: expect.stringContaining('no function') });
  });

  test('without a function that accounts for it is a suspect for two more collections', async () => {
    const process = new Process();
    const seen: string[] = [];
    for (let collections = 0; collections < 14; collections++) {
      await process.play(15, (each) => (each.heapMib += 1));
      seen.push(`${process.kind('heap')} ${process.detector.verdict().findings[0]?.level}`);
    }
    expect(seen.slice(seen.indexOf('leak suspect'))).toEqual([
      'leak suspect',
      'leak suspect',
      ...Array<string>(seen.length - seen.indexOf('leak suspect') - 2).fill('leak leak'),
    ]);
  });

  test('is told without a name where the next collection would come after a quarter of the room', async () => {
    const process = new Process();
    process.heapLimitMib = 256;
    await process.play(60, (each) => (each.heapMib += 1));
    expect([process.kind('heap'), process.detector.verdict().findings[0]?.level]).toEqual(['leak', 'leak']);
  });

  test('is told as it is described', async () => {
    const process = new Process();
    process.describe = async (named) => ({ ...named, route: '/users/:id' });
    await process.play(200, leak);
    expect(process.detector.verdict().findings[0]!.route).toBe('/users/:id');
  });

  test('is evaluated once at a time: what is collected meanwhile is read and waits', async () => {
    const process = await new Process().play(200, leak);
    let [described, release] = [0, () => {}];
    process.describe = async (named) => {
      described += 1;
      await new Promise<void>((resolve) => (release = resolve));
      return named;
    };
    const first = process.collect();
    await new Promise(setImmediate);
    await process.collect();
    expect(described).toBe(1);
    release();
    await first;
  });
});

describe('growth outside of the heap', () => {
  test.each<[string, (process: Process) => void]>([
    ['external', (process) => (process.externalMib += 1)],
    ['native', (process) => (process.nativeMib += 4)],
  ])('of %s memory is a leak by the name of who creates it', async (kind, program) => {
    const process = new Process();
    process.containerLeftMib = 1500;
    await process.play(300, program);
    expect(process.told.at(-1)).toBe('leak open');
    expect([process.kind(kind), process.kind('heap')]).toEqual(['leak', 'watching']);
    expect(process.detector.verdict().findings[0]).toMatchObject({ kind, heapLimit: null });
  });

  test('of resources is a leak of their type, by count', async () => {
    const process = new Process();
    process.resources.set('Timeout', 5);
    await process.play(400, ({ resources }) => resources.set('TCPSocketWrap', (resources.get('TCPSocketWrap') ?? 0) + 5));
    expect(process.told.at(-1)).toBe('leak open');
    const [finding, ...others] = process.detector.verdict().findings;
    expect(others).toEqual([]);
    expect(finding).toMatchObject({ kind: 'resources', resourceType: 'TCPSocketWrap', grownBytes: 0 });
    expect(finding!.countPerHour / 3600).toBeCloseTo(5, 1);
    expect(process.detector.verdict().kinds[3]).toMatchObject({ level: 'leak', current: 5 + 5 * process.looks.at(-1)! });
    expect(process.detector.verdict().kinds[3]!.perMinute).toBeCloseTo(300, 0);
  });

  test('is watched by those who name it for as long as it lasts, and that of the heap is not', async () => {
    const process = await new Process().play(200, leak);
    expect(process.watched).toEqual([]);
    process.containerLeftMib = 1500;
    await process.play(300, (each) => (each.externalMib += 1));
    expect(process.watched).toEqual(['external', '']);
    await process.play(300);
    expect(process.kind('external')).toBe('gone');
  });

  test('of forty types of resources is watched of 32', async () => {
    const process = new Process();
    for (let i = 0; i < 40; i++) process.resources.set(`Type${i}`, 10);
    await process.play(20);
    expect(process.detector.verdict().kinds[3]!.current).toBe(320);
  });

  test('of a type that is gone is 0, not what it was', async () => {
    const process = new Process();
    process.resources.set('Timeout', 10);
    await process.play(20);
    process.resources.delete('Timeout');
    await process.play(10);
    expect(process.detector.verdict().kinds[3]!.current).toBe(0);
  });
});

describe('memory is read', () => {
  test('each second at first, each twentieth of its age from 23 seconds on, and each five seconds from 90 on', async () => {
    const looks = [...new Set((await new Process().play(200, () => {}, Infinity)).looks)];
    const pauses = looks.slice(1).map((seconds, i) => [looks[i]!, seconds - looks[i]!] as const);
    const pausesIn = (from: number, until: number) => new Set(pauses.filter(([at]) => at >= from && at < until).map(([, pause]) => pause));
    expect(looks[0]).toBe(10);
    expect(pausesIn(10, 22)).toEqual(new Set([1]));
    expect(pausesIn(22, 43)).toEqual(new Set([2]));
    expect(pausesIn(43, 85)).toEqual(new Set([3, 4]));
    expect(pausesIn(85, 195)).toEqual(new Set([5]));
  });

  test('at the end of the warm-up with its garbage, which is no beginning of a rise', async () => {
    const process = new Process();
    process.garbageMib = 30;
    await process.play(60, leak, 20);
    expect(process.detector.verdict().findings[0]!.sinceEpochMillis).toBe(process.clock.epoch + 1_000_000 + 20_000);
  });
});

test('what is still young may be what a leak keeps: a rise has not ended while it may be there', async () => {
  const stopped = async (youngMib: number): Promise<string> => {
    const process = await new Process({ collectGarbage: false }).play(60, leak, 10);
    expect(process.kind('heap')).toBe('growing');
    process.youngMib = youngMib;
    return (await process.play(30, () => {}, Infinity)).kind('heap');
  };
  expect([await stopped(0), await stopped(16)]).toEqual(['watching', 'growing']);
});

describe('a collection is forced', () => {
  /** Known to grow, by so many MiB a second, at 60 s of its life and 100 MiB, the last second of which were collected; V8 collects no more. */
  async function growing(settings: Partial<LeakSettings> = {}, mibPerSecond = 0.25): Promise<Process> {
    const process = new Process(settings);
    process.heapLimitMib = 512;
    process.heapMib = 100 - 60 * mibPerSecond;
    await process.play(60, (each) => ((each.heapMib += mibPerSecond), each.heap.keep(LEAK, mibPerSecond)), 10);
    expect(process.kind('heap')).not.toBe('watching');
    expect([process.heapMib, process.forced]).toEqual([100, 0]);
    return process;
  }

  /** Ticks five seconds apart, with so much garbage at the first, and the collections that they forced. */
  async function ticks(process: Process, count: number, garbageMib: number): Promise<number> {
    const { forced } = process;
    process.garbageMib = garbageMib;
    for (let i = 0; i < count; i++) {
      process.clock.advance(5000);
      await process.tick();
    }
    return process.forced - forced;
  }

  /** Some 2 MiB in three ticks, where 1 % of the limit is 5.12. */
  const slowly = (): Promise<Process> => growing({}, 0.125);

  test('at the third tick without one, when 1 % of the limit has come since', async () => {
    const process = await slowly();
    expect(await ticks(process, 2, 5.2)).toBe(0);
    expect(await ticks(process, 1, 5.2)).toBe(1);
    expect(await ticks(await slowly(), 5, 5.1)).toBe(0);
  });

  test('or must have come since, by the trend', async () => {
    expect([await ticks(await growing(), 4, 0), await ticks(await growing(), 5, 0)]).toEqual([0, 1]);
    expect([await ticks(await growing({}, 0.5), 2, 0), await ticks(await growing({}, 0.5), 3, 0)]).toEqual([0, 1]);
  });

  test('up to a heap of 128 MiB and not above', async () => {
    expect(await ticks(await growing(), 3, 28)).toBe(1);
    expect(await ticks(await growing(), 3, 28.1)).toBe(0);
  });

  test('for less when an eighth of the window has passed since the last', async () => {
    const waited = async (seconds: number, garbageMib: number): Promise<number> => {
      const process = await slowly();
      process.heapLimitMib = 4096;
      expect(await ticks(process, 3, garbageMib)).toBe(0);
      process.clock.advance((seconds - 4 * 5) * 1000);
      return await ticks(process, 1, garbageMib);
    };
    expect(await waited(LEAK_SETTINGS.windowSeconds / 8, 0.1)).toBe(1);
    expect(await waited(LEAK_SETTINGS.windowSeconds / 8 - 1, 0.1)).toBe(0);
  });

  test.each([
    { windowSeconds: 1800, mibPerSecond: 0.125, pauseMillis: 20_000, why: 'a ninth of the window a second that it took' },
    { windowSeconds: 2700, mibPerSecond: 0.125, pauseMillis: 30_000, why: 'the same in another' },
    { windowSeconds: 2700, mibPerSecond: 0.5, pauseMillis: 16_480, why: '2 % of the 824 s that are left' },
  ])('again $pauseMillis ms after one of 100 ms, and no sooner: $why', async ({ windowSeconds, mibPerSecond, pauseMillis }) => {
    const again = async (millis: number): Promise<number> => {
      const process = await growing({ windowSeconds }, mibPerSecond);
      process.forceMillis = 100;
      process.heapMib += 5;
      expect(await ticks(process, 3, 21)).toBe(1);
      process.clock.advance(millis - 3 * 5000);
      return await ticks(process, 3, 22);
    };
    expect([await again(pauseMillis - 1), await again(pauseMillis)]).toEqual([0, 1]);
  });

  test('four times as seldom after one that has found nothing to have stayed', async () => {
    const process = await slowly();
    expect(await ticks(process, 3, 25)).toBe(1);
    process.clock.advance(60_000);
    expect(await ticks(process, 3, 20.4)).toBe(0);
    process.clock.advance((LEAK_SETTINGS.windowSeconds / 2 - 60) * 1000);
    expect(await ticks(process, 1, 20.4)).toBe(1);
  });

  test('never where it is switched off', async () => {
    expect(await ticks(await growing({ collectGarbage: false }), 10, 25)).toBe(0);
  });

  test('never where nothing is known to grow', async () => {
    const process = await new Process().play(600, (each) => (each.garbageMib = 60), 300);
    expect(process.kind('heap')).toBe('watching');
    expect(process.forced).toBe(0);
  });
});

describe('a failure', () => {
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  test('to read the heap is counted by the guard and said once, and the detector goes on', async () => {
    const process = await new Process().play(60, leak);
    const { readHeap } = process;
    process.readHeap = async () => {
      throw new Error('unreadable');
    };
    process.detector.start();
    for (let i = 0; i < 2; i++) {
      process.clock.advance(10_000);
      process.detector.majorGc();
      await settled();
    }
    process.readHeap = readHeap;
    expect(process.guard.failures()).toEqual(new Map([['leak', 2]]));
    expect(process.lines).toEqual([expect.stringContaining('leak failed and was skipped')]);
    await process.play(120, leak);
    expect(process.told.at(-1)).toBe('leak remember');
  });

  test.each<[string, (process: Process, fail: () => never) => void]>([
    ['to name what grows', (process, fail) => (process.name = async () => fail())],
    ['to describe what was named', (process, fail) => (process.describe = async () => fail())],
    ['of who is told', (process, fail) => (process.onChange = fail)],
  ])('%s is counted by the guard, and the next evaluation takes place', async (_, break_) => {
    const process = new Process();
    process.containerLeftMib = 1500;
    await process.play(60);
    const { name, describe: describeAll, onChange } = process;
    break_(process, () => {
      throw new Error('broken');
    });
    let evaluations = 0;
    for (let i = 0; i < 8 && process.guard.failures().size === 0; i++) {
      process.externalMib += 30;
      process.clock.advance(15_000);
      process.detector.start();
      process.detector.majorGc();
      await settled();
      process.detector.stop();
      evaluations += 1;
    }
    expect(evaluations).toBeLessThan(8);
    expect(process.guard.failures()).toEqual(new Map([['leak', 1]]));
    Object.assign(process, { name, describe: describeAll, onChange });
    await process.play(300, (each) => (each.externalMib += 2));
    expect(process.told.at(-1)).toBe('leak open');
  });
});

test('of a storm of collections two a second are read: V8 collects a fragmented heap fifty times a second', async () => {
  const process = await new Process().play(20);
  process.detector.start();
  const before = process.looks.length;
  for (let i = 0; i < 100; i++) {
    process.clock.advance(20);
    process.detector.majorGc();
    await new Promise(setImmediate);
  }
  expect(process.looks.length - before).toBe(4);
  process.detector.stop();
});

describe('a detector that is stopped', () => {
  test('reads nothing more, and no creations are watched for it', async () => {
    const process = await new Process().play(300, (each) => (each.externalMib += 1));
    const { reads } = process;
    process.clock.advance(60_000);
    process.detector.majorGc();
    await new Promise(setImmediate);
    expect(process.reads).toBe(reads);
    expect(process.watched.at(-1)).toBe('');
  });

  test('still has its verdict', async () => {
    expect((await new Process().play(200, leak)).detector.verdict().level).toBe('leak');
  });

  test('may be stopped before it was started', () => {
    const process = new Process();
    process.detector.stop();
    expect(() => process.detector.stop()).not.toThrow();
  });
});
