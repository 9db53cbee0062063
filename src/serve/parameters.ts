// Whole-number parameters of a query, all or nothing: an unknown name, a value twice or out of range is answered with
// what would be accepted. Called by devtools.ts; pprof.ts has Go's rules instead. And what a client prefers to read.

/** What one parameter accepts. */
export interface Parameter {
  readonly min: number;
  readonly max: number;
  readonly byDefault: number;
  /** As in `1 to 300 seconds`. */
  readonly unit: string;
}

/** The values by name, or what is wrong as text. */
export function readParameters<N extends string>(
  query: URLSearchParams,
  accepted: Readonly<Record<N, Parameter>>,
): Readonly<Record<N, number>> | string {
  const names = Object.keys(accepted) as N[];
  const unknown = [...query.keys()].find((name) => !(names as string[]).includes(name));
  if (unknown !== undefined) return `unknown parameter ${JSON.stringify(unknown)}: ${ranges(names, accepted)}`;
  const values = {} as Record<N, number>;
  for (const name of names) {
    const { min, max, byDefault } = accepted[name];
    const given = query.getAll(name);
    const value = given.length === 0 ? byDefault : given.length === 1 && /^\d+$/.test(given[0]!) ? Number(given[0]) : NaN;
    if (!(value >= min && value <= max)) return `invalid value for ${JSON.stringify(name)}: ${ranges([name], accepted)}`;
    values[name] = value;
  }
  return values;
}

/** JSON unless the client asks for plain text and not for JSON. */
export function preferredFormat(accept = ''): 'json' | 'text' {
  return /text\/plain/i.test(accept) && !/application\/(?:json|\*)/i.test(accept) ? 'text' : 'json';
}

function ranges<N extends string>(names: readonly N[], accepted: Readonly<Record<N, Parameter>>): string {
  if (names.length === 0) return 'none is accepted';
  const rows = names.map((name) => {
    const { min, max, unit, byDefault } = accepted[name];
    return `${name}=${min} to ${max}${unit === '' ? '' : ` ${unit}`} (${byDefault} when left out)`;
  });
  return `accepted is ${rows.join(', ')}`;
}
