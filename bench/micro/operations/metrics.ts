// Operations of metrics/series.ts: one duration into a held cell.
import { InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader, AggregationTemporality } from '@opentelemetry/sdk-metrics';
import { Histogram } from 'prom-client';
import { newSpanId, newTraceId } from '../../../src/core/ids.ts';
import { HistogramCell, HTTP_DURATION_BOUNDS_SECONDS } from '../../../src/metrics/series.ts';
import { ROUTES } from '../exchanges.ts';
import { inTurn, operation, subject, type Operation, type Subject } from '../operation.ts';

/** A service of 3 ms in the middle, with a tail: five of the buckets. */
const SECONDS = Float64Array.from({ length: 64 }, (_, index) => 0.0015 * 1.06 ** index);
const MASK = SECONDS.length - 1;

const BOUND_IS = 'a typed-array increment in a bucket that is known, and a sum';

export function observe(): Operation {
  const cell = new HistogramCell(HTTP_DURATION_BOUNDS_SECONDS);
  let at = 0;
  return operation({
    ours: subject(() => cell.observe(SECONDS[(at = (at + 1) & MASK)]!), { effects: () => total(cell.counts) }),
    bound: plainCell(),
    boundIs: BOUND_IS,
    peers: { 'prom-client': promClient(), 'OpenTelemetry SDK': otelHistogram() },
  });
}

export function observeTraced(): Operation {
  const cell = new HistogramCell(HTTP_DURATION_BOUNDS_SECONDS);
  const span = inTurn(
    Array.from({ length: 16 }, () => ({ traceId: newTraceId(), spanId: newSpanId(), traceFlags: 1, startEpochMillis: 1.7e12 })),
  );
  let at = 0;
  let endMillis = performance.now();
  return operation({
    ours: subject(
      () => {
        // 20,000 requests a second, so that exemplars are replaced as often as in life.
        endMillis += 0.05;
        cell.observeTraced(SECONDS[(at = (at + 1) & MASK)]!, span(), endMillis);
      },
      { effects: () => (cell.exemplars === undefined ? 0 : total(cell.counts)) },
    ),
    bound: plainCell(),
    boundIs: BOUND_IS,
  });
}

function plainCell(): Subject {
  const cell = { counts: new Float64Array(15), sum: 0 };
  let at = 0;
  return subject(
    () => {
      at = (at + 1) & MASK;
      cell.counts[at & 7]! += 1;
      cell.sum += SECONDS[at]!;
    },
    { effects: () => (cell.sum > 0 ? total(cell.counts) : 0) },
  );
}

function promClient(): Subject {
  const histogram = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'Duration of HTTP requests.',
    labelNames: ['method', 'route', 'status_code'],
    buckets: [...HTTP_DURATION_BOUNDS_SECONDS],
    registers: [],
  });
  const route = inTurn(ROUTES);
  let at = 0;
  return subject(
    () => {
      histogram.observe({ method: 'GET', route: route(), status_code: 200 }, SECONDS[(at = (at + 1) & MASK)]!);
    },
    {
      effects: async () => {
        const { values } = await histogram.get();
        return values.filter(({ metricName }) => metricName?.endsWith('_count')).reduce((sum, { value }) => sum + value, 0);
      },
    },
  );
}

function otelHistogram(): Subject {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 1e9, exportTimeoutMillis: 1e9 });
  const histogram = new MeterProvider({ readers: [reader] })
    .getMeter('bench')
    .createHistogram('http.server.request.duration', { advice: { explicitBucketBoundaries: [...HTTP_DURATION_BOUNDS_SECONDS] } });
  const route = inTurn(ROUTES);
  let at = 0;
  return subject(
    () => {
      histogram.record(SECONDS[(at = (at + 1) & MASK)]!, {
        'http.request.method': 'GET',
        'http.route': route(),
        'http.response.status_code': 200,
        'url.scheme': 'http',
        'network.protocol.version': '1.1',
      });
    },
    {
      effects: async () => {
        const points = (await reader.collect()).resourceMetrics.scopeMetrics[0]?.metrics[0]?.dataPoints ?? [];
        return points.reduce((sum, { value }) => sum + (value as { count: number }).count, 0);
      },
    },
  );
}

function total(counts: ArrayLike<number>): number {
  return Array.from(counts).reduce((sum, count) => sum + count, 0);
}
