// OTLP export of spans and metrics. sdk.ts makes an exporter for each signal that has an endpoint, hands it what there
// is to send, and flushes it at exit. This file and otlp-delivery.ts are light; what speaks HTTP and OTLP is loaded
// by them when a process has an endpoint.
import type { InstrumentationScope } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-node';
import { runSuppressed } from '../core/context.ts';
import type { Timer } from '../core/guard.ts';
import { BoundedQueue } from '../core/queue.ts';
import type { Family } from '../metrics/family.ts';
import { OtlpDelivery, type Message, type OtlpDeps, type OtlpStats } from './otlp-delivery.ts';
import type { MetricsSnapshot } from './otlp-metrics.ts';

/** How OTLP travels (`OTEL_EXPORTER_OTLP_PROTOCOL`). */
export type OtlpProtocol = 'http/protobuf' | 'http/json';

/** Where and how one signal is exported (`OTEL_EXPORTER_OTLP_*` and their per-signal forms). */
export interface OtlpOptions {
  /** Full address with its path (`http://localhost:4318/v1/traces`), `http:` or `https:`. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly protocol: OtlpProtocol;
  readonly compression: 'none' | 'gzip';
  /** Time for one message with all its attempts. */
  readonly timeoutMillis: number;
  /** Paths of PEM files: who signed the receiver, and who we are. */
  readonly certificate?: string | undefined;
  readonly clientKey?: string | undefined;
  readonly clientCertificate?: string | undefined;
}

/** As `OTEL_BSP_*`. */
export interface OtlpTraceOptions extends OtlpOptions {
  /** Time after which a span is sent at the latest. */
  readonly scheduleDelayMillis: number;
  /** Spans that wait at most; more are dropped and counted. */
  readonly maxQueueSize: number;
  /** Spans in one message at most; that many waiting are sent at once. */
  readonly maxExportBatchSize: number;
}

/** As `OTEL_METRIC_EXPORT_INTERVAL`. */
export interface OtlpMetricsOptions extends OtlpOptions {
  readonly intervalMillis: number;
}

/** What the metrics exporter is handed besides. */
export interface OtlpMetricsDeps extends OtlpDeps {
  readonly registry: { collect(): Promise<readonly Family[]> };
  readonly resource: Resource;
  readonly scope: InstrumentationScope;
}

/** Sends ended spans in batches. Starts when constructed. */
export class OtlpTraceExporter {
  readonly #deps: OtlpDeps;
  readonly #delivery: OtlpDelivery<ReadableSpan[]>;
  readonly #queue: BoundedQueue<ReadableSpan>;
  readonly #batchSize: number;
  readonly #schedule: Timer;
  /** Spans of the queue that are to be sent now; those that came after a tick wait for the next. */
  #due = 0;
  #closed = false;

