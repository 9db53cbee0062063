// /debug/stalls: the last blocks of the event loop, as JSON or, for a person at a terminal, as text.
//
//   ?limit=20            at most so many, newest first (100)
//   ?route=GET%20/x      only those of a route; empty for those of none
//   ?trace_id=           only those of a trace
//   ?format=json|text    json unless the Accept header asks for text/plain and not for JSON
//
// What it does not know it refuses: a filter that is misspelt would otherwise answer everything.
import type { StallEntry } from '../profile/stall-entry.ts';
import { stallsText } from '../profile/stall-text.ts';
import { json, text, type Answer } from './answer.ts';
import { preferredFormat } from './parameters.ts';
import { positiveInteger } from './target.ts';

/** As many as are kept. */
const LIMIT_DEFAULT = 100;

const PARAMETERS: readonly string[] = ['limit', 'route', 'trace_id', 'format'];

/** The stalls as seen from here. */
export interface StallReads {
  /** Newest first, with source maps applied. */
  read(): Promise<readonly StallEntry[]>;
}

export async function lastStalls(stalls: StallReads, query: URLSearchParams, accept: string | undefined): Promise<Answer> {
  const unknown = [...query.keys()].find((name) => !PARAMETERS.includes(name));
  if (unknown !== undefined) return text(400, `unknown parameter ${JSON.stringify(unknown)} - there are ${PARAMETERS.join(', ')}`);
  const route = query.get('route');
  const traceId = query.get('trace_id');
  const limit = positiveInteger(query.get('limit') ?? String(LIMIT_DEFAULT));
  const format = query.get('format') ?? preferredFormat(accept);
  if (limit === undefined) return text(400, 'invalid value for "limit" - must be a positive integer');
  if (traceId !== null && !/^[0-9a-f]{32}$/.test(traceId))
    return text(400, 'invalid value for "trace_id" - must be 32 lower-case hex digits');
  if (format !== 'json' && format !== 'text') return text(400, 'invalid value for "format" - must be json or text');
  const asked = (await stalls.read()).filter(
    (stall) => (route === null || (stall.route ?? '') === route) && (traceId === null || stall.traceId === traceId),
  );
  const entries = asked.slice(0, limit);
  return format === 'text' ? text(200, stallsText(entries)) : json({ stalls: entries });
}
