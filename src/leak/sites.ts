// Which function's allocations stay alive, from V8's live-heap samples. Their ordinals are the order of allocation,
// so the ordinals noted at equal times cut the survivors into age groups. A leak leaves survivors of every age and
// grows; a cache that has filled, and requests in flight, do not (surviving generations, as in JFR). Pure.
import type { HeapSample } from '../core/heap-samples.ts';
import type { CallTree, Site, SiteNode } from './call-tree.ts';

/** A function that keeps more and more. */
export interface Growth {
  /** Of the function named, and of the one whose frames V8 recorded; a leak keeps at least one as V8 inlines. */
  readonly keys: readonly [named: string, recorded: string];
  /** `line` is where the function starts, or the nameless callback in it that allocates. */
  readonly site: Site;
  /** The function whose name that is: another one where the site is a nameless callback. */
  readonly namer: Site;
  /** The stack that allocated most of it, innermost first. */
  readonly stack: readonly Site[];
  readonly grownBytes: number;
}

/** What growth is measured by. */
export interface GrowthLimits {
  /** What a function must gain at least. */
  readonly minGrowthBytes: number;
  /** Mean bytes between two samples of the heap. */
  readonly sampleBytes: number;
}

/** What is alive of what was allocated in one place; young is what came after the first boundary. */
interface NodeSurvivors {
  liveBytes: number;
  youngSamples: number;
  youngBytes: number;
  /** Samples per age group, one between each two boundaries, oldest first. */
  readonly ages: number[];
}

/** The same of a function and everything it called. */
interface Survivors extends NodeSurvivors {
  /** Young bytes by callee. */
  readonly callees: Map<SiteNode, number>;
}

