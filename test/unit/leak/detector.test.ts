// The detector on a heap on paper and a clock that the test moves: what it says, and when it asks for what.
import { describe, expect, test } from 'vitest';
import type { Clock } from '../../../src/core/clock.ts';
import { StderrDiag } from '../../../src/core/diag.ts';
import { Guard } from '../../../src/core/guard.ts';
import type { HeapSamples } from '../../../src/core/heap-samples.ts';
import { LeakDetector } from '../../../src/leak/detector.ts';
import { MIB, PaperHeap } from './heap.ts';

const EPOCH_SECONDS = 1;
const WARM_UP_SECONDS = 4;
const LEAK = '/app/main.js:10 handler > /app/store.js:20 remember';

/** A process whose seconds the test plays. */
class Process {
  readonly heap = new PaperHeap();
  readonly told: string[] = [];
  readonly detector: LeakDetector;
  readonly lines: string[] = [];
  reads = 0;
  forced = 0;
  seconds = 0;
  samplesLost = false;
  readingFails = false;
  /** Live heap beside the samples. */
  otherBytes = 40 * MIB;

  constructor() {
    const clock: Clock = { monotonicMillis: () => this.seconds * 1000, epochMillis: (millis) => 1e12 + millis };
    this.detector = new LeakDetector({
      guard: new Guard(new StderrDiag('warn', (line) => this.lines.push(line))),
      clock,
      settings: { warmUpSeconds: WARM_UP_SECONDS, windowSeconds: 8 * EPOCH_SECONDS, minGrowthBytes: 12 * MIB },
      sampleBytes: MIB,
      readSamples: async () => this.#read(),
      collectGarbage: async () => {
        this.forced += 1;
      },
      onVerdict: ({ level, site }) => this.told.push(`${level} ${site.function} @${this.seconds}`),
      liveHeapBytes: () => this.otherBytes + this.heap.liveBytes,
      heapLimitBytes: 2048 * MIB,
    });
    this.detector.start();
  }

  /** Plays seconds: the program allocates, the detector's epoch passes, and a major collection follows when it is due. */
  async play(seconds: number, program: (heap: PaperHeap, second: number) => void, gcEverySeconds = 0): Promise<this> {
    for (let i = 0; i < seconds; i++) {
      this.seconds += EPOCH_SECONDS;
      this.heap.allocate('/app/main.js:1 garbage');
      program(this.heap, this.seconds);
      await this.detector.tick();
      this.heap.free('/app/main.js:1 garbage');
      if (gcEverySeconds > 0 && this.seconds % gcEverySeconds === 0) await this.detector.collected();
    }
    this.detector.stop();
    return this;
  }

  #read(): HeapSamples | undefined {
    this.reads += 1;
    if (this.readingFails) throw new Error('unreadable');
    return this.samplesLost ? undefined : this.heap.read();
  }
}

const leak = (heap: PaperHeap): void => heap.allocate(LEAK, 4);
const quiet = (): void => {};

describe('a leak of 4 MiB a second', () => {
  test('is named as soon as a window after the warm-up is full, and a leak three epochs later', async () => {
    const process = await new Process().play(18, leak, 1);
    expect(process.told).toEqual(['leak remember @15']);
    const { level, findings } = process.detector.verdict();
    expect(level).toBe('leak');
    expect(findings).toHaveLength(1);
    expect(findings[0]).toMatchObject({
      kind: 'heap',
      level: 'leak',
      site: { function: 'remember', file: '/app/store.js', line: 20 },
      grownBytes: 32 * MIB,
      bytesPerHour: 4 * MIB * 3600,
      sinceEpochMillis: 1e12 + 4000,
    });
    // 2048 MiB less 40 and 72 of it are left, at 4 MiB a second.
    expect(findings[0]!.secondsToHeapLimit).toBeCloseTo((2048 - 40 - 72) / 4, 0);
  });

  test('needs no more than a collection now and then', async () => {
    const process = await new Process().play(18, leak, 3);
    expect(process.told).toEqual(['leak remember @15']);
    expect(process.forced).toBe(0);
  });

  test('is gone two evaluations after it has stopped', async () => {
    const process = await new Process().play(18, leak, 1);
    await process.play(12, quiet, 1);
    expect(process.told[1]).toMatch(/^gone remember @2\d$/);
    expect(process.told).toHaveLength(2);
    expect(process.detector.verdict().level).toBe('gone');
  });

  test('is not gone while it goes on, more slowly than what would be found', async () => {
    const process = await new Process().play(18, leak, 1);
    await process.play(40, (heap) => heap.allocate(LEAK), 1);
    expect(process.told).toEqual(['leak remember @15']);
    expect(process.detector.verdict().level).toBe('leak');
  });

  test('that stops before the window is full is never mentioned', async () => {
    const process = await new Process().play(8, leak, 1);
    await process.play(20, quiet, 1);
    expect(process.told).toEqual([]);
    expect(process.detector.verdict().level).toBe('watching');
  });
});

