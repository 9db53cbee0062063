// prom-client's default metrics under their own names, for the dashboards that exist, from the readings that the
// runtime and process collectors just took: nothing is measured twice. Registered after those two, or not at all.
// A name that the application's own prom-client publishes is left to it. Writes Prometheus names, read once a scrape.
import type { Collector, Family, Labels, NumberPoint } from './family.ts';
import type { LinuxReading, ProcessMetrics, ProcessReading } from './process.ts';
import { GC_TYPES, type RuntimeMetrics, type RuntimeReading } from './runtime.ts';
import { histogramFamily, histogramSeries, type HistogramCell, type Series } from './series.ts';

/** prom-client's; its dashboards draw heat maps over exactly these. */
const GC_BOUNDS_SECONDS: readonly number[] = [0.001, 0.01, 0.1, 1, 2, 5];

/**
 * prom-client reports the time between two samples of 10 ms, not the delay beyond it. Alerts were set with these 10 ms
 * inside, so they are added back.
 */
const SAMPLING_SECONDS = 0.01;

type Entry = readonly [name: string, help: string, points: readonly NumberPoint[]];

export interface LegacyMetricsOptions {
  readonly runtime: RuntimeMetrics;
  readonly process: ProcessMetrics;
  /** Whether the application itself publishes a metric of this name. */
  readonly isTaken: (name: string) => boolean;
}

