// The path and query of a request, parsed with limits: what is malformed is answered with 400, never thrown.
// Called by endpoints.ts; pprof.ts reads the numbers of a query through `positiveInteger`.

/** Longest path and query accepted, in characters; the longest that means something is a tenth of it. */
const TARGET_LENGTH_MAX = 2048;

/** What a request asks for, below the prefix at which the endpoints are mounted. */
export interface Target {
  /** Decoded, always with a leading slash. */
  readonly path: string;
  readonly query: URLSearchParams;
}

/** Parses the path and query of a request line; answers what is wrong with them as text. */
export function parseTarget(target: string): Target | string {
  if (target.length > TARGET_LENGTH_MAX) return `path and query are longer than ${TARGET_LENGTH_MAX} characters`;
  const mark = target.indexOf('?');
  const path = decode(mark === -1 ? target : target.slice(0, mark));
  const query = mark === -1 ? '' : target.slice(mark + 1);
  if (path === undefined || decode(query) === undefined) return 'path or query has a malformed percent-encoding';
  return { path: path === '' ? '/' : path, query: new URLSearchParams(query) };
}

/** The value of a positive decimal integer; undefined for everything else. */
export function positiveInteger(value: string): number | undefined {
  return /^\+?\d+$/.test(value) && Number(value) > 0 ? Number(value) : undefined;
}

/**
 * A reference to an address, relative to itself and with this query. It begins with `./`, so that it cannot be
 * turned into an address on another server.
 */
export function relativeReference(address: string, suffix: string, query: URLSearchParams): string {
  const [path = ''] = address.split('?', 1);
  const text = query.toString();
  return `./${path.slice(path.lastIndexOf('/') + 1)}${suffix}${text === '' ? '' : `?${text}`}`;
}

function decode(encoded: string): string | undefined {
  try {
    return decodeURIComponent(encoded);
  } catch {
    // URIError is the only way in which decodeURIComponent says no.
    return undefined;
  }
}
