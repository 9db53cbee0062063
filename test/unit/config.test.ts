// Every setting: what is accepted, what is reported and replaced by the default, and who wins.
import { describe, expect, it } from 'vitest';
import { readConfig, type Config } from '../../src/config.ts';
import type { Environment } from '../../src/config-reader.ts';
import { ConfigError, describeProblem, type Options } from '../../src/options.ts';

const DEFAULTS = readConfig({}, {}).config;

function read(env: Environment, options: Options = {}): { config: Config; problems: string[] } {
  const { config, problems } = readConfig(options, env);
  return { config, problems: problems.map(describeProblem) };
}

/** One variable: where its value ends up, values that are accepted with what they become, values that are not. */
interface Row {
  readonly name: string;
  readonly path: (config: Config) => unknown;
  readonly good: readonly (readonly [text: string, value: unknown])[];
  readonly bad: readonly string[];
  /** What the problem says would be accepted. */
  readonly accepted?: string;
  /** Variables without which this one is not read. */
  readonly with?: Environment;
}

const flag = (name: string, path: Row['path']): Row => ({
  name,
  path,
  good: [
    ['true', true],
    ['false', false],
    ['TRUE', true],
    [' False ', false],
  ],
  bad: ['1', '0', 'yes', 'on', 'truee'],
  accepted: 'true or false',
});
const integer = (name: string, path: Row['path'], min: number, max: number, env: Environment = {}): Row => ({
  name,
  path,
  good: [
    [String(min), min],
    [String(max), max],
    [` ${min + 1} `, min + 1],
  ],
  bad: [String(min - 1), String(max + 1), 'x', `${min}.5`, '1e3', '0x10', 'NaN', 'Infinity', `${min + 1}s`],
  accepted: `a whole number from ${min} to ${max}`,
  with: env,
});
const oneOf = (name: string, path: Row['path'], values: readonly string[], env: Environment = {}): Row => ({
  name,
  path,
  good: values.flatMap((value) => [[value, value] as const, [value.toUpperCase(), value] as const]),
  bad: ['nonsense', `${values[0]},${values[0]}`],
  accepted: `one of ${values.join(', ')}`,
  with: env,
});
const text = (name: string, path: Row['path'], env: Environment = {}): Row => ({
  name,
  path,
  good: [
    ['any text', 'any text'],
    [' trimmed ', 'trimmed'],
  ],
  bad: [],
  with: env,
});

const MILLIS_MAX = 2_147_483_647;
const PUSH = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' };
const PUSH_PROFILES = { ...PUSH, SONDE_OTLP_PROFILES: 'true' };
const PYROSCOPE = { PYROSCOPE_SERVER_ADDRESS: 'http://pyroscope:4040' };
const RATIO = { OTEL_TRACES_SAMPLER: 'traceidratio' };
const url = (name: string, path: Row['path'], suffix: string): Row => ({
  name,
  path,
  good: [
    ['http://h:4318', `http://h:4318${suffix}`],
    ['https://h/base', `https://h/base${suffix}`],
    ...(suffix === '' ? [] : [['http://h:4318//', `http://h:4318${suffix}`] as const]),
  ],
  bad: ['h:4318', 'localhost', 'ftp://h', 'file:///etc', 'http://', '://'],
  accepted: 'an http:// or https:// URL',
});
const pairs = (name: string, path: Row['path'], env: Environment, accepted: string): Row => ({
  name,
  path,
  good: [
    ['a=1', { a: '1' }],
    ['a=1,b=2', { a: '1', b: '2' }],
    [' a = 1 , , b=x=y', { a: '1', b: 'x=y' }],
    ['a=%C3%A9%2C', { a: 'é,' }],
    ['a=', { a: '' }],
  ],
  bad: ['a', '=1', 'a=1,b', 'a=%', 'a=%zz', '%=1'],
  accepted,
  with: env,
});

