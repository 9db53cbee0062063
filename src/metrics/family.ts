// The reading side of metrics: what a collector answers when it is asked, and what every writer (Prometheus,
// OTLP, the local report) reads. Names and units are OpenTelemetry's; each writer translates them.

/** Label set of one series: attribute name (dotted, OpenTelemetry) to value. */
export type Labels = Readonly<Record<string, string>>;

/** One measurement of a traced request, kept beside the bucket it fell into. */
export interface Exemplar {
  /** In the unit of the family. */
  readonly value: number;
  readonly traceId: string;
  readonly spanId: string;
  readonly epochMillis: number;
}

/** A number at the time of collection. */
export interface NumberPoint {
  readonly labels: Labels;
  readonly value: number;
}

/** A distribution since the start; `counts[i]` belongs to `(bounds[i-1], bounds[i]]`, the last to `+Inf`. */
export interface HistogramPoint {
  readonly labels: Labels;
  readonly bounds: readonly number[];
  readonly counts: ArrayLike<number>;
  readonly sum: number;
  readonly exemplars?: readonly (Exemplar | undefined)[] | undefined;
}

/** Quantiles computed by an application's own summary. */
export interface SummaryPoint {
  readonly labels: Labels;
  readonly quantiles: readonly { readonly quantile: number; readonly value: number }[];
  readonly sum: number;
  readonly count: number;
}

interface FamilyBase {
  /** OpenTelemetry name (`http.server.request.duration`), or a ready Prometheus name where `naming` says so. */
  readonly name: string;
  /** UCUM unit (`s`, `By`, `1`, `{request}`), empty for none. */
  readonly unit: string;
  readonly description: string;
  /** `prometheus` keeps `name` as it is; the default translates it with its unit. */
  readonly naming?: 'opentelemetry' | 'prometheus';
}

/** One metric with all its series. Counters are cumulative and monotonic since the process started. */
export type Family = FamilyBase &
  (
    | { readonly type: 'counter' | 'updowncounter' | 'gauge'; readonly points: readonly NumberPoint[] }
    | { readonly type: 'histogram'; readonly points: readonly HistogramPoint[] }
    | { readonly type: 'summary'; readonly points: readonly SummaryPoint[] }
  );

/** Answers families when asked; called once per scrape or push, never on the data plane. */
export type Collector = () => readonly Family[] | Promise<readonly Family[]>;
