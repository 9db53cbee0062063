// The application's own prom-client (or @prometheus-io/client) metrics, read as they are for the same page and for
// OTLP. The instrument that sees such a package load adds its exports here; only the default registry is reachable.
// The application's collect functions run inside a reading: one that fails or hangs costs its metric, nothing else.
import type { Guard } from '../../core/guard.ts';
import type { Collector, Exemplar, Family, HistogramPoint, Labels, NumberPoint, SummaryPoint } from '../family.ts';

/** A collect function that has not answered by then is left out; scrapes time out at 10 s by default. */
const COLLECT_TIMEOUT_MILLIS = 1000;

/** What is used of the exports of prom-client 14 to 15 and of @prometheus-io/client. */
export interface PromClientExports {
  readonly register: PromRegistry;
}

interface PromRegistry {
  getMetricsAsArray(): readonly PromMetric[];
  getSingleMetric(name: string): unknown;
  /** Set by `setDefaultLabels`; both packages keep it here and offer no other way to read it. */
  readonly _defaultLabels?: Readonly<Record<string, unknown>>;
}

interface PromMetric {
  get(): PromReading | Promise<PromReading>;
}

/** One element of `getMetricsAsJSON()`. */
interface PromReading {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly values: readonly PromValue[];
}

interface PromValue {
  readonly value: number;
  readonly labels: Readonly<Record<string, unknown>>;
  readonly metricName?: string;
  /** A bucket that has none yet holds 0 or nothing. */
  readonly exemplar?: PromExemplar | 0 | null;
}

interface PromExemplar {
  readonly labelSet: Readonly<Record<string, string>>;
  readonly value: number;
  /** Unix time in seconds. */
  readonly timestamp: number;
}

export class PromClientBridge {
  readonly #guard: Guard;
  readonly #registries = new Set<PromRegistry>();
  #failed = 0;

  constructor(guard: Guard) {
    this.#guard = guard;
  }

  /** Adds the default registry of a loaded copy of the package; adding it again changes nothing. */
  add(exports: PromClientExports): void {
    this.#registries.add(exports.register);
  }

  /** Whether the application publishes a metric of this name. */
  has(name: string): boolean {
    for (const registry of this.#registries) if (registry.getSingleMetric(name) !== undefined) return true;
    return false;
  }

  /** Readings of single metrics that failed, timed out or were not understood, for `sonde_dropped_total`. */
  get failed(): number {
    return this.#failed;
  }

  /** Reads every metric of every registry; for the Registry. */
  readonly collector: Collector = async () => {
    const families: Family[] = [];
    for (const registry of this.#registries) {
      const defaults = registry._defaultLabels ?? {};
      for (const reading of await this.#read(registry)) {
        const family = toFamily(reading, defaults);
        if (family === undefined) this.#failed += 1;
        else families.push(family);
      }
    }
    return families;
  };

  // Metric by metric and not by getMetricsAsJSON, which fails as a whole when one collect function throws.
  async #read(registry: PromRegistry): Promise<PromReading[]> {
    let timedOut = (): void => {};
    const timeout = new Promise<undefined>((resolve) => {
      timedOut = () => resolve(undefined);
    });
    const timer = this.#guard.after('prom-client-timeout', COLLECT_TIMEOUT_MILLIS, timedOut);
    const results = await Promise.allSettled(registry.getMetricsAsArray().map(async (metric) => Promise.race([metric.get(), timeout])));
    timer.stop();
    const readings = results.flatMap((result) => (result.status === 'fulfilled' && result.value !== undefined ? [result.value] : []));
    this.#failed += results.length - readings.length;
    return readings;
  }
}

function toFamily(reading: PromReading, defaults: Readonly<Record<string, unknown>>): Family | undefined {
  const base = { name: reading.name, unit: '', description: reading.help, naming: 'prometheus' as const };
  switch (reading.type) {
    case 'counter':
    case 'gauge':
      return { ...base, type: reading.type, points: numberPoints(reading, defaults) };
    case 'histogram':
      return { ...base, type: 'histogram', points: histogramPoints(reading, defaults) };
    case 'summary':
      return { ...base, type: 'summary', points: summaryPoints(reading, defaults) };
    default:
      return undefined;
  }
}

function numberPoints({ values }: PromReading, defaults: Readonly<Record<string, unknown>>): NumberPoint[] {
  return values.map(({ labels, value }) => ({ labels: toLabels(labels, defaults), value }));
}

// Both packages write a series in one run: its buckets upwards with cumulative counts, `+Inf`, the sum, the count.
function histogramPoints({ name, values }: PromReading, defaults: Readonly<Record<string, unknown>>): HistogramPoint[] {
  const points: HistogramPoint[] = [];
  let bounds: number[] = [];
  let counts: number[] = [];
  let exemplars: (Exemplar | undefined)[] = [];
  let below = 0;
  let sum = 0;
  for (const { metricName, labels, value, exemplar } of values) {
    if (metricName === `${name}_bucket`) {
      if (labels['le'] !== '+Inf') bounds.push(Number(labels['le']));
      counts.push(value - below);
      exemplars.push(toExemplar(exemplar));
      below = value;
    } else if (metricName === `${name}_sum`) {
      sum = value;
    } else if (metricName === `${name}_count`) {
      points.push({ labels: toLabels(labels, defaults), bounds, counts, sum, exemplars });
      [bounds, counts, exemplars, below] = [[], [], [], 0];
    }
  }
  return points;
}

// Likewise: its quantiles, the sum, the count.
function summaryPoints({ name, values }: PromReading, defaults: Readonly<Record<string, unknown>>): SummaryPoint[] {
  const points: SummaryPoint[] = [];
  let quantiles: { quantile: number; value: number }[] = [];
  let sum = 0;
  for (const { metricName, labels, value } of values) {
    if (metricName === `${name}_sum`) {
      sum = value;
    } else if (metricName === `${name}_count`) {
      points.push({ labels: toLabels(labels, defaults), quantiles, sum, count: value });
      quantiles = [];
    } else {
      quantiles.push({ quantile: Number(labels['quantile']), value });
    }
  }
  return points;
}

function toLabels(own: Readonly<Record<string, unknown>>, defaults: Readonly<Record<string, unknown>>): Labels {
  const labels: Record<string, string> = {};
  for (const [name, value] of Object.entries({ ...defaults, ...own })) labels[name] = String(value);
  return labels;
}

/** prom-client's own documentation says `traceId`, the OpenTelemetry specification `trace_id`. */
function toExemplar(exemplar: PromExemplar | 0 | null | undefined): Exemplar | undefined {
  if (!exemplar) return undefined;
  const { labelSet, value, timestamp } = exemplar;
  const traceId = labelSet['trace_id'] ?? labelSet['traceId'];
  const spanId = labelSet['span_id'] ?? labelSet['spanId'];
  if (traceId === undefined || spanId === undefined) return undefined;
  return { value, traceId, spanId, epochMillis: timestamp * 1000 };
}
