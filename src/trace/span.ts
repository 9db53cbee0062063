// DATA PLANE. The one span of Sonde. It is at once the record of a request (what RED, logs, exemplars and profile
// labels read), an @opentelemetry/api Span, and the ReadableSpan that exporters read. Its fields are fixed and few;
// what the semantic conventions say about it is asked from `describer`, and ids are drawn, only when somebody reads them.
import type {
  Attributes,
  AttributeValue,
  Exception,
  HrTime,
  Link,
  Span as ApiSpan,
  SpanContext,
  SpanKind,
  SpanStatus,
  TimeInput,
} from '@opentelemetry/api';
import type { InstrumentationScope } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import type { ReadableSpan, TimedEvent } from '@opentelemetry/sdk-trace-node';
import type { Clock } from '../core/clock.ts';
import { BAGGAGE_KEY, SAMPLED, SPAN_KEY, type SpanIds, type StoredSpan } from '../core/context.ts';
import { newSpanId, newTraceId } from '../core/ids.ts';
import { attributeKeys, isAttributeValue, limitAttributes, truncate } from './attributes.ts';
import { TraceStateHeader, type BaggageSource } from './propagation.ts';
import { isTimeInput, timeInputEpochMillis, toHrTime } from './time.ts';

const STATUS_UNSET = 0;
const STATUS_OK = 1;
export const STATUS_ERROR = 2;

/** How much one span may hold (`OTEL_SPAN_*_LIMIT`, `OTEL_ATTRIBUTE_*_LIMIT`). */
export interface SpanLimits {
  readonly attributeCount: number;
  /** Characters of a string value; `Infinity` for no limit. */
  readonly attributeValueLength: number;
  readonly eventCount: number;
  readonly linkCount: number;
  readonly attributePerEventCount: number;
  readonly attributePerLinkCount: number;
}

/** What a span needs of whoever made it. */
export interface SpanOwner {
  readonly clock: Clock;
  readonly limits: SpanLimits;
  readonly resource: Resource;
  /** A span that is about to end after at least this long is told of first, while it still records. */
  readonly slowMillis: number;
  slow(): void;
  /** Called once, when the span ends, whether or not it is sampled. */
  ended(span: Span): void;
}

/** The semantic-convention side of a span that instrumentation made: its name and attributes, asked when read. */
export interface SpanDescriber {
  name(span: Span): string;
  attributes(span: Span): Attributes;
}

/** What the application has put on a span. Most spans have nothing of it, so it is made by the first who asks. */
class Additions {
  attributes: Attributes = {};
  attributeCount = 0;
  droppedAttributes = 0;
  readonly events: TimedEvent[] = [];
  droppedEvents = 0;
  readonly links: Link[] = [];
  droppedLinks = 0;
}

// `parentSpanContext` is left out of the check: as a getter it answers undefined, where the interface wants it absent.
export class Span implements ApiSpan, Omit<ReadableSpan, 'parentSpanContext'>, StoredSpan {
  readonly owner: SpanOwner;
  readonly instrumentationScope: InstrumentationScope;
  readonly kind: SpanKind;
  startMonotonicMillis: number;
  /** 0 while the span is open. */
  endMonotonicMillis = 0;
  traceFlags = 0;
  parentSpanId: string | undefined = undefined;
  parentIsRemote = false;
  /** `tracestate` as received; empty for none. */
  traceState = '';
  /** The first span of this trace in this process; undefined when this is it. */
  root: Span | undefined = undefined;
  /** The api's Baggage, or the `baggage` header as received, parsed when asked for. */
  baggage: BaggageSource | undefined = undefined;
  statusCode: number = STATUS_UNSET;
  statusMessage: string | undefined = undefined;
  /** Template of the route that served this request; empty until a router names it. */
  route = '';
  /** Request target (server) or URL (client) as it was at the start: Express rewrites `req.url` while it routes. */
  target = '';
  /** Request method as it was at the start. */
  method = '';
  /** `error.type` of the semantic conventions; empty when nothing failed. */
  errorType = '';
  /** What `describer` reads: the response on the server, the request on the client. Released when the span has ended. */
  subject: unknown = undefined;
  describer: SpanDescriber | undefined = undefined;
  /** Ended spans below this one in this process, held until the verdict on the whole trace. */
  children: Span[] | undefined = undefined;
  #traceId: string | undefined = undefined;
  #spanId: string | undefined = undefined;
  #startEpochMillis: number | undefined = undefined;
  #name: string | undefined = undefined;
  #additions: Additions | undefined = undefined;
  #settled: Attributes | undefined = undefined;

  constructor(owner: SpanOwner, scope: InstrumentationScope, kind: SpanKind) {
    this.owner = owner;
    this.instrumentationScope = scope;
    this.kind = kind;
    this.startMonotonicMillis = owner.clock.monotonicMillis();
  }

