// Finds leaks and names what leaks. The gate are exact readings after V8's own major collections (levels.ts); who allocates
// what stays is asked only of what grows (heap-naming.ts, creations). Costs some 0.3 ms a collection and 0.2 ms each
// five seconds; a named evaluation up to 20 ms at a heap of 1 GB, in pieces. Built by leak-watch.ts.
import type { Clock } from '../core/clock.ts';
import type { Guard, Timer } from '../core/guard.ts';
import { type CreationNaming, unnamed } from './creation-naming.ts';
import type { KindReading, LeakFinding, LeakKind, LeakLevel, LeakVerdict } from './finding.ts';
import { LEAK_KINDS, severity } from './finding.ts';
import { Findings, type Named } from './findings.ts';
import type { HeapNaming } from './heap-naming.ts';
import type { MemoryReading } from './memory.ts';
import type { LeakSettings } from './settings.ts';
import type { Reading } from './trend.ts';
import { type Limits, Watched } from './watched.ts';

/** What the process has served; memory grows with it without leaking. */
interface Traffic {
  readonly requests: number;
  readonly active: number;
}

/** What has grown, and since when. */
export interface Suspicion {
  readonly kind: LeakKind;
  readonly resourceType: string | null;
  readonly sinceSeconds: number;
}

export interface LeakDetectorOptions {
  readonly guard: Guard;
  readonly clock: Clock;
  readonly settings: LeakSettings;
  readonly memory: () => MemoryReading;
  readonly traffic: () => Traffic;
  /** V8's limit of the old generation. */
  readonly heapLimitBytes: () => number;
  /** What the process may have open. */
  readonly resourceLimit: () => number;
  readonly heapNaming: HeapNaming;
  /** Who creates what is not on the heap. Told of what grows as long as it does. */
  readonly creations: Pick<CreationNaming, 'watch' | 'name'>;
  /** Names of the sources, the route: what is known beyond the functions that run. */
  readonly describe: (named: Named) => Promise<Named>;
  /** Collects all garbage. */
  readonly collectGarbage: () => Promise<void>;
  /** Called once for each finding that is new or has changed its level. */
  readonly onChange: (finding: LeakFinding) => void;
  readonly notes: () => readonly string[];
}

/** Looks in a window: each five seconds, and each second in the first twenty, when there are few readings yet. */
const TICKS_PER_WINDOW = 360;
const TICK_SECONDS_MAX = 5;
const TICK_SECONDS_MIN = 0.5;
const TICK_SECONDS_FIRST = 1;
const TICK_AGE_SHARE = 1 / 20;

/** Of collections that follow at once the first counts: V8 collects a heap that is fragmented, or full, up to fifty times a second. */
const COLLECTION_SECONDS_MIN = 0.5;

/** Native memory moves by some 10 MB with malloc's gaps and with threads, though not evenly. */
const NATIVE_GROWTH_FACTOR = 2;

/** A leak of the heap may wait for a name while the next reading is expected before this share of its room is gone. */
const NAME_WAIT_SHARE = 0.25;

/** A hundred more of one type is what a busy service has anyway. */
const RESOURCES_GROWTH_MIN = 100;

/** Types watched; Node has some forty. */
const RESOURCE_TYPES_MAX = 32;

/**
 * A collection is forced only while the heap is known to grow, when V8 leaves it be for so many ticks with this share of the
 * limit come since (by its trend, too: what leaks is young for a while, where V8 tells no garbage from it), or for an eighth of the
 * window; never above this live heap (60 to 80 ms there), for a two-hundredth of the time at most (more in a window that is set
 * shorter, and as the end comes near), and four times as seldom after each that has not borne the rise out.
 */
const FORCE_TICKS = 3;
const FORCE_ROOM_SHARE = 0.01;
const FORCE_WINDOW_SHARE = 1 / 8;
const FORCE_BYTES_MAX: number = 128 * 1024 * 1024;
/** Of the window, for each second that one took: 200 s in that of half an hour. */
const FORCE_PAUSE_SHARE = 1 / 9;
/** Or of the time that is left: who dies in minutes is told in seconds. */
const FORCE_PAUSE_LEFT_SHARE = 0.02;
const FORCE_IN_VAIN_SHARE = 0.3;
const FORCE_IN_VAIN_FACTOR = 4;

