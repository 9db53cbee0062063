// Makes spans and gathers them when they end. Instrumentation calls `startServer`/`startClient`, the application
// comes through @opentelemetry/api. What ends is offered to the push queue span by span and to the local ring
// trace by trace; both are handed in, and either may be absent.
import type { Context, Span as ApiSpan, SpanOptions, Tracer as ApiTracer, TracerOptions, TracerProvider } from '@opentelemetry/api';
import type { InstrumentationScope } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import type { Clock } from '../core/clock.ts';
import { activeContext, activeSpan, BAGGAGE_KEY, runWith, SAMPLED, SPAN_KEY } from '../core/context.ts';
import { BaggageHeader, isValidParent, parseTraceparent, type BaggageSource, type PropagationOptions } from './propagation.ts';
import type { Sampler } from './sampling.ts';
import { Span, type SpanLimits, type SpanOwner } from './span.ts';
import { timeInputEpochMillis } from './time.ts';

const KIND_INTERNAL = 0;
const KIND_SERVER = 1;
const KIND_CLIENT = 2;

/** Child spans of one trace held for the local ring; more are dropped from the ring, never from the push. */
const CHILDREN_MAX = 256;

/** Spans of the HTTP instrumentation. */
const HTTP_SCOPE: InstrumentationScope = { name: 'sonde/http' };

export interface TracerDeps {
  readonly clock: Clock;
  readonly sampler: Sampler;
  readonly limits: SpanLimits;
  readonly propagation: PropagationOptions;
  readonly resource: Resource;
  /** Takes every sampled span when it ends, and reads it at once: the request that it describes is let go. */
  push: ((span: Span) => void) | undefined;
  /** Takes the first span of a trace in this process when it ends, with its `children`; answers whether it keeps them. */
  keep: ((root: Span) => void) | undefined;
}

/** Headers of an incoming request, as far as tracing reads them. */
export interface IncomingHeaders {
  traceparent: string | undefined;
  tracestate: string | undefined;
  baggage: string | undefined;
}

export class Tracing implements SpanOwner {
  readonly clock: Clock;
  readonly limits: SpanLimits;
  readonly resource: Resource;
  readonly propagation: PropagationOptions;
  readonly #sampler: Sampler;
  push: ((span: Span) => void) | undefined;
  slowMillis: number = Infinity;
  #onSlow: (() => void) | undefined;
  readonly #keep: ((root: Span) => void) | undefined;

  constructor(deps: TracerDeps) {
    this.clock = deps.clock;
    this.limits = deps.limits;
    this.resource = deps.resource;
    this.propagation = deps.propagation;
    this.#sampler = deps.sampler;
    this.push = deps.push;
    this.#keep = deps.keep;
  }

