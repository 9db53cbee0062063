// What travels in headers: W3C Trace Context (traceparent, tracestate) and W3C Baggage, in and out. Parsing is by
// position and character code, without regular expressions; what is malformed is as if it had not been sent.
import type { Baggage, BaggageEntry, Context, TextMapGetter, TextMapPropagator, TextMapSetter, TraceState } from '@opentelemetry/api';
import { BAGGAGE_KEY, ROOT, SPAN_KEY, type SpanIds, type StoredSpan } from '../core/context.ts';
import { hexDigit } from '../core/ids.ts';

/** Longest `tracestate` carried on: W3C Trace Context 3.3.1.5 asks for at least 512 characters. */
const TRACESTATE_LENGTH_MAX = 512;
/** Bytes and members of `baggage` carried on (W3C Baggage 3.3.2). */
const BAGGAGE_LENGTH_MAX = 8192;
const BAGGAGE_MEMBERS_MAX = 180;
const TRACESTATE_MEMBERS_MAX = 32;

/** What Node lets through as the value of a header. */
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
/** Keys and values of `tracestate` (W3C Trace Context 3.3.1.3, keys of level 2). */
const TRACESTATE_KEY = /^[a-z0-9][-_*/@a-z0-9]{0,255}$/;
const TRACESTATE_VALUE = /^[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;
const TRACE_ID = /^(?!0{32})[0-9a-f]{32}$/i;
const SPAN_ID = /^(?!0{16})[0-9a-f]{16}$/i;

/** Which headers are read and written (`OTEL_PROPAGATORS`). */
export interface PropagationOptions {
  readonly traceContext: boolean;
  readonly baggage: boolean;
}

/** A parent in another process. */
export interface RemoteParent extends SpanIds {
  /** As received, checked for length only; empty for none. */
  readonly traceState: string;
}

/** Reads `traceparent` and `tracestate`; undefined when the first is absent or malformed. */
export function parseTraceparent(traceparent: string | undefined, tracestate: string | undefined): RemoteParent | undefined {
  if (traceparent === undefined || traceparent.length < 55) return undefined;
  const versionHigh = traceparent.charCodeAt(0);
  const versionLow = traceparent.charCodeAt(1);
  const isVersion00 = versionHigh === 48 && versionLow === 48;
  if (isVersion00 ? traceparent.length !== 55 : traceparent.length > 55 && traceparent.charCodeAt(55) !== 45) return undefined;
  if (!isHex(traceparent, 0, 2) || (versionHigh === 102 && versionLow === 102)) return undefined;
  if (traceparent.charCodeAt(2) !== 45 || traceparent.charCodeAt(35) !== 45 || traceparent.charCodeAt(52) !== 45) return undefined;
  if (!isHex(traceparent, 3, 35) || !isHex(traceparent, 36, 52) || !isHex(traceparent, 53, 55)) return undefined;
  if (isZero(traceparent, 3, 35) || isZero(traceparent, 36, 52)) return undefined;
  return {
    traceId: traceparent.slice(3, 35),
    spanId: traceparent.slice(36, 52),
    traceFlags: (hexDigit(traceparent.charCodeAt(53)) << 4) | hexDigit(traceparent.charCodeAt(54)),
    traceState: tracestate !== undefined && tracestate.length <= TRACESTATE_LENGTH_MAX ? tracestate : '',
  };
}

/** Whether ids that the application brought can be a parent (OpenTelemetry API, IsValid). */
export function isValidParent({ traceId, spanId }: SpanIds): boolean {
  return TRACE_ID.test(traceId) && SPAN_ID.test(spanId);
}

/** Writes `traceparent`, version 00. Only the flags that version defines are sent on. */
export function formatTraceparent(ids: SpanIds): string {
  return `00-${ids.traceId}-${ids.spanId}-0${ids.traceFlags & 3}`;
}

function isHex(text: string, from: number, to: number): boolean {
  for (let i = from; i < to; i++) {
    const code = text.charCodeAt(i);
    if (!((code >= 48 && code <= 57) || (code >= 97 && code <= 102))) return false;
  }
  return true;
}

function isZero(text: string, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (text.charCodeAt(i) !== 48) return false;
  return true;
}

/** The api's TraceState over a header, parsed when a member is asked for. */
export class TraceStateHeader implements TraceState {
  readonly #header: string;

  constructor(header: string) {
    this.#header = header;
  }

  get(key: string): string | undefined {
    return this.#members().get(key);
  }

  set(key: string, value: string): TraceState {
    if (!TRACESTATE_KEY.test(key) || !TRACESTATE_VALUE.test(value)) return this;
    const members = this.#members();
    members.delete(key);
    return new TraceStateHeader(joinMembers([[key, value], ...members]));
  }

  unset(key: string): TraceState {
    const members = this.#members();
    members.delete(key);
    return new TraceStateHeader(joinMembers([...members]));
  }

  serialize(): string {
    return this.#header;
  }

  #members(): Map<string, string> {
    const members = new Map<string, string>();
    for (const member of this.#header.split(',')) {
      const equals = member.indexOf('=');
      if (equals <= 0) continue;
      members.set(member.slice(0, equals).trim(), member.slice(equals + 1).trim());
    }
    return members;
  }
}

