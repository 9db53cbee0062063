// Every setting of Sonde: options, then SONDE_*, then OTEL_*, then defaults. The only reader of the environment.
// All problems are found in one pass; `start()` throws them as one ConfigError, the preload says them and goes on
// with the defaults. An empty variable counts as unset, and only `true` is true (OpenTelemetry specification).
import type { DiagLevel } from './core/diag.ts';
import { LEAK_SETTINGS, type LeakSettings } from './leak/detector.ts';
import type { ConsoleMode } from './logs/console.ts';
import type { ConfigProblem, Options } from './options.ts';
import type { PropagationOptions } from './trace/propagation.ts';
import { SAMPLER_NAMES, type SamplerName } from './trace/sampling.ts';
import type { SpanLimits } from './trace/span.ts';

/** The semantic conventions' known methods; anything else is `_OTHER`. */
const KNOWN_METHODS: readonly string[] = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH', 'QUERY'];

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

/** What Sonde runs with. */
export interface Config {
  readonly enabled: boolean;
  readonly metrics: boolean;
  readonly traces: boolean;
  readonly logs: boolean;
  readonly profiling: boolean;
  readonly sourceMaps: boolean;
  readonly leaks: boolean;
  readonly logLevel: DiagLevel;
  /** Undefined: found by `core/resource`. */
  readonly serviceName: string | undefined;
  readonly resourceAttributes: Readonly<Record<string, string>>;
  readonly host: string;
  /** Undefined: 9464, or the next free one of ten. */
  readonly port: number | undefined;
  readonly token: string | undefined;
  readonly sampler: SamplerName;
  readonly samplerRatio: number;
  readonly propagation: PropagationOptions;
  readonly spanLimits: SpanLimits;
  readonly seriesLimit: number;
  readonly knownMethods: readonly string[];
  readonly promClientMetrics: boolean;
  readonly console: ConsoleMode;
  readonly leakSettings: LeakSettings;
  readonly otlpTraces: OtlpConfig | undefined;
  readonly otlpMetrics: OtlpConfig | undefined;
  readonly batch: BatchConfig;
  readonly metricExportIntervalMillis: number;
}

/** The batching of spans for the push (`OTEL_BSP_*`). */
interface BatchConfig {
  readonly scheduleDelayMillis: number;
  readonly maxQueueSize: number;
  readonly maxExportBatchSize: number;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** The environment of this process. */
export function processEnvironment(): Environment {
  return process.env;
}

const BOOLEAN = 'true or false';

/** Reads settings by name and collects what is wrong with them. */
class Reader {
  readonly problems: ConfigProblem[] = [];
  readonly #env: Environment;

  constructor(env: Environment) {
    this.#env = env;
  }

  /** The first of the variables that is set, with its name. */
  #first(names: readonly string[]): { name: string; value: string } | undefined {
    for (const name of names) {
      const value = this.#env[name]?.trim();
      if (value !== undefined && value !== '') return { name, value };
    }
    return undefined;
  }

  /**
   * The option when it is given, else the first variable that is set, else the default; a value that `parse` answers
   * with undefined is a problem and the default is used.
   */
  read<T>(
    option: [name: string, value: T | undefined] | undefined,
    names: readonly string[],
    parse: (text: string) => T | undefined,
    accepted: string,
    fallback: T,
  ): T {
    const given = option?.[1];
    const set = given === undefined ? this.#first(names) : { name: `options.${option![0]}`, value: String(given) };
    if (set === undefined) return fallback;
    const parsed = parse(set.value);
    if (parsed !== undefined) return parsed;
    this.problem(set.name, set.value, accepted);
    return fallback;
  }

  problem(name: string, value: string, accepted: string): void {
    // A variable for both signals is read for each of them.
    if (!this.problems.some((known) => known.name === name)) this.problems.push({ name, value, accepted });
  }

  text(option: [string, string | undefined] | undefined, ...names: string[]): string | undefined {
    return this.read<string | undefined>(option, names, (text) => text, 'text', undefined);
  }

  flag(option: [string, boolean | undefined] | undefined, names: readonly string[], fallback: boolean): boolean {
    return this.read(option, names, parseBoolean, BOOLEAN, fallback);
  }

  integer(
    option: [string, number | undefined] | undefined,
    names: readonly string[],
    [min, max]: readonly [number, number],
    fallback: number,
  ): number {
    return this.read(option, names, (text) => parseInteger(text, min, max), `a whole number from ${min} to ${max}`, fallback);
  }

  oneOf<T extends string>(option: [string, T | undefined] | undefined, names: readonly string[], values: readonly T[], fallback: T): T {
    return this.read(
      option,
      names,
      (text) => values.find((value) => value === text.toLowerCase()),
      `one of ${values.join(', ')}`,
      fallback,
    );
  }
}

