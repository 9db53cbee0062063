// One signal's way to its receiver: one request at a time, retried, bounded in time, every item counted as exported or
// dropped. Owned by an exporter, which says what is due and what the receiver understands. Nothing here keeps the process
// alive, except a request under way while somebody waits for a flush.
import type { Clock } from '../core/clock.ts';
import { runSuppressed } from '../core/context.ts';
import type { Diag } from '../core/diag.ts';
import type { Guard, Timer } from '../core/guard.ts';
import type { Dialect, Parcel, PostResult, Transport, TransportOptions } from './transport.ts';

// The waits of OpenTelemetry's own exporters: 1 s, 1.5 s, 2.3 s, ... 5 s, each a fifth longer or shorter.
const BACKOFF_FIRST_MILLIS = 1000;
const BACKOFF_MAX_MILLIS = 5000;
const BACKOFF_FACTOR = 1.5;
const BACKOFF_JITTER = 0.2;

/** Longest time that a receiver can silence us for by `Retry-After`; a wrong one of days would be for ever. */
const PAUSE_MAX_MILLIS = 300_000;

/** Characters of a receiver's or a library's own words that are repeated on stderr. */
const FOREIGN_TEXT_MAX = 200;

/** Where messages go, and for how long each is tried. */
export interface DeliveryOptions extends TransportOptions {
  /** Time for one message with all its attempts. */
  readonly timeoutMillis: number;
}

/** What every exporter is handed. */
export interface DeliveryDeps {
  readonly guard: Guard;
  readonly diag: Diag;
  readonly clock: Clock;
}

/** Items since the start. `dropped` is by reason: `export_failed`, `rejected`, `serialization_failed`, `queue_full`, `shutdown`. */
export interface DeliveryStats {
  readonly exported: number;
  readonly dropped: ReadonlyMap<string, number>;
  /** Items that wait to be sent. */
  readonly queueSize: number;
}

/** What the next request says, and how many items (spans, data points, profiles) that is. */
export interface Message<T> {
  readonly items: number;
  readonly value: T;
  /** What is added to the address, for receivers that read there what the message is about. */
  readonly query?: string;
}

/** What a receiver did not take of a request that it accepted (`partial_success` of OTLP). */
export interface PartialSuccess {
  /** 0 with a message is a warning. */
  readonly rejected: number;
  readonly message: string;
}

/** The two directions of a conversation with a receiver. */
export interface Protocol<T> extends Dialect {
  /** Throws when `value` cannot be serialised. */
  serialize(value: T): Uint8Array | undefined;
  /** What the answer complains about; undefined when nothing, or when it is not an answer that this protocol knows. */
  partialSuccess(answer: Uint8Array): PartialSuccess | undefined;
}

/** What an exporter tells its delivery. */
export interface DeliverySource<T> {
  /** Name that failures of ours are counted by, as `otlp:traces`. */
  readonly part: string;
  /** What people call the items: `traces`, `metrics`, `profiles`. */
  readonly signal: string;
  protocol(): Promise<Protocol<T>>;
  /** The next message, or undefined when nothing is due. */
  next(): Promise<Message<T> | undefined>;
}

interface Client<T> {
  readonly protocol: Protocol<T>;
  readonly transport: Transport;
}

interface Pending {
  readonly parcel: Parcel;
  readonly items: number;
  readonly deadlineMillis: number;
  attempts: number;
}

/** How long to wait before the attempt that follows `attempts` failed ones; `random` is in [0, 1). */
export function backoffMillis(attempts: number, random: number): number {
  const wait = Math.min(BACKOFF_FIRST_MILLIS * BACKOFF_FACTOR ** (attempts - 1), BACKOFF_MAX_MILLIS);
  return wait * (1 + BACKOFF_JITTER * (2 * random - 1));
}

