// The named function that a nameless callback is written in. Once V8 has inlined that function, no stack has it any more,
// and the callback would be called by the name of whoever called. Reads the text as far as brackets, strings and the
// words before a brace go; what it cannot make out has no name. Pure: 1 ms for 100 kB.

/** Texts that are longer are not read: bundles, whose maps name the sources. */
const CHARACTERS_MAX = 500_000;

/** How far before a brace the head of its function is looked for. */
const HEAD_CHARACTERS = 400;

/** Words before a parenthesis that open a block and no function. */
const BLOCKS = new Set(['if', 'for', 'while', 'switch', 'catch', 'with', 'await']);

const NAME_AT_END = /([$_\p{ID_Start}#][$\p{ID_Continue}]*)\s*$/u;
const FUNCTION_AT_END = /\bfunction\s*\*?\s*$/;
const FUNCTION_NAMED_AT_END = /\bfunction\s*\*?\s*([$_\p{ID_Start}][$\p{ID_Continue}]*)\s*$/u;
/** `name =`, `name:`, with `async` or a type of TypeScript's between. */
const ASSIGNED_AT_END = /([$_\p{ID_Start}#][$\p{ID_Continue}]*)\s*(?::[^=;{}()]*)?[=:]\s*(?:async\s*)?(?:<[^<>]*>\s*)?$/u;
const CLASS_AT_END = /\bclass\s+([$_\p{ID_Start}][$\p{ID_Continue}]*)(?:\s*<[^{}]*>)?(?:\s+(?:extends|implements)\s[^{}]*)?\s*$/u;
/** Between the parameters and the body: a type of TypeScript's. */
const RETURN_TYPE = /^\s*(?::[^;{}]*)?$/;

/** A regular expression may begin after these, a division after anything else. */
const BEFORE_EXPRESSION = /(?:^|\*\/|[=(,:;!&|?{}[+\-*%<>~^]|\b(?:return|typeof|case|in|of|do|else|void|delete|throw|new|yield|await))\s*$/;

/** The name of the innermost named function around a place, given by line and column from 1; undefined where there is none. */
export function enclosingFunction(text: string, line: number, column: number): string | undefined {
  if (text.length > CHARACTERS_MAX) return undefined;
  const offset = offsetOf(text, line, column);
  return offset === undefined ? undefined : new Scan(text).nameAround(offset);
}

function offsetOf(text: string, line: number, column: number): number | undefined {
  let start = 0;
  for (let i = 1; i < line; i++) {
    start = text.indexOf('\n', start) + 1;
    if (start === 0) return undefined;
  }
  const offset = start + column - 1;
  return offset <= text.length ? offset : undefined;
}

class Scan {
  readonly #text: string;
  /** Names of the functions whose bodies are open; undefined for other braces, and of nameless functions. */
  readonly #names: (string | undefined)[] = [];
  /** Names of the classes at the same depths. */
  readonly #classes: (string | undefined)[] = [];
  /** Where the parentheses that are open began, and the last that was closed. */
  readonly #parentheses: number[] = [];
  #parameters: { readonly open: number; readonly close: number } | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  nameAround(offset: number): string | undefined {
    for (let at = 0; at < offset; at = this.#next(at));
    const depth = this.#names.findLastIndex((name) => name !== undefined);
    // As V8 calls it.
    return this.#names[depth] === 'constructor' ? this.#classes.slice(0, depth).at(-1) : this.#names[depth];
  }

  /** Goes past one token. */
  #next(at: number): number {
    const text = this.#text;
    switch (text[at]) {
      case '{':
        this.#classes[this.#names.length] = CLASS_AT_END.exec(text.slice(Math.max(0, at - HEAD_CHARACTERS), at))?.[1];
        this.#names.push(this.#nameOfBody(at));
        return at + 1;
      case '}':
        this.#names.pop();
        return at + 1;
      case '(':
        this.#parentheses.push(at);
        return at + 1;
      case ')':
        this.#parameters = { open: this.#parentheses.pop() ?? at, close: at };
        return at + 1;
      case "'":
      case '"':
        return pastString(text, at);
      case '`':
        return this.#pastTemplate(at);
      case '/':
        return pastSlash(text, at);
      default:
        return at + 1;
    }
  }

  /** What is in `${}` is code of the function around it. */
  #pastTemplate(start: number): number {
    const text = this.#text;
    let at = start + 1;
    while (at < text.length && text[at] !== '`') {
      if (text[at] === '\\') at += 2;
      else if (text.startsWith('${', at)) {
        const depth = this.#names.push(undefined);
        at += 2;
        while (at < text.length && this.#names.length >= depth) at = this.#next(at);
      } else at += 1;
    }
    return at + 1;
  }

  #nameOfBody(brace: number): string | undefined {
    const text = this.#text;
    const before = text.slice(Math.max(0, brace - HEAD_CHARACTERS), brace).trimEnd();
    if (before.endsWith('=>')) return this.#nameOfArrow(Math.max(0, brace - HEAD_CHARACTERS) + before.length - 2);
    const parameters = this.#parameters;
    if (parameters === undefined || brace - parameters.close > HEAD_CHARACTERS) return undefined;
    if (!RETURN_TYPE.test(text.slice(parameters.close + 1, brace))) return undefined;
    const head = text.slice(Math.max(0, parameters.open - HEAD_CHARACTERS), parameters.open).replace(/<[^<>()]*>\s*$/, '');
    if (FUNCTION_AT_END.test(head)) return ASSIGNED_AT_END.exec(head.replace(FUNCTION_AT_END, ''))?.[1];
    const name = FUNCTION_NAMED_AT_END.exec(head)?.[1] ?? NAME_AT_END.exec(head)?.[1];
    return name === undefined || BLOCKS.has(name) ? undefined : name;
  }

  #nameOfArrow(arrow: number): string | undefined {
    const text = this.#text;
    const parameters = this.#parameters;
    const isListed = parameters !== undefined && RETURN_TYPE.test(text.slice(parameters.close + 1, arrow));
    const before = text.slice(Math.max(0, arrow - HEAD_CHARACTERS), arrow);
    const head = isListed ? text.slice(Math.max(0, parameters.open - HEAD_CHARACTERS), parameters.open) : before.replace(NAME_AT_END, '');
    return ASSIGNED_AT_END.exec(head)?.[1];
  }
}

function pastString(text: string, start: number): number {
  const quote = text[start];
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === quote || text[at] === '\n') return at + 1;
  }
  return text.length;
}

/** A comment, a regular expression or a division. */
function pastSlash(text: string, at: number): number {
  if (text[at + 1] === '/') return endOf(text.indexOf('\n', at), text);
  if (text[at + 1] === '*') return endOf(text.indexOf('*/', at + 2) + 1, text) + 1;
  if (!BEFORE_EXPRESSION.test(text.slice(Math.max(0, at - 16), at))) return at + 1;
  let isInClass = false;
  for (let i = at + 1; i < text.length && text[i] !== '\n'; i++) {
    if (text[i] === '\\') i += 1;
    else if (text[i] === '[') isInClass = true;
    else if (text[i] === ']') isInClass = false;
    else if (text[i] === '/' && !isInClass) return i + 1;
  }
  return at + 1;
}

function endOf(index: number, text: string): number {
  return index <= 0 ? text.length : index;
}
