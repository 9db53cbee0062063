// Families to OTLP metrics, cumulative since the start. Called by otlp-codec.ts once a push. The transformer writes
// neither exemplars nor summaries: the first are left out, a summary is sent as Prometheus writes it (a gauge of
// quantiles, a sum, a count).
import { ValueType, type Attributes, type HrTime } from '@opentelemetry/api';
import type { InstrumentationScope } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import {
  AggregationTemporality,
  DataPointType,
  type DataPoint,
  type Histogram,
  type MetricData,
  type ResourceMetrics,
} from '@opentelemetry/sdk-metrics';
import type { Family, HistogramPoint, Labels, NumberPoint, SummaryPoint } from '../metrics/family.ts';

/** One reading of every metric, and whose it is. */
export interface MetricsSnapshot {
  readonly families: readonly Family[];
  readonly resource: Resource;
  readonly scope: InstrumentationScope;
  /** When counting began. */
  readonly startEpochMillis: number;
  /** When the families were read. */
  readonly epochMillis: number;
}

/** Labels are text in Sonde; these are integers in the semantic conventions, and backends index them as such. */
const INTEGER_ATTRIBUTES: ReadonlySet<string> = new Set(['http.response.status_code', 'server.port', 'network.peer.port']);
/** Marks the series that takes what exceeds the limit; a boolean in the OpenTelemetry metrics SDK specification. */
const OVERFLOW_ATTRIBUTE = 'otel.metric.overflow';

interface Period {
  readonly startTime: HrTime;
  readonly endTime: HrTime;
}

/** What the serialisers take; points without a finite value are left out, and families without a point. */
export function toResourceMetrics(snapshot: MetricsSnapshot): ResourceMetrics {
  const period = {
    startTime: toHrTime(snapshot.startEpochMillis),
    endTime: toHrTime(snapshot.epochMillis),
  };
  const metrics = snapshot.families.flatMap((family) => familyMetrics(family, period)).filter((metric) => metric.dataPoints.length > 0);
  return { resource: snapshot.resource, scopeMetrics: [{ scope: snapshot.scope, metrics }] };
}

function familyMetrics(family: Family, period: Period): MetricData[] {
  switch (family.type) {
    case 'counter':
      return [sum(family, '', true, numberPoints(family.points, period))];
    case 'updowncounter':
      return [sum(family, '', false, numberPoints(family.points, period))];
    case 'gauge':
      return [gauge(family, numberPoints(family.points, period))];
    case 'histogram':
      return [histogram(family, histogramPoints(family.points, period))];
    default:
      return summary(family, family.points, period);
  }
}

function common(family: Family, suffix: string): Pick<MetricData, 'descriptor' | 'aggregationTemporality'> {
  const { name, unit, description } = family;
  return {
    descriptor: { name: name + suffix, unit, description, valueType: ValueType.DOUBLE },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  };
}

function sum(family: Family, suffix: string, isMonotonic: boolean, dataPoints: DataPoint<number>[]): MetricData {
  return { ...common(family, suffix), dataPointType: DataPointType.SUM, isMonotonic, dataPoints };
}

function gauge(family: Family, dataPoints: DataPoint<number>[]): MetricData {
  return { ...common(family, ''), dataPointType: DataPointType.GAUGE, dataPoints };
}

function histogram(family: Family, dataPoints: DataPoint<Histogram>[]): MetricData {
  return { ...common(family, ''), dataPointType: DataPointType.HISTOGRAM, dataPoints };
}

function summary(family: Family, points: readonly SummaryPoint[], period: Period): MetricData[] {
  const quantiles = points.flatMap(({ labels, quantiles: all }) =>
    all.map(({ quantile, value }) => ({
      labels: { ...labels, quantile: String(quantile) },
      value,
    })),
  );
  const sums = points.map((point) => ({ labels: point.labels, value: point.sum }));
  const counts = points.map((point) => ({ labels: point.labels, value: point.count }));
  return [
    gauge(family, numberPoints(quantiles, period)),
    sum(family, '_sum', false, numberPoints(sums, period)),
    sum(family, '_count', true, numberPoints(counts, period)),
  ];
}

function numberPoints(points: readonly NumberPoint[], period: Period): DataPoint<number>[] {
  // NaN and infinity have no JSON form, and a quantile of nothing, which is where they come from, is no measurement.
  return points
    .filter(({ value }) => Number.isFinite(value))
    .map(({ labels, value }) => ({ ...period, attributes: toAttributes(labels), value }));
}

function histogramPoints(points: readonly HistogramPoint[], period: Period): DataPoint<Histogram>[] {
  return points.map((point) => {
    // Copied: the cells go on counting while the message is compressed, and JSON writes a Float64Array as an object.
    const counts = Array.from(point.counts);
    const count = counts.reduce((total, n) => total + n, 0);
    const value = { buckets: { boundaries: [...point.bounds], counts }, sum: point.sum, count };
    return { ...period, attributes: toAttributes(point.labels), value };
  });
}

function toAttributes(labels: Labels): Attributes {
  const attributes: Attributes = {};
  for (const [name, value] of Object.entries(labels)) {
    if (INTEGER_ATTRIBUTES.has(name) && /^\d+$/.test(value)) attributes[name] = Number(value);
    else if (name === OVERFLOW_ATTRIBUTE) attributes[name] = value === 'true';
    else attributes[name] = value;
  }
  return attributes;
}

function toHrTime(epochMillis: number): HrTime {
  const seconds = Math.trunc(epochMillis / 1000);
  return [seconds, Math.round((epochMillis - seconds * 1000) * 1e6)];
}
