// DATA PLANE. The spans of one OTLP export request, encoded one by one as they end, so that no span outlives its request
// in a queue: objects that do make V8 grow its young generation. The trace exporter appends, and takes the whole request
// when it is due. Limits: it holds whatever is appended; how many spans one request may have is for the caller.
import type { Attributes, Link } from '@opentelemetry/api';
import type { InstrumentationScope } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import type { TimedEvent } from '@opentelemetry/sdk-trace-node';
import { jsonFormat } from './otlp-span-json.ts';
import { protobufFormat } from './otlp-span-protobuf.ts';
import { ProtobufWriter } from '../core/protobuf-writer.ts';

/** What is encoded of a span. */
export interface EncodableSpan {
  /** 32 hex digits. */
  readonly traceId: string;
  /** 16 hex digits. */
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly parentIsRemote: boolean;
  readonly traceFlags: number;
  /** `tracestate` as received; empty for none. */
  readonly traceState: string;
  readonly name: string;
  /** The api's SpanKind. */
  readonly kind: number;
  readonly startEpochMillis: number;
  readonly durationMillis: number;
  readonly attributes: Attributes;
  readonly events: readonly TimedEvent[];
  readonly links: readonly Link[];
  readonly statusCode: number;
  readonly statusMessage: string | undefined;
  readonly droppedAttributesCount: number;
  readonly droppedEventsCount: number;
  readonly droppedLinksCount: number;
  readonly instrumentationScope: InstrumentationScope;
}

/** The spans of one export request. */
export interface SpanBatch {
  /** Spans appended since `take`. */
  readonly count: number;
  /** Bytes of these spans, which is all of the request but for the resource and the scopes. */
  readonly bytes: number;
  /** Encodes an ended span, and keeps nothing of it. When reading the span throws, so does this, and the batch is as it was. */
  append(span: EncodableSpan): void;
  /** The complete ExportTraceServiceRequest, for the caller to keep; empty when there is no span. The batch is empty then. */
  take(): Uint8Array;
}

/** The encoded spans of one instrumentation scope. */
export interface ScopeGroup {
  readonly scope: InstrumentationScope;
  readonly spans: Uint8Array[];
}

/** One of the encodings of OTLP. */
export interface SpanFormat {
  /** Appends one span, in a form that stands beside others of its scope. */
  write(out: ProtobufWriter, span: EncodableSpan): void;
  /** The parts of a whole request, in order. */
  frame(groups: readonly ScopeGroup[]): Uint8Array[];
}

/**
 * Scopes of one request among which the next span's is looked for. One that comes later gets a group of its own for each
 * of its spans, which OTLP allows: an application that makes up scope names costs bytes, not time.
 */
const SCOPES_SEARCHED = 64;

/** A hundred spans. */
const INITIAL_BYTES = 64 * 1024;

export function spanBatch(protocol: 'http/protobuf' | 'http/json', resource: Resource): SpanBatch {
  return new EncodedSpans(protocol === 'http/json' ? jsonFormat(resource) : protobufFormat(resource));
}

class EncodedSpans implements SpanBatch {
  readonly #format: SpanFormat;
  readonly #out = new ProtobufWriter(INITIAL_BYTES);
  readonly #scopes: InstrumentationScope[] = [];
  /** Neighbouring spans of one scope: the scope's index, and where the last of them ends. */
  readonly #runScopes: number[] = [];
  readonly #runEnds: number[] = [];
  #length = 0;
  #count = 0;

  constructor(format: SpanFormat) {
    this.#format = format;
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#length;
  }

  append(span: EncodableSpan): void {
    const out = this.#out;
    // Not where the writer stands: a span that threw may have left a part of itself.
    out.length = this.#length;
    const scope = span.instrumentationScope;
    this.#format.write(out, span);
    const index = this.#indexOf(scope);
    const last = this.#runScopes.length - 1;
    if (last >= 0 && this.#runScopes[last] === index) {
      this.#runEnds[last] = out.length;
    } else {
      this.#runScopes.push(index);
      this.#runEnds.push(out.length);
    }
    this.#length = out.length;
    this.#count += 1;
  }

  take(): Uint8Array {
    if (this.#count === 0) return new Uint8Array(0);
    const groups = this.#scopes.map((scope): ScopeGroup => ({ scope, spans: [] }));
    let start = 0;
    for (const [run, index] of this.#runScopes.entries()) {
      const end = this.#runEnds[run]!;
      groups[index]!.spans.push(this.#out.bytes.subarray(start, end));
      start = end;
    }
    const request = Buffer.concat(this.#format.frame(groups));
    this.#scopes.length = 0;
    this.#runScopes.length = 0;
    this.#runEnds.length = 0;
    this.#length = 0;
    this.#count = 0;
    this.#out.clear();
    return request;
  }

  /** By what a scope says: `getTracer` makes another object for each call. */
  #indexOf(scope: InstrumentationScope): number {
    const scopes = this.#scopes;
    const searched = Math.min(scopes.length, SCOPES_SEARCHED);
    for (let i = 0; i < searched; i++) {
      const other = scopes[i]!;
      if (other === scope) return i;
      if (other.name === scope.name && other.version === scope.version && other.schemaUrl === scope.schemaUrl) return i;
    }
    scopes.push(scope);
    return scopes.length - 1;
  }
}
