// Node's own suspicion: "Possible EventEmitter memory leak detected". Listens to process 'warning' beside whoever prints
// it, and keeps which event of which class it was and where the listener too many was added. Node warns once for an emitter
// and event, so these are few; the latest 64 places are kept, the emitters by weak references.
import { getEventListeners, type EventEmitter } from 'node:events';
import type { Clock } from '../core/clock.ts';
import type { Guard } from '../core/guard.ts';
import { scriptPath } from '../core/script-path.ts';
import { keyOf, ANONYMOUS, STACK_FRAMES_MAX, type Ownership, type Site } from './site.ts';
import { innermostOwned, withoutInternals } from './creation-stack.ts';

const PLACES_MAX = 64;

/** Of names that an application chooses. */
const NAME_LENGTH_MAX = 128;

/** Apart, so that an emitter that cannot be asked does not end the listening. */
const PART = 'listener warnings';
const COUNT_PART = 'listener counts';

export interface ListenerWarningsOptions {
  readonly guard: Guard;
  readonly clock: Clock;
  readonly ownership?: Ownership;
}

/** Listeners added in one place to more emitters or more often than Node takes for sane. */
export interface ListenerWarning {
  /** Class of the emitter or event target. */
  readonly emitterClass: string;
  readonly event: string;
  /** On the emitter warned of last: now, or when Node warned where it has gone. */
  readonly count: number;
  /** Emitters that Node has warned of for this place. */
  readonly emitters: number;
  /** The innermost frame of the application's that added the one too many, else of a library's; null where neither is known. */
  readonly site: Site | null;
  /** Innermost first. */
  readonly stack: readonly Site[];
  /** When Node warned first and last. */
  readonly firstMillis: number;
  readonly lastMillis: number;
}

/** The warning, as lib/events.js and lib/internal/event_target.js make it. */
interface MaxListenersWarning extends Error {
  readonly emitter?: object;
  readonly target?: object;
  readonly type?: string | symbol;
  readonly count?: number;
}

interface Place extends Omit<ListenerWarning, 'count'> {
  readonly warnedCount: number;
  readonly emitterRef: WeakRef<object>;
  readonly type: string | symbol;
}

/** Collects such warnings while it runs. Both switches may be called at any time, and twice. */
export class ListenerWarnings {
  readonly #options: ListenerWarningsOptions;
  readonly #listener: (warning: Error) => void;
  readonly #places = new Map<string, Place>();
  #isRunning = false;

  constructor(options: ListenerWarningsOptions) {
    this.#options = options;
    this.#listener = options.guard.wrap(PART, (warning: MaxListenersWarning) => {
      if (warning.name === 'MaxListenersExceededWarning') this.#add(warning);
    });
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  start(): void {
    if (this.#isRunning) return;
    const max = process.getMaxListeners();
    // Ours must not be the one too many of which Node warns.
    if (max > 0 && process.listenerCount('warning') >= max) return;
    this.#isRunning = true;
    process.on('warning', this.#listener);
  }

  /** What was found so far stays readable. */
  stop(): void {
    this.#isRunning = false;
    process.removeListener('warning', this.#listener);
  }

  /** What Node warned of, latest first, at most 64. */
  list(): ListenerWarning[] {
    return [...this.#places.values()].toReversed().map(({ warnedCount, emitterRef, type, ...told }) => {
      const now = this.#options.guard.run(COUNT_PART, () => listenerCount(emitterRef.deref(), type));
      return { ...told, count: now ?? warnedCount };
    });
  }

  #add({ emitter, target, type, count, stack }: MaxListenersWarning): void {
    const warned = emitter ?? target;
    if (warned === undefined || type === undefined) return;
    const { clock, ownership = {} } = this.#options;
    // The text that Node prints with --trace-warnings: taken apart it may be read, remade as objects it would be changed.
    const sites = withoutInternals(typeof stack === 'string' ? sitesOf(stack) : [], ownership).slice(0, STACK_FRAMES_MAX);
    const owned = innermostOwned(sites, ownership);
    const site = owned === undefined || owned.owner === 'runtime' ? null : owned.site;
    const [emitterClass, event] = [classOf(warned), String(type).slice(0, NAME_LENGTH_MAX)];
    const key = `${emitterClass} ${event} ${site === null ? '' : keyOf(site)}`;
    const known = this.#places.get(key);
    const lastMillis = clock.monotonicMillis();
    // Put in anew, so that the first of the map is the one seen longest ago.
    this.#places.delete(key);
    this.#places.set(key, {
      emitterClass,
      event,
      site,
      stack: sites,
      type,
      lastMillis,
      emitters: (known?.emitters ?? 0) + 1,
      warnedCount: count ?? 0,
      emitterRef: new WeakRef(warned),
      firstMillis: known?.firstMillis ?? lastMillis,
    });
    const [oldest] = this.#places.keys();
    if (this.#places.size > PLACES_MAX && oldest !== undefined) this.#places.delete(oldest);
  }
}

function listenerCount(emitter: object | undefined, type: string | symbol): number | undefined {
  return emitter === undefined ? undefined : getEventListeners(emitter as EventEmitter, type).length;
}

function classOf(emitter: object): string {
  const name: unknown = emitter.constructor?.name;
  return typeof name === 'string' && name !== '' ? name.slice(0, NAME_LENGTH_MAX) : 'Object';
}

/** The frames of a stack as text: `    at Class.method [as name] (file:line:column)`, or without a name and brackets. */
function sitesOf(stack: string): Site[] {
  return stack.split('\n').flatMap((line) => {
    const at = /^ {4}at (?:(.*) \()?(.*?):(\d+):(\d+)\)?$/.exec(line);
    if (at === null) return [];
    const [, name = '', file = '', lineNumber, columnNumber] = at;
    return { function: functionName(name), file: scriptPath(file), line: Number(lineNumber), column: Number(columnNumber) };
  });
}

/** The function's own name, as V8's profilers tell it: without `async`, `new`, the receiver and the name it was called by. */
function functionName(described: string): string {
  const name = described.replace(/^(?:async |new )+/, '').replace(/ \[as .*\]$/, '');
  const own = name.slice(name.lastIndexOf('.') + 1);
  return own === '' || own === '<anonymous>' ? ANONYMOUS : own;
}