  get isSpan(): true {
    return true;
  }

  /** Drawn when first asked for: of most requests nobody ever reads the ids. */
  get traceId(): string {
    return (this.#traceId ??= newTraceId());
  }

  /** Drawn when first asked for. */
  get spanId(): string {
    return (this.#spanId ??= newSpanId());
  }

  /** Whether anybody can know the trace by its id already. */
  get hasTraceId(): boolean {
    return this.#traceId !== undefined;
  }

  /** Epoch milliseconds, exact to the microsecond. */
  get startEpochMillis(): number {
    return this.#startEpochMillis ?? this.owner.clock.epochMillis(this.startMonotonicMillis);
  }

  contextValue(key: symbol): unknown {
    if (key === SPAN_KEY) return this;
    if (key === BAGGAGE_KEY) return this.baggage?.baggage();
    return undefined;
  }

  // ---- before it is handed out ------------------------------------------------------------------------------------

  /** Continues the trace of a parent in another process, or in another SDK. */
  continueFrom(parent: SpanIds, isRemote: boolean, traceState: string): void {
    this.#traceId = parent.traceId;
    this.parentSpanId = parent.spanId;
    this.parentIsRemote = isRemote;
    this.traceState = traceState;
  }

  /** Hangs below a span of this process. Its ids are copied: a chain of spans would otherwise keep all of itself alive. */
  hangBelow(parent: Span): void {
    this.#traceId = parent.traceId;
    this.parentSpanId = parent.spanId;
    this.traceState = parent.traceState;
    this.root = parent.root ?? parent;
  }

  /** Names the span, and moves its start to where the application says it was. */
  begunAs(name: string, startEpochMillis: number | undefined): void {
    this.#name = name;
    if (startEpochMillis === undefined) return;
    this.startMonotonicMillis -= this.startEpochMillis - startEpochMillis;
    this.#startEpochMillis = startEpochMillis;
  }

  // ---- the api's Span -------------------------------------------------------------------------------------------

  spanContext(): SpanContext {
    const context: SpanContext = { traceId: this.traceId, spanId: this.spanId, traceFlags: this.traceFlags };
    if (this.traceState !== '') context.traceState = new TraceStateHeader(this.traceState);
    return context;
  }

  isRecording(): boolean {
    return this.endMonotonicMillis === 0 && (this.traceFlags & SAMPLED) !== 0;
  }

  setAttribute(key: string, value: AttributeValue): this {
    if (!this.isRecording() || typeof key !== 'string' || key === '' || !isAttributeValue(value)) return this;
    const additions = (this.#additions ??= new Additions());
    if (!Object.hasOwn(additions.attributes, key)) {
      if (additions.attributeCount >= this.owner.limits.attributeCount) {
        additions.droppedAttributes += 1;
        return this;
      }
      additions.attributeCount += 1;
    }
    additions.attributes[key] = truncate(value, this.owner.limits.attributeValueLength);
    return this;
  }

  setAttributes(attributes: Attributes): this {
    for (const key of attributeKeys(attributes)) this.setAttribute(key, attributes[key] as AttributeValue);
    return this;
  }

  addEvent(name: string, attributesOrTime?: Attributes | TimeInput, time?: TimeInput): this {
    if (!this.isRecording()) return this;
    const { eventCount, attributePerEventCount } = this.owner.limits;
    const additions = (this.#additions ??= new Additions());
    const { events } = additions;
    if (eventCount === 0) {
      additions.droppedEvents += 1;
      return this;
    }
    if (events.length >= eventCount) {
      // The newest events tell how it ended (OpenTelemetry's SDK keeps them too).
      events.shift();
      additions.droppedEvents += 1;
    }
    const isTime = isTimeInput(attributesOrTime);
    const limited = limitAttributes(isTime ? undefined : attributesOrTime, attributePerEventCount, this.owner.limits.attributeValueLength);
    const at =
      timeInputEpochMillis(time, this.owner.clock) ?? timeInputEpochMillis(attributesOrTime, this.owner.clock) ?? this.#nowEpochMillis();
    events.push({ name, attributes: limited.attributes, time: toHrTime(at), droppedAttributesCount: limited.dropped });
    return this;
  }

  addLink(link: Link): this {
    if (!this.isRecording() || !link?.context) return this;
    const { linkCount, attributePerLinkCount, attributeValueLength } = this.owner.limits;
    const additions = (this.#additions ??= new Additions());
    const { links } = additions;
    if (links.length >= linkCount) {
      // The newest are kept, as of events.
      links.shift();
      additions.droppedLinks += 1;
      if (linkCount === 0) return this;
    }
    const limited = limitAttributes(link.attributes, attributePerLinkCount, attributeValueLength);
    links.push({ context: link.context, attributes: limited.attributes, droppedAttributesCount: limited.dropped });
    return this;
  }

  addLinks(links: Link[]): this {
    if (Array.isArray(links)) for (const link of links) this.addLink(link);
    return this;
  }

  setStatus(status: SpanStatus): this {
    // Ok is final and Unset never replaces (OpenTelemetry trace API, Set Status).
    const code = status?.code;
    if (!this.isRecording() || (code !== STATUS_OK && code !== STATUS_ERROR) || this.statusCode === STATUS_OK) return this;
    this.statusCode = code;
    this.statusMessage = code === STATUS_ERROR && typeof status.message === 'string' ? status.message : undefined;
    return this;
  }

  updateName(name: string): this {
    if (this.isRecording() && typeof name === 'string') this.#name = name;
    return this;
  }

  recordException(exception: Exception, time?: TimeInput): void {
    const attributes: Attributes = {};
    if (typeof exception === 'string') {
      attributes['exception.message'] = exception;
    } else if (exception) {
      if (exception.code) attributes['exception.type'] = String(exception.code);
      else if (exception.name) attributes['exception.type'] = exception.name;
      if (exception.message) attributes['exception.message'] = exception.message;
      if (exception.stack) attributes['exception.stacktrace'] = exception.stack;
    }
    // The conventions want one of the two.
    if (attributes['exception.type'] || attributes['exception.message']) {
      this.addEvent('exception', attributes, time);
    }
  }

  end(endTime?: TimeInput): void {
    if (this.endMonotonicMillis !== 0) return;
    const endEpochMillis = timeInputEpochMillis(endTime, this.owner.clock);
    this.endAt(
      endEpochMillis === undefined
        ? this.owner.clock.monotonicMillis()
        : this.startMonotonicMillis + (endEpochMillis - this.startEpochMillis),
    );
  }

  /** Ends the span at a reading of the monotonic clock that the caller already has. */
  endAt(monotonicMillis: number): void {
    if (monotonicMillis - this.startMonotonicMillis >= this.owner.slowMillis) this.owner.slow();
    // An end before the start is a start (OpenTelemetry's SDK does the same), and 0 means open.
    this.endMonotonicMillis = Math.max(monotonicMillis, this.startMonotonicMillis, Number.MIN_VALUE);
    this.owner.ended(this);
  }

  // ---- ReadableSpan ---------------------------------------------------------------------------------------------

  get name(): string {
    return this.#name ?? this.describer?.name(this) ?? '';
  }

  get parentSpanContext(): SpanContext | undefined {
    if (this.parentSpanId === undefined) return undefined;
    const context: SpanContext = { traceId: this.traceId, spanId: this.parentSpanId, traceFlags: this.traceFlags };
    if (this.parentIsRemote) context.isRemote = true;
    if (this.traceState !== '') context.traceState = new TraceStateHeader(this.traceState);
    return context;
  }

  get startTime(): HrTime {
    return toHrTime(this.startEpochMillis);
  }

  get endTime(): HrTime {
    return this.endMonotonicMillis === 0 ? [0, 0] : toHrTime(this.startEpochMillis + this.durationMillis);
  }

  get duration(): HrTime {
    return toHrTime(this.durationMillis);
  }

  /** Milliseconds from start to end; 0 while the span is open. */
  get durationMillis(): number {
    return this.endMonotonicMillis === 0 ? 0 : this.endMonotonicMillis - this.startMonotonicMillis;
  }

  get ended(): boolean {
    return this.endMonotonicMillis !== 0;
  }

  get status(): SpanStatus {
    const status: SpanStatus = { code: this.statusCode };
    if (this.statusMessage !== undefined) status.message = this.statusMessage;
    return status;
  }

  get attributes(): Attributes {
    if (this.#settled !== undefined) return this.#settled;
    const own = this.#additions?.attributes;
    const described = this.describer?.attributes(this);
    if (described === undefined) return own ?? {};
    return own === undefined ? described : Object.assign(described, own);
  }

  get events(): TimedEvent[] {
    return this.#additions?.events ?? [];
  }

  get links(): Link[] {
    return this.#additions?.links ?? [];
  }

  get resource(): Resource {
    return this.owner.resource;
  }

  get droppedAttributesCount(): number {
    return this.#additions?.droppedAttributes ?? 0;
  }

  get droppedEventsCount(): number {
    return this.#additions?.droppedEvents ?? 0;
  }

  get droppedLinksCount(): number {
    return this.#additions?.droppedLinks ?? 0;
  }

  /** Fixes name and attributes, so that the span can outlive the request it describes, and lets the request go. */
  settle(): void {
    if (this.#settled !== undefined) return;
    this.#settled = this.attributes;
    this.#name = this.name;
    this.release();
  }

  /** Lets go of the request without describing it: nobody will read this span. */
  release(): void {
    this.subject = undefined;
  }

  #nowEpochMillis(): number {
    return this.startEpochMillis + (this.owner.clock.monotonicMillis() - this.startMonotonicMillis);
  }
}
