// DATA PLANE. Label sets to cells. A cell is resolved once, kept by whoever records, and costs 3-4 ns to record
// into; a hash of labels per record would cost 300 to 2000. The number of series per metric is limited by
// construction: past the limit every new label set shares one overflow cell (`otel.metric.overflow="true"`).
import type { SpanIds } from '../core/context.ts';
import type { Exemplar, Family, HistogramPoint, Labels, NumberPoint } from './family.ts';

/** The label of the series that takes what exceeds the limit (OpenTelemetry metrics SDK, cardinality limits). */
const OVERFLOW: Labels = { 'otel.metric.overflow': 'true' };

/** An exemplar is replaced at most this often: each one outlives its request, and survivors make V8's young generation grow. */
const EXEMPLAR_INTERVAL_MILLIS = 1000;

/** Bounds, in seconds, that the semantic conventions advise for HTTP durations. */
export const HTTP_DURATION_BOUNDS_SECONDS: readonly number[] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

/** What a family of series is called and how far it may grow. */
export interface SeriesOptions {
  /** OpenTelemetry name. */
  readonly name: string;
  /** UCUM unit. */
  readonly unit: string;
  readonly description: string;
  /** Attribute names in the order in which `cell` takes their values. */
  readonly labelNames: readonly string[];
  /** Series at most, without the overflow series. */
  readonly limit: number;
}

/** A number that goes up, or up and down, in place. */
export class NumberCell {
  value = 0;

  add(delta: number): void {
    this.value += delta;
  }
}

/** A span that a duration was measured by. */
export interface MeasuredSpan extends SpanIds {
  readonly startEpochMillis: number;
}

/** The exemplar of each bucket, and when, on the monotonic clock, the next may replace it. */
class Exemplars {
  readonly byBucket: (Exemplar | undefined)[];
  readonly nextMillis: Float64Array;

  constructor(buckets: number) {
    this.byBucket = Array.from<Exemplar | undefined>({ length: buckets });
    this.nextMillis = new Float64Array(buckets).fill(-Infinity);
  }

  replace(bucket: number, seconds: number, { traceId, spanId, startEpochMillis }: MeasuredSpan, endMillis: number): void {
    this.nextMillis[bucket] = endMillis + EXEMPLAR_INTERVAL_MILLIS;
    this.byBucket[bucket] = { value: seconds, traceId, spanId, epochMillis: startEpochMillis + seconds * 1000 };
  }
}

/** A distribution over fixed bounds, with the last traced measurement of each bucket. */
export class HistogramCell {
  readonly bounds: readonly number[];
  readonly counts: Float64Array;
  sum = 0;
  exemplars: Exemplars | undefined = undefined;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  /** Records a value in the family's unit. A value that is negative or not a number is dropped. */
  observe(value: number): void {
    if (!(value >= 0)) return;
    this.counts[this.#bucket(value)]! += 1;
    this.sum += value;
  }

  /** Records seconds and offers the span that took them, and has ended at `endMillis` of the monotonic clock, as the bucket's exemplar. */
  observeTraced(seconds: number, span: MeasuredSpan, endMillis: number): void {
    if (!(seconds >= 0)) return;
    const bucket = this.#bucket(seconds);
    this.counts[bucket]! += 1;
    this.sum += seconds;
    const exemplars = (this.exemplars ??= new Exemplars(this.bounds.length + 1));
    if (endMillis >= exemplars.nextMillis[bucket]!) exemplars.replace(bucket, seconds, span, endMillis);
  }

  #bucket(value: number): number {
    const bounds = this.bounds;
    let i = 0;
    while (i < bounds.length && value > bounds[i]!) i++;
    return i;
  }
}

/** The cells of one metric by label set. */
export class Series<C> {
  readonly options: SeriesOptions;
  readonly #create: () => C;
  readonly #cells = new Map<string, { labels: Labels; cell: C }>();
  #overflow: C | undefined;
  #overflowed = 0;

  constructor(options: SeriesOptions, create: () => C) {
    this.options = options;
    this.#create = create;
  }

  /** Label sets that found the metric full, for `sonde_dropped_total{reason="series_limit"}`. */
  get overflowed(): number {
    return this.#overflowed;
  }

  /**
   * The cell of a label set, made when new; the overflow cell when the metric is full. Costs a key of all values:
   * resolve once and keep the cell. Empty values leave their label out.
   */
  cell(...values: readonly string[]): C {
    const key = JSON.stringify(values);
    const known = this.#cells.get(key);
    if (known !== undefined) return known.cell;
    if (this.#cells.size >= this.options.limit) {
      this.#overflowed += 1;
      return (this.#overflow ??= this.#create());
    }
    const cell = this.#create();
    this.#cells.set(key, { labels: labelsOf(this.options.labelNames, values), cell });
    return cell;
  }

  /** Whether the metric is full, so that a caller knows not to keep a handle per label set. */
  get full(): boolean {
    return this.#cells.size >= this.options.limit;
  }

  /** Every series with its labels, the overflow series last. */
  entries(): { labels: Labels; cell: C }[] {
    const all = [...this.#cells.values()];
    if (this.#overflow !== undefined) all.push({ labels: OVERFLOW, cell: this.#overflow });
    return all;
  }
}

function labelsOf(names: readonly string[], values: readonly string[]): Labels {
  const labels: Record<string, string> = {};
  for (let i = 0; i < names.length; i++) {
    const value = values[i];
    if (value !== undefined && value !== '') labels[names[i]!] = value;
  }
  return labels;
}

/** A metric of distributions with the same bounds. */
export function histogramSeries(options: SeriesOptions, bounds: readonly number[]): Series<HistogramCell> {
  return new Series(options, () => new HistogramCell(bounds));
}

/** A metric of numbers. */
export function numberSeries(options: SeriesOptions): Series<NumberCell> {
  return new Series(options, () => new NumberCell());
}

/** Reads a metric of distributions. */
export function histogramFamily(series: Series<HistogramCell>): Family {
  const { name, unit, description } = series.options;
  const points: HistogramPoint[] = series
    .entries()
    .map(({ labels, cell }) => ({ labels, bounds: cell.bounds, counts: cell.counts, sum: cell.sum, exemplars: cell.exemplars?.byBucket }));
  return { type: 'histogram', name, unit, description, points };
}

/** Reads a metric of numbers. */
export function numberFamily(series: Series<NumberCell>, type: 'counter' | 'updowncounter' | 'gauge'): Family {
  const { name, unit, description } = series.options;
  const points: NumberPoint[] = series.entries().map(({ labels, cell }) => ({ labels, value: cell.value }));
  return { type, name, unit, description, points };
}