export class Delivery<T> {
  readonly #options: DeliveryOptions;
  readonly #deps: DeliveryDeps;
  readonly #source: DeliverySource<T>;
  readonly #part: string;
  readonly #dropped = new Map<string, number>();
  #exported = 0;
  #connecting: Promise<Client<T>> | undefined;
  #client: Client<T> | undefined;
  #running: Promise<void> | undefined;
  #pending: Pending | undefined;
  #retry: Timer | undefined;
  /** No attempt before this; a flush may cut a backoff short, but not a pause that the receiver asked for. */
  #retryAtMillis = 0;
  #pausedUntilMillis = 0;
  #holders = 0;
  #failing = false;
  #closed = false;

  constructor(options: DeliveryOptions, deps: DeliveryDeps, source: DeliverySource<T>) {
    this.#options = options;
    this.#deps = deps;
    this.#source = source;
    this.#part = source.part;
  }

  /** Loads what sending needs (8 ms, half of it `node:https`) before the application is under load. */
  async warmUp(): Promise<void> {
    await runSuppressed(() => this.#deps.guard.runAsync(this.#part, () => this.#connect()));
  }

  /** Sends what is due, unless the receiver is to be left alone for now. Joins a run under way, never rejects. */
  run(): Promise<void> {
    if (this.#running === undefined) {
      if (this.#closed || this.#deps.clock.monotonicMillis() < this.#retryAtMillis) return Promise.resolve();
      this.#running = this.#guardedDrain().finally(() => {
        this.#running = undefined;
      });
    }
    return this.#running;
  }

