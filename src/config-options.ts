// Which options there are. TypeScript tells its users; who writes JavaScript is told here, because an option that nobody reads, as
// a callback under another name, would be missed for months. Called by config.ts.
import type { Reader } from './config-reader.ts';
import type { Options } from './options.ts';

/** Options with options of their own. */
type Group = 'profile' | 'leak' | 'overhead' | 'otlp' | 'pyroscope';

/** All of a type's keys; the compiler sees to it that none is missing. */
type Keys<T> = Readonly<Record<keyof T, true>>;

const OPTIONS: Keys<Options> = {
  enabled: true,
  metrics: true,
  traces: true,
  logs: true,
  profiling: true,
  sourceMaps: true,
  leaks: true,
  heapSnapshot: true,
  serviceName: true,
  resourceAttributes: true,
  host: true,
  port: true,
  token: true,
  profile: true,
  leak: true,
  overhead: true,
  sampler: true,
  samplerRatio: true,
  seriesLimit: true,
  promClientMetrics: true,
  console: true,
  otlp: true,
  pyroscope: true,
};

const GROUPS: { readonly [G in Group]: Keys<NonNullable<Options[G]>> } = {
  profile: { hz: true, heapIntervalBytes: true, historyBytes: true, stallMillis: true },
  leak: { onLeak: true, collectGarbage: true, dumpDirectory: true },
  overhead: { cpuPercent: true, memoryBytes: true },
  otlp: { endpoint: true, headers: true, protocol: true, compression: true, timeoutMillis: true, profiles: true },
  pyroscope: {
    serverAddress: true,
    applicationName: true,
    flushIntervalMillis: true,
    authToken: true,
    basicAuthUser: true,
    basicAuthPassword: true,
    tenantId: true,
    headers: true,
    labels: true,
    traceIds: true,
  },
};

/** Tells of options that do not exist, and of groups that are none. */
export function checkOptions(reader: Reader, options: Options): void {
  checkKeys(reader, 'options', options, OPTIONS);
  for (const [group, keys] of Object.entries(GROUPS)) {
    const given = options[group as Group];
    if (given !== undefined) checkKeys(reader, `options.${group}`, given, keys);
  }
}

function checkKeys(reader: Reader, name: string, given: unknown, keys: Readonly<Record<string, true>>): void {
  const names = Object.keys(keys).join(', ');
  if (typeof given !== 'object' || given === null || Array.isArray(given)) reader.problem(name, String(given), `an object with ${names}`);
  else {
    for (const key of Object.keys(given)) {
      if (!Object.hasOwn(keys, key)) reader.problem(`${name}.${key}`, typeof Reflect.get(given, key), `an option: these are ${names}`);
    }
  }
}
