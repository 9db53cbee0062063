// Finds heap leaks and names the function. The gate is the live heap after major collections, which the one observer
// of collections reports through sdk.ts; behind it survivors are grouped by age per function (sites.ts), over three
// lengths of time. Reads take 0.4 ms at 200 samples and 10 to 40 ms at a heap of 700 MB, once an epoch.
import { getHeapSpaceStatistics, getHeapStatistics } from 'node:v8';
import type { Clock } from '../core/clock.ts';
import type { Guard, Timer } from '../core/guard.ts';
import type { HeapSamples } from '../core/heap-samples.ts';
import type { Ownership, Site } from './call-tree.ts';
import { CallTree } from './call-tree.ts';
import type { LeakFinding, LeakVerdict, Observation, StillGrows } from './findings.ts';
import { Findings } from './findings.ts';
import { AGE_GROUPS, GrowthWindow } from './growth-window.ts';
import { type GrowthLimits, SiteIndex } from './sites.ts';
import type { TrendPoint } from './trend.ts';
import { isRising, slopeBytesPerSecond } from './trend.ts';

export interface LeakSettings {
  /** Allocations before this are never held against anybody: modules, pools, first caches. */
  readonly warmUpSeconds: number;
  /** The shortest stretch that is judged; 4 and 16 times it are judged too. A cache must fill faster than this. */
  readonly windowSeconds: number;
  /** What a function must gain within a window. */
  readonly minGrowthBytes: number;
}

/**
 * For services. Ten minutes outlast most caches' filling. 32 MiB are 32 samples, so the sampling error (one in
 * six) is far below the growth; over the three windows that finds from 192 down to 12 MiB an hour.
 */
export const LEAK_SETTINGS: LeakSettings = { warmUpSeconds: 60, windowSeconds: 600, minGrowthBytes: 32 * 1024 * 1024 };

export interface LeakDetectorOptions {
  readonly guard: Guard;
  readonly clock: Clock;
  readonly settings: LeakSettings;
  /** Mean bytes between two of the samples. */
  readonly sampleBytes: number;
  /** The live samples of V8's heap sampler, or undefined when earlier ones were lost (ProfileEngine.heapSamples). */
  readonly readSamples: () => Promise<HeapSamples | undefined>;
  /** Collects all garbage (ProfileEngine.collectGarbage). */
  readonly collectGarbage: () => Promise<void>;
  /** Called once when a finding becomes `leak` and once when it is `gone`. */
  readonly onVerdict: (finding: LeakFinding) => void;
  readonly ownership?: Ownership;
  /** From functions that run to those of the sources, one for each. */
  readonly mapSites?: ((sites: readonly Site[]) => Promise<readonly Site[]>) | undefined;
  /** Bytes in the old generation, and V8's limit for the heap; for tests. */
  readonly liveHeapBytes?: () => number;
  readonly heapLimitBytes?: number;
}

/** Windows in multiples of the shortest. */
const WINDOW_FACTORS = [1, 4, 16] as const;

/** Of the least growth of a leak: what one must still gain over its window so as not to be gone. */
const STILL_GROWS_SHARE = 0.5;

/** A collection is forced only after this many epochs without one, and when two readings in a row were suspicious. */
const FORCE_EPOCHS = 4;
const FORCE_SUSPICIONS = 2;

/** And never above this live heap: a full collection takes 0.3 s there. */
const FORCE_BYTES_MAX: number = 512 * 1024 * 1024;

interface HeapPoint {
  readonly monotonicMillis: number;
  readonly epoch: number;
  bytes: number;
}

export class LeakDetector {
  readonly #options: LeakDetectorOptions;
  readonly #epochMillis: number;
  readonly #windows = WINDOW_FACTORS.map((factor) => new GrowthWindow(factor));
  readonly #findings = new Findings();
  readonly #growthLimits: GrowthLimits;
  readonly #liveHeapBytes: () => number;
  readonly #heapLimitBytes: number;
  /** The lowest live heap of each epoch that had a major collection. */
  #points: HeapPoint[] = [];
  #timer: Timer | undefined;
  #startMillis = 0;
  #epoch = 0;
  #judgedEpoch = -1;
  #collectedEpoch = 0;
  #suspicions = 0;