function joinMembers(members: [string, string][]): string {
  return members
    .slice(0, TRACESTATE_MEMBERS_MAX)
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
}

/** The api's Baggage; immutable. */
class BaggageEntries implements Baggage {
  readonly #entries: ReadonlyMap<string, BaggageEntry>;

  constructor(entries: ReadonlyMap<string, BaggageEntry>) {
    this.#entries = entries;
  }

  getEntry(key: string): BaggageEntry | undefined {
    const entry = this.#entries.get(key);
    return entry === undefined ? undefined : { ...entry };
  }

  getAllEntries(): [string, BaggageEntry][] {
    return [...this.#entries];
  }

  setEntry(key: string, entry: BaggageEntry): Baggage {
    return new BaggageEntries(new Map(this.#entries).set(key, entry));
  }

  removeEntry(key: string): Baggage {
    return this.removeEntries(key);
  }

  removeEntries(...keys: string[]): Baggage {
    const entries = new Map(this.#entries);
    for (const key of keys) entries.delete(key);
    return new BaggageEntries(entries);
  }

  clear(): Baggage {
    return new BaggageEntries(new Map());
  }
}

/** Something that answers the api's Baggage. */
export interface BaggageSource {
  baggage(): Baggage | undefined;
}

/** A `baggage` header as received, parsed at most once and only when somebody asks. */
export class BaggageHeader implements BaggageSource {
  readonly #header: string;
  #baggage: Baggage | undefined;

  constructor(header: string) {
    this.#header = header;
  }

  baggage(): Baggage {
    return (this.#baggage ??= parseBaggage(this.#header));
  }
}

/** Reads a `baggage` header; members that are malformed are left out, a header over the limit is empty. */
export function parseBaggage(header: string): Baggage {
  const entries = new Map<string, BaggageEntry>();
  if (header.length > BAGGAGE_LENGTH_MAX) return new BaggageEntries(entries);
  for (const member of header.split(',')) {
    if (entries.size >= BAGGAGE_MEMBERS_MAX) break;
    const semicolon = member.indexOf(';');
    const pair = semicolon === -1 ? member : member.slice(0, semicolon);
    const equals = pair.indexOf('=');
    if (equals <= 0) continue;
    const key = decode(pair.slice(0, equals).trim());
    const value = decode(pair.slice(equals + 1).trim());
    if (key === undefined || key === '' || value === undefined) continue;
    const entry: BaggageEntry = { value };
    if (semicolon !== -1) entry.metadata = baggageMetadata(member.slice(semicolon + 1).trim());
    entries.set(key, entry);
  }
  return new BaggageEntries(entries);
}

/** Writes a `baggage` header within the limits, without the entries that no header can hold; empty when there is nothing to write. */
export function formatBaggage(baggage: Baggage): string {
  let header = '';
  let members = 0;
  for (const [key, entry] of baggage.getAllEntries()) {
    const member = formatMember(key, entry);
    const length = header === '' ? (member?.length ?? 0) : header.length + 1 + (member?.length ?? 0);
    if (member === undefined || members >= BAGGAGE_MEMBERS_MAX || length > BAGGAGE_LENGTH_MAX) continue;
    header += header === '' ? member : `,${member}`;
    members += 1;
  }
  return header;
}

/** Undefined for half a surrogate pair, and for metadata with characters that a header cannot have. */
function formatMember(key: string, { value, metadata }: BaggageEntry): string | undefined {
  const suffix = metadata === undefined ? '' : `;${metadata.toString()}`;
  if (!HEADER_VALUE.test(suffix)) return undefined;
  try {
    return `${encodeURIComponent(key)}=${encodeURIComponent(value)}${suffix}`;
  } catch {
    return undefined;
  }
}

function baggageMetadata(text: string): NonNullable<BaggageEntry['metadata']> {
  // The api brands metadata with Symbol('BaggageEntryMetadata') of its own; only toString is ever read.
  return { toString: () => text } as NonNullable<BaggageEntry['metadata']>;
}

function decode(text: string): string | undefined {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** The headers to send with a request made under `ids`, given what is active; called by every client instrumentation. */
export function injectHeaders(
  options: PropagationOptions,
  span: StoredSpan & { readonly traceState: string },
  set: (name: string, value: string) => void,
): void {
  if (options.traceContext) {
    set('traceparent', formatTraceparent(span));
    if (span.traceState !== '') set('tracestate', span.traceState);
  }
  if (options.baggage) {
    const baggage = span.contextValue(BAGGAGE_KEY) as Baggage | undefined;
    if (baggage === undefined) return;
    const header = formatBaggage(baggage);
    if (header !== '') set('baggage', header);
  }
}

interface SpanLike extends SpanIds {
  traceState?: TraceState | undefined;
}

/** The api's global propagator: the same headers for code that carries context by hand. */
export class W3CPropagator implements TextMapPropagator {
  readonly #options: PropagationOptions;

  constructor(options: PropagationOptions) {
    this.#options = options;
  }

  inject(context: Context, carrier: unknown, setter: TextMapSetter): void {
    const span = context.getValue(SPAN_KEY) as { spanContext(): SpanLike } | undefined;
    if (this.#options.traceContext && span !== undefined) {
      const ids = span.spanContext();
      if (isValidParent(ids)) {
        setter.set(carrier, 'traceparent', formatTraceparent(ids));
        if (ids.traceState !== undefined) setter.set(carrier, 'tracestate', ids.traceState.serialize());
      }
    }
    const baggage = context.getValue(BAGGAGE_KEY) as Baggage | undefined;
    if (this.#options.baggage && baggage !== undefined) {
      const header = formatBaggage(baggage);
      if (header !== '') setter.set(carrier, 'baggage', header);
    }
  }

  extract(context: Context, carrier: unknown, getter: TextMapGetter): Context {
    let extracted = context ?? ROOT;
    if (this.#options.traceContext) {
      const parent = parseTraceparent(first(getter.get(carrier, 'traceparent')), joined(getter.get(carrier, 'tracestate')));
      if (parent !== undefined) extracted = extracted.setValue(SPAN_KEY, new RemoteSpan(parent));
    }
    if (this.#options.baggage) {
      const header = joined(getter.get(carrier, 'baggage'));
      const baggage = header === undefined ? undefined : parseBaggage(header);
      if (baggage !== undefined && baggage.getAllEntries().length > 0) extracted = extracted.setValue(BAGGAGE_KEY, baggage);
    }
    return extracted;
  }

  fields(): string[] {
    const fields: string[] = [];
    if (this.#options.traceContext) fields.push('traceparent', 'tracestate');
    if (this.#options.baggage) fields.push('baggage');
    return fields;
  }
}

function first(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

function joined(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(',') : value;
}

/** A span of another process: ids to hang children from, nothing to record on. */
class RemoteSpan {
  readonly #parent: RemoteParent;

  constructor(parent: RemoteParent) {
    this.#parent = parent;
  }

  spanContext(): SpanLike & { isRemote: boolean } {
    const { traceId, spanId, traceFlags, traceState } = this.#parent;
    return traceState === ''
      ? { traceId, spanId, traceFlags, isRemote: true }
      : { traceId, spanId, traceFlags, isRemote: true, traceState: new TraceStateHeader(traceState) };
  }

  isRecording(): boolean {
    return false;
  }

  setAttribute(): this {
    return this;
  }

  setAttributes(): this {
    return this;
  }

  addEvent(): this {
    return this;
  }

  addLink(): this {
    return this;
  }

  addLinks(): this {
    return this;
  }

  setStatus(): this {
    return this;
  }

  updateName(): this {
    return this;
  }

  recordException(): void {}

  end(): void {}
}