export class LegacyMetrics {
  readonly #runtime: RuntimeMetrics;
  readonly #process: ProcessMetrics;
  readonly #isTaken: (name: string) => boolean;
  readonly #gcDuration: Series<HistogramCell> = histogramSeries(
    {
      name: 'nodejs_gc_duration_seconds',
      unit: '',
      description: 'Garbage collection duration by kind, one of major, minor, incremental or weakcb.',
      labelNames: ['kind'],
      limit: GC_TYPES.length,
    },
    GC_BOUNDS_SECONDS,
  );

  constructor({ runtime, process: processMetrics, isTaken }: LegacyMetricsOptions) {
    this.#runtime = runtime;
    this.#process = processMetrics;
    this.#isTaken = isTaken;
    for (const type of GC_TYPES) this.#gcDuration.cell(type);
    runtime.onGc((type, durationSeconds) => this.#gcDuration.cell(type).observe(durationSeconds));
  }

  /** Answers from the last readings; nothing before the first. For the Registry. */
  readonly collector: Collector = () => {
    const runtime = this.#runtime.last;
    const ofProcess = this.#process.last;
    const families: Family[] = [{ ...histogramFamily(this.#gcDuration), naming: 'prometheus' }];
    const gauges: Entry[] = [versionGauge()];
    if (ofProcess !== undefined) {
      families.push(...cpuFamilies(ofProcess));
      gauges.push(...processGauges(ofProcess));
    }
    if (runtime !== undefined) gauges.push(...lagGauges(runtime), ...activeGauges(runtime), ...heapGauges(runtime));
    families.push(...gauges.map(gaugeFamily));
    return families.filter(({ name }) => !this.#isTaken(name));
  };
}

function cpuFamilies({ cpuUserSeconds, cpuSystemSeconds }: ProcessReading): Family[] {
  const counter = (name: string, description: string, value: number): Family => ({
    type: 'counter',
    naming: 'prometheus',
    name,
    unit: '',
    description,
    points: only(value),
  });
  return [
    counter('process_cpu_user_seconds_total', 'Total user CPU time spent in seconds.', cpuUserSeconds),
    counter('process_cpu_system_seconds_total', 'Total system CPU time spent in seconds.', cpuSystemSeconds),
    counter('process_cpu_seconds_total', 'Total user and system CPU time spent in seconds.', cpuUserSeconds + cpuSystemSeconds),
  ];
}

function processGauges({ startEpochSeconds, rssBytes, linux }: ProcessReading): Entry[] {
  return [
    ['process_start_time_seconds', 'Start time of the process since unix epoch in seconds.', only(Math.round(startEpochSeconds))],
    ['process_resident_memory_bytes', 'Resident memory size in bytes.', only(rssBytes)],
    ...(linux === undefined ? [] : linuxGauges(linux)),
  ];
}

function linuxGauges(linux: LinuxReading): Entry[] {
  return [
    ['process_virtual_memory_bytes', 'Virtual memory size in bytes.', only(linux.virtualBytes)],
    ['process_heap_bytes', 'Process heap size in bytes.', only(linux.dataBytes)],
    ['process_open_fds', 'Number of open file descriptors.', linux.openDescriptors === undefined ? [] : only(linux.openDescriptors)],
    ['process_max_fds', 'Maximum number of open file descriptors.', only(linux.maxDescriptors)],
  ];
}

function lagGauges({ delay }: RuntimeReading): Entry[] {
  if (delay === undefined) return [];
  return [
    ['nodejs_eventloop_lag_seconds', 'Lag of event loop in seconds.', only(delay.meanSeconds)],
    ['nodejs_eventloop_lag_min_seconds', 'The minimum recorded event loop delay.', only(delay.minSeconds + SAMPLING_SECONDS)],
    ['nodejs_eventloop_lag_max_seconds', 'The maximum recorded event loop delay.', only(delay.maxSeconds + SAMPLING_SECONDS)],
    ['nodejs_eventloop_lag_mean_seconds', 'The mean of the recorded event loop delays.', only(delay.meanSeconds + SAMPLING_SECONDS)],
    ['nodejs_eventloop_lag_stddev_seconds', 'The standard deviation of the recorded event loop delays.', only(delay.stddevSeconds)],
    [
      'nodejs_eventloop_lag_p50_seconds',
      'The 50th percentile of the recorded event loop delays.',
      only(delay.p50Seconds + SAMPLING_SECONDS),
    ],
    [
      'nodejs_eventloop_lag_p90_seconds',
      'The 90th percentile of the recorded event loop delays.',
      only(delay.p90Seconds + SAMPLING_SECONDS),
    ],
    [
      'nodejs_eventloop_lag_p99_seconds',
      'The 99th percentile of the recorded event loop delays.',
      only(delay.p99Seconds + SAMPLING_SECONDS),
    ],
  ];
}

function activeGauges({ resources }: RuntimeReading): Entry[] {
  // Not public API, but what prom-client shows; every supported Node has them and none warns.
  const internals = process as unknown as { _getActiveHandles(): object[]; _getActiveRequests(): object[] };
  return [
    ...byType('resources', 'resources that are currently keeping the event loop alive, by async resource type', resources),
    ...byType('handles', 'libuv handles, by the name of their C++ class', countByClass(internals._getActiveHandles())),
    ...byType('requests', 'libuv requests, by the name of their C++ class', countByClass(internals._getActiveRequests())),
  ];
}

function byType(noun: string, what: string, counts: ReadonlyMap<string, number>): Entry[] {
  const points = [...counts].map(([type, value]) => ({ labels: { type }, value }));
  const total = points.reduce((sum, point) => sum + point.value, 0);
  return [
    [`nodejs_active_${noun}`, `Number of active ${what}.`, points],
    [`nodejs_active_${noun}_total`, `Total number of active ${noun}.`, only(total)],
  ];
}

function countByClass(objects: readonly object[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { constructor } of objects) counts.set(constructor.name, (counts.get(constructor.name) ?? 0) + 1);
  return counts;
}

function heapGauges({ heap, heapSpaces }: RuntimeReading): Entry[] {
  const spaces = heapSpaces.map((space) => ({ space, labels: { space: space.space_name.replace(/_space$/, '') } }));
  return [
    ['nodejs_heap_size_total_bytes', 'Process heap size from Node.js in bytes.', only(heap.total_heap_size)],
    ['nodejs_heap_size_used_bytes', 'Process heap size used from Node.js in bytes.', only(heap.used_heap_size)],
    ['nodejs_external_memory_bytes', 'Node.js external memory size in bytes.', only(heap.external_memory)],
    [
      'nodejs_heap_space_size_total_bytes',
      'Process heap space size total from Node.js in bytes.',
      spaces.map(({ space, labels }) => ({ labels, value: space.space_size })),
    ],
    [
      'nodejs_heap_space_size_used_bytes',
      'Process heap space size used from Node.js in bytes.',
      spaces.map(({ space, labels }) => ({ labels, value: space.space_used_size })),
    ],
    [
      'nodejs_heap_space_size_available_bytes',
      'Process heap space size available from Node.js in bytes.',
      spaces.map(({ space, labels }) => ({ labels, value: space.space_available_size })),
    ],
  ];
}

function versionGauge(): Entry {
  const [major = '', minor = '', patch = ''] = process.version.slice(1).split('.');
  const labels: Labels = { version: process.version, major, minor, patch };
  return ['nodejs_version_info', 'Node.js version info.', [{ labels, value: 1 }]];
}

function gaugeFamily([name, description, points]: Entry): Family {
  return { type: 'gauge', naming: 'prometheus', name, unit: '', description, points };
}

function only(value: number): NumberPoint[] {
  return [{ labels: {}, value }];
}