const ROWS: readonly Row[] = [
  flag('SONDE_ENABLED', (c) => c.enabled),
  flag('SONDE_METRICS', (c) => c.metrics),
  flag('SONDE_TRACES', (c) => c.traces),
  flag('SONDE_LOGS', (c) => c.logs),
  flag('SONDE_PROFILING', (c) => c.profiling),
  flag('SONDE_SOURCE_MAPS', (c) => c.sourceMaps),
  flag('SONDE_LEAKS', (c) => c.leaks),
  flag('SONDE_LEAKS_COLLECT_GARBAGE', (c) => c.leakSettings.collectGarbage),
  flag('SONDE_HEAP_SNAPSHOT', (c) => c.heapSnapshot),
  flag('SONDE_PROM_CLIENT_METRICS', (c) => c.promClientMetrics),
  {
    ...flag('OTEL_SDK_DISABLED', (c) => c.enabled),
    good: [
      ['true', false],
      ['false', true],
      ['TRUE', false],
    ],
  },
  {
    ...oneOf('OTEL_LOG_LEVEL', (c) => c.logLevel, ['none', 'error', 'warn', 'info', 'debug', 'verbose', 'all']),
    good: [
      ['none', 'none'],
      ['error', 'error'],
      ['warn', 'warn'],
      ['INFO', 'info'],
      ['debug', 'debug'],
      ['verbose', 'debug'],
      ['all', 'debug'],
    ],
  },
  text('OTEL_SERVICE_NAME', (c) => c.serviceName),
  pairs('OTEL_RESOURCE_ATTRIBUTES', (c) => c.resourceAttributes, {}, 'a list of key=value pairs separated by commas, percent-encoded'),
  text('SONDE_HOST', (c) => c.host),
  text('OTEL_EXPORTER_PROMETHEUS_HOST', (c) => c.host),
  integer('SONDE_PORT', (c) => c.port, 0, 65_535),
  integer('OTEL_EXPORTER_PROMETHEUS_PORT', (c) => c.port, 0, 65_535),
  text('SONDE_TOKEN', (c) => c.token),
  oneOf('OTEL_TRACES_SAMPLER', (c) => c.sampler, [
    'always_on',
    'always_off',
    'traceidratio',
    'parentbased_always_on',
    'parentbased_always_off',
    'parentbased_traceidratio',
  ]),
  {
    name: 'OTEL_TRACES_SAMPLER_ARG',
    path: (c) => c.samplerRatio,
    good: [
      ['0', 0],
      ['1', 1],
      ['0.25', 0.25],
      ['1e-3', 0.001],
    ],
    bad: ['-0.001', '1.001', 'x', 'NaN', '0,5', '50%'],
    accepted: 'a number from 0 to 1',
    with: RATIO,
  },
  {
    name: 'OTEL_PROPAGATORS',
    path: (c) => c.propagation,
    good: [
      ['tracecontext', { traceContext: true, baggage: false }],
      ['baggage', { traceContext: false, baggage: true }],
      ['tracecontext,baggage', { traceContext: true, baggage: true }],
      [' Baggage , TraceContext ', { traceContext: true, baggage: true }],
      ['none', { traceContext: false, baggage: false }],
      ['none,tracecontext', { traceContext: false, baggage: false }],
    ],
    bad: ['b3', 'tracecontext,jaeger', ','],
    accepted: 'a list of tracecontext, baggage, none',
  },
  ...(
    [
      ['OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT', 'attributeCount'],
      ['OTEL_ATTRIBUTE_COUNT_LIMIT', 'attributeCount'],
      ['OTEL_SPAN_EVENT_COUNT_LIMIT', 'eventCount'],
      ['OTEL_SPAN_LINK_COUNT_LIMIT', 'linkCount'],
      ['OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT', 'attributePerEventCount'],
      ['OTEL_SPAN_ATTRIBUTE_PER_EVENT_COUNT_LIMIT', 'attributePerEventCount'],
      ['OTEL_LINK_ATTRIBUTE_COUNT_LIMIT', 'attributePerLinkCount'],
      ['OTEL_SPAN_ATTRIBUTE_PER_LINK_COUNT_LIMIT', 'attributePerLinkCount'],
    ] as const
  ).map(([name, key]) => integer(name, (c) => c.spanLimits[key], 0, 1_000_000)),
  integer('OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT', (c) => c.spanLimits.attributeValueLength, 0, 1_000_000_000),
  integer('OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT', (c) => c.spanLimits.attributeValueLength, 0, 1_000_000_000),
  integer('SONDE_SERIES_LIMIT', (c) => c.seriesLimit, 1, 100_000),
  {
    name: 'OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS',
    path: (c) => c.knownMethods,
    good: [
      ['GET,PURGE', ['GET', 'PURGE']],
      [' GET , ', ['GET']],
    ],
    bad: [',', ',,'],
    accepted: 'a list of methods separated by commas',
  },
  oneOf('SONDE_LOGS_CONSOLE', (c) => c.console, ['json', 'all', 'off']),
  integer('SONDE_PROFILING_HZ', (c) => c.profilingHz, 10, 500),
  integer('SONDE_PROFILING_HEAP_INTERVAL_BYTES', (c) => c.heapIntervalBytes, 16_384, 67_108_864),
  integer('SONDE_PROFILING_HISTORY_BYTES', (c) => c.profileHistoryBytes, 1_048_576, 1_073_741_824),
  integer('SONDE_STALL_MILLIS', (c) => c.stallMillis, 20, 60_000),
  integer('SONDE_OVERHEAD_MEMORY_BYTES', (c) => c.overheadMemoryBytes, 8_388_608, Number.MAX_SAFE_INTEGER),
  integer('SONDE_LEAKS_WARM_UP_SECONDS', (c) => c.leakSettings.warmUpSeconds, 0, 86_400),
  integer('SONDE_LEAKS_WINDOW_SECONDS', (c) => c.leakSettings.windowSeconds, 5, 86_400),
  {
    ...integer('SONDE_LEAKS_MIN_GROWTH_BYTES', (c) => c.leakSettings.minGrowthBytes, 1_048_576, Number.MAX_SAFE_INTEGER),
    good: [
      ['1048576', 1_048_576],
      [String(Number.MAX_SAFE_INTEGER), Number.MAX_SAFE_INTEGER],
    ],
  },
  text('SONDE_DUMP_DIR', (c) => c.dumpDirectory),
  text('SONDE_CGROUP_ROOT', (c) => c.cgroupRoot),
  integer('OTEL_BSP_SCHEDULE_DELAY', (c) => c.batch.scheduleDelayMillis, 1, MILLIS_MAX),
  integer('OTEL_BSP_MAX_QUEUE_SIZE', (c) => c.batch.maxQueueSize, 1, 1_000_000),
  integer('OTEL_BSP_MAX_EXPORT_BATCH_SIZE', (c) => c.batch.maxExportBatchSize, 1, 65_536),
  integer('OTEL_BLRP_SCHEDULE_DELAY', (c) => c.logBatch.scheduleDelayMillis, 1, MILLIS_MAX),
  integer('OTEL_BLRP_MAX_QUEUE_SIZE', (c) => c.logBatch.maxQueueSize, 1, 1_000_000),
  integer('OTEL_BLRP_MAX_EXPORT_BATCH_SIZE', (c) => c.logBatch.maxExportBatchSize, 1, 65_536),
  integer('OTEL_METRIC_EXPORT_INTERVAL', (c) => c.metricExportIntervalMillis, 1, MILLIS_MAX),
  url('OTEL_EXPORTER_OTLP_ENDPOINT', (c) => c.otlpTraces?.url, '/v1/traces'),
  url('OTEL_EXPORTER_OTLP_ENDPOINT', (c) => c.otlpMetrics?.url, '/v1/metrics'),
  url('OTEL_EXPORTER_OTLP_ENDPOINT', (c) => c.otlpLogs?.url, '/v1/logs'),
  url('OTEL_EXPORTER_OTLP_LOGS_ENDPOINT', (c) => c.otlpLogs?.url, ''),
  url('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', (c) => c.otlpTraces?.url, ''),
  url('OTEL_EXPORTER_OTLP_METRICS_ENDPOINT', (c) => c.otlpMetrics?.url, ''),
  url('OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT', (c) => c.otlpProfiles?.url, ''),
  ...(['', 'TRACES_', 'METRICS_', 'LOGS_', 'PROFILES_'] as const).flatMap((signal): Row[] => {
    const of = (c: Config): NonNullable<Config['otlpTraces']> =>
      ({ '': c.otlpTraces, TRACES_: c.otlpTraces, METRICS_: c.otlpMetrics, LOGS_: c.otlpLogs, PROFILES_: c.otlpProfiles })[signal]!;
    const PUSH = PUSH_PROFILES;
    return [
      oneOf(`OTEL_EXPORTER_OTLP_${signal}PROTOCOL`, (c) => of(c).protocol, ['http/protobuf', 'http/json'], PUSH),
      oneOf(`OTEL_EXPORTER_OTLP_${signal}COMPRESSION`, (c) => of(c).compression, ['none', 'gzip'], PUSH),
      integer(`OTEL_EXPORTER_OTLP_${signal}TIMEOUT`, (c) => of(c).timeoutMillis, 1, MILLIS_MAX, PUSH),
      pairs(`OTEL_EXPORTER_OTLP_${signal}HEADERS`, (c) => of(c).headers, PUSH, 'a list of key=value pairs separated by commas'),
      text(`OTEL_EXPORTER_OTLP_${signal}CERTIFICATE`, (c) => of(c).certificate, PUSH),
      text(`OTEL_EXPORTER_OTLP_${signal}CLIENT_KEY`, (c) => of(c).clientKey, PUSH),
      text(`OTEL_EXPORTER_OTLP_${signal}CLIENT_CERTIFICATE`, (c) => of(c).clientCertificate, PUSH),
    ];
  }),
  {
    ...oneOf('OTEL_TRACES_EXPORTER', (c) => c.otlpTraces !== undefined, ['otlp', 'none'], PUSH),
    good: [
      ['otlp', true],
      ['none', false],
    ],
  },
  {
    ...oneOf('OTEL_LOGS_EXPORTER', (c) => c.otlpLogs !== undefined, ['otlp', 'none'], PUSH),
    good: [
      ['otlp', true],
      ['none', false],
    ],
  },
  {
    ...oneOf('OTEL_METRICS_EXPORTER', (c) => c.otlpMetrics !== undefined, ['otlp', 'prometheus', 'none'], PUSH),
    good: [
      ['otlp', true],
      ['none', false],
      ['prometheus', false],
    ],
  },
  { ...flag('SONDE_OTLP_PROFILES', (c) => c.otlpProfiles !== undefined), with: PUSH },
  {
    ...integer('SONDE_OTLP_PROFILES_INTERVAL_SECONDS', (c) => c.otlpProfiles!.intervalMillis, 1, 900, PUSH_PROFILES),
    good: [
      ['1', 1000],
      ['900', 900_000],
    ],
  },
  url('PYROSCOPE_SERVER_ADDRESS', (c) => c.pyroscope?.url, '/ingest'),
  url('PYROSCOPE_ADHOC_SERVER_ADDRESS', (c) => c.pyroscope?.url, '/ingest'),
  {
    name: 'PYROSCOPE_APPLICATION_NAME',
    path: (c) => c.pyroscope!.applicationName,
    good: [
      ['orders', 'orders'],
      [' team/orders-api_v2.1 ', 'team/orders-api_v2.1'],
    ],
    bad: ['orders api', 'orders{region=eu}', '@shop/orders', 'größe', 'a:b'],
    accepted: 'a name of letters, digits, _, -, . and /',
    with: PYROSCOPE,
  },
  integer('PYROSCOPE_FLUSH_INTERVAL_MS', (c) => c.pyroscope!.intervalMillis, 1000, 900_000, PYROSCOPE),
  ...['PYROSCOPE_LABELS', 'PYROSCOPE_TAGS'].map((name) =>
    pairs(name, (c) => c.pyroscope!.labels, PYROSCOPE, 'a list of key=value pairs separated by commas, percent-encoded'),
  ),
  {
    name: 'PYROSCOPE_AUTH_TOKEN',
    path: (c) => c.pyroscope!.headers,
    good: [['key', { Authorization: 'Bearer key' }]],
    bad: [],
    with: PYROSCOPE,
  },
  {
    name: 'PYROSCOPE_TENANT_ID',
    path: (c) => c.pyroscope!.headers,
    good: [['one', { 'X-Scope-OrgID': 'one' }]],
    bad: [],
    with: PYROSCOPE,
  },
  {
    name: 'PYROSCOPE_HTTP_HEADERS',
    path: (c) => c.pyroscope!.headers,
    good: [
      ['{"X-Key":"a","x-other":""}', { 'X-Key': 'a', 'x-other': '' }],
      ['{}', {}],
    ],
    bad: [],
    with: PYROSCOPE,
  },
  { ...flag('SONDE_PYROSCOPE_TRACE_ID', (c) => c.pyroscope!.traceIds), with: PYROSCOPE },
];

