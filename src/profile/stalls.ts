// The last blocks of the event loop, and how people hear of them: an entry in /debug/stalls, an event on the span that was
// active, a measurement, a line. The engine tells of each block right after it; sdk.ts hands in what is told on.
// A block is told on a moment later, when the collector's own records of that time have come.
import type { Clock } from '../core/clock.ts';
import type { Diag } from '../core/diag.ts';
import type { Guard } from '../core/guard.ts';
import type { Frame } from './frame.ts';
import { type Block, causeOf, culpritOf, describeStall, type StallDescription } from './stall-description.ts';
import type { StallEntry } from './stall-entry.ts';
import { stallLine } from './stall-text.ts';

/** Entries that are kept; each refers to at most 128 frames that all share. */
const STALLS_MAX = 100;

/** Of these so many that are nobody's fault: on a machine with too much to do there is one every second. */
const NOT_RUNNING_MAX = 20;

/** Node hands out the records of collections two turns of the loop after them. */
const SETTLE_MILLIS = 20;

/** Records of collections that are kept for the blocks still to be told of. */
const COLLECTIONS_MAX = 1024;

/** The least time between two lines. */
const LINE_MILLIS = 60_000;

/** What a span is told of a stall. */
export interface StallEvent {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly epochMillis: number;
}

export interface StallsOptions {
  readonly guard: Guard;
  readonly diag: Diag;
  readonly clock: Clock;
  readonly thresholdMillis: number;
  /** Where Sonde's own files are. */
  readonly ownDirectory: string;
  /** Takes each stall once; it ended at `endMillis` of the monotonic clock. */
  readonly observe: (stall: StallEntry, endMillis: number) => void;
  /** Puts an event on something that was active, if it still can be. */
  readonly addEvent: (active: object, event: StallEvent) => void;
  /** What a person calls the request that something active belongs to, as `GET /products`. */
  readonly nameOf: (active: object) => string;
  /** Finds where frames come from, one for one (source maps). */
  readonly mapFrames?: ((frames: readonly Frame[]) => Promise<readonly Frame[]>) | undefined;
  /** Whether a debugger is attached. */
  readonly isDebugged?: () => boolean;
}

/** A block that is kept. */
interface Stall {
  entry: StallEntry;
  frames: readonly Frame[];
  readonly shares: readonly number[];
  /** Source maps have been applied, or are being. */
  mapping: Promise<void> | undefined;
}

export class Stalls {
  readonly #options: StallsOptions;
  readonly #stalls: Stall[] = [];
  /** Start and end of the last collections, two numbers each, in a ring. */
  readonly #collections = new Float64Array(2 * COLLECTIONS_MAX);
  #collectionCount = 0;
  #lineAtMillis = -Infinity;
  #unsaid = 0;

  constructor(options: StallsOptions) {
    this.#options = options;
  }

