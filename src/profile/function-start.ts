// Whether a function of V8's name begins where V8 says, and where that name stands. V8 places a function at the
// parenthesis of its parameters, an arrow function at its first character, a class without a constructor at `class`
// and the code of its fields anywhere in it (Node 20 to 26, CPU and heap profiles alike). So a file that is not the
// code that runs is noticed, and a minified name is looked up in the map where it stands: what the map has at the
// place itself is the first parameter of `item => ...`. Pure.

/** The text before the place (300 characters are enough) and from it on (40). */
export interface Surroundings {
  readonly before: string;
  readonly after: string;
}

/** One part of a name, `holder` of `holder.run`. */
export interface NamePart {
  readonly text: string;
  /** Where it begins in the name. */
  readonly index: number;
  /** How many UTF-16 units after the place it stands; negative, mostly. */
  readonly offset: number;
}

export interface FunctionStart {
  /** `yes`: the name stands there; `maybe`: nothing speaks against it, as for functions without a name; `no`. */
  readonly fits: 'yes' | 'maybe' | 'no';
  /** The name in its parts, those that were found; the rest of the name is V8's. */
  readonly parts: readonly NamePart[];
  /** A constructor or the code of fields: the name is that of the class, further up. */
  readonly isOfClass: boolean;
}

const NO: FunctionStart = { fits: 'no', parts: [], isOfClass: false };
const MAYBE: FunctionStart = { fits: 'maybe', parts: [], isOfClass: false };
const CONSTRUCTOR: FunctionStart = { fits: 'yes', parts: [], isOfClass: true };
const QUOTED: FunctionStart = { fits: 'yes', parts: [], isOfClass: false };
const FIELDS: FunctionStart = { fits: 'maybe', parts: [], isOfClass: true };

/** Words that stand before the parenthesis of a function without being its name. */
const KEYWORDS = new Set(
  (
    'async await case catch default delete do else extends for function get if in instanceof new of return set static switch throw ' +
    'typeof void while yield'
  ).split(' '),
);

const WORD_AT_END = /[#$\p{ID_Continue}]+$/u;
const FUNCTION_AT_END = /(?:\basync\s*)?\bfunction\s*\*?\s*$/;
const ARROW = /^(?:async\b|[$_\p{ID_Start}][$\p{ID_Continue}]*\s*=>)/u;
/** The body of a class or one of its fields, and what may stand before. */
const FIELD = /^[{[#"'\d$_\p{ID_Start}]/u;
const BEFORE_FIELD = /(?:[{};\n]|\*\/|^)[^\S\n]*$/;

/** Looks at a place for a function that V8 calls `name`, empty for none. */
export function functionStart(name: string, { before, after }: Surroundings): FunctionStart {
  const bare = name.replace(/^(?:get|set) /, '');
  if (after.startsWith('(')) return parenthesis(name, bare, before);
  if (ARROW.test(after)) return assigned(name, before) ?? MAYBE;
  if (/^class\b/.test(after)) return classStart(name, { before, after });
  return after.startsWith('{') || (FIELD.test(after) && BEFORE_FIELD.test(before)) ? FIELDS : NO;
}

function parenthesis(name: string, bare: string, before: string): FunctionStart {
  const text = before.trimEnd();
  if (/\bconstructor$/.test(text)) return CONSTRUCTOR;
  const isNamed = bare !== '' && !bare.startsWith('<');
  if (isNamed && endsWithName(text, bare)) return found(name, { text, before }, [bare]);
  if (isNamed && (text.endsWith(`"${bare}"`) || text.endsWith(`'${bare}'`))) return QUOTED;
  return (isNamed ? assigned(name, before) : undefined) ?? (wordAtEnd(text) === undefined ? MAYBE : NO);
}

/** Whether a word before a parenthesis is part of the language and no function's name. */
export function isKeyword(word: string): boolean {
  return KEYWORDS.has(word);
}

/** Where the name of a class stands that encloses a place and is no further than `before` reaches. */
export function classNameStart(name: string, before: string): NamePart | undefined {
  if (!/^[$_\p{ID_Start}][$\p{ID_Continue}]*$/u.test(name)) return undefined;
  const escaped = name.replaceAll('$', '\\$');
  const declared = new RegExp(
    `\\bclass\\s+(?=${escaped}(?![$\\p{ID_Continue}]))|(?<![$.\\p{ID_Continue}])(?=${escaped}\\s*=\\s*class\\b)`,
    'gu',
  );
  let at: number | undefined;
  for (const match of before.matchAll(declared)) at = match.index + match[0].length;
  return at === undefined ? undefined : { text: name, index: 0, offset: at - before.length };
}

function classStart(name: string, { before, after }: Surroundings): FunctionStart {
  const own = /^class\s+(?!extends\b)/.exec(after)?.[0].length;
  if (name === '' || own === undefined || !after.startsWith(name, own)) return assigned(name, before) ?? MAYBE;
  return { fits: 'yes', parts: [{ text: name, index: 0, offset: own }], isOfClass: false };
}

/** `name = `, `name: ` and the like, with or without `function` behind it. */
function assigned(name: string, before: string): FunctionStart | undefined {
  const text = before.replace(FUNCTION_AT_END, '').trimEnd();
  if (!/[=:]$/.test(text)) return undefined;
  const target = text.slice(0, -1).trimEnd();
  if (endsWithName(target, name)) return found(name, { text: target, before }, name.split('.'));
  // V8 calls `this.run = () => ...` of a class Task `Task.run`.
  const last = name.slice(name.lastIndexOf('.') + 1);
  return endsWithName(target, last) ? found(name, { text: target, before }, [last]) : undefined;
}

/** Places the last parts of a name, which `text` ends with; that is what `before` begins with. */
function found(name: string, { text, before }: { text: string; before: string }, parts: readonly string[]): FunctionStart {
  const { length } = parts.join('.');
  let done = 0;
  const placed = parts.map((part) => {
    const own = { text: part, index: name.length - length + done, offset: text.length - length + done - before.length };
    done += part.length + 1;
    return own;
  });
  return { fits: 'yes', parts: placed, isOfClass: false };
}

function endsWithName(text: string, name: string): boolean {
  return name !== '' && text.endsWith(name) && !WORD_AT_END.test(text.slice(0, -name.length));
}

function wordAtEnd(text: string): string | undefined {
  const word = WORD_AT_END.exec(text)?.[0];
  return word === undefined || isKeyword(word) ? undefined : word;
}
