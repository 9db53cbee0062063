// Names and labels as Pyroscope takes them. `name{key=value,...}` has no way to quote: what its parser would misread, or its
// validation refuse with the whole profile, is replaced. Called by pyroscope.ts.
import type { LabelSet } from '../profile/profile.ts';

/** Pyroscope refuses a series of more than 30 by default; it adds six of its own, and samples have theirs. */
const SERIES_LABELS_MAX = 20;

/** Half of what Pyroscope refuses by default. */
const VALUE_CHARS_MAX = 1024;

/** Attributes of a resource that say nothing of use here, or that are another series for every start of a process. */
const LEFT_OUT: ReadonlySet<string> = new Set([
  'service.name',
  'service.instance.id',
  'host.arch',
  'os.type',
  'process.pid',
  'process.executable.name',
  'telemetry.sdk.language',
  'telemetry.sdk.name',
  'telemetry.sdk.version',
]);

/** Labels that Pyroscope sets itself, or reads as something else. */
const RESERVED: ReadonlySet<string> = new Set(['service_name', 'app_name', 'profile_id', 'pyroscope_spy']);

/** Labels of samples that Pyroscope keeps apart and does not make series of. */
const TRACE_ID = 'trace_id';

/** The `name` of a push: which application, and the labels of all its profiles. */
export function seriesName(application: string, labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
  return `${application.replace(/[^a-zA-Z0-9_\-./]/g, '_')}{${pairs.join(',')}}`;
}

/** Given labels first, then what the resource says, up to what Pyroscope takes; and the names of those beyond. */
export function seriesLabels(
  given: Readonly<Record<string, string>>,
  resource: Readonly<Record<string, string | number>>,
): { labels: Readonly<Record<string, string>>; dropped: readonly string[] } {
  const labels: Record<string, string> = {};
  const dropped: string[] = [];
  const found = Object.entries(resource).filter(([name]) => !LEFT_OUT.has(name));
  for (const [name, value] of [...Object.entries(given), ...found]) {
    const label = labelName(name);
    // Its parser ends a value at either, and cuts what surrounds it.
    const text = String(value)
      .trim()
      .slice(0, VALUE_CHARS_MAX)
      .replace(/[,}\p{Cc}]/gu, '_');
    if (label === undefined || text === '' || Object.hasOwn(labels, label)) continue;
    if (Object.keys(labels).length < SERIES_LABELS_MAX) labels[label] = text;
    else dropped.push(name);
  }
  return { labels, dropped };
}

/** The labels of a sample: `http.route` as `http_route`, `span_id`, `trace_id`, `thread` and the application's own. */
export function sampleLabels(set: LabelSet, { traceIds }: { readonly traceIds: boolean }): LabelSet {
  const labels: Record<string, string> = {};
  for (const [name, value] of Object.entries(set)) {
    const label = labelName(name);
    if (label === undefined || value === '' || (label === TRACE_ID && !traceIds)) continue;
    labels[label] = value.slice(0, VALUE_CHARS_MAX);
  }
  return labels;
}

/** A label name that Pyroscope takes in every version; undefined for one that is not ours to set. */
function labelName(name: string): string | undefined {
  const legal = name.replace(/[^a-zA-Z0-9_]/g, '_').replace(/^(?=[0-9])/, '_');
  return legal === '' || legal.startsWith('__') || RESERVED.has(legal) ? undefined : legal;
}
