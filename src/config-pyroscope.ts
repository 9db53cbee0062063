// The settings of Pyroscope by the names that its SDKs have: those of @pyroscope/nodejs 0.6 first, and of the others what it
// takes from code only. Read by config.ts, and only with a server address: otherwise they are meant for somebody else.
import { parsePairs, parseUrl, type Reader } from './config-reader.ts';
import type { Options } from './options.ts';

/** Where and how profiles are pushed to Pyroscope. */
export interface PyroscopeConfig {
  /** Of the ingest API. */
  readonly url: string;
  /** With the credentials. */
  readonly headers: Readonly<Record<string, string>>;
  readonly compression: 'none';
  readonly timeoutMillis: number;
  readonly intervalMillis: number;
  /** Undefined: the service's name. */
  readonly applicationName: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly traceIds: boolean;
}

/** Time for one profile with all its attempts, as OTLP has it. */
const TIMEOUT_MILLIS = 10_000;

/** As @pyroscope/nodejs; a shorter one shows up sooner and costs more requests. At most what the ring holds. */
const FLUSH_INTERVAL_MILLIS = { min: 1000, max: 900_000, fallback: 60_000 } as const;

/** Settings of @pyroscope/nodejs that mean nothing here; said rather than ignored, as somebody relies on them. */
const NOT_OURS: readonly string[] = [
  'PYROSCOPE_HEAP_SAMPLING_INTERVAL_BYTES',
  'PYROSCOPE_HEAP_STACK_DEPTH',
  'PYROSCOPE_SHORTEN_PATHS',
  'PYROSCOPE_STRIP_FILENAMES',
  'PYROSCOPE_WALL_SAMPLING_DURATION_MS',
  'PYROSCOPE_WALL_SAMPLING_INTERVAL_MICROS',
];

/** Undefined without a server address. */
export function readPyroscope(reader: Reader, { pyroscope: given }: Options): PyroscopeConfig | undefined {
  const url = reader.read<string | undefined>(
    ['pyroscope.serverAddress', given?.serverAddress],
    ['PYROSCOPE_ADHOC_SERVER_ADDRESS', 'PYROSCOPE_SERVER_ADDRESS'],
    parseUrl,
    'an http:// or https:// URL',
    undefined,
  );
  if (url === undefined) return undefined;
  refuseOthers(reader);
  const { min, max, fallback } = FLUSH_INTERVAL_MILLIS;
  return {
    url: ingestUrl(url),
    headers: { ...credentials(reader, given), ...readHeaders(reader), ...given?.headers },
    compression: 'none',
    timeoutMillis: TIMEOUT_MILLIS,
    intervalMillis: reader.integer(
      ['pyroscope.flushIntervalMillis', given?.flushIntervalMillis],
      ['PYROSCOPE_FLUSH_INTERVAL_MS'],
      [min, max],
      fallback,
    ),
    applicationName: reader.read<string | undefined>(
      ['pyroscope.applicationName', given?.applicationName],
      ['PYROSCOPE_APPLICATION_NAME'],
      (text) => (/^[a-zA-Z0-9_\-./]+$/.test(text) ? text : undefined),
      'a name of letters, digits, _, -, . and /',
      undefined,
    ),
    labels: {
      ...reader.read(
        undefined,
        ['PYROSCOPE_LABELS', 'PYROSCOPE_TAGS'],
        parsePairs,
        'a list of key=value pairs separated by commas, percent-encoded',
        {},
      ),
      ...given?.labels,
    },
    // A server from before June 2026 makes a series of each trace (grafana/pyroscope#5220); span ids it has always kept apart.
    traceIds: reader.flag(['pyroscope.traceIds', given?.traceIds], ['SONDE_PYROSCOPE_TRACE_ID'], false),
  };
}

function ingestUrl(serverAddress: string): string {
  const url = new URL(serverAddress);
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/ingest`;
  return url.href;
}

/** A token before a user, as in @pyroscope/nodejs. */
function credentials(reader: Reader, given: Options['pyroscope']): Record<string, string> {
  const token = reader.text(['pyroscope.authToken', given?.authToken], 'PYROSCOPE_AUTH_TOKEN');
  const user = reader.text(['pyroscope.basicAuthUser', given?.basicAuthUser], 'PYROSCOPE_BASIC_AUTH_USER');
  const password = reader.text(['pyroscope.basicAuthPassword', given?.basicAuthPassword], 'PYROSCOPE_BASIC_AUTH_PASSWORD');
  const tenant = reader.text(['pyroscope.tenantId', given?.tenantId], 'PYROSCOPE_TENANT_ID');
  if (user !== undefined && password === undefined) {
    reader.problem('PYROSCOPE_BASIC_AUTH_USER', user, 'usable without PYROSCOPE_BASIC_AUTH_PASSWORD');
  }
  if (user === undefined && password !== undefined) {
    reader.problem('PYROSCOPE_BASIC_AUTH_PASSWORD', '[redacted]', 'usable without PYROSCOPE_BASIC_AUTH_USER');
  }
  const basic = user === undefined || password === undefined ? undefined : Buffer.from(`${user}:${password}`).toString('base64');
  const authorization = token === undefined ? basic && `Basic ${basic}` : `Bearer ${token}`;
  return {
    ...(authorization === undefined ? {} : { Authorization: authorization }),
    ...(tenant === undefined ? {} : { 'X-Scope-OrgID': tenant }),
  };
}

/** JSON, as the Java and .NET SDKs take it. */
function readHeaders(reader: Reader): Record<string, string> {
  const text = reader.text(undefined, 'PYROSCOPE_HTTP_HEADERS');
  if (text === undefined) return {};
  const headers = parseHeaders(text);
  // It may hold a token, and ours is not the place to show it.
  if (headers === undefined) reader.problem('PYROSCOPE_HTTP_HEADERS', '[redacted]', 'a JSON object of texts, as {"X-Header":"value"}');
  return headers ?? {};
}

function parseHeaders(text: string): Record<string, string> | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return Object.values(value).every((header) => typeof header === 'string') ? (value as Record<string, string>) : undefined;
}

function refuseOthers(reader: Reader): void {
  const refuse = (name: string, accepted: string): void => {
    reader.read<true>(undefined, [name], () => undefined, accepted, true);
  };
  for (const name of NOT_OURS) refuse(name, 'a setting of Sonde, unset it');
  reader.read(
    undefined,
    ['PYROSCOPE_WALL_COLLECT_CPU_TIME'],
    (text) => (/^(?:true|1)$/i.test(text) ? true : undefined),
    'true, and CPU time is always collected',
    true,
  );
}