  constructor(options: LeakDetectorOptions) {
    this.#options = options;
    this.#growthLimits = { minGrowthBytes: options.settings.minGrowthBytes, sampleBytes: options.sampleBytes };
    this.#epochMillis = (options.settings.windowSeconds * 1000) / AGE_GROUPS;
    this.#liveHeapBytes = options.liveHeapBytes ?? oldGenerationBytes;
    this.#heapLimitBytes = options.heapLimitBytes ?? getHeapStatistics().heap_size_limit;
  }

  /** Starts watching; the heap sampler must have been started. */
  start(): void {
    const { guard, clock } = this.#options;
    this.#startMillis = clock.monotonicMillis();
    this.#timer = guard.every('leak', this.#epochMillis, () => {
      void guard.runAsync('leak', () => this.tick());
    });
  }

  stop(): void {
    this.#timer?.stop();
    this.#timer = undefined;
  }

  verdict(): LeakVerdict {
    return this.#findings.verdict();
  }

  /** To be called after each major collection (mark-compact, not scavenges), as soon as it is known; cheap. */
  majorGc(): void {
    if (this.#timer === undefined) return;
    void this.#options.guard.runAsync('leak', () => this.collected());
  }

  /** One epoch: notes the heap's state, and looks whether a collection is worth forcing. Called by the timer. @internal */
  async tick(): Promise<void> {
    const nowMillis = this.#options.clock.monotonicMillis();
    if (nowMillis - this.#startMillis < this.#options.settings.warmUpSeconds * 1000) return;
    const profile = await this.#options.readSamples();
    if (profile === undefined) return this.#forget();
    this.#epoch += 1;
    const [shortest] = this.#windows as [GrowthWindow];
    const index = new SiteIndex(this.#callTree(profile), shortest.boundaries);
    const suspicious = this.#isSuspicious(shortest, index);
    this.#suspicions = suspicious ? this.#suspicions + 1 : 0;
    const mark = { monotonicMillis: nowMillis, ordinal: lastOrdinal(profile), liveBytes: index.liveBytes() };
    for (const window of this.#windows) if (this.#epoch % window.everyEpochs === 0) window.push(mark);
    if (this.#mayForce()) await this.#force();
  }

  /** Takes the live heap after a major collection, and judges, at most once an epoch. @internal */
  async collected(): Promise<void> {
    this.#addPoint();
    this.#collectedEpoch = this.#epoch;
    if (this.#judgedEpoch === this.#epoch || !this.#windows.some(({ start }) => start !== undefined)) return;
    this.#judgedEpoch = this.#epoch;
    const profile = await this.#options.readSamples();
    if (profile === undefined) return this.#forget();
    const tree = this.#callTree(profile);
    const observations = new Map<string, Observation>();
    for (const window of this.#windows.keys()) {
      for (const seen of this.#judge(window, tree)) {
        const [name] = seen.keys;
        if (observations.get(name)?.heapRises !== true) observations.set(name, seen);
      }
    }
    const stillGrows = this.#stillGrows(new SiteIndex(tree, []).liveBytes());
    const mapped = await Promise.all(Array.from(observations.values(), (seen) => this.#mapped(seen)));
    for (const finding of this.#findings.update(mapped, this.#epoch, stillGrows)) this.#options.onVerdict(finding);
  }

  /** The sites that grew over one window, none while it is not full. */
  #judge(window: number, tree: CallTree): Observation[] {
    const { clock, settings } = this.#options;
    const { start, boundaries } = this.#windows[window] as GrowthWindow;
    if (start === undefined) return [];
    const seconds = (clock.monotonicMillis() - start.monotonicMillis) / 1000;
    const points = this.#trendPoints(start.monotonicMillis);
    const slope = slopeBytesPerSecond(points);
    // A first collection says nothing against a leak; its survivors are judged by age and growth all the same.
    const heapRises = points.length < 2 || (isRising(points) && slope * seconds >= settings.minGrowthBytes);
    const index = new SiteIndex(tree, boundaries);
    return index.growing(start.liveBytes, this.#growthLimits).map((growth) => ({
      ...growth,
      heapRises,
      window,
      bytesPerHour: (growth.grownBytes / seconds) * 3600,
      sinceEpochMillis: clock.epochMillis(start.monotonicMillis),
      secondsToHeapLimit: this.#secondsToHeapLimit(points.length < 2 ? growth.grownBytes / seconds : slope),
    }));
  }

  /** The same in the words of the sources. */
  async #mapped(seen: Observation): Promise<Observation> {
    const { mapSites } = this.#options;
    if (mapSites === undefined) return seen;
    const [site = seen.site, namer = seen.namer, ...stack] = await mapSites([seen.site, seen.namer, ...seen.stack]);
    return { ...seen, site: { ...site, function: namer.function }, namer, stack };
  }

  #stillGrows(liveBytes: ReadonlyMap<string, number>): StillGrows {
    const leastBytes = STILL_GROWS_SHARE * this.#options.settings.minGrowthBytes;
    return (keys, window) => {
      const before = this.#windows[window]?.start?.liveBytes;
      return keys.some((key) => (liveBytes.get(key) ?? 0) - (before?.get(key) ?? 0) >= leastBytes);
    };
  }

  #secondsToHeapLimit(bytesPerSecond: number): number | null {
    const live = this.#points.at(-1)?.bytes ?? 0;
    return bytesPerSecond > 0 ? Math.max(this.#heapLimitBytes - live, 0) / bytesPerSecond : null;
  }

  #isSuspicious(window: GrowthWindow, index: SiteIndex): boolean {
    const { start } = window;
    if (start === undefined) return false;
    const growths = index.growing(start.liveBytes, this.#growthLimits);
    return growths.some(({ keys }) => !this.#findings.isLeak(keys));
  }

  #mayForce(): boolean {
    const waitedEpochs = this.#epoch - this.#collectedEpoch;
    return this.#suspicions >= FORCE_SUSPICIONS && waitedEpochs >= FORCE_EPOCHS && this.#liveHeapBytes() <= FORCE_BYTES_MAX;
  }

  /** The observer reports this collection as well; both come to the same. */
  async #force(): Promise<void> {
    await this.#options.collectGarbage();
    await this.collected();
  }

  #addPoint(): void {
    const bytes = this.#liveHeapBytes();
    const last = this.#points.at(-1);
    if (last?.epoch === this.#epoch) {
      last.bytes = Math.min(last.bytes, bytes);
      return;
    }
    this.#points.push({ monotonicMillis: this.#options.clock.monotonicMillis(), epoch: this.#epoch, bytes });
    const oldestEpoch = this.#epoch - AGE_GROUPS * Math.max(...WINDOW_FACTORS);
    if ((this.#points[0] as HeapPoint).epoch < oldestEpoch) this.#points.shift();
  }

  #trendPoints(sinceMillis: number): TrendPoint[] {
    return this.#points
      .filter(({ monotonicMillis }) => monotonicMillis >= sinceMillis)
      .map(({ monotonicMillis, bytes }) => ({ seconds: monotonicMillis / 1000, bytes }));
  }

  /** Samples were lost, and with them what the marks refer to. */
  #forget(): void {
    for (const window of this.#windows) window.clear();
    this.#suspicions = 0;
  }

  #callTree(profile: HeapSamples): CallTree {
    return new CallTree(profile, this.#options.ownership);
  }
}

function lastOrdinal(profile: HeapSamples): number {
  return profile.samples.reduce((last, { ordinal }) => Math.max(last, ordinal), 0);
}

/** What a major collection has left, without the young generation, which is garbage to come for the most part. */
function oldGenerationBytes(): number {
  return getHeapSpaceStatistics()
    .filter(({ space_name: name }) => !name.startsWith('new_'))
    .reduce((sum, { space_used_size: bytes }) => sum + bytes, 0);
}
