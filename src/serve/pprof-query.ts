// The query of a request for a profile: which parameters there are and what each accepts. A parameter that is unknown,
// given twice or has an impossible value is answered with what would be accepted, never ignored. Called by pprof.ts.
import { positiveInteger } from './target.ts';

/** The values of `?format=`. */
export type Format = 'pprof' | 'folded' | 'speedscope' | 'cpuprofile' | 'svg';

/** Of profiles that count, and of those that measure time: a .cpuprofile has nothing but time. */
export const FORMATS: readonly Format[] = ['pprof', 'folded', 'speedscope', 'svg'];
export const TIME_FORMATS: readonly Format[] = ['pprof', 'folded', 'speedscope', 'cpuprofile', 'svg'];

/** As far as the ring of windows reaches back at most. */
const LAST_SECONDS_MAX = 900;

/** Which samples are kept; those without the label where it is empty. */
export interface SampleFilter {
  /** Template of a route, or empty for samples of no route. */
  readonly route?: string;
  /** 32 lower-case hex digits. */
  readonly traceId?: string;
  /** 16 lower-case hex digits. */
  readonly spanId?: string;
}

/** The names of the parameters that a profile may take. */
export type ParameterName = 'seconds' | 'last' | 'gc' | 'debug' | 'format' | 'route' | 'trace_id' | 'span_id';

/** What one profile takes. */
export interface Accepted {
  readonly name: string;
  readonly parameters: readonly ParameterName[];
  readonly formats: readonly Format[];
  /** Longest duration. */
  readonly secondsMax: number;
}

export interface PprofQuery {
  readonly seconds: number | undefined;
  readonly lastSeconds: number | undefined;
  readonly gc: boolean;
  readonly debug: boolean;
  readonly format: Format | undefined;
  /** Undefined when all samples are asked for. */
  readonly only: SampleFilter | undefined;
}

/** The values of a query, or what is wrong with it as a sentence. */
export function readQuery(query: URLSearchParams, accepted: Accepted): PprofQuery | string {
  for (const name of new Set(query.keys())) {
    const parameter = accepted.parameters.find((known) => known === name);
    if (parameter === undefined) return unknown(name, accepted);
    const [value = '', ...more] = query.getAll(name);
    if (more.length > 0) return `"${name}" is given more than once`;
    const { expected, matches } = PARAMETERS[parameter];
    if (!matches(value, accepted)) return `invalid value for "${name}" - must be ${expected(accepted)}`;
  }
  return valuesOf(query);
}

/** What is wrong with a value of `seconds` that is too long, given or by default. */
export function tooLong(seconds: number, secondsMax: number): string {
  return `${seconds} seconds are more than this server allows: ask for "seconds" from 1 to ${secondsMax}`;
}

function unknown(name: string, { name: profile, parameters }: Accepted): string {
  const takes = parameters.length === 0 ? 'no parameters' : parameters.join(', ');
  return `unknown parameter ${JSON.stringify(name)} - ${profile} takes ${takes}`;
}

interface Parameter {
  /** Continues "must be". */
  readonly expected: (accepted: Accepted) => string;
  readonly matches: (value: string, accepted: Accepted) => boolean;
}

const SWITCH: Parameter = { expected: () => '0 or 1', matches: (value) => value === '0' || value === '1' };

const PARAMETERS: Readonly<Record<ParameterName, Parameter>> = {
  seconds: seconds(({ secondsMax }) => secondsMax),
  last: seconds(() => LAST_SECONDS_MAX),
  gc: SWITCH,
  debug: SWITCH,
  format: {
    expected: ({ formats }) => `one of ${formats.join(', ')}`,
    matches: (value, { formats }) => formats.some((format) => format === value),
  },
  // No text is impossible: a route that serves nothing has no samples.
  route: { expected: () => 'a route', matches: () => true },
  trace_id: hexDigits(32),
  span_id: hexDigits(16),
};

function seconds(max: (accepted: Accepted) => number): Parameter {
  return {
    expected: (accepted) => `a whole number from 1 to ${max(accepted)}`,
    matches: (value, accepted) => (positiveInteger(value) ?? Infinity) <= max(accepted),
  };
}

function hexDigits(count: number): Parameter {
  const pattern = new RegExp(`^[0-9a-f]{${count}}$`);
  return { expected: () => `${count} lower-case hex digits`, matches: (value) => pattern.test(value) };
}

/** Of a query without mistakes. */
function valuesOf(query: URLSearchParams): PprofQuery | string {
  const debug = query.get('debug') === '1';
  const only = {
    ...(query.has('route') ? { route: query.get('route') as string } : {}),
    ...(query.has('trace_id') ? { traceId: query.get('trace_id') as string } : {}),
    ...(query.has('span_id') ? { spanId: query.get('span_id') as string } : {}),
  };
  if (query.has('last') && query.has('seconds')) return 'seconds and last params are incompatible';
  if (debug && query.has('format')) return 'format and debug params are incompatible';
  return {
    seconds: query.has('seconds') ? Number(query.get('seconds')) : undefined,
    lastSeconds: query.has('last') ? Number(query.get('last')) : undefined,
    gc: query.get('gc') === '1',
    debug,
    format: (query.get('format') ?? undefined) as Format | undefined,
    only: Object.keys(only).length === 0 ? undefined : only,
  };
}
