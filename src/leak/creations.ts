// Sampled creations: what was created where and when, each by a weak reference, so that those still alive name the
// place whose creations stay. Filled by buffer-creations.ts and resource-creations.ts while something grows. At most
// 4,096 entries of some 150 bytes, and one stack for each place: 1 MB with a few hundred stacks. What V8 has not
// collected yet counts as alive, and only a major collection clears a WeakRef: rank after one. Where major collections are
// rare the store fills with the dead between two of them, and a longer distance leaves fewer survivors to name.
import type { Clock } from '../core/clock.ts';
import { keyOf, type Owner, type Ownership, type Site } from './site.ts';
import { innermostOwned } from './creation-stack.ts';
import type { LeakLeaf } from './finding.ts';

/** Creations kept. With 4,096 of them a place that holds 1 % of the growth has 41, counted to within 16 %. */
const ENTRIES_MAX = 4096;

/** A sample costs some 20 us, nearly all of it the stack: 256 a second are 0.5 % of a core. Beyond that the distance grows. */
const RATE_WINDOW_MILLIS = 2000;
const WINDOW_SAMPLES_MAX = 512;

/** Innermost frames told of a place. */
const LEAVES_MAX = 5;

export interface CreationsOptions<T extends object> {
  readonly clock: Clock;
  /** Mean distance of two samples, in the unit of the sizes; 0 takes every creation. Grows with the store full or the rate high. */
  readonly distance: number;
  /** Whether an object that was not collected is still what it was; by default it is. */
  readonly isAlive?: (object: T) => boolean;
  readonly entriesMax?: number;
  /** In [0, 1). */
  readonly random?: () => number;
}

/** A sampled creation whose object is alive. */
export interface Survivor<T extends object> {
  readonly object: T;
  /** Innermost first. */
  readonly stack: readonly Site[];
  /** What it stands for: itself and the creations that were not sampled. */
  readonly bytes: number;
  readonly count: number;
}

/** Survivors that were created in one place. */
export interface CreationGroup {
  /** The innermost frame of the application's, else of a library's, else of the runtime's; null without a stack. */
  readonly site: Site | null;
  /** Whose frame that is. */
  readonly owner: Owner | null;
  /** The stack that created most of it, innermost first. */
  readonly stack: readonly Site[];
  readonly leaves: readonly LeakLeaf[];
  /** Estimates; where sizes are 1, as of handles, `bytes` is the count. */
  readonly bytes: number;
  readonly count: number;
  /** Of the bytes of all places, 0 to 1. */
  readonly share: number;
}

interface Creation<T extends object> {
  readonly ref: WeakRef<T>;
  readonly size: number;
  readonly createdMillis: number;
  readonly stack: readonly Site[];
}

/** The survivors of one place while they are added up. */
interface Place {
  readonly site: Site | null;
  readonly owner: Owner | null;
  bytes: number;
  count: number;
  /** Bytes by stack, which are interned. */
  readonly stacks: Map<readonly Site[], number>;
}

/** A store of creations that were sampled by a Poisson process over their sizes. */
export class Creations<T extends object> {
  readonly #clock: Clock;
  readonly #isAlive: (object: T) => boolean;
  readonly #entriesMax: number;
  readonly #random: () => number;
  #distance: number;
  #entries: Creation<T>[] = [];
  #stacks = new Map<string, readonly Site[]>();
  #windowMillis: number;
  #windowSamples = 0;

  constructor({ clock, distance, isAlive = () => true, entriesMax = ENTRIES_MAX, random = Math.random }: CreationsOptions<T>) {
    this.#clock = clock;
    this.#distance = distance;
    this.#isAlive = isAlive;
    this.#entriesMax = entriesMax;
    this.#random = random;
    this.#windowMillis = clock.monotonicMillis();
  }

  /** Mean distance of two samples at present. */
  get distance(): number {
    return this.#distance;
  }

  /** Sampled creations that are kept, alive or not. */
  get size(): number {
    return this.#entries.length;
  }