  /** Starts the span of an incoming request. Data plane. */
  startServer(headers: IncomingHeaders): Span {
    const span = new Span(this, HTTP_SCOPE, KIND_SERVER);
    const parent = this.propagation.traceContext ? parseTraceparent(headers.traceparent, headers.tracestate) : undefined;
    if (parent !== undefined) span.continueFrom(parent, true, parent.traceState);
    if (headers.baggage !== undefined && this.propagation.baggage) span.baggage = new BaggageHeader(headers.baggage);
    if (this.#sampler(span, parent?.traceFlags)) span.traceFlags = SAMPLED;
    return span;
  }

  /** Starts the span of an outgoing request under what is active now. Data plane. */
  startClient(): Span {
    const span = new Span(this, HTTP_SCOPE, KIND_CLIENT);
    const parent = activeSpan();
    if (parent instanceof Span) {
      span.baggage = parent.baggage;
      this.#startBelow(span, parent);
    } else {
      span.baggage = contextBaggage(activeContext());
      this.#startUnder(span, parent as ApiSpan | undefined);
    }
    return span;
  }

  /** Starts a span of the application's. */
  start(scope: InstrumentationScope, name: string, options: SpanOptions, context: Context): Span {
    const span = new Span(this, scope, options.kind ?? KIND_INTERNAL);
    span.begunAs(name, timeInputEpochMillis(options.startTime, this.clock));
    span.baggage = contextBaggage(context);
    const parent = options.root === true ? undefined : (context.getValue(SPAN_KEY) as ApiSpan | undefined);
    if (parent instanceof Span) this.#startBelow(span, parent);
    else this.#startUnder(span, parent);
    if (options.attributes !== undefined) span.setAttributes(options.attributes);
    if (options.links !== undefined) span.addLinks(options.links);
    return span;
  }

  /** Calls `onSlow` when a span is about to end that has taken at least `slowMillis`. Must not throw. */
  watchSlow(slowMillis: number, onSlow: () => void): void {
    this.slowMillis = slowMillis;
    this.#onSlow = onSlow;
  }

  slow(): void {
    this.#onSlow?.();
  }

  ended(span: Span): void {
    const sampled = (span.traceFlags & SAMPLED) !== 0;
    if (sampled) this.push?.(span);
    if (this.#keep === undefined || !sampled) {
      span.release();
      return;
    }
    const { root } = span;
    if (root === undefined) {
      this.#keep(span);
      span.children = undefined;
      span.release();
    } else if (!root.ended) {
      const children = (root.children ??= []);
      if (children.length < CHILDREN_MAX) children.push(span);
    } else {
      span.release();
    }
  }

  #startBelow(span: Span, parent: Span): void {
    span.hangBelow(parent);
    if (this.#sampler(span, parent.traceFlags)) span.traceFlags = SAMPLED;
  }

  /** Under a span of somebody else's, one in another process, or none. */
  #startUnder(span: Span, parent: ApiSpan | undefined): void {
    const ids = validParent(parent);
    if (ids !== undefined) span.continueFrom(ids, ids.isRemote === true, ids.traceState?.serialize() ?? '');
    if (this.#sampler(span, ids?.traceFlags)) span.traceFlags = SAMPLED;
  }
}

function validParent(parent: ApiSpan | undefined): ReturnType<ApiSpan['spanContext']> | undefined {
  const context = parent?.spanContext();
  return context !== undefined && isValidParent(context) ? context : undefined;
}

function contextBaggage(context: Context): BaggageSource | undefined {
  const baggage = context.getValue(BAGGAGE_KEY) as ReturnType<BaggageSource['baggage']>;
  return baggage === undefined ? undefined : { baggage: () => baggage };
}

/** The api's TracerProvider over Sonde's tracing. */
export class SondeTracerProvider implements TracerProvider {
  readonly #tracing: Tracing;

  constructor(tracing: Tracing) {
    this.#tracing = tracing;
  }

  getTracer(name: string, version?: string, options?: TracerOptions): ApiTracer {
    const scope: InstrumentationScope = { name: name || 'unknown' };
    return new SondeTracer(this.#tracing, version === undefined ? scope : { ...scope, version, ...schemaOf(options) });
  }
}

function schemaOf(options: TracerOptions | undefined): { schemaUrl?: string } {
  return options?.schemaUrl === undefined ? {} : { schemaUrl: options.schemaUrl };
}

class SondeTracer implements ApiTracer {
  readonly #tracing: Tracing;
  readonly #scope: InstrumentationScope;

  constructor(tracing: Tracing, scope: InstrumentationScope) {
    this.#tracing = tracing;
    this.#scope = scope;
  }

  startSpan(name: string, options: SpanOptions = {}, context: Context = activeContext()): ApiSpan {
    return this.#tracing.start(this.#scope, name, options ?? {}, context);
  }

  startActiveSpan<F extends (span: ApiSpan) => unknown>(name: string, ...rest: unknown[]): ReturnType<F> {
    const fn = rest.pop() as F;
    const context = (rest[1] as Context | undefined) ?? activeContext();
    const span = this.startSpan(name, (rest[0] as SpanOptions | undefined) ?? {}, context);
    return runWith(context.setValue(SPAN_KEY, span), () => fn(span)) as ReturnType<F>;
  }
}
