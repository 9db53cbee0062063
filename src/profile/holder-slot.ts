// Labels where AsyncContextFrame is not active (Node 20 and 22): all samples take the holder that is in the sampler's one
// slot. When a continuation ends, or something else becomes active inside it, and the sampler's counter has moved, the holder is given what was active, and
// the next samples get another. So a continuation costs a hook and one comparison, 0.5 us a request of 13 of them; to
// look at what is active before each costs 1.4, and without a hook half of the samples are another request's.
// Nothing of it runs before the first request. Where a continuation runs inside another, what the outer did before counts
// for the inner: Node parses requests that way. Owned by labels.ts.
import { AsyncLocalStorage, createHook, type AsyncHook } from 'node:async_hooks';
import type { LabelSlot, SampleLabelsOptions, SampleSubject } from './labels.ts';
import type { NativeTimeProfiler } from './native.ts';
import { type LabelSet, NO_LABELS } from './profile.ts';

/** What the sampler has in its one slot: of a sample that was taken, what was active. */
interface Holder {
  active: object | undefined;
  own: LabelSet;
}

export class HolderSlot implements LabelSlot {
  #profiler: NativeTimeProfiler;
  readonly #options: SampleLabelsOptions;
  #state: Uint32Array;
  readonly #hook: AsyncHook;
  /** The application's labels; made by the first who gives any. */
  #own: AsyncLocalStorage<LabelSet> | undefined;
  #hooked = false;
  #sampleCount = 0;
  #holder: Holder = { active: undefined, own: NO_LABELS };

  constructor(profiler: NativeTimeProfiler, options: SampleLabelsOptions) {
    this.#profiler = profiler;
    this.#options = options;
    this.#state = profiler.state;
    this.rotated();
    const sampled = options.guard.wrap('profile labels', () => this.#sampled(this.#options.active()));
    const after = (): void => {
      if (this.#state[0] !== this.#sampleCount) sampled();
    };
    this.#hook = createHook({ after });
  }

  begun(): void {
    if (!this.#hooked) this.#enable();
  }

  /** The route itself is asked when the window ends. */
  routed(): void {}

  entering(): unknown {
    if (!this.#hooked) this.#enable();
    if (this.#state[0] !== this.#sampleCount) this.#sampled(this.#options.active());
    return undefined;
  }

  left(active: object | undefined): void {
    if (this.#state[0] !== this.#sampleCount) this.#sampled(active);
  }

  label<R>(labels: LabelSet, fn: () => R): R {
    this.entering();
    const store = (this.#own ??= new AsyncLocalStorage());
    return store.run({ ...store.getStore(), ...labels }, () => {
      try {
        return fn();
      } finally {
        this.left(this.#options.active());
      }
    });
  }

  subjectOf(context: object): SampleSubject {
    const { active, own } = context as Holder;
    return { active, route: '', own };
  }

  rotating(): void {
    if (this.#hooked && this.#state[0] !== this.#sampleCount) this.#sampled(this.#options.active());
  }

  sampledBy(profiler: NativeTimeProfiler): void {
    this.#profiler = profiler;
    this.#state = profiler.state;
    this.rotated();
  }

  /** A new holder for the samples from now on; the counter has begun again. */
  rotated(): void {
    this.#sampleCount = this.#state[0] as number;
    this.#holder = { active: undefined, own: NO_LABELS };
    this.#profiler.context = this.#holder;
  }

  stop(): void {
    this.#hook.disable();
    this.#own?.disable();
  }

  #enable(): void {
    this.#hooked = true;
    this.#hook.enable();
  }

  #sampled(active: object | undefined): void {
    const holder = this.#holder;
    this.rotated();
    holder.active = active;
    holder.own = this.#own?.getStore() ?? NO_LABELS;
  }
}
