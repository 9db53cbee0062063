// Which function's allocations stay alive, from V8's live-heap samples. Their ordinals are the order of allocation,
// so the ordinals noted at equal times cut the survivors into age groups. A leak leaves survivors of every age and
// grows; a cache that has filled, and requests in flight, do not (surviving generations, as in JFR). Pure.
import type { HeapSample, HeapSamples } from '../core/heap-samples.ts';
import type { Ownership, Site } from './call-tree.ts';
import { CallTree } from './call-tree.ts';

/** A function that keeps more and more. */
export interface Growth {
  /** Of the function named, and of the one whose frames V8 recorded; a leak keeps at least one as V8 inlines. */
  readonly keys: readonly [named: string, recorded: string];
  /** `line` is where the function starts, or the nameless callback in it that allocates. */
  readonly site: Site;
  /** The stack that allocated most of it, innermost first. */
  readonly stack: readonly Site[];
  readonly grownBytes: number;
}

/** What is alive of what a function and its callees allocated; young is what came after the first boundary. */
interface Survivors {
  readonly site: Site;
  liveBytes: number;
  youngSamples: number;
  youngBytes: number;
  /** Samples per age group, one between each two boundaries, oldest first. */
  readonly ages: number[];
  /** Young bytes by callee. */
  readonly callees: Map<string, number>;
}

/** Mean bytes between two samples; the engine's setting. */
const SAMPLE_BYTES: number = 512 * 1024;

/** Age groups that may be empty by chance: with 12 samples in eight groups, one is empty more often than not. */
const EMPTY_AGES_MAX = 1;

/** Least share of survivors in the oldest and in the newest three groups of eight, where a steady leak has 37 %. */
const EDGE_SHARE_MIN = 0.15;
const EDGE_AGES = 3;

/** A caller is not the site when its own growing callees account for this much of what it keeps. */
const EXPLAINED_SHARE_MAX = 0.5;

/** Samples, and their share, that a callee must have had before its caller had its first, to be taken for inlined. */
const INLINED_SAMPLES_MIN = 2;
const INLINED_SHARE_MIN = 2 / 3;

/** Sites told at once; a leak in common code shows at several. */
const GROWTHS_MAX = 8;

/** Live-heap samples grouped by function, each function counted with everything below it. */
export class SiteIndex {
  readonly #tree: CallTree;
  readonly #samples: readonly HeapSample[];
  readonly #boundaries: readonly number[];
  readonly #survivors = new Map<string, Survivors>();

