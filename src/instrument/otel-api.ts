// The global slot of @opentelemetry/api 1.x: how code that uses the standard API finds Sonde. The slot is written
// directly. Registering through a loaded copy would load the api into every process, and api 1.10 has an ES-module
// build that no hook on CommonJS sees; what all 1.x copies share is this object, whose version must be at least their
// own. A copy that was asked before Sonde started has handed out proxies: those are pointed here through the copy.
import type { Context, ContextManager, MeterProvider, TextMapPropagator, TracerProvider } from '@opentelemetry/api';
import { createRequire } from 'node:module';
import { activeContext, attach, runWith } from '../core/context.ts';
import type { Diag } from '../core/diag.ts';

/** The newest api whose slot this file knows; copies up to this minor version accept it. */
const API_VERSION = '1.10.0';
const SLOT = Symbol.for('opentelemetry.js.api.1');

export interface ApiProviders {
  readonly trace: TracerProvider;
  readonly context: ContextManager;
  readonly propagation: TextMapPropagator;
  readonly metrics: MeterProvider;
}

type Slot = { readonly version: string } & { [K in keyof ApiProviders]?: ApiProviders[K] | undefined };
type Globals = { [SLOT]?: Slot | undefined };

/** A loaded copy of the api, as far as it is asked. */
interface ApiCopy {
  readonly trace: { setGlobalTracerProvider(provider: TracerProvider): boolean; disable(): void };
  readonly metrics: { setGlobalMeterProvider(provider: MeterProvider): boolean; disable(): void };
}

/** Makes Sonde the provider behind @opentelemetry/api; returns how to take it back. */
export function registerApi(providers: ApiProviders, diag: Diag): () => void {
  const globals = globalThis as Globals;
  const present = globals[SLOT];
  if (present?.trace !== undefined) {
    diag.warn('otel-api', 'an OpenTelemetry SDK is already registered in this process; spans made through @opentelemetry/api stay with it');
    return () => {};
  }
  const copies = loadedCopies();
  for (const copy of copies) {
    globals[SLOT] = undefined;
    copy.trace.setGlobalTracerProvider(providers.trace);
    copy.metrics.setGlobalMeterProvider(providers.metrics);
  }
  const slot = Object.defineProperty({ ...present, ...providers } as Slot, 'version', { value: API_VERSION, enumerable: true });
  globals[SLOT] = slot;
  return () => {
    if (globals[SLOT] !== slot) return;
    // Each copy forgets the provider it was pointed to; tracers that it has handed out keep theirs.
    for (const copy of copies) {
      copy.trace.disable();
      copy.metrics.disable();
    }
    globals[SLOT] = present;
  };
}

/** Copies of the api that CommonJS has loaded already: none under the preload, those of the application on a late start. */
function loadedCopies(): ApiCopy[] {
  const cache = createRequire(__filename).cache;
  const entry = /[\\/]@opentelemetry[\\/]api[\\/](?:build[\\/]src[\\/]index\.js|dist[\\/]index\.cjs)$/;
  return Object.keys(cache)
    .filter((filename) => entry.test(filename))
    .map((filename) => cache[filename]!.exports as ApiCopy);
}

type Callback = ((...args: unknown[]) => unknown) & { listener?: Callback };
type EmitterMethod = (this: object, event: string | symbol, listener: Callback) => unknown;
type Emitter = Record<string, EmitterMethod | undefined>;

// `once` and `prependOnceListener` come through these with a wrapper of Node's.
const ADDERS = ['on', 'addListener', 'prependListener'] as const;
const REMOVERS = ['off', 'removeListener'] as const;

/** The api's ContextManager over Sonde's one AsyncLocalStorage. */
export class SondeContextManager implements ContextManager {
  active(): Context {
    return activeContext();
  }

  with<A extends unknown[], F extends (...args: A) => ReturnType<F>>(
    context: Context,
    fn: F,
    thisArg?: ThisParameterType<F>,
    ...args: A
  ): ReturnType<F> {
    return runWith(context, () => fn.apply(thisArg, args));
  }

  /** Binds a function, or every listener that is added to an emitter from now on, to a context. */
  bind<T>(context: Context, target: T): T {
    if (typeof target === 'function') return bindFunction(context, target as unknown as Callback) as unknown as T;
    if (typeof (target as { on?: unknown } | null)?.on === 'function') bindEmitter(context, target as unknown as Emitter);
    return target;
  }

  attach(context: Context): { dispose(): void } {
    return { dispose: attach(context) };
  }

  enable(): this {
    return this;
  }

  disable(): this {
    return this;
  }
}

function bindFunction(context: Context, fn: Callback): Callback {
  function bound(this: unknown, ...args: unknown[]): unknown {
    return runWith(context, () => fn.apply(this, args));
  }
  Object.defineProperty(bound, 'length', { value: fn.length, configurable: true });
  return bound;
}

function bindEmitter(context: Context, emitter: Emitter): void {
  const bound = new WeakMap<Callback, Callback>();
  for (const name of ADDERS) {
    const original = emitter[name];
    if (original === undefined) continue;
    emitter[name] = function add(event, listener): unknown {
      // What is no function is for Node to refuse.
      if (typeof listener !== 'function') return original.call(this, event, listener);
      const known: Callback = bound.get(listener) ?? bindFunction(context, listener);
      // Node finds a wrapped listener for removal by this property.
      known.listener = listener.listener ?? listener;
      bound.set(listener, known);
      return original.call(this, event, known);
    };
  }
  for (const name of REMOVERS) {
    const original = emitter[name];
    if (original === undefined) continue;
    emitter[name] = function remove(event, listener): unknown {
      // What Node wrapped for `once` is known by what it became here; everything else Node finds by the property above.
      return original.call(this, event, listener?.listener === undefined ? listener : (bound.get(listener) ?? listener));
    };
  }
}