function parseBoolean(text: string): boolean | undefined {
  const lower = text.toLowerCase();
  return lower === 'true' ? true : lower === 'false' ? false : undefined;
}

function parseInteger(text: string, min: number, max: number): number | undefined {
  if (!/^\d+$/.test(text)) return undefined;
  const value = Number(text);
  return value >= min && value <= max ? value : undefined;
}

/** Timers of Node overflow past this. */
const MILLIS_MAX = 2_147_483_647;

/** Reads the configuration; never throws. */
export function readConfig(options: Options, env: Environment): { config: Config; problems: readonly ConfigProblem[] } {
  const reader = new Reader(env);
  const resource = readResource(reader, options);
  const disabled = reader.flag(undefined, ['OTEL_SDK_DISABLED'], false);
  const config: Config = {
    enabled: reader.flag(['enabled', options.enabled], ['SONDE_ENABLED'], true) && !disabled,
    metrics: reader.flag(['metrics', options.metrics], ['SONDE_METRICS'], true),
    traces: reader.flag(['traces', options.traces], ['SONDE_TRACES'], true),
    logs: reader.flag(['logs', options.logs], ['SONDE_LOGS'], true),
    profiling: reader.flag(['profiling', options.profiling], ['SONDE_PROFILING'], true),
    sourceMaps: reader.flag(['sourceMaps', options.sourceMaps], ['SONDE_SOURCE_MAPS'], true),
    leaks: reader.flag(['leaks', options.leaks], ['SONDE_LEAKS'], true),
    logLevel: readLogLevel(reader),
    serviceName: reader.text(['serviceName', options.serviceName], 'OTEL_SERVICE_NAME') ?? resource['service.name'],
    resourceAttributes: resource,
    host: reader.text(['host', options.host], 'SONDE_HOST', 'OTEL_EXPORTER_PROMETHEUS_HOST') ?? '127.0.0.1',
    port: readPort(reader, options),
    token: reader.text(['token', options.token], 'SONDE_TOKEN'),
    ...readSampler(reader, options),
    propagation: readPropagators(reader),
    spanLimits: readSpanLimits(reader),
    seriesLimit: reader.integer(['seriesLimit', options.seriesLimit], ['SONDE_SERIES_LIMIT'], [1, 100_000], 2000),
    knownMethods: reader.read(
      undefined,
      ['OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS'],
      parseList,
      'a list of methods separated by commas',
      KNOWN_METHODS,
    ),
    promClientMetrics: reader.flag(['promClientMetrics', options.promClientMetrics], ['SONDE_PROM_CLIENT_METRICS'], true),
    console: reader.oneOf(['console', options.console], ['SONDE_LOGS_CONSOLE'], ['json', 'all', 'off'], 'json'),
    leakSettings: {
      warmUpSeconds: reader.integer(undefined, ['SONDE_LEAKS_WARM_UP_SECONDS'], [0, 86_400], LEAK_SETTINGS.warmUpSeconds),
      windowSeconds: reader.integer(undefined, ['SONDE_LEAKS_WINDOW_SECONDS'], [5, 86_400], LEAK_SETTINGS.windowSeconds),
      minGrowthBytes: reader.integer(
        undefined,
        ['SONDE_LEAKS_MIN_GROWTH_BYTES'],
        [1_048_576, Number.MAX_SAFE_INTEGER],
        LEAK_SETTINGS.minGrowthBytes,
      ),
    },
    otlpTraces: readOtlp(reader, options, 'TRACES'),
    otlpMetrics: readOtlp(reader, options, 'METRICS'),
    batch: {
      scheduleDelayMillis: reader.integer(undefined, ['OTEL_BSP_SCHEDULE_DELAY'], [1, MILLIS_MAX], 5000),
      maxQueueSize: reader.integer(undefined, ['OTEL_BSP_MAX_QUEUE_SIZE'], [1, 1_000_000], 2048),
      maxExportBatchSize: reader.integer(undefined, ['OTEL_BSP_MAX_EXPORT_BATCH_SIZE'], [1, 65_536], 512),
    },
    metricExportIntervalMillis: reader.integer(undefined, ['OTEL_METRIC_EXPORT_INTERVAL'], [1, MILLIS_MAX], 60_000),
  };
  return { config, problems: reader.problems };
}

function readLogLevel(reader: Reader): DiagLevel {
  const level = reader.oneOf(undefined, ['OTEL_LOG_LEVEL'], ['none', 'error', 'warn', 'info', 'debug', 'verbose', 'all'], 'warn');
  return level === 'verbose' || level === 'all' ? 'debug' : level;
}

