// The data plane wired as sdk.ts wires it, without what a process does besides. Called by the operations.
import { ClientRequests } from '../../src/client-request.ts';
import { readConfig } from '../../src/config.ts';
import { SystemClock } from '../../src/core/clock.ts';
import { StderrDiag } from '../../src/core/diag.ts';
import { Guard } from '../../src/core/guard.ts';
import { resource } from '../../src/core/resource.ts';
import { describeClient, describeServer } from '../../src/instrument/http-semconv.ts';
import type { Family } from '../../src/metrics/family.ts';
import { ServerRequests } from '../../src/request.ts';
import { TraceRing } from '../../src/trace/ring.ts';
import { createSampler, type SamplerName } from '../../src/trace/sampling.ts';
import type { SpanDescriber } from '../../src/trace/span.ts';
import { SondeTracerProvider, Tracing } from '../../src/trace/tracer.ts';

export interface Parts {
  readonly guard: Guard;
  readonly tracing: Tracing;
  readonly tracers: SondeTracerProvider;
  readonly requests: ServerRequests;
  readonly clients: ClientRequests;
  readonly ring: TraceRing;
  readonly serverDescriber: SpanDescriber;
}

export function wireParts(sampler: SamplerName = 'parentbased_always_on'): Parts {
  const { knownMethods, seriesLimit, spanLimits, propagation } = readConfig({}, {}).config;
  const clock = new SystemClock();
  const guard = new Guard(new StderrDiag('warn'));
  const ring = new TraceRing();
  const tracing = new Tracing({
    clock,
    sampler: createSampler(sampler, 1),
    limits: spanLimits,
    propagation,
    resource: resource({ serviceName: 'bench', attributes: {}, sdkVersion: '0.0.0' }),
    keep: (root) => ring.offer(root),
    push: undefined,
  });
  const serverDescriber = describeServer({ knownMethods });
  const requests = new ServerRequests({ knownMethods, seriesLimit }, { guard, clock, tracing, describer: serverDescriber });
  const clients = new ClientRequests({ clock, tracing, describer: describeClient({ knownMethods }), knownMethods, seriesLimit });
  return { guard, tracing, tracers: new SondeTracerProvider(tracing), requests, clients, ring, serverDescriber };
}

/** Measurements in all series of a family. */
export function countOf(family: Family | undefined): number {
  if (family?.type !== 'histogram') throw new Error(`${family?.name} is no histogram`);
  return family.points.reduce((total, { counts }) => total + Array.from(counts).reduce((sum, count) => sum + count, 0), 0);
}

/** Sum of all series of a family of numbers. */
export function sumOf(family: Family | undefined): number {
  if (family?.type !== 'updowncounter') throw new Error(`${family?.name} is no number`);
  return family.points.reduce((total, { value }) => total + value, 0);
}