export class LeakDetector {
  readonly #options: LeakDetectorOptions;
  readonly #findings = new Findings();
  readonly #heap: Watched;
  readonly #external: Watched;
  readonly #native: Watched;
  readonly #resources = new Map<string, Watched>();
  readonly #tickMillis: number;
  #timer: Timer | undefined;
  #warmUp: Timer | undefined;
  #startSeconds = 0;
  #tickSeconds = -Infinity;
  #isWarm = false;
  #busy = false;
  #collectedSeconds = -Infinity;
  #ticksWithoutCollection = 0;
  #forceAtMillis = 0;
  #forceWait = 1;

  constructor(options: LeakDetectorOptions) {
    const { windowSeconds, minGrowthBytes } = options.settings;
    this.#options = options;
    const watched = (kind: LeakKind, minGrowth: number): Watched =>
      new Watched({ kind, resourceType: null, minGrowth, windowSeconds, readAfterCollections: kind !== 'native' });
    this.#heap = watched('heap', minGrowthBytes);
    this.#external = watched('external', minGrowthBytes);
    this.#native = watched('native', NATIVE_GROWTH_FACTOR * minGrowthBytes);
    this.#tickMillis = 1000 * Math.min(Math.max(windowSeconds / TICKS_PER_WINDOW, TICK_SECONDS_MIN), TICK_SECONDS_MAX);
  }