  /**
   * How far it is to the next sample: the creation in which that many have been passed is to be added, and the next gap
   * begins after it. Exponential, so that no rhythm of the application's is met, and whole.
   */
  nextGap(): number {
    return Math.ceil(-Math.log1p(-this.#random()) * this.#distance);
  }

  /** Adds a creation that the gap fell on. */
  add(object: T, size: number, stack: readonly Site[]): void {
    const createdMillis = this.#clock.monotonicMillis();
    this.#entries.push({ ref: new WeakRef(object), size, createdMillis, stack: this.#interned(stack) });
    if (this.#entries.length > this.#entriesMax) this.#makeRoom();
    if (createdMillis - this.#windowMillis >= RATE_WINDOW_MILLIS) this.#beginWindow(createdMillis);
    else if (++this.#windowSamples > WINDOW_SAMPLES_MAX) {
      this.thin();
      this.#beginWindow(createdMillis);
    }
  }

  /** Doubles the distance, and drops of what is kept what the longer one would have passed over: all weights stay right. */
  thin(): void {
    const before = this.#distance;
    this.#distance = before === 0 ? 1 : before * 2;
    const kept = ({ size }: Creation<T>): boolean => this.#random() * chance(size, before) < chance(size, this.#distance);
    this.#entries = this.#entries.filter(kept);
  }

  clear(): void {
    this.#entries = [];
    this.#stacks.clear();
  }

  /** What is alive and at least that old. The objects are held by the answer: let go of it within the turn. */
  survivors(minAgeMillis: number): Survivor<T>[] {
    const latestMillis = this.#clock.monotonicMillis() - minAgeMillis;
    return this.#entries.flatMap(({ ref, size, createdMillis, stack }) => {
      const object = createdMillis <= latestMillis ? ref.deref() : undefined;
      if (object === undefined || !this.#isAlive(object)) return [];
      const stoodFor = 1 / chance(size, this.#distance);
      return [{ object, stack, bytes: size * stoodFor, count: stoodFor }];
    });
  }

  /** The survivors of at least that age by the place that created them, most bytes first. */
  rank(minAgeMillis: number, ownership: Ownership): CreationGroup[] {
    return rankSurvivors(this.survivors(minAgeMillis), ownership);
  }

  #beginWindow(nowMillis: number): void {
    this.#windowMillis = nowMillis;
    this.#windowSamples = 1;
  }

  #interned(stack: readonly Site[]): readonly Site[] {
    const key = stack.map(keyOf).join('\n');
    const known = this.#stacks.get(key);
    if (known === undefined) this.#stacks.set(key, stack);
    return known ?? stack;
  }

  /** The dead go first; where half is alive, the distance grows. */
  #makeRoom(): void {
    this.#entries = this.#entries.filter(({ ref }) => {
      const object = ref.deref();
      return object !== undefined && this.#isAlive(object);
    });
    while (this.#entries.length > this.#entriesMax / 2) this.thin();
    const used = new Set(this.#entries.map(({ stack }) => stack));
    for (const [key, stack] of this.#stacks) if (!used.has(stack)) this.#stacks.delete(key);
  }
}

/** Whether one of that size is sampled: the chance that a point of the Poisson process falls into it. */
function chance(size: number, distance: number): number {
  return distance === 0 ? 1 : -Math.expm1(-size / distance);
}

/** Survivors by the place that created them, most bytes first. */
export function rankSurvivors(survivors: readonly Survivor<object>[], ownership: Ownership): CreationGroup[] {
  const places = new Map<string, Place>();
  const owned = new Map<readonly Site[], ReturnType<typeof innermostOwned>>();
  for (const { stack, bytes, count } of survivors) {
    if (!owned.has(stack)) owned.set(stack, innermostOwned(stack, ownership));
    const { site, owner } = owned.get(stack) ?? { site: null, owner: null };
    const key = site === null ? '' : keyOf(site);
    let place = places.get(key);
    if (place === undefined) places.set(key, (place = { site, owner, bytes: 0, count: 0, stacks: new Map() }));
    place.bytes += bytes;
    place.count += count;
    place.stacks.set(stack, (place.stacks.get(stack) ?? 0) + bytes);
  }
  const total = survivors.reduce((sum, { bytes }) => sum + bytes, 0);
  return [...places.values()].toSorted((a, b) => b.bytes - a.bytes).map((place) => groupOf(place, total));
}

function groupOf({ site, owner, bytes, count, stacks }: Place, total: number): CreationGroup {
  const [stack] = [...stacks].reduce((most, next) => (next[1] > most[1] ? next : most));
  const leaves = leavesOf(stacks, bytes);
  return { site, owner, stack, leaves, bytes: Math.round(bytes), count: Math.round(count), share: bytes / total };
}

function leavesOf(stacks: Place['stacks'], total: number): LeakLeaf[] {
  const leaves = new Map<string, { site: Site; bytes: number }>();
  for (const [[site], bytes] of stacks) {
    if (site === undefined) continue;
    const key = keyOf(site);
    const leaf = leaves.get(key);
    if (leaf === undefined) leaves.set(key, { site, bytes });
    else leaf.bytes += bytes;
  }
  const most = [...leaves.values()].toSorted((a, b) => b.bytes - a.bytes).slice(0, LEAVES_MAX);
  return most.map(({ site, bytes }) => ({ site, share: bytes / total }));
}
