// What V8 and the event loop say about themselves: delay, utilisation, collections, heap, active resources.
// Owns the only GC observer of Sonde; the leak detector and the prom-client names listen here. Read once a scrape.
import { constants, PerformanceObserver, type PerformanceEntry } from 'node:perf_hooks';
import { getHeapSpaceStatistics, getHeapStatistics, type HeapInfo, type HeapSpaceInfo } from 'node:v8';
import type { Guard, Timer } from '../core/guard.ts';
import { EventLoopDelay, type DelayReading } from './eventloop-delay.ts';
import type { Collector, Family, NumberPoint } from './family.ts';
import { LoopTime, utilization, type LoopReading } from './loop-time.ts';
import { HTTP_DURATION_BOUNDS_SECONDS, histogramFamily, histogramSeries, type HistogramCell } from './series.ts';

/**
 * Gauges over time cover the last one to two of these, so that every scrape interval up to 30 s sees every stall.
 * They are not cleared by reading: two scrapers would each see half.
 */
const WINDOW_MILLIS = 30_000;

/** What `v8js.gc.type` may say. */
export type GcType = 'major' | 'minor' | 'incremental' | 'weakcb';

export const GC_TYPES: readonly GcType[] = ['major', 'minor', 'incremental', 'weakcb'];

const GC_TYPE_BY_KIND: ReadonlyMap<number, GcType> = new Map([
  [constants.NODE_PERFORMANCE_GC_MAJOR, 'major'],
  [constants.NODE_PERFORMANCE_GC_MINOR, 'minor'],
  // V8's other young-generation collector (--minor-ms); Node 20 has no name for it.
  [2, 'minor'],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, 'incremental'],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, 'weakcb'],
]);

/** An entry of type `gc`. */
type GcEntry = PerformanceEntry & { readonly detail: { readonly kind: number } };

/** Everything of one moment, for both sets of names. */
export interface RuntimeReading {
  readonly delay: DelayReading | undefined;
  readonly loopActiveSeconds: number;
  readonly loopIdleSeconds: number;
  /** Share of the last 30 to 60 s that the loop was busy, 0 to 1. */
  readonly loopUtilization: number;
  readonly heap: HeapInfo;
  readonly heapSpaces: readonly HeapSpaceInfo[];
  /** What keeps the event loop alive, by type. */
  readonly resources: ReadonlyMap<string, number>;
}

export class RuntimeMetrics {
  readonly #guard: Guard;
  readonly #delay = new EventLoopDelay();
  readonly #gcDuration = histogramSeries(
    {
      name: 'v8js.gc.duration',
      unit: 's',
      description: 'Garbage collection duration.',
      labelNames: ['v8js.gc.type'],
      limit: GC_TYPES.length,
    },
    HTTP_DURATION_BOUNDS_SECONDS,
  );
  readonly #gcCells: Readonly<Record<GcType, HistogramCell>>;
  readonly #gcListeners: ((type: GcType, durationSeconds: number, startMillis: number) => void)[] = [];
  readonly #gcObserver: PerformanceObserver;
  readonly #loop: LoopTime;
  #windowRead: LoopReading = { idleMillis: 0, activeMillis: 0 };
  #windowNext: LoopReading = this.#windowRead;
  #timer: Timer | undefined;
  #last: RuntimeReading | undefined;

  /** `lostIdleMillis` is what Node's count of the time that the loop has waited lacks. */
  constructor(guard: Guard, lostIdleMillis: () => number = () => 0) {
    this.#guard = guard;
    this.#loop = new LoopTime(lostIdleMillis);
    this.#gcCells = {
      major: this.#gcDuration.cell('major'),
      minor: this.#gcDuration.cell('minor'),
      incremental: this.#gcDuration.cell('incremental'),
      weakcb: this.#gcDuration.cell('weakcb'),
    };
    const observe = guard.wrap('runtime-gc', (entries: readonly PerformanceEntry[]) => this.#recordGc(entries));
    this.#gcObserver = new PerformanceObserver((list) => observe(list.getEntries()));
  }

  /** Starts the event-loop samplers, the GC observer and the windows. None of them keeps the process alive. */
  start(): void {
    this.#delay.start();
    this.#windowRead = this.#loop.read();
    this.#windowNext = this.#windowRead;
    this.#gcObserver.observe({ entryTypes: ['gc'] });
    this.#timer = this.#guard.every('runtime-window', WINDOW_MILLIS, () => this.#rotate());
  }

  stop(): void {
    this.#timer?.stop();
    this.#gcObserver.disconnect();
    this.#delay.stop();
  }

  /** Calls `listener` once for every collection, in order, shortly after it ended; the start is on the clock of `performance.now()`. */
  onGc(listener: (type: GcType, durationSeconds: number, startMillis: number) => void): void {
    this.#gcListeners.push(this.#guard.wrap('runtime-gc-listener', listener));
  }

  /** Calls `listener` once for every major collection, shortly after it ended. */
  onMajorGc(listener: () => void): void {
    this.onGc((type) => {
      if (type === 'major') listener();
    });
  }

  /** The reading that `collector` took last, so that nothing is measured twice in a scrape. */
  get last(): RuntimeReading | undefined {
    return this.#last;
  }

  /** Reads the runtime; for the Registry. */
  readonly collector: Collector = () => {
    this.#recordGc(this.#gcObserver.takeRecords());
    const reading = this.#read();
    this.#last = reading;
    return [...delayFamilies(reading.delay), ...loopFamilies(reading), histogramFamily(this.#gcDuration), ...heapFamilies(reading)];
  };

  #rotate(): void {
    this.#delay.rotate();
    this.#windowRead = this.#windowNext;
    this.#windowNext = this.#loop.read();
  }

  #read(): RuntimeReading {
    const loop = this.#loop.read();
    const resources = new Map<string, number>();
    for (const type of process.getActiveResourcesInfo()) resources.set(type, (resources.get(type) ?? 0) + 1);
    return {
      delay: this.#delay.reading(),
      loopActiveSeconds: loop.activeMillis / 1000,
      loopIdleSeconds: loop.idleMillis / 1000,
      loopUtilization: utilization(this.#windowRead, loop),
      heap: getHeapStatistics(),
      heapSpaces: getHeapSpaceStatistics(),
      resources,
    };
  }

  // Every entry: a batch holds what was collected since the last turn of the loop, 17 entries on average under load.
  #recordGc(entries: readonly PerformanceEntry[]): void {
    for (const entry of entries) {
      const type = GC_TYPE_BY_KIND.get((entry as GcEntry).detail.kind);
      if (type === undefined) continue;
      const durationSeconds = entry.duration / 1000;
      this.#gcCells[type].observe(durationSeconds);
      for (const listener of this.#gcListeners) listener(type, durationSeconds, entry.startTime);
    }
  }
}

