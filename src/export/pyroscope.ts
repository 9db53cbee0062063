// Pushes profiles to Grafana Pyroscope, or to Alloy in front of it: `POST {server}/ingest` with one gzipped pprof each for CPU,
// wall and heap, as its documented HTTP API takes them. Sent raw and apart, because Pyroscope names a profile by its sample
// types: any `wall` among them makes it `wall`, else `cpu` makes it `process_cpu` and `inuse_` or `alloc_` make it `memory`.
// Facts from the source of Pyroscope 2 (pkg/og/convert/pprof, api/model/labelset, pkg/validation). sdk.ts makes the exporter.
import type { Profile } from '../profile/profile.ts';
import type { Message, Protocol } from './delivery.ts';
import { ProfileExporter, type ProfileEncoding, type ProfileExporterDeps, type ProfileExporterOptions } from './profile-exporter.ts';
import { sampleLabels, seriesLabels, seriesName } from './pyroscope-labels.ts';

/** What Pyroscope refuses by default above: a profile of more samples, or of more bytes before compression. */
const LIMITS = { samples: 16_000, bytes: 4 * 1024 * 1024 } as const;

/** By this name Pyroscope knows the language. */
const SPY_NAME = 'nodespy';

export interface PyroscopeOptions extends ProfileExporterOptions {
  /** Letters, digits and `_-./`; undefined: the service's name. */
  readonly applicationName: string | undefined;
  /** Labels of every profile (`PYROSCOPE_LABELS`). */
  readonly labels: Readonly<Record<string, string>>;
  /** Whether samples carry `trace_id`. Pyroscope before June 2026 makes a series of each trace of it. */
  readonly traceIds: boolean;
}

/** What is handed in of profile/: how to cut a profile, and how to write it as gzipped pprof. */
interface PprofFormat {
  split(profile: Profile, limits: { readonly samples: number; readonly bytes: number }): Promise<readonly Profile[]>;
  encode(profile: Profile): Promise<Uint8Array>;
}

/** What the exporter is handed besides. */
export interface PyroscopeDeps extends ProfileExporterDeps {
  readonly resource: { readonly attributes: Readonly<Record<string, string | number>> };
  readonly pprof: PprofFormat;
}

/** As Alloy's: with any of these the same profile may be accepted later. */
const RETRYABLE_STATUSES: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504]);

const CHECK_CREDENTIALS =
  'check PYROSCOPE_AUTH_TOKEN, or PYROSCOPE_BASIC_AUTH_USER and PYROSCOPE_BASIC_AUTH_PASSWORD, and PYROSCOPE_TENANT_ID';

const PROTOCOL: Protocol<Uint8Array> = {
  contentType: 'application/octet-stream',
  retryableStatuses: RETRYABLE_STATUSES,
  advice: {
    headers: 'check PYROSCOPE_HTTP_HEADERS and the credentials',
    '401': CHECK_CREDENTIALS,
    '403': CHECK_CREDENTIALS,
    '404': 'check PYROSCOPE_SERVER_ADDRESS, to which /ingest is added',
    '413': 'lower PYROSCOPE_FLUSH_INTERVAL_MS or raise the limit of the server',
    ECONNREFUSED: 'check that Pyroscope is listening there',
    ENOTFOUND: 'check the host name in PYROSCOPE_SERVER_ADDRESS',
    HPE: "check that this is the server's HTTP port; Pyroscope has 4040",
  },
  serialize: (pprof) => pprof,
  partialSuccess: () => undefined,
};

/** An exporter that is not started. The body is compressed whatever `options.compression` says, which is about HTTP's. */
export function pyroscopeExporter(options: PyroscopeOptions, deps: PyroscopeDeps): ProfileExporter {
  const { labels, dropped } = seriesLabels(options.labels, deps.resource.attributes);
  if (dropped.length > 0) {
    deps.diag.warn('pyroscope:labels', `Pyroscope takes few labels, these resource attributes are left out: ${dropped.join(', ')}`);
  }
  const name = seriesName(options.applicationName ?? String(deps.resource.attributes['service.name']), labels);
  const encoding: ProfileEncoding = {
    part: 'pyroscope',
    protocol: () => Promise.resolve(PROTOCOL),
    encode: async (profiles) => {
      const messages: Message<Uint8Array>[] = [];
      for (const profile of profiles) {
        if (profile.sampleNodes.length === 0) continue;
        const labelSets = profile.labelSets.map((set) => sampleLabels(set, options));
        for (const part of await deps.pprof.split({ ...profile, labelSets }, LIMITS)) {
          messages.push({ items: 1, value: await deps.pprof.encode(part), query: queryOf(name, part) });
        }
      }
      return messages;
    },
  };
  return new ProfileExporter(options, deps, encoding);
}

function queryOf(name: string, { startEpochMillis, durationMillis, periodType, period }: Profile): string {
  const query = new URLSearchParams({
    name,
    from: String(Math.floor(startEpochMillis / 1000)),
    until: String(Math.ceil((startEpochMillis + durationMillis) / 1000)),
    format: 'pprof',
    spyName: SPY_NAME,
  });
  if (periodType.unit === 'nanoseconds') query.set('sampleRate', String(Math.round(1e9 / period)));
  return query.toString();
}