  /**
   * Tries once to send all that is due and resolves, never later than `timeoutMillis`. What the receiver turns away
   * for now is kept for the next attempt. Keeps the process alive for requests under way.
   */
  async flush(timeoutMillis: number): Promise<void> {
    let limit: Timer | undefined;
    const expired = new Promise<void>((resolve) => {
      limit = this.#deps.guard.after('export:limit', timeoutMillis, resolve);
    });
    this.#hold(1);
    await Promise.race([this.#runNow(), expired]);
    this.#hold(-1);
    limit?.stop();
  }

  /** Stops for good: what waits for another attempt is dropped, the connection is closed. */
  close(): void {
    this.#closed = true;
    this.#retry?.stop();
    this.#client?.transport.close();
    this.#abandon();
  }

  /** Counts items that will not be exported. */
  drop(reason: string, items: number): void {
    if (items > 0) this.#dropped.set(reason, (this.#dropped.get(reason) ?? 0) + items);
  }

  stats(): DeliveryStats {
    return { exported: this.#exported, dropped: new Map(this.#dropped), queueSize: this.#pending?.items ?? 0 };
  }

  async #runNow(): Promise<void> {
    this.#retryAtMillis = this.#pausedUntilMillis;
    // A run under way may have asked for the last message before the caller added its own.
    await this.#running;
    await this.run();
  }

  #hold(change: 1 | -1): void {
    this.#holders += change;
    this.#client?.transport.hold(this.#holders > 0);
  }

  async #guardedDrain(): Promise<void> {
    await runSuppressed(() => this.#deps.guard.runAsync(this.#part, () => this.#drain()));
  }

  async #drain(): Promise<void> {
    const client = await this.#connect();
    while (!this.#closed) {
      this.#pending ??= await this.#prepare(client);
      if (this.#pending === undefined || !(await this.#attempt(client, this.#pending))) return;
    }
    this.#abandon();
  }

  #abandon(): void {
    if (this.#pending !== undefined) this.drop('shutdown', this.#pending.items);
    this.#pending = undefined;
  }

  #connect(): Promise<Client<T>> {
    return (this.#connecting ??= this.#load());
  }

  async #load(): Promise<Client<T>> {
    const [{ Transport }, protocol] = await Promise.all([import('./transport.ts'), this.#source.protocol()]);
    const { clock, guard } = this.#deps;
    const nowEpochMillis = (): number => clock.epochMillis(clock.monotonicMillis());
    const transport = new Transport(this.#options, protocol, { guard, part: this.#part, nowEpochMillis });
    transport.hold(this.#holders > 0);
    this.#client = { protocol, transport };
    return this.#client;
  }

  /** The next message in the form in which it is sent; one that cannot be serialised is dropped. */
  async #prepare({ protocol, transport }: Client<T>): Promise<Pending | undefined> {
    for (;;) {
      const message = await this.#source.next();
      if (message === undefined) return undefined;
      const bytes = this.#deps.guard.run(this.#part, () => protocol.serialize(message.value));
      if (bytes !== undefined) {
        const body = await transport.pack(bytes);
        return {
          parcel: { body, query: message.query },
          items: message.items,
          deadlineMillis: this.#deps.clock.monotonicMillis() + this.#options.timeoutMillis,
          attempts: 0,
        };
      }
      this.drop('serialization_failed', message.items);
    }
  }

  /** One attempt; resolves to whether the next message may follow at once. */
  async #attempt(client: Client<T>, pending: Pending): Promise<boolean> {
    const remainingMillis = Math.max(pending.deadlineMillis - this.#deps.clock.monotonicMillis(), 1);
    const result = await client.transport.post(pending.parcel, remainingMillis);
    if (this.#closed) return false;
    if (result.kind === 'refused') return this.#refused(pending, result);
    this.#pending = undefined;
    this.#accepted(pending, client.protocol, result.answer);
    return true;
  }

  #accepted(pending: Pending, protocol: Protocol<T>, answer: Buffer): void {
    const { diag } = this.#deps;
    const partial = protocol.partialSuccess(answer);
    const rejected = Math.min(partial?.rejected ?? 0, pending.items);
    this.#exported += pending.items - rejected;
    this.drop('rejected', rejected);
    if (partial !== undefined) {
      diag.warn(
        `${this.#part}:partial`,
        `${this.#where()} rejected ${rejected} of ${pending.items} items of ${this.#source.signal}: ${printable(partial.message)}`,
      );
    }
    if (this.#failing) diag.info(`${this.#where()} accepts ${this.#source.signal} again`);
    this.#failing = false;
  }

  #refused(pending: Pending, result: Extract<PostResult, { kind: 'refused' }>): boolean {
    const { clock, diag, guard } = this.#deps;
    this.#failing = true;
    diag.warn(
      `${this.#part}:refused`,
      `${this.#source.signal} cannot be exported to ${this.#where()}: ${printable(result.reason)}. What cannot be sent is dropped and counted; the application is not affected.`,
    );
    pending.attempts += 1;
    const now = clock.monotonicMillis();
    // At least the backoff: a receiver that says `Retry-After: 0` for ever would be asked without a pause.
    const waitMillis = Math.max(result.retryAfterMillis ?? 0, backoffMillis(pending.attempts, Math.random()));
    const isOver = !result.retryable || now + waitMillis >= pending.deadlineMillis;
    if (isOver) {
      this.#pending = undefined;
      this.drop('export_failed', pending.items);
    }
    this.#pausedUntilMillis = now + Math.min(result.retryAfterMillis ?? 0, PAUSE_MAX_MILLIS);
    if (isOver && this.#pausedUntilMillis === now) return true;
    this.#retryAtMillis = isOver ? this.#pausedUntilMillis : now + waitMillis;
    this.#retry?.stop();
    this.#retry = guard.after(this.#part, this.#retryAtMillis - now, () => void this.run());
    return false;
  }

  #where(): string {
    return displayUrl(this.#options.url);
  }
}

/** An address fit to be shown: without credentials and query, which may hold a key. */
function displayUrl(url: string): string {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}

/** Words of others as part of one line, without what a terminal would obey. */
function printable(text: string): string {
  return text
    .slice(0, FOREIGN_TEXT_MAX)
    .replace(/\s+/g, ' ')
    .replace(/[^\x20-\x7e]/g, '?')
    .trim();
}
