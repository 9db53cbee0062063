// Pushes profiles: takes what is new at an interval, has it encoded, and delivers it. What differs between receivers is a
// ProfileEncoding (pyroscope.ts, otlp-profiles.ts). Made by sdk.ts, which hands in where the profiles come from. Limits: what
// waits to be sent is at most 4 MiB (or one message), the oldest of it dropped first and counted.
import type { Timer } from '../core/guard.ts';
import type { Profile } from '../profile/profile.ts';
import { Delivery, type DeliveryDeps, type DeliveryOptions, type DeliveryStats, type Message, type Protocol } from './delivery.ts';

/** What waits at most: an hour of the windows of a usual service, whose three profiles are 60 KB a minute. */
const QUEUE_BYTES_MAX: number = 4 * 1024 * 1024;

/** Where and how often profiles are pushed. */
export interface ProfileExporterOptions extends DeliveryOptions {
  readonly intervalMillis: number;
}

/**
 * One reader's own sequence of profiles: each `take` answers with exactly the time since the one before, one profile for each
 * kind that there is (CPU, wall, heap), none when there is nothing. Never blocks for long, never rejects.
 */
export interface ProfileSource {
  take(): Promise<readonly Profile[]>;
  /** Gives up what has not been taken. */
  stop(): void;
}

/** How profiles are said to one kind of receiver. Items of its messages are profiles. */
export interface ProfileEncoding {
  /** Name that failures of ours are counted by, as `pyroscope`. */
  readonly part: string;
  protocol(): Promise<Protocol<Uint8Array>>;
  /** The messages for what was taken. Never blocks the event loop for more than 10 ms at once. */
  encode(profiles: readonly Profile[]): Promise<readonly Message<Uint8Array>[]>;
}

/** What a profile exporter is handed besides its encoding. */
export interface ProfileExporterDeps extends DeliveryDeps {
  readonly source: ProfileSource;
}

export class ProfileExporter {
  readonly #options: ProfileExporterOptions;
  readonly #deps: ProfileExporterDeps;
  readonly #encoding: ProfileEncoding;
  readonly #delivery: Delivery<Uint8Array>;
  /** Messages that wait to be sent, the oldest first, and their size. */
  readonly #queue: Message<Uint8Array>[] = [];
  #queuedBytes = 0;
  #schedule: Timer | undefined;
  #capturing: Promise<void> | undefined;
  #due = false;
  #closed = false;

  constructor(options: ProfileExporterOptions, deps: ProfileExporterDeps, encoding: ProfileEncoding) {
    this.#options = options;
    this.#deps = deps;
    this.#encoding = encoding;
    this.#delivery = new Delivery(options, deps, {
      part: encoding.part,
      signal: 'profiles',
      protocol: () => encoding.protocol(),
      next: () => this.#next(),
    });
  }

  /** Begins to push every `intervalMillis`. */
  start(): void {
    const { guard } = this.#deps;
    const { part } = this.#encoding;
    // However long a receiver hangs or wants to be left alone, a window is one interval long.
    this.#schedule = guard.every(`${part}:schedule`, this.#options.intervalMillis, () => {
      void this.#capture().then(() => this.#delivery.run());
    });
    guard.after(`${part}:schedule`, 0, () => void this.#delivery.warmUp());
  }

  /** Takes what is new and tries once to send all that waits; resolves, never later than `timeoutMillis`, and never rejects. */
  flush(timeoutMillis: number): Promise<void> {
    if (!this.#closed) this.#due = true;
    return this.#delivery.flush(timeoutMillis);
  }

  /** Flushes, drops what could not be sent, and stops for good. */
  async shutdown(timeoutMillis: number): Promise<void> {
    if (this.#closed) return;
    await this.flush(timeoutMillis);
    this.#closed = true;
    this.#schedule?.stop();
    // The receiver hangs, or wants to be left alone for longer than there is.
    if (this.#due) this.#delivery.drop('shutdown', (await this.#take())?.length ?? 0);
    this.#deps.source.stop();
    this.#delivery.close();
    for (const { items } of this.#queue.splice(0)) this.#delivery.drop('shutdown', items);
    this.#queuedBytes = 0;
  }

  /** Items are profiles. */
  stats(): DeliveryStats {
    const stats = this.#delivery.stats();
    return { ...stats, queueSize: this.#queue.reduce((total, { items }) => total + items, stats.queueSize) };
  }

  async #next(): Promise<Message<Uint8Array> | undefined> {
    if (this.#due) {
      // One under way began before the flush was asked for.
      await this.#capturing;
      this.#due = false;
      await this.#capture();
    }
    const message = this.#queue.shift();
    this.#queuedBytes -= message?.value.length ?? 0;
    return message;
  }

  /** Puts what is new into the queue. Joins one under way, never rejects. */
  #capture(): Promise<void> {
    this.#capturing ??= this.#takeAndEncode().finally(() => {
      this.#capturing = undefined;
    });
    return this.#capturing;
  }

  async #takeAndEncode(): Promise<void> {
    const { guard } = this.#deps;
    const { part } = this.#encoding;
    const profiles = await this.#take();
    if (profiles === undefined || profiles.length === 0) return;
    const messages = await guard.runAsync(`${part}:encode`, () => this.#encoding.encode(profiles));
    if (messages === undefined) this.#delivery.drop('serialization_failed', profiles.length);
    for (const message of messages ?? []) this.#enqueue(message);
  }

  async #take(): Promise<readonly Profile[] | undefined> {
    const { guard, source } = this.#deps;
    return await guard.runAsync(`${this.#encoding.part}:take`, () => source.take());
  }

  #enqueue(message: Message<Uint8Array>): void {
    if (this.#closed) {
      this.#delivery.drop('shutdown', message.items);
      return;
    }
    this.#queue.push(message);
    this.#queuedBytes += message.value.length;
    while (this.#queuedBytes > QUEUE_BYTES_MAX && this.#queue.length > 1) {
      // The newest are kept: they are looked for first.
      const oldest = this.#queue.shift() as Message<Uint8Array>;
      this.#queuedBytes -= oldest.value.length;
      this.#delivery.drop('queue_full', oldest.items);
    }
  }
}
