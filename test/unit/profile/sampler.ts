// The addon's profiler as the labels see it, with the same four members; `sample` does what its signal handler does. The real
// one, under load and on each Node, is in contract/pprof-labels.test.ts.
import type { AsyncLocalStorage } from 'node:async_hooks';
import { activeSpan, type ActiveSpan, idsOf, SPAN_KEY, type StoredSpan } from '../../../src/core/context.ts';
import { StderrDiag } from '../../../src/core/diag.ts';
import { Guard } from '../../../src/core/guard.ts';
import { SampleLabels, type SampleLabelsOptions } from '../../../src/profile/labels.ts';
import type { NativeTimeProfiler } from '../../../src/profile/native.ts';

export class Sampler {
  readonly state: Uint32Array = new Uint32Array(1);
  context: object | undefined;
  /** Native holders that were made. */
  holders = 0;
  readonly #store: AsyncLocalStorage<object | undefined> | undefined;

  constructor(store?: AsyncLocalStorage<object | undefined>) {
    this.#store = store;
  }

  createContextHolder(context: object): object {
    this.holders += 1;
    return [context];
  }

  sample(): object | undefined {
    this.state[0]! += 1;
    return this.#store === undefined ? this.context : (this.#store.getStore() as [object] | undefined)?.[0];
  }

  /** A window ends and the next begins. */
  restart(labels: SampleLabels): void {
    labels.rotating();
    this.state[0] = 0;
    labels.rotated();
  }

  /** What it is to the labels. */
  get native(): NativeTimeProfiler {
    return this as unknown as NativeTimeProfiler;
  }
}

/** Labels of what is active in the context; `lines` gets what they say. */
export function createLabels(lines: string[], options: Partial<SampleLabelsOptions> = {}): SampleLabels {
  const diag = new StderrDiag('warn', (line) => lines.push(line));
  return new SampleLabels({
    guard: new Guard(diag),
    diag,
    active: activeSpan,
    idsOf: (span) => idsOf(span as ActiveSpan),
    routeOf: (span) => (span as TestSpan).route,
    monotonicMillis: () => 0,
    prepare: () => {},
    ...options,
  });
}

export interface TestSpan extends StoredSpan {
  route: string;
  readonly startMonotonicMillis: number;
}

let spans = 0;

/** A span with ids of its own: a request, or anything else that is active. */
export function spanOf(
  route: string,
  { traceFlags = 1, startMonotonicMillis = 0 }: { traceFlags?: number; startMonotonicMillis?: number } = {},
): TestSpan {
  const id = (spans += 1).toString(16);
  const span: TestSpan = {
    isSpan: true,
    traceId: id.padStart(32, '0'),
    spanId: id.padStart(16, '0'),
    traceFlags,
    route,
    startMonotonicMillis,
    contextValue: (key) => (key === SPAN_KEY ? span : undefined),
  };
  return span;
}
