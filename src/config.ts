// Every setting of Sonde: options, then SONDE_*, then OTEL_*, then defaults. The only reader of the environment.
// All problems are found in one pass; `start()` throws them as one ConfigError, the preload says them and goes on
// with the defaults. An empty variable counts as unset, and only `true` is true (OpenTelemetry specification).
import {
  MILLIS_MAX,
  readBatch,
  readOtlp,
  readOtlpProfiles,
  type BatchConfig,
  type OtlpConfig,
  type OtlpProfilesConfig,
} from './config-otlp.ts';
import { checkOptions } from './config-options.ts';
import { readPyroscope, type PyroscopeConfig } from './config-pyroscope.ts';
import { parseList, parsePairs, Reader, type Environment } from './config-reader.ts';
import type { DiagLevel } from './core/diag.ts';
import { LEAK_SETTINGS, type LeakSettings } from './leak/settings.ts';
import type { ConsoleMode } from './logs/console.ts';
import type { ConfigProblem, LeakListener, Options } from './options.ts';
import type { PropagationOptions } from './trace/propagation.ts';
import { SAMPLER_NAMES, type SamplerName } from './trace/sampling.ts';
import type { SpanLimits } from './trace/span.ts';

/** The semantic conventions' known methods; anything else is `_OTHER`. */
const KNOWN_METHODS: readonly string[] = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH', 'QUERY'];

/** What Sonde runs with. */
export interface Config {
  readonly enabled: boolean;
  readonly metrics: boolean;
  readonly traces: boolean;
  readonly logs: boolean;
  readonly profiling: boolean;
  readonly sourceMaps: boolean;
  readonly leaks: boolean;
  readonly heapSnapshot: boolean;
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
  /** Samples a second of continuous profiles. */
  readonly profilingHz: number;
  /** Mean bytes between two samples of the heap. */
  readonly heapIntervalBytes: number;
  readonly profileHistoryBytes: number;
  readonly stallMillis: number;
  readonly overheadCpuPercent: number;
  readonly overheadMemoryBytes: number;
  readonly leakSettings: LeakSettings;
  /** Told of each change of a finding's level; what it answers is a promise at most. */
  readonly onLeak: LeakListener | undefined;
  /** Where evidence of a process that runs out of memory is written; undefined: nowhere. */
  readonly dumpDirectory: string | undefined;
  /** Holds proc and sys of this process. */
  readonly cgroupRoot: string;
  readonly otlpTraces: OtlpConfig | undefined;
  readonly otlpMetrics: OtlpConfig | undefined;
  readonly otlpLogs: OtlpConfig | undefined;
  readonly batch: BatchConfig;
  readonly logBatch: BatchConfig;
  readonly metricExportIntervalMillis: number;
  readonly otlpProfiles: OtlpProfilesConfig | undefined;
  readonly pyroscope: PyroscopeConfig | undefined;
}

/** The environment of this process. */
export function processEnvironment(): Environment {
  return process.env;
}

/** Reads the configuration; never throws. */
export function readConfig(options: Options, env: Environment): { config: Config; problems: readonly ConfigProblem[] } {
  const reader = new Reader(env);
  checkOptions(reader, options);
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
    heapSnapshot: reader.flag(['heapSnapshot', options.heapSnapshot], ['SONDE_HEAP_SNAPSHOT'], false),
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
    profilingHz: reader.integer(['profile.hz', options.profile?.hz], ['SONDE_PROFILING_HZ'], [10, 500], 49),
    heapIntervalBytes: reader.integer(
      ['profile.heapIntervalBytes', options.profile?.heapIntervalBytes],
      ['SONDE_PROFILING_HEAP_INTERVAL_BYTES'],
      [16_384, 67_108_864],
      1_048_576,
    ),
    profileHistoryBytes: reader.integer(
      ['profile.historyBytes', options.profile?.historyBytes],
      ['SONDE_PROFILING_HISTORY_BYTES'],
      [1_048_576, 1_073_741_824],
      8 * 1_048_576,
    ),
    stallMillis: reader.integer(['profile.stallMillis', options.profile?.stallMillis], ['SONDE_STALL_MILLIS'], [20, 60_000], 100),
    overheadCpuPercent: readCpuPercent(reader, options),
    overheadMemoryBytes: reader.integer(
      ['overhead.memoryBytes', options.overhead?.memoryBytes],
      ['SONDE_OVERHEAD_MEMORY_BYTES'],
      [8 * 1_048_576, Number.MAX_SAFE_INTEGER],
      32 * 1_048_576,
    ),
    leakSettings: {
      warmUpSeconds: reader.integer(undefined, ['SONDE_LEAKS_WARM_UP_SECONDS'], [0, 86_400], LEAK_SETTINGS.warmUpSeconds),
      windowSeconds: reader.integer(undefined, ['SONDE_LEAKS_WINDOW_SECONDS'], [5, 86_400], LEAK_SETTINGS.windowSeconds),
      minGrowthBytes: reader.integer(
        undefined,
        ['SONDE_LEAKS_MIN_GROWTH_BYTES'],
        [1_048_576, Number.MAX_SAFE_INTEGER],
        LEAK_SETTINGS.minGrowthBytes,
      ),
      collectGarbage: reader.flag(
        ['leak.collectGarbage', options.leak?.collectGarbage],
        ['SONDE_LEAKS_COLLECT_GARBAGE'],
        LEAK_SETTINGS.collectGarbage,
      ),
    },
    onLeak: readOnLeak(reader, options),
    dumpDirectory: reader.text(['leak.dumpDirectory', options.leak?.dumpDirectory], 'SONDE_DUMP_DIR'),
    cgroupRoot: reader.text(undefined, 'SONDE_CGROUP_ROOT') ?? '/',
    otlpTraces: readOtlp(reader, options, 'TRACES'),
    otlpMetrics: readOtlp(reader, options, 'METRICS'),
    otlpLogs: readOtlp(reader, options, 'LOGS'),
    batch: readBatch(reader, 'OTEL_BSP', 5000),
    logBatch: readBatch(reader, 'OTEL_BLRP', 1000),
    metricExportIntervalMillis: reader.integer(undefined, ['OTEL_METRIC_EXPORT_INTERVAL'], [1, MILLIS_MAX], 60_000),
    otlpProfiles: readOtlpProfiles(reader, options),
    pyroscope: readPyroscope(reader, options),
  };
  return { config, problems: reader.problems };
}

function readCpuPercent(reader: Reader, options: Options): number {
  const parse = (text: string): number | undefined => {
    const percent = Number(text);
    return percent >= 0.1 && percent <= 100 ? percent : undefined;
  };
  const given: [string, number | undefined] = ['overhead.cpuPercent', options.overhead?.cpuPercent];
  return reader.read(given, ['SONDE_OVERHEAD_CPU_PERCENT'], parse, 'a number from 0.1 to 100', 2);
}

/** A setting that is a function comes from options only, and only JavaScript can pass anything else. */
function readOnLeak(reader: Reader, options: Options): LeakListener | undefined {
  const given: unknown = options.leak?.onLeak;
  if (given === undefined || typeof given === 'function') return options.leak?.onLeak;
  reader.problem('options.leak.onLeak', String(given), 'a function');
  return undefined;
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