/** Age groups that may be empty by chance: of eight groups with 24 samples in all, one is in every fourth case. */
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
  readonly #boundaries: readonly number[];
  readonly #survivors = new Map<SiteNode, Survivors>();

  /** `boundaries` are ordinals at equal distances in time, oldest first. */
  constructor(tree: CallTree, boundaries: readonly number[]) {
    this.#tree = tree;
    this.#boundaries = boundaries;
    const byNode = new Map<number, NodeSurvivors>();
    for (const sample of tree.samples) this.#count(byNode, sample);
    for (const [nodeId, counts] of byNode) this.#addToPath(tree.path(nodeId), counts);
  }

  /** Live bytes by function key, to be compared with later. */
  liveBytes(): Map<string, number> {
    return new Map([...this.#survivors].map(([{ key }, { liveBytes }]) => [key, liveBytes]));
  }

  /**
   * Functions that have kept more and more since `before` (liveBytes at the first boundary), most first: the
   * deepest ones that account for it.
   */
  growing(before: ReadonlyMap<string, number>, { minGrowthBytes, sampleBytes }: GrowthLimits): Growth[] {
    const grown = new Map<SiteNode, number>();
    for (const [siteNode, survivors] of this.#survivors) {
      const grownBytes = survivors.liveBytes - (before.get(siteNode.key) ?? 0);
      // Three standard deviations of a sum of that many samples; nine samples are the least that can pass.
      const noiseBytes = 3 * Math.sqrt(survivors.youngSamples) * sampleBytes;
      if (grownBytes >= Math.max(minGrowthBytes, noiseBytes) && hasEveryAge(survivors.ages)) grown.set(siteNode, grownBytes);
    }
    const growths = [...grown]
      .filter(([siteNode]) => !this.#isExplained(siteNode, grown))
      .toSorted((a, b) => b[1] - a[1])
      .slice(0, GROWTHS_MAX)
      .map(([siteNode, grownBytes]) => this.#growth(siteNode, grownBytes));
    // Two callers of one inlined function are one site; the larger comes first and is kept.
    return growths.filter(({ keys }, i) => growths.findIndex((growth) => growth.keys[0] === keys[0]) === i);
  }

  #count(byNode: Map<number, NodeSurvivors>, { nodeId, size, ordinal }: HeapSample): void {
    const boundaries = this.#boundaries;
    let counts = byNode.get(nodeId);
    if (counts === undefined) {
      const ages = Array.from({ length: Math.max(boundaries.length - 1, 0) }, () => 0);
      byNode.set(nodeId, (counts = { liveBytes: 0, youngSamples: 0, youngBytes: 0, ages }));
    }
    counts.liveBytes += size;
    // 0 is older than the first boundary; the last group, younger than the last boundary, is still open.
    let group = boundaries.length;
    while (group > 0 && ordinal <= (boundaries[group - 1] as number)) group--;
    if (group === 0) return;
    counts.youngSamples += 1;
    counts.youngBytes += size;
    if (group < boundaries.length) counts.ages[group - 1] = (counts.ages[group - 1] as number) + 1;
  }

  #addToPath(path: readonly SiteNode[], counts: NodeSurvivors): void {
    for (let depth = 0; depth < path.length; depth++) {
      const siteNode = path[depth] as SiteNode;
      const known = this.#survivors.get(siteNode);
      const survivors = known ?? { liveBytes: 0, youngSamples: 0, youngBytes: 0, ages: counts.ages.map(() => 0), callees: new Map() };
      if (known === undefined) this.#survivors.set(siteNode, survivors);
      survivors.liveBytes += counts.liveBytes;
      survivors.youngSamples += counts.youngSamples;
      survivors.youngBytes += counts.youngBytes;
      for (let i = 0; i < counts.ages.length; i++) survivors.ages[i] = (survivors.ages[i] as number) + (counts.ages[i] as number);
      const callee = path[depth + 1];
      if (callee !== undefined) add(survivors.callees, callee, counts.youngBytes);
    }
  }

  #isExplained(siteNode: SiteNode, grown: ReadonlyMap<SiteNode, number>): boolean {
    const { callees, youngBytes } = this.#survivors.get(siteNode) as Survivors;
    let explained = 0;
    for (const [callee, bytes] of callees) if (grown.has(callee)) explained += bytes;
    return explained >= EXPLAINED_SHARE_MAX * youngBytes;
  }

  #growth(siteNode: SiteNode, grownBytes: number): Growth {
    const { key, site, namer } = this.#tree.named(this.#inlined(siteNode));
    return { keys: [key, siteNode.key], site, namer, stack: this.#heaviestStack(siteNode), grownBytes };
  }

  /**
   * The callee that V8 has inlined into the function, if it looks like that. V8 samples physical frames only, so an
   * inlined function's allocations are its caller's from then on: the caller's first survivors all came through
   * callees, most of them through this one, and those that are its own are all younger.
   */
  #inlined(siteNode: SiteNode): SiteNode {
    const elders = new Map<SiteNode, number>();
    let count = 0;
    for (const { nodeId } of this.#tree.samples) {
      const path = this.#tree.path(nodeId);
      const depth = path.indexOf(siteNode);
      if (depth === -1) continue;
      const callee = path[depth + 1];
      if (callee === undefined) break;
      add(elders, callee, 1);
      count += 1;
    }
    const callee = heaviest(elders);
    const samples = callee === undefined ? 0 : (elders.get(callee) as number);
    if (callee === undefined || samples < INLINED_SAMPLES_MIN || samples < INLINED_SHARE_MIN * count) return siteNode;
    return this.#inlined(callee);
  }

  /** The stack that holds most young bytes below a function, innermost first. */
  #heaviestStack(siteNode: SiteNode): Site[] {
    const youngBytes = new Map<number, number>();
    const first = this.#boundaries[0] ?? Infinity;
    for (const { nodeId, size, ordinal } of this.#tree.samples) {
      if (ordinal > first && this.#tree.path(nodeId).includes(siteNode)) add(youngBytes, nodeId, size);
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