describe.each(ROWS)('$name', ({ name, path, good, with: env = {} }) => {
  it.each([...good])('%j becomes %j', (value, expected) => {
    const { config, problems } = read({ ...env, [name]: value });
    expect(path(config)).toEqual(expected);
    expect(problems).toEqual([]);
  });

  it('is unset when it is empty', () => {
    for (const empty of ['', '  ', undefined]) expect(read({ ...env, [name]: empty })).toEqual({ config: read(env).config, problems: [] });
  });
});

describe.each(ROWS.filter(({ bad }) => bad.length > 0))('$name', ({ name, path, bad, accepted, with: env = {} }) => {
  it.each([...bad])('is reported with what is accepted, and the default used, when it is %j', (value) => {
    const { config, problems } = read({ ...env, [name]: value });
    expect(path(config)).toEqual(path(read(env).config));
    expect(problems).toEqual([`${name}=${JSON.stringify(value)} is not ${accepted}`]);
  });
});

describe('the defaults', () => {
  it('are those of the documentation, and push nothing', () => {
    expect(DEFAULTS).toEqual({
      enabled: true,
      metrics: true,
      traces: true,
      logs: true,
      profiling: true,
      heapSnapshot: false,
      sourceMaps: true,
      leaks: true,
      logLevel: 'warn',
      serviceName: undefined,
      resourceAttributes: {},
      host: '127.0.0.1',
      port: undefined,
      token: undefined,
      sampler: 'parentbased_always_on',
      samplerRatio: 1,
      propagation: { traceContext: true, baggage: true },
      spanLimits: {
        attributeCount: 128,
        attributeValueLength: Infinity,
        eventCount: 128,
        linkCount: 128,
        attributePerEventCount: 128,
        attributePerLinkCount: 128,
      },
      seriesLimit: 2000,
      knownMethods: ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH', 'QUERY'],
      promClientMetrics: true,
      console: 'json',
      profilingHz: 49,
      heapIntervalBytes: 1_048_576,
      profileHistoryBytes: 8_388_608,
      stallMillis: 100,
      overheadCpuPercent: 2,
      overheadMemoryBytes: 33_554_432,
      leakSettings: { warmUpSeconds: 10, windowSeconds: 1800, minGrowthBytes: 4_194_304, collectGarbage: true },
      dumpDirectory: undefined,
      cgroupRoot: '/',
      otlpTraces: undefined,
      onLeak: undefined,
      otlpMetrics: undefined,
      otlpLogs: undefined,
      logBatch: { scheduleDelayMillis: 1000, maxQueueSize: 2048, maxExportBatchSize: 512 },
      batch: { scheduleDelayMillis: 5000, maxQueueSize: 2048, maxExportBatchSize: 512 },
      metricExportIntervalMillis: 60_000,
      otlpProfiles: undefined,
      pyroscope: undefined,
    });
  });
});

