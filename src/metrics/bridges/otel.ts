// The application's own instruments made through @opentelemetry/api: the MeterProvider for the api's global slot, and
// a collector that reads what they recorded. sdk.ts puts it into the slot. The OpenTelemetry metrics SDK is loaded by
// the first getMeter, so that an application without meters does not pay for it.
import type { Attributes, AttributeValue, Meter, MeterOptions, MeterProvider } from '@opentelemetry/api';
import type * as Sdk from '@opentelemetry/sdk-metrics';
import type { DataPoint, HistogramMetricData, IMetricReader, MetricData, MetricProducer, ScopeMetrics } from '@opentelemetry/sdk-metrics';
import type { Guard } from '../../core/guard.ts';
import type { Collector, Family, HistogramPoint, Labels, NumberPoint } from '../family.ts';

/** What is used of the SDK. */
export type MetricsSdk = Pick<typeof Sdk, 'AggregationTemporality' | 'AggregationType' | 'DataPointType' | 'MeterProvider'>;

/** An observable's callback that has not answered by then is left out; scrapes time out at 10 s by default. */
const COLLECT_TIMEOUT_MILLIS = 1000;

/** Label sets per instrument, as the metrics SDK specification advises; what exceeds them shares an overflow series. */
const SERIES_MAX = 2000;

interface Loaded {
  readonly sdk: MetricsSdk;
  readonly provider: MeterProvider;
  readonly producer: MetricProducer;
}

export class OtelMetricsBridge implements MeterProvider {
  readonly #guard: Guard;
  readonly #loadSdk: () => MetricsSdk;
  #loaded: Loaded | undefined;

  constructor(guard: Guard, loadSdk: () => MetricsSdk) {
    this.#guard = guard;
    this.#loadSdk = loadSdk;
  }

  /** As the api's; the first call loads the SDK. When that fails, answers a meter that records nothing. */
  getMeter(name: string, version?: string, options?: MeterOptions): Meter {
    const meter = this.#guard.run('otel-meter', () => (this.#loaded ??= load(this.#loadSdk())).provider.getMeter(name, version, options));
    return meter ?? NOOP_METER;
  }

  /** Reads every instrument of the application; nothing before the first meter. For the Registry. */
  readonly collector: Collector = async () => {
    if (this.#loaded === undefined) return [];
    const { producer, sdk } = this.#loaded;
    const { resourceMetrics } = await producer.collect({ timeoutMillis: COLLECT_TIMEOUT_MILLIS });
    return resourceMetrics.scopeMetrics.flatMap((scopeMetrics) => toFamilies(scopeMetrics, sdk));
  };
}

function load(sdk: MetricsSdk): Loaded {
  const { reader, producer } = pullReader(sdk);
  return { sdk, provider: new sdk.MeterProvider({ readers: [reader] }), producer };
}

/** A reader that is read when asked and holds nothing, with the producer that the provider binds to it. */
function pullReader(sdk: MetricsSdk): { reader: IMetricReader; producer: MetricProducer } {
  let bound: MetricProducer | undefined;
  const producer: MetricProducer = { collect: (options) => bound!.collect(options) };
  const reader: IMetricReader = {
    setMetricProducer: (metricProducer) => {
      bound = metricProducer;
    },
    selectAggregation: () => ({ type: sdk.AggregationType.DEFAULT }),
    selectAggregationTemporality: () => sdk.AggregationTemporality.CUMULATIVE,
    selectCardinalityLimit: () => SERIES_MAX,
    collect: (options) => producer.collect(options),
    shutdown: () => Promise.resolve(),
    forceFlush: () => Promise.resolve(),
  };
  return { reader, producer };
}

function toFamilies({ scope, metrics }: ScopeMetrics, sdk: MetricsSdk): Family[] {
  // As the Prometheus compatibility specification names them once they are translated.
  const scopeLabels: Record<string, string> = { 'otel.scope.name': scope.name };
  if (scope.version) scopeLabels['otel.scope.version'] = scope.version;
  if (scope.schemaUrl) scopeLabels['otel.scope.schema_url'] = scope.schemaUrl;
  return metrics.flatMap((data) => toFamily(data, scopeLabels, sdk) ?? []);
}

function toFamily(data: MetricData, scopeLabels: Labels, { DataPointType }: MetricsSdk): Family | undefined {
  const { name, unit, description } = data.descriptor;
  switch (data.dataPointType) {
    case DataPointType.SUM:
      return {
        type: data.isMonotonic ? 'counter' : 'updowncounter',
        name,
        unit,
        description,
        points: numberPoints(data.dataPoints, scopeLabels),
      };
    case DataPointType.GAUGE:
      return { type: 'gauge', name, unit, description, points: numberPoints(data.dataPoints, scopeLabels) };
    case DataPointType.HISTOGRAM:
      return { type: 'histogram', name, unit, description, points: histogramPoints(data, scopeLabels) };
    default:
      // Exponential histograms need a view, and an application cannot give this provider one.
      return undefined;
  }
}

function numberPoints(points: readonly DataPoint<number>[], scopeLabels: Labels): NumberPoint[] {
  return points.map(({ attributes, value }) => ({ labels: toLabels(attributes, scopeLabels), value }));
}

function histogramPoints({ dataPoints }: HistogramMetricData, scopeLabels: Labels): HistogramPoint[] {
  return dataPoints.map(({ attributes, value: { buckets, sum } }) => ({
    labels: toLabels(attributes, scopeLabels),
    bounds: buckets.boundaries,
    counts: buckets.counts,
    sum: sum ?? 0,
  }));
}

function toLabels(attributes: Attributes, scopeLabels: Labels): Labels {
  const labels: Record<string, string> = { ...scopeLabels };
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) labels[name] = toText(value);
  return labels;
}

/** Attribute values that are not strings are written as JSON (OpenTelemetry common specification). */
function toText(value: AttributeValue): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Takes every call and keeps nothing. */
const NOOP_INSTRUMENT = { add() {}, record() {}, addCallback() {}, removeCallback() {} };
const NOOP_METER: Meter = {
  createGauge: () => NOOP_INSTRUMENT,
  createHistogram: () => NOOP_INSTRUMENT,
  createCounter: () => NOOP_INSTRUMENT,
  createUpDownCounter: () => NOOP_INSTRUMENT,
  createObservableGauge: () => NOOP_INSTRUMENT,
  createObservableCounter: () => NOOP_INSTRUMENT,
  createObservableUpDownCounter: () => NOOP_INSTRUMENT,
  addBatchObservableCallback: () => {},
  removeBatchObservableCallback: () => {},
};
