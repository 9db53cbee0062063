// What is active now. One AsyncLocalStorage for the whole of Sonde. It holds either a span of ours, entered
// directly by the hot path with nothing made beside it, or a Context that the application made through
// @opentelemetry/api. Who asks for a Context gets a view of the span, built when asked.
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Context } from '@opentelemetry/api';

/** The ids that logs, exemplars and profile labels carry. */
export interface SpanIds {
  /** 32 lower-case hex digits. */
  readonly traceId: string;
  /** 16 lower-case hex digits. */
  readonly spanId: string;
  /** W3C trace flags; bit 0 is sampled. */
  readonly traceFlags: number;
}

/** `TraceFlags.SAMPLED` of the api, which is not loaded for one number. */
export const SAMPLED = 1;

/** A span of ours as the store sees it. */
export interface StoredSpan extends SpanIds {
  readonly isSpan: true;
  /** The value behind a context key while this span is active: the span itself, its baggage, or nothing. */
  contextValue(key: symbol): unknown;
}

// The api package makes its keys with Symbol.for, so they are the same in every copy and version of it.
export const SPAN_KEY: symbol = Symbol.for('OpenTelemetry Context Key SPAN');
export const BAGGAGE_KEY: symbol = Symbol.for('OpenTelemetry Baggage Key');
const SUPPRESS_KEY: symbol = Symbol.for('OpenTelemetry SDK Context Key SUPPRESS_TRACING');

/** A context that adds one entry to another; an entry of `undefined` hides the one below. */
class LinkedContext implements Context {
  readonly #parent: Context;
  readonly #key: symbol;
  readonly #value: unknown;

  constructor(parent: Context, key: symbol, value: unknown) {
    this.#parent = parent;
    this.#key = key;
    this.#value = value;
  }

  getValue(key: symbol): unknown {
    return key === this.#key ? this.#value : this.#parent.getValue(key);
  }

  setValue(key: symbol, value: unknown): Context {
    return new LinkedContext(this, key, value);
  }

  deleteValue(key: symbol): Context {
    return new LinkedContext(this, key, undefined);
  }
}

/** The context of a span that the hot path entered, made only when somebody asks for it. */
class SpanView implements Context {
  readonly span: StoredSpan;

  constructor(span: StoredSpan) {
    this.span = span;
  }

  getValue(key: symbol): unknown {
    return this.span.contextValue(key);
  }

  setValue(key: symbol, value: unknown): Context {
    return new LinkedContext(this, key, value);
  }

  deleteValue(key: symbol): Context {
    return new LinkedContext(this, key, undefined);
  }
}

/** The context in which nothing is set. */
export const ROOT: Context = {
  getValue: () => undefined,
  setValue: (key: symbol, value: unknown) => new LinkedContext(ROOT, key, value),
  deleteValue: () => ROOT,
};

const SUPPRESSED: Context = ROOT.setValue(SUPPRESS_KEY, true);

type Store = StoredSpan | Context;

const storage = new AsyncLocalStorage<Store | undefined>();

function isSpan(store: Store): store is StoredSpan {
  return (store as Partial<StoredSpan>).isSpan === true;
}

/** Told when something becomes active, and stops being so, inside one continuation: the profiler's labels. Must not throw. */
export interface ContextFollower {
  /** `active` is about to become active; undefined for nothing. What it answers is handed to `left`. */
  entering(active: object | undefined): unknown;
  /** `active` is active no more. */
  left(active: object | undefined, before: unknown): void;
}

let follower: ContextFollower | undefined;

/** Sets the one follower, or none. */
export function followContext(next: ContextFollower | undefined): void {
  follower = next;
}

/** Makes `span` active for the rest of this asynchronous execution. Data plane: 6 ns on Node 20, 100 ns on 24. */
export function enter(span: StoredSpan): void {
  storage.enterWith(span);
}

/** Runs `fn` with a context active and returns what it returns. */
export function runWith<R>(context: Context, fn: () => R): R {
  const store = context instanceof SpanView ? context.span : context;
  return follower === undefined ? storage.run(store, fn) : runFollowed(follower, store, fn);
}

function runFollowed<R>(to: ContextFollower, store: Store, fn: () => R): R {
  const active = spanIn(store);
  const before = to.entering(active);
  try {
    return storage.run(store, fn);
  } finally {
    to.left(active, before);
  }
}

/** Makes a context active for the rest of this asynchronous execution and returns how to go back. */
export function attach(context: Context): () => void {
  const previous = storage.getStore();
  const store = context instanceof SpanView ? context.span : context;
  const active = spanIn(store);
  const before = follower?.entering(active);
  storage.enterWith(store);
  return () => {
    storage.enterWith(previous);
    follower?.left(active, before);
  };
}

/** The active context, a view where the hot path entered a span. */
export function activeContext(): Context {
  const store = storage.getStore();
  if (store === undefined) return ROOT;
  return isSpan(store) ? new SpanView(store) : store;
}

/** A span of ours, or one that the application put into a context. */
export type ActiveSpan = StoredSpan | { spanContext(): SpanIds };

/** The active span; undefined outside of any. */
export function activeSpan(): ActiveSpan | undefined {
  const store = storage.getStore();
  return store === undefined ? undefined : spanIn(store);
}

function spanIn(store: Store): ActiveSpan | undefined {
  return isSpan(store) ? store : (store.getValue(SPAN_KEY) as ActiveSpan | undefined);
}

/** The ids of a span. */
export function idsOf(span: ActiveSpan): SpanIds {
  return 'isSpan' in span ? span : span.spanContext();
}

/** The ids of the active span, for logs and exemplars. */
export function activeIds(): SpanIds | undefined {
  const span = activeSpan();
  return span && idsOf(span);
}

/** The value behind a key in the active context, without building a view. */
export function activeValue(key: symbol): unknown {
  const store = storage.getStore();
  if (store === undefined) return undefined;
  return isSpan(store) ? store.contextValue(key) : store.getValue(key);
}

/** Runs `fn` so that the requests it makes are neither measured nor traced: our own exports. */
export function runSuppressed<R>(fn: () => R): R {
  return follower === undefined ? storage.run(SUPPRESSED, fn) : runFollowed(follower, SUPPRESSED, fn);
}

/** Whether the active context asks that nothing be measured or traced. */
export function isSuppressed(): boolean {
  const store = storage.getStore();
  return store !== undefined && !isSpan(store) && store.getValue(SUPPRESS_KEY) === true;
}