  /** Starts watching; the heap sampler must have been started. */
  start(): void {
    const { guard, settings } = this.#options;
    this.#warmUp = guard.after('leak', settings.warmUpSeconds * 1000, () => void guard.runAsync('leak', () => this.warm()));
    const everyMillis = Math.min(this.#tickMillis, TICK_SECONDS_FIRST * 1000);
    this.#startSeconds = this.#seconds();
    this.#timer = guard.every('leak', everyMillis, () => void guard.runAsync('leak', () => this.tick()));
  }

  stop(): void {
    this.#warmUp?.stop();
    this.#timer?.stop();
    this.#timer = undefined;
    this.#options.creations.watch([]);
  }

  verdict(): LeakVerdict {
    const { heapNaming, notes, settings } = this.#options;
    const findings = this.#findings.list();
    const kinds = this.#isWarm ? LEAK_KINDS.map((kind) => this.#kindReading(kind)) : [];
    const unread = this.#isWarm ? [] : [`nothing has been read yet: it is in the ${settings.warmUpSeconds} s of its warm-up`];
    // A kind may rise for what its findings excuse, as modules that are loaded.
    const rises = kinds.some(({ level }) => level !== 'watching' && level !== 'gone');
    const levels = [...findings.map(({ level }) => level), ...(rises ? (['growing'] as const) : [])];
    return {
      level: levels.reduce((worst: LeakLevel, level) => (severity(level) > severity(worst) ? level : worst), 'watching'),
      findings,
      kinds,
      generations: heapNaming.generations(),
      notes: [...unread, ...notes()],
    };
  }

  /** To be called after each major collection (mark-compact, not scavenges), as soon as it is known; cheap. */
  majorGc(): void {
    if (this.#timer === undefined) return;
    const seconds = this.#seconds();
    if (seconds - this.#collectedSeconds < COLLECTION_SECONDS_MIN) return;
    this.#collectedSeconds = seconds;
    void this.#options.guard.runAsync('leak', () => this.collected());
  }

  /** The warm-up is over: the first reading of everything, garbage included. Called by a timer. @internal */
  async warm(): Promise<void> {
    this.#isWarm = true;
    const memory = this.#options.memory();
    this.#heap.look(this.#reading(memory.heapBytes), memory.youngBytes);
    this.#external.look(this.#reading(memory.externalBytes));
    this.#push(this.#native, memory.nativeBytes, memory);
    this.#readResources(memory);
    await this.#options.heapNaming.take();
  }

  /** Reads what needs no collection, and looks whether anything has ended. Called by the timer. @internal */
  async tick(): Promise<void> {
    if (!this.#isWarm || !this.#isTickDue()) return;
    const memory = this.#options.memory();
    this.#ticksWithoutCollection += 1;
    this.#heap.look(this.#reading(memory.heapBytes), memory.youngBytes);
    this.#external.look(this.#reading(memory.externalBytes));
    this.#push(this.#native, memory.nativeBytes, memory);
    this.#readResources(memory);
    // Of what is read after collections only its end is told here.
    const ended = [this.#heap, this.#external].filter((watched) => !isGrowing(watched));
    await this.#evaluate([this.#native, ...this.#resources.values(), ...ended]);
    if (this.#mayForce(memory.heapBytes)) await this.#force();
  }

  /** Takes what a major collection has left. @internal */
  async collected(): Promise<void> {
    this.#ticksWithoutCollection = 0;
    if (!this.#isWarm) return;
    const memory = this.#options.memory();
    this.#push(this.#heap, memory.heapBytes, memory);
    this.#push(this.#external, memory.externalBytes, memory);
    await this.#options.heapNaming.take(isGrowing(this.#heap));
    await this.#evaluate([this.#heap, this.#external]);
  }

  #isTickDue(): boolean {
    const seconds = this.#seconds();
    const pause = Math.min((seconds - this.#startSeconds) * TICK_AGE_SHARE, this.#tickMillis / 1000);
    if (seconds - this.#tickSeconds < 0.9 * pause) return false;
    this.#tickSeconds = seconds;
    return true;
  }

  #seconds(): number {
    return this.#options.clock.monotonicMillis() / 1000;
  }

  #reading(value: number): Reading {
    return { seconds: this.#seconds(), value, ...this.#options.traffic() };
  }

  #push(watched: Watched, value: number, { leftBytes }: MemoryReading): void {
    watched.push(this.#reading(value), this.#limits(watched, value + leftBytes));
  }

  #limits({ kind }: Watched, containerBytes: number): Limits {
    const { heapLimitBytes, resourceLimit } = this.#options;
    if (kind === 'resources') return { heap: Infinity, container: resourceLimit() };
    return { heap: kind === 'heap' ? heapLimitBytes() : Infinity, container: containerBytes };
  }

  #readResources(memory: MemoryReading): void {
    const { resources } = memory;
    for (const type of resources.keys()) {
      if (this.#resources.has(type) || this.#resources.size >= RESOURCE_TYPES_MAX) continue;
      const { windowSeconds } = this.#options.settings;
      const options = { minGrowth: RESOURCES_GROWTH_MIN, windowSeconds, readAfterCollections: false };
      this.#resources.set(type, new Watched({ kind: 'resources', resourceType: type, ...options }));
    }
    for (const [type, watched] of this.#resources) this.#push(watched, resources.get(type) ?? 0, memory);
  }

  /** Names what grows and tells of changes; what comes while this is under way is seen the next time. */
  async #evaluate(all: readonly Watched[]): Promise<void> {
    this.#options.creations.watch([this.#external, ...this.#resources.values()].filter(isGrowing).map(suspicionOf));
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (const watched of all) this.#tell(isGrowing(watched) ? await this.#observe(watched) : this.#ended(watched));
    } finally {
      this.#busy = false;
    }
  }

  async #observe(watched: Watched): Promise<LeakFinding[]> {
    const { clock, describe, heapNaming } = this.#options;
    const suspicion = suspicionOf(watched);
    const found = await this.#names(suspicion);
    const names = await Promise.all(found.map((named) => describe(named)));
    const { kind, resourceType, level, trend, heapLimit, containerLimit } = watched;
    // It may have ended meanwhile.
    if (trend === undefined || level === 'watching' || level === 'gone') return this.#ended(watched);
    return this.#findings.update({
      kind,
      resourceType,
      level,
      mayWait: watched === this.#heap && heapNaming.generations().length > 0 && watched.nextShare < NAME_WAIT_SHARE,
      trend,
      names,
      heapLimit,
      containerLimit,
      sinceEpochMillis: clock.epochMillis(trend.start.seconds * 1000),
      nowEpochMillis: clock.epochMillis(clock.monotonicMillis()),
    });
  }

  async #names(suspicion: Suspicion): Promise<readonly Named[]> {
    const { heapNaming, creations } = this.#options;
    if (suspicion.kind !== 'heap') return await creations.name(suspicion);
    const sites = await heapNaming.growing(suspicion.sinceSeconds);
    return sites.length > 0 ? sites.map((site) => ({ ...site, note: '', route: null })) : [unnamed(HEAP_SPREAD)];
  }

  #ended(watched: Watched): LeakFinding[] {
    const { clock } = this.#options;
    return this.#findings.ended(watched, clock.epochMillis(clock.monotonicMillis()));
  }

  #tell(changed: readonly LeakFinding[]): void {
    for (const finding of changed) this.#options.onChange(finding);
  }

