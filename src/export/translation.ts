// OpenTelemetry names in Prometheus's words: metric names with their units, label sets with their names and escapes.
// Strategy UnderscoreEscapingWithSuffixes of the Prometheus compatibility specification. Used by the writer only.
// https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/
import type { Family, Labels } from '../metrics/family.ts';

/** UCUM units as Prometheus spells them; what is not here is kept as it is written. */
const UNITS: ReadonlyMap<string, string> = new Map([
  ['d', 'days'],
  ['h', 'hours'],
  ['min', 'minutes'],
  ['s', 'seconds'],
  ['ms', 'milliseconds'],
  ['us', 'microseconds'],
  ['ns', 'nanoseconds'],
  ['By', 'bytes'],
  ['KiBy', 'kibibytes'],
  ['MiBy', 'mebibytes'],
  ['GiBy', 'gibibytes'],
  ['TiBy', 'tibibytes'],
  ['kBy', 'kilobytes'],
  ['KBy', 'kilobytes'],
  ['MBy', 'megabytes'],
  ['GBy', 'gigabytes'],
  ['TBy', 'terabytes'],
  ['m', 'meters'],
  ['V', 'volts'],
  ['A', 'amperes'],
  ['J', 'joules'],
  ['W', 'watts'],
  ['g', 'grams'],
  ['Cel', 'celsius'],
  ['Hz', 'hertz'],
  ['%', 'percent'],
  ['1', ''],
]);

const PER_UNITS: ReadonlyMap<string, string> = new Map([
  ['s', 'second'],
  ['min', 'minute'],
  ['h', 'hour'],
  ['d', 'day'],
  ['wk', 'week'],
  ['mo', 'month'],
  ['a', 'year'],
]);

/** Types of the exposition formats; `unknown` is `untyped` in text 0.0.4. */
type ExposedType = 'counter' | 'gauge' | 'histogram' | 'summary' | 'unknown';

export interface ExposedName {
  /** The OpenMetrics family name, without a counter's `_total`. */
  readonly name: string;
  /** What the samples of text 0.0.4 start with; differs from `name` for counters. */
  readonly textName: string;
  readonly type: ExposedType;
  /** The unit that `name` ends in, empty for none. */
  readonly unit: string;
}

/** Endings that belong to a type. promtool's linter refuses a gauge that has one, and accepts it without a type. */
const RESERVED_ENDING = /_(?:total|count|sum|bucket)$/;

/** The name, type and unit under which a family is exposed. */
export function exposedName(family: Family): ExposedName {
  const isOpenTelemetry = family.naming !== 'prometheus';
  const plain = isOpenTelemetry ? legalName(family.name, /[^a-zA-Z0-9_:]+/g) : family.name;
  if (family.type === 'counter') {
    const { name, unit } = withUnit(plain.replace(/_total$/, ''), isOpenTelemetry ? unitWord(family) : '');
    return { name, textName: isOpenTelemetry ? `${name}_total` : plain, type: 'counter', unit };
  }
  const { name, unit } = withUnit(plain, isOpenTelemetry ? unitWord(family) : '');
  if (family.type === 'histogram' || family.type === 'summary') return { name, textName: name, type: family.type, unit };
  return { name, textName: name, type: RESERVED_ENDING.test(name) ? 'unknown' : 'gauge', unit };
}

function withUnit(name: string, unit: string): { name: string; unit: string } {
  if (unit === '' || name === unit || name.endsWith(`_${unit}`)) return { name, unit };
  return { name: `${name}_${unit}`, unit };
}

/**
 * `ratio` for gauges of unit 1: the specification dropped the rule, but Prometheus's own OTLP receiver, the Collector,
 * and the Go and Java exporters apply it, and a metric that is scraped must not differ from the same one pushed.
 */
function unitWord({ unit, type }: Family): string {
  if (unit === '1') return type === 'gauge' ? 'ratio' : '';
  const [main = '', per] = unit.replace(/\{[^}]*\}/g, '').split('/', 2);
  const mainWord = UNITS.get(main) ?? main;
  const perWord = per === undefined || per === '' ? '' : `per_${PER_UNITS.get(per) ?? per}`;
  return `${mainWord}_${perWord}`.replace(/[^a-zA-Z0-9]+/g, '_').replace(/^_|_$/g, '');
}

/** Illegal runs become one underscore, as do runs of underscores; a leading digit gets one before it. */
function legalName(name: string, illegal: RegExp): string {
  const legal = name.replace(illegal, '_').replace(/__+/g, '_');
  return /^[0-9]|^$/.test(legal) ? `_${legal}` : legal;
}

interface Plan {
  /** `name="`, with what must stand before it. */
  readonly prefix: string;
  /** Attribute names that come out as this label, sorted. */
  readonly keys: readonly string[];
}

/**
 * Writes label sets. One per page: what a set of attribute names comes to is worked out once and kept, so that a
 * series costs one lookup and its values.
 */
export class LabelWriter {
  readonly #plans = new Map<string, readonly Plan[]>();

  /**
   * The labels between the braces, sorted by name, so that equal sets are equal text. Attributes whose names come out
   * the same are joined with `;` in the order of their names. A label that the type writes itself is moved out of the way.
   */
  write(labels: Labels, family: Family): string {
    const keys = Object.keys(labels);
    if (keys.length === 0) return '';
    const isOpenTelemetry = family.naming !== 'prometheus';
    const key = `${isOpenTelemetry ? 'o' : 'p'}${family.type}\n${keys.join('\n')}`;
    let plans = this.#plans.get(key);
    if (plans === undefined) this.#plans.set(key, (plans = plan(keys, family)));
    let text = '';
    for (const { prefix, keys: from } of plans) {
      const value = from.length === 1 ? labels[from[0]!]! : from.map((name) => labels[name]).join(';');
      text += `${prefix}${escapeLabelValue(value)}"`;
    }
    return text;
  }
}

function plan(keys: readonly string[], family: Family): Plan[] {
  const reserved = family.type === 'histogram' ? 'le' : family.type === 'summary' ? 'quantile' : undefined;
  const byName = new Map<string, string[]>();
  for (const key of keys.toSorted()) {
    const legal = family.naming === 'prometheus' ? key : legalName(key, /[^a-zA-Z0-9_]+/g);
    const name = legal === reserved ? `exported_${legal}` : legal;
    const same = byName.get(name);
    if (same === undefined) byName.set(name, [key]);
    else same.push(key);
  }
  return [...byName]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, from], index) => ({ prefix: `${index === 0 ? '' : ','}${name}="`, keys: from }));
}

/** Both formats: backslash, double quote and line feed. */
export function escapeLabelValue(value: string): string {
  return /[\\"\n]/.test(value) ? value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n') : value;
}

/** Text 0.0.4 escapes backslash and line feed, OpenMetrics the double quote as well. */
export function escapeHelp(text: string, isOpenMetrics: boolean): string {
  const escaped = text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
  return isOpenMetrics ? escaped.replaceAll('"', '\\"') : escaped;
}
