// What the samples of the CPU profile are labelled with: `http.route`, `trace_id` and `span_id` of the request or span
// that was active, and what the application adds for a scope. request.ts and core/context.ts say here what becomes active, the
// windows of the profiler ask what the context of a sample means; sdk.ts connects them. How a sample comes by its
// context depends on the Node: frame-slot.ts where AsyncContextFrame is active (Node 24 and later), holder-slot.ts elsewhere.
import type { AsyncLocalStorage } from 'node:async_hooks';
import { SAMPLED, type SpanIds } from '../core/context.ts';
import type { Diag } from '../core/diag.ts';
import type { Guard } from '../core/guard.ts';
import { FrameSlot } from './frame-slot.ts';
import { HolderSlot } from './holder-slot.ts';
import type { NativeTimeProfiler } from './native.ts';
import { type LabelSet, NO_LABELS } from './profile.ts';

/** Routes that get a label. An application has tens; beyond this they are no templates but made up from data. */
const ROUTES_MAX = 1000;

/** Characters of a label's name and value; labels are for telling apart, not for carrying data. */
const NAME_CHARS_MAX = 128;
const VALUE_CHARS_MAX = 256;
const LABELS_MAX = 16;

/** Names that say what Sonde knows itself. */
const RESERVED: ReadonlySet<string> = new Set(['http.route', 'trace_id', 'span_id', 'thread']);

/** The record of a request, as far as its samples are about it. */
export interface LabelledRequest extends SpanIds {
  readonly startMonotonicMillis: number;
}

export interface SampleLabelsOptions {
  readonly guard: Guard;
  readonly diag: Diag;
  /** What is active now, if anything is. */
  readonly active: () => object | undefined;
  /** Ids of something active. */
  readonly idsOf: (active: object) => SpanIds;
  /** Route of the request that something active belongs to; empty for none. */
  readonly routeOf: (active: object) => string;
  readonly monotonicMillis: () => number;
  /** Makes what labels need, when somebody gives one before the profiler runs; `start` is then called before it returns. */
  readonly prepare: () => void;
}

/** What a sample is about, before it is written down as labels. */
export interface SampleSubject {
  /** The sampled span that was active. */
  readonly active: object | undefined;
  /** Known without it. */
  readonly route: string;
  /** The application's own labels. */
  readonly own: LabelSet;
}

/** How samples come by their labels on this Node. */
export interface LabelSlot {
  begun(request: LabelledRequest): void;
  routed(route: string): void;
  /** Something is about to become active; the answer is handed to `left`. */
  entering(active: object | undefined): unknown;
  left(active: object | undefined, before: unknown): void;
  label<R>(own: LabelSet, fn: () => R): R;
  subjectOf(context: object): SampleSubject;
  /** Another profiler samples from now on, with the same context key. */
  sampledBy(profiler: NativeTimeProfiler): void;
  rotating(): void;
  rotated(): void;
  stop(): void;
}

/** Labels that an application may give to what runs in a scope. */
export type OwnLabels = Readonly<Record<string, string | number | boolean>>;

export class SampleLabels {
  readonly #options: SampleLabelsOptions;
  readonly #routes = new Set<string>();
  #slot: LabelSlot | undefined;
  #overflowed = 0;
  #isPrepared = false;

  constructor(options: SampleLabelsOptions) {
    this.#options = options;
  }

  /** How often a route or a label got lost because a thousand others had been there before. */
  get overflowed(): number {
    return this.#overflowed;
  }

  /** A request has become active. Data plane. */
  begun(request: LabelledRequest): void {
    this.#slot?.begun(request);
  }

  /** The active request is served by `route`; empty when nothing serves it after all. Data plane. */
  routed(route: string): void {
    this.#slot?.routed(route);
  }

  entering(active: object | undefined): unknown {
    return this.#slot?.entering(active);
  }

