// Where functions of a script come from: what V8 says of them, the text of the script and its source map put together.
// For the worker. Pure.
import type { FunctionStart, NamePart } from './function-start.ts';
import { classNameStart, functionStart, isKeyword } from './function-start.ts';
import type { ScriptText } from './script-text.ts';
import type { Original } from './source-map.ts';
import { askMap } from './source-map.ts';

/** A place in the script, from 0. */
interface Place {
  readonly line: number;
  readonly column: number;
}

/** A function as V8 has it; the name is empty for none. */
export interface GeneratedFunction extends Place {
  readonly name: string;
}

/** The same in a source, as its map names it. */
export interface SourceFunction extends GeneratedFunction {
  readonly source: string;
}

export interface LocatedFunctions {
  /** By function; undefined where the map has nothing, or the script is not what V8 runs. */
  readonly sources: (SourceFunction | undefined)[];
  /** How many functions are not in the script where V8 has them. */
  readonly moved: number;
}

/** A function that stands where V8 says, and where the parts of its name do. */
interface Candidate extends GeneratedFunction {
  readonly index: number;
  readonly fits: FunctionStart['fits'];
  readonly parts: readonly (NamePart & Place)[];
  /** The name of the async function that this is the body of. */
  readonly bodyOf: string | undefined;
}

/** What functionStart needs to see; longer names than this are not looked up. */
const BEFORE_BYTES = 300;
const AFTER_BYTES = 40;

/** How far up the name of a class is looked for. */
const CLASS_BYTES = 65_536;

/**
 * What the TypeScript compiler makes of an async function below ES2017: a nameless one in it that does the work and has
 * no segment of its own. The segment before it is the function's, and so is its name, if it has one.
 */
const AWAITER_BODY =
  /(?:([$\w]+)\s*[=:]?\s*\([^()]*\)\s*(?:=>|\{\s*return)\s*(?:\(0, )?(?:[$\w]+\.)?)?\b__awaiter\)?\([^()]*, function\* ?$/;

/** Names in a map are also those of what is called or read at a place, and with some makers string literals. */
const IDENTIFIER = /^#?[$_\p{ID_Start}][$\p{ID_Continue}]*$/u;

/** Looks functions up. Throws MapError when the map cannot be used. */
export function locateFunctions(functions: readonly GeneratedFunction[], text: ScriptText, map: Uint8Array): LocatedFunctions {
  const modules = [...functions.keys()].filter((index) => isModule(functions[index] as GeneratedFunction));
  const others = [...functions.keys()].filter((index) => !isModule(functions[index] as GeneratedFunction));
  const standing = candidates(functions, others, text);
  const moved = others.length - standing.length;
  // Another text than the one that runs has functions at some of the same places: only names tell them apart.
  const trusted = moved === 0 ? standing : standing.filter(({ fits }) => fits === 'yes');
  const sources: (SourceFunction | undefined)[] = functions.map(() => undefined);
  if (trusted.length === 0 && modules.length === 0) return { sources, moved };

  const queries: Place[] = trusted.flatMap((candidate) => [candidate, ...candidate.parts]).toSorted(byPlace);
  const { originals, onlySource } = askMap(map, toPairs(queries));
  const answers = new Map(queries.map((query, i) => [query, originals[i]]));
  for (const candidate of trusted) {
    const original = answers.get(candidate);
    if (original?.source === undefined || !(original.generatedLine === candidate.line || candidate.bodyOf !== undefined)) continue;
    const { source, line, column } = original;
    sources[candidate.index] = { source, line, column, name: nameOf(candidate, answers) };
  }
  // A module's own code is all of its source, where that is one; a bundle is none of its sources.
  if (onlySource !== undefined) for (const index of modules) sources[index] = { source: onlySource, line: 0, column: 0, name: '' };
  return { sources, moved };
}

function isModule({ name, line, column }: GeneratedFunction): boolean {
  return name === '' && line === 0 && column === 0;
}

/** Those of the functions that begin in the text where V8 says. */
function candidates(functions: readonly GeneratedFunction[], indexes: readonly number[], text: ScriptText): Candidate[] {
  const sorted = indexes.map((index) => ({ index, ...(functions[index] as GeneratedFunction) })).toSorted(byPlace);
  const offsets = text.offsets(toPairs(sorted));
  return sorted.flatMap((one, i) => {
    const offset = offsets[i] as number;
    if (offset === -1) return [];
    const before = text.before(offset, BEFORE_BYTES);
    const { fits, parts, isOfClass } = functionStart(one.name, { before, after: text.after(offset, AFTER_BYTES) });
    if (fits === 'no') return [];
    const bodyOf = one.name === '' ? asyncFunction(before) : undefined;
    if (!isOfClass || one.name === '') return [{ ...one, fits, parts: placed(parts, one, before), bodyOf }];
    const far = text.before(offset, CLASS_BYTES);
    const className = classNameStart(one.name, far);
    return [{ ...one, fits, parts: className === undefined ? [] : placed([className], one, far), bodyOf }];
  });
}

/** The name of the async function whose body begins behind the text, empty for a nameless one; undefined for anything else. */
function asyncFunction(before: string): string | undefined {
  const body = AWAITER_BODY.exec(before);
  if (body === null) return undefined;
  const name = body[1] ?? '';
  return isKeyword(name) ? '' : name;
}

/** Parts of a name with their lines and columns, from their distances to a place; without those whose line begins too far up. */
function placed(parts: readonly NamePart[], from: Place, before: string): (NamePart & Place)[] {
  return parts.flatMap((part) => {
    const at = before.length + part.offset;
    const lines = before.slice(at).split('\n').length - 1;
    if (lines === 0) return [{ ...part, line: from.line, column: from.column + part.offset }];
    const newline = before.lastIndexOf('\n', at);
    return newline === -1 ? [] : [{ ...part, line: from.line - lines, column: at - newline - 1 }];
  });
}

/** V8's name with the parts replaced whose identifier has another name in the map. */
function nameOf({ name, parts, bodyOf = '' }: Candidate, answers: ReadonlyMap<Place, Original | undefined>): string {
  let renamed = name === '' ? bodyOf : name;
  for (const part of parts.toReversed()) {
    const original = answers.get(part);
    const isExact = original?.generatedLine === part.line && original.generatedColumn === part.column;
    if (!isExact || original.name === undefined || !IDENTIFIER.test(original.name)) continue;
    renamed = name.slice(0, part.index) + original.name + renamed.slice(part.index + part.text.length);
  }
  return renamed;
}

function toPairs(places: readonly Place[]): Int32Array {
  return Int32Array.from(places.flatMap(({ line, column }) => [line, column]));
}

function byPlace(a: Place, b: Place): number {
  return a.line - b.line || a.column - b.column;
}
