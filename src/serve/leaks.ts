// What the leak detector says, and the evidence for it:
//
//   /debug/leaks?format=json|text        the verdict; json unless the Accept header asks for text/plain and not for JSON
//   /debug/leaks/heap?generation=last    a live-heap profile that was kept from an earlier collection: its index, first
//                                        for the oldest or last; &format=svg and the other formats of /debug/pprof/heap
//   /debug/leaks/classes                 what lives, by class: see classes.ts
//
//   go tool pprof -diff_base 'http://127.0.0.1:9464/debug/leaks/heap?generation=first' \
//     'http://127.0.0.1:9464/debug/leaks/heap?generation=last'
//
// What it does not know it refuses. Errors of /debug/leaks/heap carry X-Go-Pprof: go tool pprof shows their text then.
import type { Generation, LeakVerdict } from '../leak/finding.ts';
import { leaksText } from '../leak/leak-text.ts';
import { ProfileError } from '../profile/profile-error.ts';
import type { Profile } from '../profile/profile.ts';
import { json, text, type Answer } from './answer.ts';
import { preferredFormat } from './parameters.ts';
import { pprofError } from './pprof.ts';
import { FORMATS, type Format } from './pprof-query.ts';

/** The leak detector as seen from here. */
export interface LeakReads {
  verdict(): LeakVerdict | Promise<LeakVerdict>;
  /** The kept profile with this index, with source maps applied; undefined when it has been replaced meanwhile. */
  generation(index: number): Promise<Profile | undefined>;
}

/** One request. */
export interface LeakRequest {
  readonly query: URLSearchParams;
  readonly accept: string | undefined;
  readonly headersOnly: boolean;
  /** Where the endpoints are to this client, as `http://127.0.0.1:9464`. */
  readonly address: string;
}

export async function leakVerdict(leaks: LeakReads, { query, accept, address }: LeakRequest): Promise<Answer> {
  const unknown = unknownParameter(query, ['format']);
  if (unknown !== undefined) return text(400, unknown);
  const format = query.get('format') ?? preferredFormat(accept);
  if (format !== 'json' && format !== 'text') return text(400, 'invalid value for "format" - must be json or text');
  const verdict = await leaks.verdict();
  return format === 'text' ? text(200, leaksText(verdict, address)) : json(verdict);
}

/** `title` is whose profile it is, for flame graphs. */
export async function leakGeneration(leaks: LeakReads, title: string, { query, headersOnly }: LeakRequest): Promise<Answer> {
  const unknown = unknownParameter(query, ['generation', 'format']);
  if (unknown !== undefined) return pprofError(400, unknown);
  const format = formatOf(query.get('format') ?? 'pprof');
  if (format === undefined) return pprofError(400, `invalid value for "format" - must be one of ${FORMATS.join(', ')}`);
  const asked = query.get('generation') ?? 'last';
  if (!/^(?:first|last|\d{1,9})$/.test(asked)) {
    return pprofError(400, 'invalid value for "generation" - must be first, last or the index of one, which /debug/leaks lists');
  }
  const { generations } = await leaks.verdict();
  const generation = pick(generations, asked);
  if (generation === undefined) return pprofError(404, absent(generations, asked));
  const { formatAnswer } = await import('./pprof-format.ts');
  const { headers, body } = formatAnswer(format, `leak-heap-${fileTime(generation)}`);
  if (headersOnly) return { status: 200, headers, body: '' };
  try {
    const profile = await leaks.generation(generation.index);
    if (profile === undefined) return pprofError(404, absent(generations, asked));
    return { status: 200, headers, body: await body(profile, { subject: title, filters: [] }) };
  } catch (error) {
    if (error instanceof ProfileError) return pprofError(error.status, error.message);
    throw error;
  }
}

/** What is wrong with the names of the parameters, if anything. */
export function unknownParameter(query: URLSearchParams, accepted: readonly string[]): string | undefined {
  const unknown = [...query.keys()].find((name) => !accepted.includes(name));
  return unknown === undefined ? undefined : `unknown parameter ${JSON.stringify(unknown)} - there are ${accepted.join(', ')}`;
}

function formatOf(name: string): Format | undefined {
  return FORMATS.find((known) => known === name);
}

function pick(generations: readonly Generation[], asked: string): Generation | undefined {
  if (asked === 'first') return generations[0];
  if (asked === 'last') return generations.at(-1);
  return generations.find(({ index }) => index === Number(asked));
}

function absent(generations: readonly Generation[], asked: string): string {
  if (generations.length === 0) {
    return 'no live-heap profile has been kept yet: the first is kept after the warm-up, at a major collection; /debug/pprof/heap has the present one';
  }
  return `there is no generation ${asked}: there are ${generations.map(({ index }) => index).join(', ')}`;
}

/** Two generations in one directory are two files, and sort by age: 2026-11-22T01-20-03Z. */
function fileTime({ epochMillis }: Generation): string {
  return new Date(epochMillis)
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replaceAll(':', '-');
}
