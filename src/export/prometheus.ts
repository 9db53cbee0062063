// The Prometheus page: which format a client wants, and families written in it. Called by the admin server per scrape.
// Text 0.0.4 (no exemplars) and OpenMetrics 1.0. The page is whole whatever the application's metrics are called: what
// would make it unreadable (two types under one name, a series twice) is left out and told to the caller.
// https://prometheus.io/docs/instrumenting/exposition_formats/, https://prometheus.io/docs/specs/om/open_metrics_spec/
import type { Exemplar, Family, HistogramPoint, Labels, NumberPoint, SummaryPoint } from '../metrics/family.ts';
import { escapeHelp, escapeLabelValue, exposedName, LabelWriter, type ExposedName } from './translation.ts';

/** 0.0.1 is the draft that Prometheus 2 asks for; the bodies of both OpenMetrics versions are the same. */
export type PrometheusFormat = 'text/0.0.4' | 'openmetrics/1.0.0' | 'openmetrics/0.0.1';

const CONTENT_TYPES: Readonly<Record<PrometheusFormat, string>> = {
  'text/0.0.4': 'text/plain; version=0.0.4; charset=utf-8',
  'openmetrics/1.0.0': 'application/openmetrics-text; version=1.0.0; charset=utf-8',
  'openmetrics/0.0.1': 'application/openmetrics-text; version=0.0.1; charset=utf-8',
};

/** Names and values of an exemplar's labels together, in characters (OpenMetrics 1.0, Exemplars). */
const EXEMPLAR_LABELS_MAX = 128;

/** Media ranges read of an Accept header; real ones have six at most. */
const MEDIA_RANGES_MAX = 32;

export interface WriteOptions {
  /** Resource attributes, written as the one `target_info`. */
  readonly resource?: Labels;
  /** Called with the Prometheus name of each family, and of each single series, that was left out for a collision. */
  readonly onDropped?: (name: string) => void;
}

/**
 * The format that an `Accept` header prefers (RFC 9110, 12.5.1): the highest quality, the first of equals. Without a
 * header, or with one that is malformed or names nothing we write, text 0.0.4.
 */
