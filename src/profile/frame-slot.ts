// Labels where AsyncContextFrame is active (Node 24 and later): the sampler finds the native holder that a store of ours
// has in the frame of the moment, all by itself. A holder made for one request tells its trace from the first sample on; it costs
// some 2 us, most of it in collections, so a thousand a second have one: 0.2 % of a core at most. Beyond that, requests
// enter the holder of their route, made once and entered in 0.1 us, when they are named. Owned by labels.ts.
import type { AsyncLocalStorage } from 'node:async_hooks';
import { SAMPLED } from '../core/context.ts';
import type { LabelledRequest, LabelSlot, SampleLabelsOptions, SampleSubject } from './labels.ts';
import type { NativeTimeProfiler } from './native.ts';
import { type LabelSet, NO_LABELS } from './profile.ts';

/** Holders of one request or scope alone, a millisecond, and at once after a pause. */
const UNIQUE_PER_MILLI = 1;
const UNIQUE_BURST = 50;

/** Holders that are shared: routes, and sets of the application's labels. */
const SHARED_MAX = 2000;

/** A native holder; at 0 what it was made of. */
type Holder = readonly [SampleSubject];

interface FrameSlotOptions extends SampleLabelsOptions {
  readonly onOverflow: () => void;
}

export class FrameSlot implements LabelSlot {
  #profiler: NativeTimeProfiler;
  readonly #store: AsyncLocalStorage<object | undefined>;
  readonly #options: FrameSlotOptions;
  readonly #routes = new Map<string, object>();
  readonly #shared = new Map<string, object>();
  #allowance = UNIQUE_BURST;
  #allowedMillis = 0;

  constructor(profiler: NativeTimeProfiler, store: AsyncLocalStorage<object | undefined>, options: FrameSlotOptions) {
    this.#profiler = profiler;
    this.#store = store;
    this.#options = options;
  }

  begun(request: LabelledRequest): void {
    if ((request.traceFlags & SAMPLED) !== 0 && this.#mayBeUnique(request.startMonotonicMillis)) {
      this.#store.enterWith(this.#profiler.createContextHolder({ active: request, route: '', own: NO_LABELS }));
    } else if (this.#store.getStore() !== undefined) {
      // The frame of a pipelined request may be the one before it.
      this.#store.enterWith(undefined);
    }
  }

  routed(route: string): void {
    const current = this.#current();
    // The route of a span is asked when the window ends; a router names a route more than once.
    if (current?.active !== undefined || (current?.route ?? '') === route) return;
    const own = current?.own ?? NO_LABELS;
    this.#store.enterWith(own === NO_LABELS ? this.#ofRoute(route) : this.#ofLabels(route, own));
  }

  entering(active: object | undefined): unknown {
    const before = this.#store.getStore();
    if (active === undefined) {
      // Work of ours that a request happens to start is not the request's.
      if (before !== undefined) this.#store.enterWith(undefined);
      return before;
    }
    const current = subjectIn(before);
    const { idsOf, monotonicMillis } = this.#options;
    if (current?.active === active || (idsOf(active).traceFlags & SAMPLED) === 0 || !this.#mayBeUnique(monotonicMillis())) return before;
    this.#store.enterWith(this.#profiler.createContextHolder({ active, route: '', own: current?.own ?? NO_LABELS }));
    return before;
  }

  left(_active: object | undefined, before: unknown): void {
    if (this.#store.getStore() !== before) this.#store.enterWith(before as object | undefined);
  }

  label<R>(labels: LabelSet, fn: () => R): R {
    const current = this.#current();
    const own = current === undefined ? labels : { ...current.own, ...labels };
    const holder = this.#mayBeUnique(this.#options.monotonicMillis())
      ? this.#profiler.createContextHolder({ active: current?.active, route: current?.route ?? '', own })
      : this.#ofLabels(current?.route ?? '', own);
    return this.#store.run(holder, fn);
  }

  subjectOf(context: object): SampleSubject {
    return context as SampleSubject;
  }

  sampledBy(profiler: NativeTimeProfiler): void {
    this.#profiler = profiler;
  }

  rotating(): void {}

  rotated(): void {}

  stop(): void {}

  #current(): SampleSubject | undefined {
    return subjectIn(this.#store.getStore());
  }

  #mayBeUnique(nowMillis: number): boolean {
    // A request is told with its start, which may be a little before the last reading.
    const sinceMillis = Math.max(0, nowMillis - this.#allowedMillis);
    this.#allowance = Math.min(UNIQUE_BURST, this.#allowance + sinceMillis * UNIQUE_PER_MILLI);
    this.#allowedMillis += sinceMillis;
    if (this.#allowance < 1) return false;
    this.#allowance -= 1;
    return true;
  }

  #ofRoute(route: string): object | undefined {
    return route === ''
      ? undefined
      : (this.#routes.get(route) ?? this.#share(this.#routes, route, { active: undefined, route, own: NO_LABELS }));
  }

  #ofLabels(route: string, own: LabelSet): object | undefined {
    const key = JSON.stringify([route, own]);
    return this.#shared.get(key) ?? this.#share(this.#shared, key, { active: undefined, route, own }) ?? this.#ofRoute(route);
  }

  /** Makes a holder for many; none when there are too many. */
  #share(holders: Map<string, object>, key: string, subject: SampleSubject): object | undefined {
    if (holders.size >= SHARED_MAX) {
      this.#options.onOverflow();
      return undefined;
    }
    const holder = this.#profiler.createContextHolder(subject);
    holders.set(key, holder);
    return holder;
  }
}

function subjectIn(holder: object | undefined): SampleSubject | undefined {
  return holder === undefined ? undefined : (holder as Holder)[0];
}
