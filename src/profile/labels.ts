// Which route the samples of the CPU profile are labelled with, `http.route`. request.ts says here which route serves
// the active request, the windows of the profiler ask what the context of a sample means; sdk.ts connects them.
// Where AsyncContextFrame is active (Node 24 and later) the sampler reads a store of ours by itself, and a request enters
// the one native holder of its route when it is named; what it did before has no label. Elsewhere the sampler reads one
// slot, and what is active is looked at when one was taken; its route is asked when the window ends.
import { createHook, type AsyncHook, type AsyncLocalStorage } from 'node:async_hooks';
import type { Guard } from '../core/guard.ts';
import type { NativeTimeProfiler } from './native.ts';
import { type LabelSet, NO_LABELS } from './profile.ts';

/** Routes that get a label. An application has tens; beyond this they are no templates but made up from data. */
const ROUTES_MAX = 1000;

export interface RouteLabelsOptions {
  readonly guard: Guard;
  /** What is active now, if anything is. */
  readonly active: () => object | undefined;
  /** Route of the request that something active belongs to; empty for none. */
  readonly routeOf: (active: object) => string;
}

/** How samples come by their labels on this Node. */
interface Slot {
  routed(route: string): void;
  labelsOf(context: object): LabelSet;
  rotated(): void;
  stop(): void;
}

export class RouteLabels {
  readonly #options: RouteLabelsOptions;
  readonly #sets = new Map<string, LabelSet>();
  #slot: Slot | undefined;
  #overflowed = 0;

  constructor(options: RouteLabelsOptions) {
    this.#options = options;
  }

  /** How often a route got no label because 1,000 others had one. */
  get overflowed(): number {
    return this.#overflowed;
  }

  /** The active request is served by `route`; empty when nothing serves it after all. Data plane. */
  routed(route: string): void {
    this.#slot?.routed(route);
  }

  /** Labels the samples of a profiler from now on; `store` is its context key where it has one. */
  start(profiler: NativeTimeProfiler, store: AsyncLocalStorage<object | undefined> | undefined): void {
    const setOf = (route: string): LabelSet | undefined => this.#setOf(route);
    this.#slot = store === undefined ? new HolderSlot(profiler, this.#options, setOf) : new FrameSlot(profiler, store, setOf);
  }

  /** To be called before the profiler stops. */
  stop(): void {
    this.#slot?.stop();
    this.#slot = undefined;
  }

  /** What the context of a sample says. */
  labelsOf(context: object): LabelSet {
    return this.#slot?.labelsOf(context) ?? NO_LABELS;
  }

  /** A window of the profiler has ended and the next begun. */
  rotated(): void {
    this.#slot?.rotated();
  }

  /** The one label set of a route; undefined for no route, and for the 1,001st. */
  #setOf(route: string): LabelSet | undefined {
    if (route === '') return undefined;
    let set = this.#sets.get(route);
    if (set === undefined) {
      if (this.#sets.size >= ROUTES_MAX) {
        this.#overflowed += 1;
        return undefined;
      }
      this.#sets.set(route, (set = { 'http.route': route }));
    }
    return set;
  }
}

/**
 * With AsyncContextFrame: the context of a sample is the label set itself, in a native holder that is made once a route
 * (one a request costs 2 us, entering a made one 0.1). Each request of a connection begins in the connection's own
 * frame, which never had a label.
 */
class FrameSlot implements Slot {
  readonly #profiler: NativeTimeProfiler;
  readonly #store: AsyncLocalStorage<object | undefined>;
  readonly #setOf: (route: string) => LabelSet | undefined;
  readonly #holders = new Map<string, object>();

  constructor(profiler: NativeTimeProfiler, store: AsyncLocalStorage<object | undefined>, setOf: (route: string) => LabelSet | undefined) {
    this.#profiler = profiler;
    this.#store = store;
    this.#setOf = setOf;
  }

  routed(route: string): void {
    const holder = this.#holders.get(route) ?? this.#createHolder(route);
    // A router names a route more than once, and what no route serves is mostly in no route's frame.
    if (this.#store.getStore() !== holder) this.#store.enterWith(holder);
  }

  labelsOf(context: object): LabelSet {
    return context as LabelSet;
  }

  rotated(): void {}

  stop(): void {}

  #createHolder(route: string): object | undefined {
    const set = this.#setOf(route);
    if (set === undefined) return undefined;
    const holder = this.#profiler.createContextHolder(set);
    this.#holders.set(route, holder);
    return holder;
  }
}

/** What the sampler has in its one slot: of a sample that was taken, what was active. */
interface Holder {
  active: object | undefined;
}

/**
 * Without it: all samples take the holder that is in the sampler's one slot. When a continuation ends and the sampler's
 * counter has moved, the holder is given what is active in it, and the next samples get another. So a continuation
 * costs a hook and one comparison, 0.5 us a request of 13 of them; to look at what is active before each costs 1.4, and
 * without a hook half of the samples have another request's route. Nothing of it runs until a router names a route.
 * Where a continuation runs inside another, what the outer did before counts for the inner: Node parses requests that way.
 */
class HolderSlot implements Slot {
  readonly #profiler: NativeTimeProfiler;
  readonly #options: RouteLabelsOptions;
  readonly #setOf: (route: string) => LabelSet | undefined;
  readonly #state: Uint32Array;
  readonly #hook: AsyncHook;
  #hooked = false;
  #sampleCount = 0;
  #holder: Holder = { active: undefined };

  constructor(profiler: NativeTimeProfiler, options: RouteLabelsOptions, setOf: (route: string) => LabelSet | undefined) {
    this.#profiler = profiler;
    this.#options = options;
    this.#setOf = setOf;
    this.#state = profiler.state;
    this.rotated();
    const sampled = options.guard.wrap('profile labels', () => this.#sampled());
    const after = (): void => {
      if (this.#state[0] !== this.#sampleCount) sampled();
    };
    this.#hook = createHook({ after });
  }

  /** The route itself is asked when the window ends. */
  routed(route: string): void {
    if (this.#hooked || route === '') return;
    this.#hooked = true;
    this.#hook.enable();
  }

  labelsOf(context: object): LabelSet {
    const { active } = context as Holder;
    return (active && this.#setOf(this.#options.routeOf(active))) ?? NO_LABELS;
  }

  /** A new holder for the samples from now on; the counter has begun again. */
  rotated(): void {
    this.#sampleCount = this.#state[0] as number;
    this.#holder = { active: undefined };
    this.#profiler.context = this.#holder;
  }

  stop(): void {
    this.#hook.disable();
  }

  #sampled(): void {
    const holder = this.#holder;
    this.rotated();
    holder.active = this.#options.active();
  }
}