  constructor(options: OtlpTraceOptions, deps: OtlpDeps) {
    this.#deps = deps;
    this.#queue = new BoundedQueue(options.maxQueueSize);
    this.#batchSize = Math.min(options.maxExportBatchSize, options.maxQueueSize);
    this.#delivery = new OtlpDelivery(options, deps, {
      signal: 'traces',
      codec: async () => (await import('./otlp-codec.ts')).traceCodec(options.protocol),
      next: async () => this.#next(),
    });
    this.#schedule = deps.guard.every('otlp:schedule', options.scheduleDelayMillis, () => this.#tick());
    deps.guard.after('otlp:schedule', 0, () => void this.#delivery.warmUp());
  }

  /**
   * Takes an ended, sampled span that no longer changes and holds no request. Data plane: O(1), no promise, nothing
   * captured of the caller's context. A span that finds the queue full is dropped and counted.
   */
  enqueue(span: ReadableSpan): void {
    if (this.#closed) {
      this.#delivery.drop('shutdown', 1);
      return;
    }
    // Equal, not more: one timer for each time the batch fills, however long the queue stays full.
    if (this.#queue.push(span) && this.#queue.size === this.#batchSize) this.#wake();
  }

  /** Tries once to send every span that waits; resolves, never later than `timeoutMillis`, and never rejects. */
  flush(timeoutMillis: number): Promise<void> {
    this.#due = this.#queue.size;
    return this.#delivery.flush(timeoutMillis);
  }

  /** Flushes, drops what could not be sent, and stops for good. */
  async shutdown(timeoutMillis: number): Promise<void> {
    if (this.#closed) return;
    await this.flush(timeoutMillis);
    this.#closed = true;
    this.#schedule.stop();
    this.#delivery.close();
    this.#delivery.drop('shutdown', this.#queue.take(this.#queue.size).length);
  }

  stats(): OtlpStats {
    const { exported, dropped, queueSize } = this.#delivery.stats();
    const reasons = new Map(dropped);
    if (this.#queue.dropped > 0) reasons.set('queue_full', this.#queue.dropped);
    return { exported, dropped: reasons, queueSize: queueSize + this.#queue.size };
  }

  #wake(): void {
    runSuppressed(() => this.#deps.guard.after('otlp:schedule', 0, () => void this.#delivery.run()));
  }

  #tick(): void {
    if (this.#queue.dropped > 0) {
      this.#deps.diag.warn(
        'otlp:queue',
        'spans were dropped because the export queue was full, raise OTEL_BSP_MAX_QUEUE_SIZE or sample fewer',
      );
    }
    this.#due = this.#queue.size;
    void this.#delivery.run();
  }

  #next(): Message<ReadableSpan[]> | undefined {
    if (this.#queue.size >= this.#batchSize) this.#due = Math.max(this.#due, this.#batchSize);
    const spans = this.#queue.take(Math.min(this.#due, this.#batchSize));
    this.#due -= spans.length;
    return spans.length === 0 ? undefined : { items: spans.length, value: spans };
  }
}

/** Reads every metric at an interval and sends it, cumulative since the exporter was made. */
export class OtlpMetricsExporter {
  readonly #options: OtlpMetricsOptions;
  readonly #deps: OtlpMetricsDeps;
  readonly #delivery: OtlpDelivery<MetricsSnapshot>;
  readonly #startEpochMillis: number;
  #schedule: Timer | undefined;
  #due = false;
  #closed = false;

  constructor(options: OtlpMetricsOptions, deps: OtlpMetricsDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#startEpochMillis = this.#nowEpochMillis();
    this.#delivery = new OtlpDelivery(options, deps, {
      signal: 'metrics',
      codec: async () => (await import('./otlp-codec.ts')).metricsCodec(options.protocol),
      next: () => this.#next(),
    });
  }

  /** Begins to push every `intervalMillis`. */
  start(): void {
    this.#schedule = this.#deps.guard.every('otlp:schedule', this.#options.intervalMillis, () => {
      this.#due = true;
      void this.#delivery.run();
    });
    this.#deps.guard.after('otlp:schedule', 0, () => void this.#delivery.warmUp());
  }

  /** Reads every metric and tries once to send it; resolves, never later than `timeoutMillis`, and never rejects. */
  flush(timeoutMillis: number): Promise<void> {
    if (!this.#closed) this.#due = true;
    return this.#delivery.flush(timeoutMillis);
  }

  /** Flushes and stops for good. */
  async shutdown(timeoutMillis: number): Promise<void> {
    if (this.#closed) return;
    await this.flush(timeoutMillis);
    this.#closed = true;
    this.#schedule?.stop();
    this.#delivery.close();
  }

  /** Items are data points. */
  stats(): OtlpStats {
    return this.#delivery.stats();
  }

  async #next(): Promise<Message<MetricsSnapshot> | undefined> {
    if (!this.#due) return undefined;
    this.#due = false;
    const families = await this.#deps.registry.collect();
    const { resource, scope } = this.#deps;
    const items = families.reduce((total, family) => total + family.points.length, 0);
    if (items === 0) return undefined;
    return {
      items,
      value: {
        families,
        resource,
        scope,
        startEpochMillis: this.#startEpochMillis,
        epochMillis: this.#nowEpochMillis(),
      },
    };
  }

  #nowEpochMillis(): number {
    const { clock } = this.#deps;
    return clock.epochMillis(clock.monotonicMillis());
  }
}