function delayFamilies(delay: DelayReading | undefined): Family[] {
  if (delay === undefined) return [];
  const gauge = (statistic: string, what: string, value: number): Family => ({
    type: 'gauge',
    name: `nodejs.eventloop.delay.${statistic}`,
    unit: 's',
    description: `Event loop ${what} delay over the last 30 to 60 seconds.`,
    points: [{ labels: {}, value }],
  });
  return [
    gauge('min', 'minimum', delay.minSeconds),
    gauge('max', 'maximum', delay.maxSeconds),
    gauge('mean', 'mean', delay.meanSeconds),
    gauge('stddev', 'standard deviation of', delay.stddevSeconds),
    gauge('p50', '50th percentile', delay.p50Seconds),
    gauge('p90', '90th percentile', delay.p90Seconds),
    gauge('p99', '99th percentile', delay.p99Seconds),
  ];
}

function loopFamilies(reading: RuntimeReading): Family[] {
  return [
    {
      type: 'gauge',
      name: 'nodejs.eventloop.utilization',
      unit: '1',
      description: 'Event loop utilization over the last 30 to 60 seconds.',
      points: [{ labels: {}, value: reading.loopUtilization }],
    },
    {
      type: 'counter',
      name: 'nodejs.eventloop.time',
      unit: 's',
      description: 'Cumulative duration of time the event loop has been in each state.',
      points: [
        { labels: { 'nodejs.eventloop.state': 'active' }, value: reading.loopActiveSeconds },
        { labels: { 'nodejs.eventloop.state': 'idle' }, value: reading.loopIdleSeconds },
      ],
    },
    {
      type: 'gauge',
      name: 'v8js.resource.active',
      unit: '{resource}',
      description: 'Number of active resources that keep the event loop alive.',
      points: [...reading.resources].map(([type, value]) => ({ labels: { 'v8js.resource.type': type }, value })),
    },
  ];
}

function heapFamilies(reading: RuntimeReading): Family[] {
  const bytes = (name: string, description: string, points: readonly NumberPoint[]): Family => ({
    type: 'updowncounter',
    name,
    unit: 'By',
    description,
    points,
  });
  const spaces = reading.heapSpaces.map((space) => ({ space, labels: { 'v8js.heap.space.name': space.space_name } }));
  return [
    bytes(
      'v8js.memory.heap.used',
      'Heap memory in use, by heap space.',
      spaces.map(({ space, labels }) => ({ labels, value: space.space_used_size })),
    ),
    bytes(
      'v8js.memory.heap.space.size',
      'Heap memory allocated, by heap space.',
      spaces.map(({ space, labels }) => ({ labels, value: space.space_size })),
    ),
    bytes(
      'v8js.memory.heap.space.available_size',
      'Heap memory available, by heap space.',
      spaces.map(({ space, labels }) => ({ labels, value: space.space_available_size })),
    ),
    bytes(
      'v8js.memory.heap.space.physical_size',
      'Committed heap memory, by heap space.',
      spaces.map(({ space, labels }) => ({ labels, value: space.physical_space_size })),
    ),
    // The conventions' heap.limit meant a space's size and is deprecated; this is where V8 gives up.
    bytes('sonde.heap.limit', 'Heap size at which V8 ends the process.', [{ labels: {}, value: reading.heap.heap_size_limit }]),
  ];
}
