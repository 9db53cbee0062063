// Trace ids in what the application writes through console. sdk.ts installs it. Outside a request, and for everything
// that is not asked for by the mode, the arguments reach the original method as they are.
import type { SpanIds } from '../core/context.ts';
import type { Guard } from '../core/guard.ts';
import { type ActiveIds, parseObject, traceFields, traceMembers, validIds } from './fields.ts';

/** `json`: lines that are the text of a JSON object. `all`: other lines too, as text at their end. */
export type ConsoleMode = 'json' | 'all' | 'off';

const METHODS = ['log', 'info', 'warn', 'error', 'debug'] as const;

/**
 * Characters of a JSON line that are parsed to make sure of it. The application pays for that on its event loop:
 * 64 Ki take up to 0.5 ms, and collectors cut or refuse much longer lines anyway (CloudWatch and Google at 256 KiB).
 */
const JSON_CHARS_MAX = 65_536;

/** What of util.format takes an argument, and the percent sign that takes none. */
const PLACEHOLDERS = /%[sdjifoOc%]/g;

type Method = (...args: unknown[]) => void;
type MethodName = (typeof METHODS)[number];

export interface ConsoleCorrelationOptions {
  readonly mode: ConsoleMode;
  readonly activeIds: ActiveIds;
  readonly guard: Guard;
  /** Whose methods are wrapped; the process's console if left out. */
  readonly console?: Pick<Console, MethodName>;
}

/** Wraps the five methods of a console that write lines. */
export class ConsoleCorrelation {
  readonly #mode: ConsoleMode;
  readonly #activeIds: ActiveIds;
  readonly #guard: Guard;
  readonly #console: Pick<Console, MethodName>;
  readonly #restores: (() => void)[] = [];

  constructor(options: ConsoleCorrelationOptions) {
    this.#mode = options.mode;
    this.#activeIds = options.activeIds;
    this.#guard = options.guard;
    this.#console = options.console ?? globalThis.console;
  }

  /** Begins to add ids; does nothing in mode `off` or when it has been done. */
  install(): void {
    if (this.#mode === 'off' || this.#restores.length > 0) return;
    for (const name of METHODS) this.#restores.push(this.#wrap(name));
  }

  /** Adds nothing from now on, and takes the wrappers away where nobody has wrapped or replaced them since. */
  uninstall(): void {
    for (const restore of this.#restores.splice(0)) restore();
  }

  #wrap(name: MethodName): () => void {
    const target = this.#console;
    const original: Method = target[name];
    let active = true;
    const correlated = this.#guard.wrap('logs.console', (args: unknown[]) => (active ? this.#correlate(args) : undefined));
    const wrapper = function (this: unknown, ...args: unknown[]): void {
      return Reflect.apply(original, this, correlated(args) ?? args);
    };
    Object.defineProperty(wrapper, 'name', { value: original.name, configurable: true });
    Object.defineProperty(wrapper, 'length', { value: original.length, configurable: true });
    target[name] = wrapper;
    return () => {
      active = false;
      if (target[name] === wrapper) target[name] = original;
    };
  }

  #correlate(args: unknown[]): unknown[] | undefined {
    const ids = validIds(this.#activeIds);
    if (ids === undefined || args.length === 0) return undefined;
    const [first] = args;
    if (args.length === 1 && typeof first === 'string' && first.startsWith('{')) {
      if (first.length > JSON_CHARS_MAX) return undefined;
      const object = parseObject(first);
      if (object !== undefined) return Object.hasOwn(object, 'trace_id') ? undefined : [insertMembers(first, ids)];
    }
    return this.#mode === 'all' ? appendText(args, ids) : undefined;
  }
}

/** Puts the members last in the text of a JSON object, before the white space that pretty-printing left there. */
function insertMembers(text: string, ids: SpanIds): string {
  const close = text.lastIndexOf('}');
  const head = text.slice(0, close).trimEnd();
  const separator = head.endsWith('{') ? '' : ',';
  return `${head}${separator}${traceMembers(ids)}${text.slice(head.length)}`;
}

/** Adds the ids as one more argument, or to the format where a placeholder without an argument would swallow it. */
function appendText(args: unknown[], ids: SpanIds): unknown[] {
  const fields = traceFields(ids);
  const text = `trace_id=${fields.trace_id} span_id=${fields.span_id} trace_flags=${fields.trace_flags}`;
  const [first, ...values] = args;
  if (typeof first !== 'string') return [...args, text];
  // A lone string is written as it is; with a second argument console would read it as a format.
  if (values.length === 0) return [`${first} ${text}`];
  const wanted = first.match(PLACEHOLDERS)?.filter((placeholder) => placeholder !== '%%').length ?? 0;
  return wanted > values.length ? [`${first} ${text}`, ...values] : [...args, text];
}