  left(active: object | undefined, before: unknown): void {
    this.#slot?.left(active, before);
  }

  /** Runs `fn`, and whatever it starts, with labels on its samples besides those of the scope around it; answers what it answers. */
  label<R>(labels: OwnLabels, fn: () => R): R {
    // A worker that is started with the process has its labels for good.
    if (this.#slot === undefined) this.#prepare();
    const own = this.#slot === undefined ? undefined : this.#options.guard.run('profile labels', () => this.#accepted(labels));
    return own === undefined || this.#slot === undefined ? fn() : this.#slot.label(own, fn);
  }

  /** Labels the samples of a profiler from now on; `store` is its context key where it has one. */
  start(profiler: NativeTimeProfiler, store: AsyncLocalStorage<object | undefined> | undefined): void {
    this.#isPrepared = true;
    if (this.#slot !== undefined) {
      this.#slot.sampledBy(profiler);
      return;
    }
    const options = { ...this.#options, onOverflow: () => (this.#overflowed += 1) };
    this.#slot = store === undefined ? new HolderSlot(profiler, options) : new FrameSlot(profiler, store, options);
  }

  /** To be called before the profiler stops. */
  stop(): void {
    this.#slot?.stop();
    this.#slot = undefined;
  }

  /** What the context of a sample says. */
  labelsOf(context: object): LabelSet {
    if (this.#slot === undefined) return NO_LABELS;
    const { active, route: known, own } = this.#slot.subjectOf(context);
    const { idsOf, routeOf } = this.#options;
    const labels: Record<string, string> = { ...own };
    const route = active === undefined ? known : routeOf(active);
    if (route !== '' && this.#isKnown(route)) labels['http.route'] = route;
    if (active === undefined) return labels;
    const { traceId, spanId, traceFlags } = idsOf(active);
    if ((traceFlags & SAMPLED) !== 0) {
      labels['trace_id'] = traceId;
      labels['span_id'] = spanId;
    }
    return labels;
  }

  /** The span that was active when the samples with this context were taken, where that is known. */
  activeOf(context: object): object | undefined {
    return this.#slot?.subjectOf(context).active;
  }

  /** A window of the profiler is about to end, which may be in the middle of what is active. */
  rotating(): void {
    this.#slot?.rotating();
  }

  /** A window of the profiler has ended and the next begun. */
  rotated(): void {
    this.#slot?.rotated();
  }

  #prepare(): void {
    if (this.#isPrepared) return;
    this.#isPrepared = true;
    this.#options.prepare();
  }

  /** Whether a route may be a label: the first thousand may. */
  #isKnown(route: string): boolean {
    if (this.#routes.has(route)) return true;
    if (this.#routes.size >= ROUTES_MAX) {
      this.#overflowed += 1;
      return false;
    }
    this.#routes.add(route);
    return true;
  }

  /** The application's labels that can be used, as text; what cannot is said once. */
  #accepted(labels: OwnLabels): LabelSet {
    const accepted: Record<string, string> = {};
    const entries = Object.entries(labels ?? {});
    for (const [name, value] of entries.slice(0, LABELS_MAX)) {
      const isText = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
      if (isText && name !== '' && name.length <= NAME_CHARS_MAX && !RESERVED.has(name)) {
        accepted[name] = String(value).slice(0, VALUE_CHARS_MAX);
      } else {
        this.#refuse(name.slice(0, NAME_CHARS_MAX));
      }
    }
    if (entries.length > LABELS_MAX) this.#refuse(entries[LABELS_MAX]![0].slice(0, NAME_CHARS_MAX));
    return accepted;
  }

  #refuse(name: string): void {
    const accepted = `at most ${LABELS_MAX} of text, number or boolean, by names other than ${[...RESERVED].join(', ')}`;
    this.#options.diag.warn(`profile-label:${name}`, `the profile label ${JSON.stringify(name)} is left out: labels are ${accepted}`);
  }
}