describe('options that cannot be used', () => {
  it.each<[options: unknown, problem: string]>([
    [5, 'options="5" is not an object with enabled, metrics, '],
    [{ onLeak: () => {} }, 'options.onLeak="function" is not an option: these are enabled, metrics, '],
    [{ leak: { onLeek: () => {} } }, 'options.leak.onLeek="function" is not an option: these are onLeak, collectGarbage, dumpDirectory'],
    [{ leak: { windowSeconds: 5 } }, 'options.leak.windowSeconds="number" is not an option: these are onLeak, '],
    [{ leak: 5 }, 'options.leak="5" is not an object with onLeak, collectGarbage, dumpDirectory'],
    [{ leak: null }, 'options.leak="null" is not an object with '],
    [{ leak: [] }, 'options.leak="" is not an object with '],
    [{ otlp: 'http://a' }, 'options.otlp="http://a" is not an object with endpoint, headers, '],
    [{ leak: { dumpDirectory: 5 } }, 'options.leak.dumpDirectory="5" is not text'],
    [{ serviceName: null }, 'options.serviceName="null" is not text'],
  ])('%j', (options, problem) => {
    const { problems } = read({}, options as Options);
    expect(problems).toEqual([expect.stringContaining(problem)]);
  });

  it('are none of the environment, and an option of no value is none', () => {
    expect(read({}, { leak: undefined, profile: {}, leaks: undefined } as never).problems).toEqual([]);
  });
});