function readPort(reader: Reader, options: Options): number | undefined {
  const port = reader.integer(['port', options.port], ['SONDE_PORT', 'OTEL_EXPORTER_PROMETHEUS_PORT'], [0, 65_535], -1);
  return port === -1 ? undefined : port;
}

function readSampler(reader: Reader, options: Options): { sampler: SamplerName; samplerRatio: number } {
  const sampler = reader.oneOf<SamplerName>(['sampler', options.sampler], ['OTEL_TRACES_SAMPLER'], SAMPLER_NAMES, 'parentbased_always_on');
  const parseRatio = (text: string): number | undefined => {
    const ratio = Number(text);
    return ratio >= 0 && ratio <= 1 ? ratio : undefined;
  };
  const samplerRatio = sampler.endsWith('traceidratio')
    ? reader.read(['samplerRatio', options.samplerRatio], ['OTEL_TRACES_SAMPLER_ARG'], parseRatio, 'a number from 0 to 1', 1)
    : 1;
  return { sampler, samplerRatio };
}

function readPropagators(reader: Reader): PropagationOptions {
  const known = ['tracecontext', 'baggage', 'none'];
  const parse = (text: string): string[] | undefined => {
    const names = parseList(text)?.map((name) => name.toLowerCase());
    return names?.every((name) => known.includes(name)) ? names : undefined;
  };
  const names = reader.read(undefined, ['OTEL_PROPAGATORS'], parse, 'a list of tracecontext, baggage, none', ['tracecontext', 'baggage']);
  const none = names.includes('none');
  return { traceContext: !none && names.includes('tracecontext'), baggage: !none && names.includes('baggage') };
}

function readSpanLimits(reader: Reader): SpanLimits {
  const count = (...names: string[]): number => reader.integer(undefined, names, [0, 1_000_000], 128);
  return {
    attributeCount: count('OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT', 'OTEL_ATTRIBUTE_COUNT_LIMIT'),
    attributeValueLength: reader.integer(
      undefined,
      ['OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT', 'OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT'],
      [0, 1_000_000_000],
      Infinity,
    ),
    eventCount: count('OTEL_SPAN_EVENT_COUNT_LIMIT'),
    linkCount: count('OTEL_SPAN_LINK_COUNT_LIMIT'),
    attributePerEventCount: count('OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT', 'OTEL_SPAN_ATTRIBUTE_PER_EVENT_COUNT_LIMIT'),
    attributePerLinkCount: count('OTEL_LINK_ATTRIBUTE_COUNT_LIMIT', 'OTEL_SPAN_ATTRIBUTE_PER_LINK_COUNT_LIMIT'),
  };
}

function readResource(reader: Reader, options: Options): Readonly<Record<string, string>> {
  const fromEnv = reader.read(
    undefined,
    ['OTEL_RESOURCE_ATTRIBUTES'],
    parsePairs,
    'a list of key=value pairs separated by commas, percent-encoded',
    {},
  );
  return { ...fromEnv, ...options.resourceAttributes };
}

function readOtlp(reader: Reader, options: Options, signal: 'TRACES' | 'METRICS'): OtlpConfig | undefined {
  const names = (suffix: string): string[] => [`OTEL_EXPORTER_OTLP_${signal}_${suffix}`, `OTEL_EXPORTER_OTLP_${suffix}`];
  // Prometheus is always served, so naming it asks for nothing more.
  const exporters = signal === 'METRICS' ? (['otlp', 'prometheus', 'none'] as const) : (['otlp', 'none'] as const);
  const exporter = reader.oneOf<'otlp' | 'prometheus' | 'none'>(undefined, [`OTEL_${signal}_EXPORTER`], exporters, 'otlp');
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
function readOtlpUrl(reader: Reader, options: Options, signal: 'TRACES' | 'METRICS'): string | undefined {
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
  return base === undefined ? undefined : `${base.replace(/\/+$/, '')}/v1/${signal.toLowerCase()}`;
}

function parseUrl(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined;
  return /^https?:$/.test(new URL(text).protocol) ? text : undefined;
}

function parseList(text: string): string[] | undefined {
  const items = text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
  return items.length === 0 ? undefined : items;
}

function parsePairs(text: string): Record<string, string> | undefined {
  const pairs: Record<string, string> = {};
  for (const item of parseList(text) ?? []) {
    const equals = item.indexOf('=');
    if (equals <= 0) return undefined;
    try {
      pairs[decodeURIComponent(item.slice(0, equals).trim())] = decodeURIComponent(item.slice(equals + 1).trim());
    } catch {
      return undefined;
    }
  }
  return pairs;
}
