// The last traces of this process, for /debug/traces. A few a second are taken as they come, besides them the failed
// and the slow ones; every other trace dies with its request, because what outlives a request makes V8 grow its
// young generation (measured +43 MB rss for a ring of 2,048 records that took everything, +3 MB without).
import type { Link } from '@opentelemetry/api';
import { hexDigit } from '../core/ids.ts';
import { STATUS_ERROR, type Span } from './span.ts';
import { KINDS, STATUSES, type SpanEntry, type TraceEntry } from './trace-entry.ts';

/** Traces held. */
const TRACES_MAX = 200;
/** Ordinary ones to take a second, and failed or slow ones besides. */
const ORDINARY_PER_SECOND = 5;
const NOTABLE_PER_SECOND = 10;
/** A trace this long is slow. */
const SLOW_MILLIS = 1000;

export class TraceRing {
  readonly #traces: (readonly Span[])[] = [];
  #next = 0;
  #second = -1;
  /** Bits of the trace id that are 0 in an ordinary trace that is taken. */
  #mask = 0;
  #offered = 0;
  #ordinary = 0;
  #notable = 0;

  /** Offers a trace by its first span, which has just ended; settles and holds its spans when it takes it. */
  offer(root: Span): void {
    if (!this.#takes(root)) return;
    const spans = root.children === undefined ? [root] : [root, ...root.children];
    for (const span of spans) {
      span.settle();
      span.children = undefined;
    }
    this.#traces[this.#next] = spans;
    this.#next = (this.#next + 1) % TRACES_MAX;
  }

  /** The traces held, newest first; what one trace left here in several pieces is one entry. */
  list(): TraceEntry[] {
    const traces = new Map<string, Span[]>();
    for (let i = 1; i <= this.#traces.length; i++) {
      const spans = this.#traces[(this.#next - i + TRACES_MAX) % TRACES_MAX];
      if (spans === undefined) continue;
      const { traceId } = spans[0]!;
      traces.set(traceId, [...(traces.get(traceId) ?? []), ...spans]);
    }
    return [...traces.values()].map(traceEntry);
  }

  #takes(root: Span): boolean {
    const second = Math.floor(root.endMonotonicMillis / 1000);
    this.#offered += 1;
    if (second !== this.#second) {
      this.#second = second;
      // By trace id and in powers of two, so that what a busy service takes is among what a quieter one takes: of the
      // first five of each second, three services at 280, 67 and 55 requests a second had next to none in common.
      this.#mask = 2 ** Math.max(0, Math.ceil(Math.log2(this.#offered / ORDINARY_PER_SECOND))) - 1;
      this.#offered = 0;
      this.#ordinary = 0;
      this.#notable = 0;
    }
    if (this.#ordinary < 2 * ORDINARY_PER_SECOND && (selectionBits(root) & this.#mask) === 0) {
      this.#ordinary += 1;
      return true;
    }
    if (!isFailed(root) && root.durationMillis < SLOW_MILLIS) return false;
    this.#notable += 1;
    return this.#notable <= NOTABLE_PER_SECOND;
  }
}

/** The last 16 bits of the trace id, the most random ones (W3C Trace Context, level 2); any, while nobody else can know the id. */
function selectionBits(root: Span): number {
  if (!root.hasTraceId) return Math.floor(Math.random() * 65_536);
  const { traceId } = root;
  let bits = 0;
  for (let i = 28; i < 32; i++) bits = (bits << 4) | hexDigit(traceId.charCodeAt(i));
  return bits;
}

function isFailed(span: Span): boolean {
  return span.statusCode === STATUS_ERROR || span.errorType !== '';
}

function traceEntry(held: readonly Span[]): TraceEntry {
  const spans = held.toSorted((a, b) => a.startEpochMillis - b.startEpochMillis);
  const root = spans[0]!;
  return {
    traceId: root.traceId,
    name: root.name,
    startEpochMillis: root.startEpochMillis,
    durationMillis: root.durationMillis,
    error: spans.some(isFailed),
    spans: spans.map(spanEntry),
  };
}

function spanEntry(span: Span): SpanEntry {
  return {
    traceId: span.traceId,
    spanId: span.spanId,
    parentSpanId: span.parentSpanId,
    name: span.name,
    kind: KINDS[span.kind] ?? 'INTERNAL',
    startEpochMillis: span.startEpochMillis,
    durationMillis: span.durationMillis,
    status: { code: STATUSES[span.statusCode] ?? 'UNSET', message: span.statusMessage },
    attributes: span.attributes,
    events: span.events.map((event) => ({
      name: event.name,
      epochMillis: event.time[0] * 1e3 + event.time[1] / 1e6,
      attributes: event.attributes ?? {},
    })),
    links: span.links.map(({ context }: Link) => ({ traceId: context.traceId, spanId: context.spanId })),
    scope: span.instrumentationScope.name,
  };
}
