// Labels of the profiler's samples where there is no Sonde around it: what is active is kept by the program itself. For the programs
// that drive the profilers alone (soak/, profiling/).
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Diag } from '../src/core/diag.ts';
import type { Guard } from '../src/core/guard.ts';
import { SampleLabels } from '../src/profile/labels.ts';

/** A request that is served. */
export interface Active {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceFlags: number;
  readonly route: string;
  readonly startMonotonicMillis: number;
}

export const active: AsyncLocalStorage<Active> = new AsyncLocalStorage();

export function createActive(index: number, route: string, traceFlags = 1): Active {
  const id = index.toString(16);
  return { traceId: id.padStart(32, '0'), spanId: id.padStart(16, '0'), traceFlags, route, startMonotonicMillis: performance.now() };
}

export function createLabels(guard: Guard, diag: Diag): SampleLabels {
  return new SampleLabels({
    guard,
    diag,
    active: () => active.getStore(),
    idsOf: (span) => span as Active,
    routeOf: (span) => (span as Active).route,
    monotonicMillis: () => performance.now(),
    prepare: () => {},
  });
}
