// The settings of the push by OTLP: OTEL_EXPORTER_OTLP_*, of each signal and of all, and the batching of what is queued.
// Called by config.ts, which hands the environment in.
import { parsePairs, parseUrl, type Reader } from './config-reader.ts';
import type { Options } from './options.ts';

/** Timers of Node overflow past this. */
export const MILLIS_MAX = 2_147_483_647;

/** Where and how one signal is pushed by OTLP. */
export interface OtlpConfig {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly protocol: 'http/protobuf' | 'http/json';
  readonly compression: 'none' | 'gzip';
  readonly timeoutMillis: number;
  /** Paths of PEM files. */
  readonly certificate: string | undefined;
  readonly clientKey: string | undefined;
  readonly clientCertificate: string | undefined;
}

/** The push of profiles by OTLP, which is experimental. */
export interface OtlpProfilesConfig extends OtlpConfig {
  readonly intervalMillis: number;
}

/** The batching of spans or log records for the push (`OTEL_BSP_*`, `OTEL_BLRP_*`). */
export interface BatchConfig {
  readonly scheduleDelayMillis: number;
  readonly maxQueueSize: number;
  readonly maxExportBatchSize: number;
}

/** As the path of each signal is called. */
const OTLP_PATHS = { TRACES: 'v1/traces', METRICS: 'v1/metrics', LOGS: 'v1/logs', PROFILES: 'v1development/profiles' } as const;

/** Pushed when asked for, and to an endpoint that is given for profiles alone. */
export function readOtlpProfiles(reader: Reader, options: Options): OtlpProfilesConfig | undefined {
  const own = reader.text(undefined, 'OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT') !== undefined;
  const wanted = reader.flag(['otlp.profiles', options.otlp?.profiles], ['SONDE_OTLP_PROFILES'], own);
  const seconds = reader.integer(undefined, ['SONDE_OTLP_PROFILES_INTERVAL_SECONDS'], [1, 900], 60);
  const otlp = readOtlp(reader, options, 'PROFILES');
  if (wanted && !own && otlp === undefined) {
    reader.problem('SONDE_OTLP_PROFILES', 'true', 'usable without an endpoint, set OTEL_EXPORTER_OTLP_ENDPOINT');
  }
  return wanted && otlp !== undefined ? { ...otlp, intervalMillis: seconds * 1000 } : undefined;
}

export function readOtlp(reader: Reader, options: Options, signal: keyof typeof OTLP_PATHS): OtlpConfig | undefined {
  const names = (suffix: string): string[] => [`OTEL_EXPORTER_OTLP_${signal}_${suffix}`, `OTEL_EXPORTER_OTLP_${suffix}`];
  // Prometheus is always served, so naming it asks for nothing more.
  const exporters = signal === 'METRICS' ? (['otlp', 'prometheus', 'none'] as const) : (['otlp', 'none'] as const);
  // The specification has no such variable for profiles, which are asked for.
  const exporterNames = signal === 'PROFILES' ? [] : [`OTEL_${signal}_EXPORTER`];
  const exporter = reader.oneOf<'otlp' | 'prometheus' | 'none'>(undefined, exporterNames, exporters, 'otlp');
  const url = readOtlpUrl(reader, options, signal);
  const given = options.otlp;
  // Read even when nothing is pushed, so that a wrong value is said today and not on the day of the first push.
  const protocol = reader.oneOf(['otlp.protocol', given?.protocol], names('PROTOCOL'), ['http/protobuf', 'http/json'], 'http/protobuf');
  const compression = reader.oneOf(['otlp.compression', given?.compression], names('COMPRESSION'), ['none', 'gzip'], 'none');
  const timeoutMillis = reader.integer(['otlp.timeoutMillis', given?.timeoutMillis], names('TIMEOUT'), [1, MILLIS_MAX], 10_000);
  const headers = reader.read(undefined, names('HEADERS'), parsePairs, 'a list of key=value pairs separated by commas', {});
  if (url === undefined || exporter !== 'otlp') return undefined;
  return {
    url,
    protocol,
    compression,
    timeoutMillis,
    headers: { ...headers, ...given?.headers },
    certificate: reader.text(undefined, ...names('CERTIFICATE')),
    clientKey: reader.text(undefined, ...names('CLIENT_KEY')),
    clientCertificate: reader.text(undefined, ...names('CLIENT_CERTIFICATE')),
  };
}

/** A signal's own endpoint is used as it is; the general one is a base to which the signal's path is added. */
function readOtlpUrl(reader: Reader, options: Options, signal: keyof typeof OTLP_PATHS): string | undefined {
  const accepted = 'an http:// or https:// URL';
  const own =
    options.otlp?.endpoint === undefined
      ? reader.read<string | undefined>(undefined, [`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`], parseUrl, accepted, undefined)
      : undefined;
  if (own !== undefined) return own;
  const base = reader.read<string | undefined>(
    ['otlp.endpoint', options.otlp?.endpoint],
    ['OTEL_EXPORTER_OTLP_ENDPOINT'],
    parseUrl,
    accepted,
    undefined,
  );
  return base === undefined ? undefined : `${base.replace(/\/+$/, '')}/${OTLP_PATHS[signal]}`;
}

/** The delays are the specification's. */
export function readBatch(reader: Reader, prefix: 'OTEL_BSP' | 'OTEL_BLRP', delayMillis: number): BatchConfig {
  return {
    scheduleDelayMillis: reader.integer(undefined, [`${prefix}_SCHEDULE_DELAY`], [1, MILLIS_MAX], delayMillis),
    maxQueueSize: reader.integer(undefined, [`${prefix}_MAX_QUEUE_SIZE`], [1, 1_000_000], 2048),
    maxExportBatchSize: reader.integer(undefined, [`${prefix}_MAX_EXPORT_BATCH_SIZE`], [1, 65_536], 512),
  };
}