describe('who wins', () => {
  it.each<[what: string, options: Options, env: Environment, path: Row['path'], value: unknown]>([
    ['an option over SONDE_', { port: 1 }, { SONDE_PORT: '2' }, (c) => c.port, 1],
    ['an option of 0 over SONDE_', { port: 0 }, { SONDE_PORT: '2' }, (c) => c.port, 0],
    ['an option of false over SONDE_', { traces: false }, { SONDE_TRACES: 'true' }, (c) => c.traces, false],
    [
      'an option of the leak detector over its variable',
      { leak: { collectGarbage: false, dumpDirectory: '/a' } },
      { SONDE_LEAKS_COLLECT_GARBAGE: 'true', SONDE_DUMP_DIR: '/b' },
      (c) => [c.leakSettings.collectGarbage, c.dumpDirectory],
      [false, '/a'],
    ],
    ['SONDE_ over OTEL_', {}, { SONDE_PORT: '1', OTEL_EXPORTER_PROMETHEUS_PORT: '2' }, (c) => c.port, 1],
    ['OTEL_ over an empty SONDE_', {}, { SONDE_PORT: '', OTEL_EXPORTER_PROMETHEUS_PORT: '2' }, (c) => c.port, 2],
    ['an option that is undefined over nothing', { port: undefined } as never, { SONDE_PORT: '2' }, (c) => c.port, 2],
    ['an option over OTEL_', { serviceName: 'a' }, { OTEL_SERVICE_NAME: 'b' }, (c) => c.serviceName, 'a'],
    [
      'OTEL_SERVICE_NAME over the resource attribute',
      {},
      { OTEL_SERVICE_NAME: 'b', OTEL_RESOURCE_ATTRIBUTES: 'service.name=c' },
      (c) => c.serviceName,
      'b',
    ],
    ['the resource attribute over nothing', {}, { OTEL_RESOURCE_ATTRIBUTES: 'service.name=c' }, (c) => c.serviceName, 'c'],
    [
      'an attribute from the options over the same from the environment',
      { resourceAttributes: { a: '1' } },
      { OTEL_RESOURCE_ATTRIBUTES: 'a=2,b=3' },
      (c) => c.resourceAttributes,
      { a: '1', b: '3' },
    ],
    ['OTEL_SDK_DISABLED over SONDE_ENABLED', {}, { OTEL_SDK_DISABLED: 'true', SONDE_ENABLED: 'true' }, (c) => c.enabled, false],
    [
      'the limit for spans over the general one',
      {},
      { OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT: '1', OTEL_ATTRIBUTE_COUNT_LIMIT: '2' },
      (c) => c.spanLimits.attributeCount,
      1,
    ],
    [
      "a signal's own endpoint over the general one",
      {},
      { ...PUSH, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://own/x' },
      (c) => c.otlpTraces?.url,
      'http://own/x',
    ],
    [
      "an endpoint from the options over a signal's own",
      { otlp: { endpoint: 'http://opt' } },
      { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://own/x' },
      (c) => c.otlpTraces?.url,
      'http://opt/v1/traces',
    ],
    [
      "a signal's own protocol over the general one",
      {},
      { ...PUSH, OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/json', OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf' },
      (c) => c.otlpTraces?.protocol,
      'http/json',
    ],
    [
      'headers from the options over the same from the environment',
      { otlp: { headers: { a: '1' } } },
      { ...PUSH, OTEL_EXPORTER_OTLP_HEADERS: 'a=2,b=3' },
      (c) => c.otlpTraces?.headers,
      { a: '1', b: '3' },
    ],
  ])('%s', (_what, options, env, path, value) => {
    const { config, problems } = read(env, options);
    expect(path(config)).toEqual(value);
    expect(problems).toEqual([]);
  });

  it('a ratio is not even read for a sampler that has none', () => {
    expect(read({ OTEL_TRACES_SAMPLER_ARG: 'x' })).toEqual({ config: DEFAULTS, problems: [] });
  });
});

describe('the push of profiles by OTLP', () => {
  it.each<[what: string, env: Environment, url: string | undefined]>([
    ['is off with an endpoint for all signals', PUSH, undefined],
    ['is on when asked for', PUSH_PROFILES, 'http://collector:4318/v1development/profiles'],
    ['is on with an endpoint of its own', { OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT: 'http://h/p' }, 'http://h/p'],
    [
      'is off when refused, whatever its endpoint',
      { OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT: 'http://h/p', SONDE_OTLP_PROFILES: 'false' },
      undefined,
    ],
  ])('%s', (_what, env, url) => {
    const { config, problems } = read(env);

    expect(config.otlpProfiles?.url).toBe(url);
    expect(problems).toEqual([]);
  });

  it('is on by an option', () => {
    const { config } = read({}, { otlp: { endpoint: 'http://h', profiles: true } });

    expect(config.otlpProfiles).toMatchObject({ url: 'http://h/v1development/profiles', intervalMillis: 60_000 });
  });

  it('is missed when there is no endpoint', () => {
    expect(read({ SONDE_OTLP_PROFILES: 'true' }).problems).toEqual([
      'SONDE_OTLP_PROFILES="true" is not usable without an endpoint, set OTEL_EXPORTER_OTLP_ENDPOINT',
    ]);
  });
});

describe('the push to Pyroscope', () => {
  it('has defaults besides the address', () => {
    expect(read(PYROSCOPE)).toMatchObject({
      config: {
        pyroscope: {
          url: 'http://pyroscope:4040/ingest',
          headers: {},
          compression: 'none',
          timeoutMillis: 10_000,
          intervalMillis: 60_000,
          applicationName: undefined,
          labels: {},
          traceIds: false,
        },
      },
      problems: [],
    });
  });

  it('is off without an address, whatever else is set for somebody else', () => {
    const env = { PYROSCOPE_APPLICATION_NAME: 'a b', PYROSCOPE_HEAP_STACK_DEPTH: '128', PYROSCOPE_FLUSH_INTERVAL_MS: 'x' };

    expect(read(env)).toEqual({ config: DEFAULTS, problems: [] });
  });

  it.each([
    ['http://h:4040/', 'http://h:4040/ingest'],
    ['https://h/pyroscope//', 'https://h/pyroscope/ingest'],
    ['http://user:key@h/', 'http://user:key@h/ingest'],
    ['http://h/?key=1', 'http://h/ingest?key=1'],
  ])('to %s goes to %s', (address, url) => {
    expect(read({ PYROSCOPE_SERVER_ADDRESS: address }).config.pyroscope?.url).toBe(url);
  });

  it('can be told everything by options, which win', () => {
    const env = {
      ...PYROSCOPE,
      PYROSCOPE_APPLICATION_NAME: 'env',
      PYROSCOPE_AUTH_TOKEN: 'env',
      PYROSCOPE_TENANT_ID: 'env',
      PYROSCOPE_LABELS: 'a=env,b=env',
      PYROSCOPE_HTTP_HEADERS: '{"X-A":"env","X-B":"env"}',
      PYROSCOPE_FLUSH_INTERVAL_MS: '15000',
    };
    const { config, problems } = read(env, {
      pyroscope: {
        serverAddress: 'http://opt',
        applicationName: 'opt',
        flushIntervalMillis: 1000,
        authToken: 'opt',
        tenantId: 'opt',
        headers: { 'X-A': 'opt' },
        labels: { a: 'opt' },
        traceIds: false,
      },
    });

    expect(problems).toEqual([]);
    expect(config.pyroscope).toMatchObject({
      url: 'http://opt/ingest',
      applicationName: 'opt',
      intervalMillis: 1000,
      headers: { Authorization: 'Bearer opt', 'X-Scope-OrgID': 'opt', 'X-A': 'opt', 'X-B': 'env' },
      labels: { a: 'opt', b: 'env' },
      traceIds: false,
    });
  });

  it.each<[what: string, env: Environment, headers: Record<string, string>]>([
    [
      'a token over a user',
      { PYROSCOPE_AUTH_TOKEN: 't', PYROSCOPE_BASIC_AUTH_USER: 'u', PYROSCOPE_BASIC_AUTH_PASSWORD: 'p' },
      { Authorization: 'Bearer t' },
    ],
    [
      'a user with a password',
      { PYROSCOPE_BASIC_AUTH_USER: '123', PYROSCOPE_BASIC_AUTH_PASSWORD: 'glc_key' },
      { Authorization: 'Basic MTIzOmdsY19rZXk=' },
    ],
    ['a header over a token', { PYROSCOPE_AUTH_TOKEN: 't', PYROSCOPE_HTTP_HEADERS: '{"Authorization":"mine"}' }, { Authorization: 'mine' }],
  ])('takes %s', (_what, env, headers) => {
    expect(read({ ...PYROSCOPE, ...env }).config.pyroscope?.headers).toEqual(headers);
  });

  it.each(['x', '[]', '"a"', 'null', '{"a":1}', '{"Authorization":"Bearer secret"'])(
    'does not show headers that it cannot read: %s',
    (value) => {
      const { config, problems } = read({ ...PYROSCOPE, PYROSCOPE_HTTP_HEADERS: value });

      expect(config.pyroscope?.headers).toEqual({});
      expect(problems).toEqual(['PYROSCOPE_HTTP_HEADERS="[redacted]" is not a JSON object of texts, as {"X-Header":"value"}']);
    },
  );

  it.each<[env: Environment, problem: string]>([
    [{ PYROSCOPE_BASIC_AUTH_USER: '123' }, 'PYROSCOPE_BASIC_AUTH_USER="123" is not usable without PYROSCOPE_BASIC_AUTH_PASSWORD'],
    [{ PYROSCOPE_BASIC_AUTH_PASSWORD: 'p' }, 'PYROSCOPE_BASIC_AUTH_PASSWORD="[redacted]" is not usable without PYROSCOPE_BASIC_AUTH_USER'],
    [{ PYROSCOPE_WALL_COLLECT_CPU_TIME: 'false' }, 'PYROSCOPE_WALL_COLLECT_CPU_TIME="false" is not true, and CPU time is always collected'],
    ...[
      'PYROSCOPE_HEAP_SAMPLING_INTERVAL_BYTES',
      'PYROSCOPE_HEAP_STACK_DEPTH',
      'PYROSCOPE_SHORTEN_PATHS',
      'PYROSCOPE_STRIP_FILENAMES',
      'PYROSCOPE_WALL_SAMPLING_DURATION_MS',
      'PYROSCOPE_WALL_SAMPLING_INTERVAL_MICROS',
    ].map((name): [Environment, string] => [{ [name]: '1' }, `${name}="1" is not a setting of Sonde, unset it`]),
  ])('says what of %j it does not do', (env, problem) => {
    const { config, problems } = read({ ...PYROSCOPE, ...env });

    expect(config).toEqual(read(PYROSCOPE).config);
    expect(problems).toEqual([problem]);
  });

  it.each(['true', '1', 'TRUE'])('collects CPU time as asked for by %s', (value) => {
    expect(read({ ...PYROSCOPE, PYROSCOPE_WALL_COLLECT_CPU_TIME: value }).problems).toEqual([]);
  });
});

describe('onLeak', () => {
  it('is kept as it is', () => {
    const onLeak = (): void => {};
    expect(read({}, { leak: { onLeak } })).toMatchObject({ config: { onLeak }, problems: [] });
  });

  it.each(['log', 1, null, {}])('that is %j is reported and not called', (onLeak) => {
    const { config, problems } = read({}, { leak: { onLeak: onLeak as never } });
    expect(config.onLeak).toBeUndefined();
    expect(problems).toEqual([`options.leak.onLeak=${JSON.stringify(String(onLeak))} is not a function`]);
  });
});

describe('what is wrong', () => {
  it('in options is reported under their name', () => {
    const { config, problems } = read(
      {},
      {
        port: 65_536,
        sampler: 'jaeger' as never,
        samplerRatio: 2,
        seriesLimit: 0,
        console: 'no' as never,
        traces: 'x' as never,
        otlp: { endpoint: 'x', timeoutMillis: 0 },
      },
    );
    expect(problems).toEqual([
      'options.traces="x" is not true or false',
      'options.port="65536" is not a whole number from 0 to 65535',
      `options.sampler="jaeger" is not one of always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, parentbased_traceidratio`,
      'options.seriesLimit="0" is not a whole number from 1 to 100000',
      'options.console="no" is not one of json, all, off',
      'options.otlp.endpoint="x" is not an http:// or https:// URL',
      'options.otlp.timeoutMillis="0" is not a whole number from 1 to 2147483647',
    ]);
    expect(config).toEqual(DEFAULTS);
  });

  it('is found all at once and thrown as one error', () => {
    const { problems } = readConfig({}, { SONDE_PORT: 'x', SONDE_TRACES: 'maybe', OTEL_TRACES_SAMPLER: 'xray' });
    const error = new ConfigError(problems);
    expect(error).toBeInstanceOf(Error);
    expect(error.name).toBe('ConfigError');
    expect(error.problems).toHaveLength(3);
    expect(error.message).toBe(
      'invalid configuration: SONDE_TRACES="maybe" is not true or false; SONDE_PORT="x" is not a whole number from 0 to 65535; ' +
        'OTEL_TRACES_SAMPLER="xray" is not one of always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, parentbased_traceidratio',
    );
  });

  it('never hides what is right', () => {
    expect(read({ SONDE_PORT: 'x', SONDE_HOST: '0.0.0.0' }).config).toEqual({ ...DEFAULTS, host: '0.0.0.0' });
  });

  it('is said of a push variable although nothing is pushed', () => {
    expect(read({ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpcc' }).problems).toHaveLength(1);
  });
});
