// OTLP export of log records. Sonde's own events are sent (a change of a leak's level, the evidence of an earlier death);
// nothing is scheduled while there is none. sdk.ts loads this file when there is an endpoint, and flushes it at exit.
import type { InstrumentationScope } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import { runSuppressed } from '../core/context.ts';
import type { Timer } from '../core/guard.ts';
import { Delivery, type DeliveryDeps, type DeliveryStats, type Message } from './delivery.ts';
import type { LogBatch, LogEvent } from './otlp-log-records.ts';
import type { OtlpOptions } from './otlp.ts';

/** As `OTEL_BLRP_*`. */
export interface OtlpLogsOptions extends OtlpOptions {
  /** Time after which a record is sent at the latest. */
  readonly scheduleDelayMillis: number;
  /** Records that wait at most; more are dropped and counted. */
  readonly maxQueueSize: number;
  /** Records in one message at most; that many waiting are sent at once. */
  readonly maxExportBatchSize: number;
}

/** What the logs exporter is handed besides. */
export interface OtlpLogsDeps extends DeliveryDeps {
  readonly resource: Resource;
  readonly scope: InstrumentationScope;
}

interface Waiting {
  readonly event: LogEvent;
  readonly observedEpochMillis: number;
}

/** Sends log records in batches. */
export class OtlpLogsExporter {
  readonly #options: OtlpLogsOptions;
  readonly #deps: OtlpLogsDeps;
  readonly #delivery: Delivery<LogBatch>;
  readonly #waiting: Waiting[] = [];
  #schedule: Timer | undefined;
  #closed = false;

  constructor(options: OtlpLogsOptions, deps: OtlpLogsDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#delivery = new Delivery(options, deps, {
      part: 'otlp:logs',
      signal: 'logs',
      protocol: async () => (await import('./otlp-codec.ts')).logsProtocol(options.protocol),
      next: async () => this.#next(),
    });
  }

  /** Hands over one record, to be sent within the schedule's delay. One that finds the queue full is dropped and counted. */
  event(event: LogEvent): void {
    const { maxQueueSize, maxExportBatchSize, scheduleDelayMillis } = this.#options;
    if (this.#closed) {
      this.#delivery.drop('shutdown', 1);
      return;
    }
    if (this.#waiting.length >= maxQueueSize) {
      this.#delivery.drop('queue_full', 1);
      return;
    }
    const { clock } = this.#deps;
    this.#waiting.push({ event, observedEpochMillis: clock.epochMillis(clock.monotonicMillis()) });
    const isFull = this.#waiting.length >= Math.min(maxExportBatchSize, maxQueueSize);
    if (this.#schedule === undefined || isFull) this.#sendAfter(isFull ? 0 : scheduleDelayMillis);
  }

  /** Tries once to send every record that waits; resolves, never later than `timeoutMillis`, and never rejects. */
  flush(timeoutMillis: number): Promise<void> {
    return this.#delivery.flush(timeoutMillis);
  }

  /** Flushes, drops what could not be sent, and stops for good. */
  async shutdown(timeoutMillis: number): Promise<void> {
    if (this.#closed) return;
    await this.flush(timeoutMillis);
    this.#closed = true;
    this.#schedule?.stop();
    this.#delivery.close();
    this.#delivery.drop('shutdown', this.#waiting.length);
    this.#waiting.length = 0;
  }

  stats(): DeliveryStats {
    const stats = this.#delivery.stats();
    return { ...stats, queueSize: stats.queueSize + this.#waiting.length };
  }

  #sendAfter(millis: number): void {
    this.#schedule?.stop();
    runSuppressed(() => {
      this.#schedule = this.#deps.guard.after('otlp:schedule', millis, () => {
        this.#schedule = undefined;
        void this.#delivery.run();
      });
    });
  }

  #next(): Message<LogBatch> | undefined {
    const batch = this.#waiting.splice(0, this.#options.maxExportBatchSize);
    if (batch.length === 0) return undefined;
    const { resource, scope } = this.#deps;
    const events = batch.map(({ event }) => event);
    const observedEpochMillis = batch.map((waiting) => waiting.observedEpochMillis);
    return { items: batch.length, value: { events, resource, scope, observedEpochMillis } };
  }
}