  /** Takes a block that has just ended. */
  add(block: Block): void {
    const { guard, thresholdMillis, isDebugged = isInspected, nameOf, observe } = this.#options;
    const stretch = typeof block.sampled === 'string' || block.wasWaiting ? undefined : block.sampled;
    const description = stretch && describeStall(block.durationMillis, stretch, { thresholdMillis, isDebugged });
    const { frames, shares } = description ?? { frames: [], shares: [] };
    const stall: Stall = { entry: this.#entry(block, description), frames, shares, mapping: undefined };
    this.#keep(stall);
    const active = stretch?.active;
    // Before it ends, which may be at once; and what it is called is asked while it knows.
    if (active !== undefined) this.#addEvent(stall.entry, active);
    const request = active === undefined ? (description?.route ?? '') : nameOf(active);
    guard.after('stalls', SETTLE_MILLIS, () => {
      stall.entry = { ...this.#entry(block, description), ...this.#names(stall.frames, stall.shares) };
      observe(stall.entry, block.startMillis + block.durationMillis);
      this.#tell(stall, request);
    });
  }

  /** Takes the time of a collection, on the monotonic clock. */
  collected(startMillis: number, durationMillis: number): void {
    const at = 2 * (this.#collectionCount % COLLECTIONS_MAX);
    this.#collections[at] = startMillis;
    this.#collections[at + 1] = startMillis + durationMillis;
    this.#collectionCount += 1;
  }

  /** The last hundred, newest first. */
  list(): StallEntry[] {
    return this.#stalls.map(({ entry }) => entry).toReversed();
  }

  /** The same with source maps applied. */
  async read(): Promise<StallEntry[]> {
    for (const stall of this.#stalls.slice()) await this.#map(stall);
    return this.list();
  }

  #keep(stall: Stall): void {
    this.#stalls.push(stall);
    const notRunning = this.#stalls.filter(({ entry }) => entry.cause === 'not running');
    const surplus = notRunning.length > NOT_RUNNING_MAX ? notRunning[0] : this.#stalls.length > STALLS_MAX ? this.#stalls[0] : undefined;
    if (surplus !== undefined) this.#stalls.splice(this.#stalls.indexOf(surplus), 1);
  }

  #addEvent({ cause, culprit, startEpochMillis, durationMillis }: StallEntry, active: object): void {
    const attributes: Record<string, string | number> = {
      'sonde.eventloop.stall.duration': durationMillis / 1000,
      'sonde.eventloop.stall.cause': cause,
    };
    if (culprit !== undefined && cause !== 'not running') {
      attributes['code.function.name'] = culprit.function;
      if (culprit.file !== '') attributes['code.file.path'] = culprit.file;
      if (culprit.line > 0) attributes['code.line.number'] = culprit.line;
    }
    this.#options.addEvent(active, { name: 'sonde.eventloop.stall', attributes, epochMillis: startEpochMillis });
  }

  #tell(stall: Stall, request: string): void {
    const { guard, diag } = this.#options;
    // Nothing in the program is to be looked at.
    if (stall.entry.cause === 'not running') diag.info(stallLine(stall.entry, request, 0));
    else void guard.runAsync('stalls', () => this.#say(stall, request));
  }

  async #say(stall: Stall, request: string): Promise<void> {
    const { clock, diag } = this.#options;
    const nowMillis = clock.monotonicMillis();
    if (nowMillis < this.#lineAtMillis) {
      this.#unsaid += 1;
      return;
    }
    this.#lineAtMillis = nowMillis + LINE_MILLIS;
    const unsaid = this.#unsaid;
    this.#unsaid = 0;
    await this.#map(stall);
    diag.notice(stallLine(stall.entry, request, unsaid));
  }

  /** Applies source maps, once. */
  #map(stall: Stall): Promise<void> {
    return (stall.mapping ??= this.#applyMaps(stall));
  }

  async #applyMaps(stall: Stall): Promise<void> {
    const { guard, mapFrames } = this.#options;
    if (mapFrames === undefined || stall.frames.length === 0) return;
    stall.frames = (await guard.runAsync('stall source maps', () => mapFrames(stall.frames))) ?? stall.frames;
    stall.entry = { ...stall.entry, ...this.#names(stall.frames, stall.shares) };
  }

  #entry(block: Block, description: StallDescription | undefined): StallEntry {
    const { startMillis, durationMillis, sampled } = block;
    const stretch = typeof sampled === 'string' ? undefined : sampled;
    const gcMillis = Math.min(durationMillis, Math.max(this.#collectedMillis(block), description?.gcMillis ?? 0));
    return {
      startEpochMillis: this.#options.clock.epochMillis(startMillis),
      durationMillis,
      ...causeOf(block, description, gcMillis),
      ...this.#names(description?.frames ?? [], description?.shares ?? []),
      samples: description?.samples ?? 0,
      route: description?.route,
      traceId: description?.traceId,
      spanId: description?.spanId,
      spanCount: stretch?.activeCount ?? 0,
      gcMillis,
      cpuMillis: stretch?.cpuMillis,
      notRunningMillis: block.wasWaiting ? durationMillis : (stretch?.deadMillis ?? 0),
    };
  }

  #names(frames: readonly Frame[], shares: readonly number[]): Pick<StallEntry, 'culprit' | 'share' | 'stack'> {
    const stack = frames.map(({ name, file, line }) => ({ function: name, file, line }));
    const at = culpritOf(frames, this.#options.ownDirectory);
    return { culprit: stack[at], share: shares[at] ?? 0, stack };
  }

  #collectedMillis({ startMillis, durationMillis }: Block): number {
    let sum = 0;
    for (let i = 0; i < Math.min(this.#collectionCount, COLLECTIONS_MAX); i++) {
      const start = Math.max(startMillis, this.#collections[2 * i] as number);
      const end = Math.min(startMillis + durationMillis, this.#collections[2 * i + 1] as number);
      sum += Math.max(0, end - start);
    }
    return sum;
  }
}

/** Whether the inspector listens, as it does for debuggers; a Node may have been built without. */
function isInspected(): boolean {
  return process.getBuiltinModule('node:inspector')?.url() !== undefined;
}