  /** `boundaries` are ordinals at equal distances in time, oldest first. */
  constructor(samples: HeapSamples, boundaries: readonly number[], ownership: Ownership) {
    this.#tree = new CallTree(samples, ownership);
    // By age, which V8 does not promise; #inlined reads them in that order.
    this.#samples = samples.samples.toSorted((a, b) => a.ordinal - b.ordinal);
    this.#boundaries = boundaries;
    for (const sample of this.#samples) this.#count(sample);
  }

  /** Live bytes by function key, to be compared with later. */
  liveBytes(): Map<string, number> {
    return new Map([...this.#survivors].map(([key, { liveBytes }]) => [key, liveBytes]));
  }

  /**
   * Functions that have kept more and more since `before` (liveBytes at the first boundary), most first: the
   * deepest ones that account for it.
   */
  growing(before: ReadonlyMap<string, number>, minGrowthBytes: number): Growth[] {
    const grown = new Map<string, number>();
    for (const [key, survivors] of this.#survivors) {
      const grownBytes = survivors.liveBytes - (before.get(key) ?? 0);
      // Three standard deviations of a sum of that many samples; nine samples are the least that can pass.
      const noiseBytes = 3 * Math.sqrt(survivors.youngSamples) * SAMPLE_BYTES;
      if (grownBytes >= Math.max(minGrowthBytes, noiseBytes) && hasEveryAge(survivors.ages)) grown.set(key, grownBytes);
    }
    const growths = [...grown]
      .filter(([key]) => !this.#isExplained(key, grown))
      .toSorted((a, b) => b[1] - a[1])
      .slice(0, GROWTHS_MAX)
      .map(([key, grownBytes]) => this.#growth(key, grownBytes));
    // Two callers of one inlined function are one site; the larger comes first and is kept.
    return growths.filter(({ keys }, i) => growths.findIndex((growth) => growth.keys[0] === keys[0]) === i);
  }

  #count({ nodeId, size, ordinal }: HeapSample): void {
    const boundaries = this.#boundaries;
    // 0 is older than the first boundary; the last group, younger than the last boundary, is still open.
    const group = boundaries.filter((boundary) => boundary < ordinal).length;
    const path = this.#tree.path(nodeId);
    for (const [depth, { key, site }] of path.entries()) {
      const survivors = this.#survivorsOf(key, site);
      survivors.liveBytes += size;
      if (group === 0) continue;
      survivors.youngSamples += 1;
      survivors.youngBytes += size;
      if (group < boundaries.length) survivors.ages[group - 1] = (survivors.ages[group - 1] as number) + 1;
      const callee = path[depth + 1];
      if (callee !== undefined) add(survivors.callees, callee.key, size);
    }
  }

  #survivorsOf(key: string, site: Site): Survivors {
    let survivors = this.#survivors.get(key);
    if (survivors === undefined) {
      const ages = Array.from({ length: Math.max(this.#boundaries.length - 1, 0) }, () => 0);
      survivors = { site, liveBytes: 0, youngSamples: 0, youngBytes: 0, ages, callees: new Map() };
      this.#survivors.set(key, survivors);
    }
    return survivors;
  }

  #isExplained(key: string, grown: ReadonlyMap<string, number>): boolean {
    const { callees, youngBytes } = this.#survivors.get(key) as Survivors;
    let explained = 0;
    for (const [callee, bytes] of callees) if (grown.has(callee)) explained += bytes;
    return explained >= EXPLAINED_SHARE_MAX * youngBytes;
  }

  #growth(key: string, grownBytes: number): Growth {
    const inner = this.#inlined(key);
    const { site } = this.#survivors.get(inner) as Survivors;
    const named = this.#tree.named({ key: inner, site });
    return { keys: [named.key, key], site: named.site, stack: this.#heaviestStack(key), grownBytes };
  }

  /**
   * The callee that V8 has inlined into the function, if it looks like that. V8 samples physical frames only, so an
   * inlined function's allocations are its caller's from then on: the caller's first survivors all came through
   * callees, most of them through this one, and those that are its own are all younger.
   */
  #inlined(key: string): string {
    const elders = new Map<string, number>();
    let count = 0;
    for (const { nodeId } of this.#samples) {
      const path = this.#tree.path(nodeId);
      const depth = path.findIndex((node) => node.key === key);
      if (depth === -1) continue;
      const callee = path[depth + 1];
      if (callee === undefined) break;
      add(elders, callee.key, 1);
      count += 1;
    }
    const callee = heaviest(elders);
    const samples = callee === undefined ? 0 : (elders.get(callee) as number);
    if (callee === undefined || samples < INLINED_SAMPLES_MIN || samples < INLINED_SHARE_MIN * count) return key;
    return this.#inlined(callee);
  }

  /** The stack that holds most young bytes below a function, innermost first. */
  #heaviestStack(key: string): Site[] {
    const youngBytes = new Map<number, number>();
    const first = this.#boundaries[0] ?? Infinity;
    for (const { nodeId, size, ordinal } of this.#samples) {
      if (ordinal > first && this.#tree.path(nodeId).some((node) => node.key === key)) add(youngBytes, nodeId, size);
    }
    return this.#tree.stack(heaviest(youngBytes) ?? -1);
  }
}

/** Whether survivors are of every age, and neither only old (a cache that has filled) nor only new (in flight). */
function hasEveryAge(ages: readonly number[]): boolean {
  const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);
  const least = EDGE_SHARE_MIN * sum(ages);
  if (ages.filter((count) => count === 0).length > EMPTY_AGES_MAX) return false;
  return sum(ages.slice(0, EDGE_AGES)) >= least && sum(ages.slice(-EDGE_AGES)) >= least;
}

function add<K>(sums: Map<K, number>, key: K, value: number): void {
  sums.set(key, (sums.get(key) ?? 0) + value);
}

/** The key of the largest sum, undefined when there is none. */
function heaviest<K>(sums: ReadonlyMap<K, number>): K | undefined {
  let best: [K, number] | undefined;
  for (const entry of sums) if (best === undefined || entry[1] > best[1]) best = entry;
  return best?.[0];
}