export function negotiate(accept: string | undefined): PrometheusFormat {
  let best: PrometheusFormat = 'text/0.0.4';
  let bestQuality = 0;
  for (const range of (accept ?? '').split(',', MEDIA_RANGES_MAX)) {
    const [mediaType = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    const format = formatOf(mediaType, parameter(parameters, 'version'));
    const quality = qualityOf(parameter(parameters, 'q'));
    if (format !== undefined && quality > bestQuality) {
      best = format;
      bestQuality = quality;
    }
  }
  return best;
}

/** The `Content-Type` of a page in this format. */
export function contentType(format: PrometheusFormat): string {
  return CONTENT_TYPES[format];
}

/**
 * Writes families as one page. Families that come out under one name are written as one, with the help of the first;
 * if their types differ the first is kept. Families without series are left out.
 */
export function write(families: readonly Family[], format: PrometheusFormat, options: WriteOptions = {}): string {
  const page = new Page(format !== 'text/0.0.4', options.onDropped ?? (() => {}));
  if (options.resource !== undefined) page.target(options.resource);
  for (const block of page.blocks(families)) page.block(block);
  return page.end();
}

function formatOf(mediaType: string, version: string | undefined): PrometheusFormat | undefined {
  switch (mediaType) {
    case 'application/openmetrics-text':
      if (version === undefined || version === '1.0.0') return 'openmetrics/1.0.0';
      return version === '0.0.1' ? 'openmetrics/0.0.1' : undefined;
    case 'text/plain':
      return version === undefined || version === '0.0.4' ? 'text/0.0.4' : undefined;
    case 'text/*':
    case '*/*':
      return 'text/0.0.4';
    default:
      return undefined;
  }
}

function parameter(parameters: readonly string[], name: string): string | undefined {
  const found = parameters.find((text) => text.startsWith(`${name}=`));
  return found?.slice(name.length + 1).replaceAll('"', '');
}

/** 0 to 1; what is not a quality counts as not acceptable. */
function qualityOf(text: string | undefined): number {
  if (text === undefined) return 1;
  return /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(text) ? Number(text) : 0;
}

/** Families that are written under one name. */
interface Block {
  readonly exposed: ExposedName;
  /** The name in metadata lines. */
  readonly name: string;
  readonly families: Family[];
}

/** The lines of one page. */
class Page {
  readonly #isOpenMetrics: boolean;
  readonly #onDropped: (name: string) => void;
  readonly #labels = new LabelWriter();
  readonly #boundTexts = new Map<readonly number[], readonly string[]>();
  readonly #lines: string[] = [];

  constructor(isOpenMetrics: boolean, onDropped: (name: string) => void) {
    this.#isOpenMetrics = isOpenMetrics;
    this.#onDropped = onDropped;
  }

  target(resource: Labels): void {
    const family: Family = { type: 'gauge', name: 'target_info', unit: '', description: '', points: [] };
    const labels = this.#labels.write(resource, family);
    if (labels === '') return;
    const [name, type] = this.#isOpenMetrics ? ['target', 'info'] : ['target_info', 'gauge'];
    this.#lines.push(`# HELP ${name} Target metadata`, `# TYPE ${name} ${type}`, `target_info{${labels}} 1`);
  }

  blocks(families: readonly Family[]): Iterable<Block> {
    const blocks = new Map<string, Block>();
    const claimed = new Set(['target', 'target_info']);
    for (const family of families) {
      if (family.points.length === 0) continue;
      const exposed = exposedName(family);
      const name = this.#isOpenMetrics ? exposed.name : exposed.textName;
      const known = blocks.get(name);
      if (known !== undefined && known.exposed.type === exposed.type) {
        known.families.push(family);
        continue;
      }
      const names = this.#claims(name, exposed);
      if (names.some((sample) => claimed.has(sample))) {
        this.#onDropped(name);
        continue;
      }
      for (const sample of names) claimed.add(sample);
      blocks.set(name, { exposed, name, families: [family] });
    }
    return blocks.values();
  }

  block({ exposed, name, families }: Block): void {
    const { description } = families[0]!;
    if (description !== '') this.#lines.push(`# HELP ${name} ${escapeHelp(description, this.#isOpenMetrics)}`);
    this.#lines.push(`# TYPE ${name} ${exposed.type === 'unknown' && !this.#isOpenMetrics ? 'untyped' : exposed.type}`);
    if (this.#isOpenMetrics && exposed.unit !== '') this.#lines.push(`# UNIT ${name} ${exposed.unit}`);
    const sampleName = this.#isOpenMetrics && exposed.type === 'counter' ? `${name}_total` : name;
    const seen = new Set<string>();
    for (const family of families) {
      for (const point of family.points) {
        const labels = this.#labels.write(point.labels, family);
        if (seen.has(labels)) {
          this.#onDropped(name);
          continue;
        }
        seen.add(labels);
        this.#point(sampleName, labels, family, point);
      }
    }
  }

  end(): string {
    if (this.#isOpenMetrics) this.#lines.push('# EOF');
    this.#lines.push('');
    return this.#lines.join('\n');
  }

  /** Every name that a family's metadata and samples take, so that no other family may take it. */
  #claims(name: string, { type }: ExposedName): string[] {
    const created = this.#isOpenMetrics ? [`${name}_created`] : [];
    switch (type) {
      case 'counter':
        return this.#isOpenMetrics ? [name, `${name}_total`, ...created] : [name];
      case 'histogram':
        return [name, `${name}_bucket`, `${name}_sum`, `${name}_count`, ...created];
      case 'summary':
        return [name, `${name}_sum`, `${name}_count`, ...created];
      default:
        return [name];
    }
  }

  #point(name: string, labels: string, family: Family, point: NumberPoint | HistogramPoint | SummaryPoint): void {
    if (family.type === 'histogram') this.#histogram(name, labels, point as HistogramPoint);
    else if (family.type === 'summary') this.#summary(name, labels, point as SummaryPoint);
    else this.#lines.push(`${name}${braces(labels)} ${numberText((point as NumberPoint).value)}`);
  }

  #histogram(name: string, labels: string, { bounds, counts, sum, exemplars }: HistogramPoint): void {
    const boundTexts = this.#bounds(bounds);
    const bucket = `${name}_bucket{${labels}${labels === '' ? '' : ','}le="`;
    let count = 0;
    for (let i = 0; i < boundTexts.length; i++) {
      count += counts[i]!;
      const exemplar = this.#isOpenMetrics ? exemplarText(exemplars?.[i]) : '';
      this.#lines.push(`${bucket}${boundTexts[i]!}"} ${count}${exemplar}`);
    }
    // OpenMetrics: what can be negative has no sum that only grows, and without the sum there is no count either.
    if (this.#isOpenMetrics && bounds[0]! < 0) return;
    const suffix = braces(labels);
    this.#lines.push(`${name}_sum${suffix} ${numberText(sum)}`, `${name}_count${suffix} ${count}`);
  }

  #summary(name: string, labels: string, { quantiles, sum, count }: SummaryPoint): void {
    const separator = labels === '' ? '' : ',';
    for (const { quantile, value } of quantiles) {
      this.#lines.push(`${name}{${labels}${separator}quantile="${this.#bound(quantile)}"} ${numberText(value)}`);
    }
    const suffix = braces(labels);
    this.#lines.push(`${name}_sum${suffix} ${numberText(sum)}`, `${name}_count${suffix} ${count}`);
  }

  #bounds(bounds: readonly number[]): readonly string[] {
    let texts = this.#boundTexts.get(bounds);
    if (texts === undefined) this.#boundTexts.set(bounds, (texts = [...bounds.map((bound) => this.#bound(bound)), '+Inf']));
    return texts;
  }

  #bound(value: number): string {
    return this.#isOpenMetrics ? canonicalText(value) : numberText(value);
  }
}

function braces(labels: string): string {
  return labels === '' ? '' : `{${labels}}`;
}

function numberText(value: number): string {
  if (value === Infinity) return '+Inf';
  return value === -Infinity ? '-Inf' : String(value);
}

/** Bounds and quantiles are compared as text, so OpenMetrics fixes theirs: Go's `%g`, with `.0` after whole numbers. */
function canonicalText(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e6 || size < 1e-4)) return value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2');
  return Number.isInteger(value) ? `${value}.0` : String(value);
}

/** ` # {labels} value timestamp`, nothing where there is no exemplar or its labels are too long. */
function exemplarText(exemplar: Exemplar | undefined): string {
  if (exemplar === undefined) return '';
  const { traceId, spanId, value, epochMillis } = exemplar;
  if ('trace_idspan_id'.length + traceId.length + spanId.length > EXEMPLAR_LABELS_MAX) return '';
  const labels = `trace_id="${escapeLabelValue(traceId)}",span_id="${escapeLabelValue(spanId)}"`;
  return ` # {${labels}} ${numberText(value)} ${(epochMillis / 1000).toFixed(3)}`;
}