describe('a slow leak', () => {
  test('of a MiB in 2 s is found over the window four times as long', async () => {
    const process = await new Process().play(80, (heap, second) => heap.allocate(LEAK, second % 2), 2);
    expect(process.told).toHaveLength(1);
    expect(process.told[0]).toContain('leak remember');
    expect(process.detector.verdict().findings[0]!.grownBytes).toBeGreaterThan(14 * MIB);
  });
});

describe('silence', () => {
  test('during the warm-up: nothing is read', async () => {
    const process = await new Process().play(WARM_UP_SECONDS - 1, leak, 1);
    expect(process.reads).toBe(0);
    await process.play(1, leak);
    expect(process.reads).toBe(1);
  });

  test('about a cache that fills and then replaces its entries, beside a leak that is named', async () => {
    const both = (heap: PaperHeap): void => {
      leak(heap);
      heap.allocate('/app/cache.js:5 put', 6);
      heap.free('/app/cache.js:5 put', 60);
    };
    const process = await new Process().play(14, quiet, 1);
    await process.play(2, (heap) => heap.allocate('/app/cache.js:5 put', 30), 1);
    await process.play(40, both, 1);
    expect(process.told.filter((line) => line.startsWith('leak'))).toEqual([expect.stringContaining('remember')]);
    expect(process.detector.verdict().findings.map(({ site }) => site.function)).toEqual(['remember']);
  });

  test('about a site that grows while the heap as a whole does not', async () => {
    const process = new Process();
    const moving = (heap: PaperHeap): void => {
      leak(heap);
      process.otherBytes -= 4 * MIB;
    };
    process.otherBytes = 400 * MIB;
    await process.play(40, moving, 2);
    expect(process.told).toEqual([]);
  });

  test('about batches that are let go', async () => {
    const batches = (heap: PaperHeap, second: number): void => {
      heap.allocate('/app/batch.js:3 gather', 4);
      if (second % 3 === 0) heap.free('/app/batch.js:3 gather');
    };
    expect((await new Process().play(60, batches, 1)).told).toEqual([]);
  });
});

describe('collections', () => {
  test('are forced when two readings in a row were suspicious and four epochs had none, and then confirm the leak', async () => {
    const process = await new Process().play(14, leak);
    expect(process.forced).toBe(1);
    expect(process.detector.verdict().level).toBe('suspect');
    await process.play(4, leak);
    expect(process.forced).toBe(2);
    expect(process.told).toEqual(['leak remember @18']);
    await process.play(20, leak);
    expect(process.forced).toBe(2);
  });

  test('are not forced where there is no suspicion, nor above 512 MiB of live heap', async () => {
    expect((await new Process().play(60, quiet)).forced).toBe(0);
    const large = new Process();
    large.otherBytes = 512 * MIB;
    await large.play(40, leak);
    expect(large.forced).toBe(0);
  });

  test('in any number lead to one evaluation an epoch', async () => {
    const process = await new Process().play(13, quiet);
    const { reads } = process;
    for (let i = 0; i < 50; i++) await process.detector.collected();
    expect(process.reads).toBe(reads + 1);
  });
});

describe('samples that were lost', () => {
  test('make the window start again, and no leak is told from what is left', async () => {
    const process = await new Process().play(12, leak, 1);
    process.samplesLost = true;
    await process.play(1, leak);
    process.samplesLost = false;
    await process.play(8, leak, 1);
    expect(process.told).toEqual([]);
    await process.play(10, leak, 1);
    expect(process.told).toHaveLength(1);
  });
});

test('a reading that fails is said once and stops at the detector', async () => {
  const process = await new Process().play(13, leak);
  process.detector.majorGc();
  expect(process.lines).toEqual([]);
  process.readingFails = true;
  process.detector.start();
  process.detector.majorGc();
  process.detector.majorGc();
  await new Promise(setImmediate);
  process.detector.stop();
  expect(process.lines).toEqual([expect.stringContaining('leak failed and was skipped')]);
  expect(process.told).toEqual([]);
});