  #mayForce(heapBytes: number): boolean {
    const { clock, settings, heapLimitBytes } = this.#options;
    const { last } = this.#heap.series;
    if (last === undefined || !settings.collectGarbage || !isGrowing(this.#heap) || heapBytes > FORCE_BYTES_MAX) return false;
    if (this.#ticksWithoutCollection < FORCE_TICKS || clock.monotonicMillis() < this.#forceAtMillis) return false;
    const seconds = this.#seconds() - last.seconds;
    const isLong = seconds >= FORCE_WINDOW_SHARE * settings.windowSeconds * this.#forceWait;
    const rise = Math.max(heapBytes - last.value, (this.#heap.trend?.perSecond ?? 0) * seconds);
    return isLong || rise >= FORCE_ROOM_SHARE * heapLimitBytes() * this.#forceWait;
  }

  /** The observer reports this collection, too. */
  async #force(): Promise<void> {
    const { clock, settings, collectGarbage, memory } = this.#options;
    const { trend, heapLimit, series } = this.#heap;
    const { last } = series;
    const perSecond = trend?.perSecond ?? 0;
    const startMillis = clock.monotonicMillis();
    await collectGarbage();
    const endMillis = clock.monotonicMillis();
    const pauseMillis = FORCE_PAUSE_SHARE * settings.windowSeconds * (endMillis - startMillis);
    const leftMillis = 1000 * (heapLimit?.seconds ?? Infinity);
    this.#forceAtMillis = endMillis + Math.min(pauseMillis, FORCE_PAUSE_LEFT_SHARE * leftMillis);
    const expected = perSecond * (endMillis / 1000 - (last?.seconds ?? 0));
    const isInVain = memory().heapBytes - (last?.value ?? 0) < FORCE_IN_VAIN_SHARE * expected;
    this.#forceWait = isInVain ? this.#forceWait * FORCE_IN_VAIN_FACTOR : 1;
  }

  #kindReading(kind: LeakKind): KindReading {
    if (kind !== 'resources') return { heap: this.#heap, external: this.#external, native: this.#native }[kind].reading();
    const readings = Array.from(this.#resources.values(), (watched) => watched.reading());
    const worst = readings.toSorted((a, b) => severity(b.level) - severity(a.level) || b.perMinute - a.perMinute)[0];
    const current = readings.reduce((sum, reading) => sum + reading.current, 0);
    return { kind, level: 'watching', perMinute: 0, heapLimit: null, containerLimit: null, ...worst, current };
  }
}

const HEAP_SPREAD = 'no function of the sampled heap accounts for it: it is spread over many, or too few samples are there yet';

function isGrowing({ level }: Watched): boolean {
  return level !== 'watching' && level !== 'gone';
}

function suspicionOf({ kind, resourceType, trend }: Watched): Suspicion {
  return { kind, resourceType, sinceSeconds: trend?.start.seconds ?? 0 };
}
