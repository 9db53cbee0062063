// Which function's allocations stay alive, from V8's live-heap samples. Their ordinals are the order of allocation,
// so the ordinals noted at equal times cut the survivors into age groups. A leak leaves survivors of every age and
// grows; a cache that has filled, and requests in flight, do not (surviving generations, as in JFR). Pure.
import type { HeapSample, HeapSamples, HeapSamplesNode } from '../core/heap-samples.ts';
import { scriptPath } from '../core/script-path.ts';

/** A function in the source; `line` is where it starts, 1-based. */
export interface Site {
  readonly function: string;
  readonly file: string;
  readonly line: number;
}

/** A function and the memory that is alive of what it and its callees allocated. */
export interface SiteSurvivors {
  readonly site: Site;
  /** Bytes of any age, estimated by V8 from the samples. */
  liveBytes: number;
  /** Samples and bytes allocated since the first boundary. */
  youngSamples: number;
  youngBytes: number;
  /** Samples per age group, one between each two boundaries, oldest first. */
  readonly ages: number[];
  /** Young bytes of each callee, by key. */
  readonly callees: Map<string, number>;
}

export interface Growth {
  readonly key: string;
  readonly site: Site;
  /** The stack that allocated most of it, innermost first. */
  readonly stack: readonly Site[];
  readonly grownBytes: number;
}

/** What tells whose code a script is. */
export interface Ownership {
  /** Where Sonde itself lies; its frames are never named while the application's are on the stack. */
  readonly ownDirectory?: string | undefined;
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

const STACK_FRAMES_MAX = 32;

/** Sites told at once; a leak in common code shows at several. */
const GROWTHS_MAX = 8;

interface TreeNode {
  readonly parent: number;
  readonly key: string;
  readonly site: Site;
  readonly owner: 'application' | 'library' | 'runtime';
}

/** Live-heap samples grouped by function, each function counted with everything below it. */
export class SiteIndex {
  readonly sites: Map<string, SiteSurvivors> = new Map();
  readonly #nodes = new Map<number, TreeNode>();
  readonly #paths = new Map<number, readonly TreeNode[]>();
  /** Bytes allocated since the first boundary, by node of the call tree. */
  readonly #youngBytes = new Map<number, number>();

  /** `boundaries` are ordinals at equal distances in time, oldest first. */
  constructor(profile: HeapSamples, boundaries: readonly number[], ownership: Ownership) {
    this.#enter(profile.head, ownership);
    for (const sample of profile.samples) this.#count(sample, boundaries);
  }

  /** Live bytes by function key, to be compared with later. */
  liveBytes(): Map<string, number> {
    return new Map([...this.sites].map(([key, { liveBytes }]) => [key, liveBytes]));
  }

  /**
   * Functions that have kept more and more since `before` (liveBytes at the first boundary), most first: the
   * deepest ones that account for it.
   */
  growing(before: ReadonlyMap<string, number>, minGrowthBytes: number): Growth[] {
    const grown = new Map<string, number>();
    for (const [key, survivors] of this.sites) {
      const grownBytes = survivors.liveBytes - (before.get(key) ?? 0);
      // Three standard deviations of a sum of that many samples; nine samples are the least that can pass.
      const noiseBytes = 3 * Math.sqrt(survivors.youngSamples) * SAMPLE_BYTES;
      if (grownBytes >= Math.max(minGrowthBytes, noiseBytes) && hasEveryAge(survivors.ages)) grown.set(key, grownBytes);
    }
    return [...grown]
      .filter(([key]) => !this.#isExplained(key, grown))
      .toSorted((a, b) => b[1] - a[1])
      .slice(0, GROWTHS_MAX)
      .map(([key, grownBytes]) => {
        const { site } = this.sites.get(key) as SiteSurvivors;
        return { key, site, stack: this.#heaviestStack(key), grownBytes };
      });
  }

  #enter(head: HeapSamplesNode, ownership: Ownership): void {
    const pending = head.children.map((node) => ({ parent: -1, node }));
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const { id, callFrame, children } = next.node;
      const site: Site = {
        function: callFrame.functionName || '(anonymous)',
        file: scriptPath(callFrame.url),
        line: callFrame.lineNumber + 1,
      };
      const key = `${site.file}:${site.line}:${callFrame.columnNumber}:${site.function}`;
      this.#nodes.set(id, { parent: next.parent, key, site, owner: ownerOf(site.file, ownership) });
      for (const child of children) pending.push({ parent: id, node: child });
    }
  }

  #count({ nodeId, size, ordinal }: HeapSample, boundaries: readonly number[]): void {
    // 0 is older than the first boundary; the last group, younger than the last boundary, is still open.
    const group = boundaries.filter((boundary) => boundary < ordinal).length;
    const young = group > 0 && boundaries.length > 0;
    if (young) this.#youngBytes.set(nodeId, (this.#youngBytes.get(nodeId) ?? 0) + size);
    const path = this.#path(nodeId);
    for (const [depth, { key, site }] of path.entries()) {
      const survivors = this.#survivors(key, site, boundaries.length - 1);
      survivors.liveBytes += size;
      if (!young) continue;
      survivors.youngSamples += 1;
      survivors.youngBytes += size;
      if (group < boundaries.length) survivors.ages[group - 1] = (survivors.ages[group - 1] as number) + 1;
      const callee = path[depth + 1];
      if (callee !== undefined) survivors.callees.set(callee.key, (survivors.callees.get(callee.key) ?? 0) + size);
    }
  }

  #survivors(key: string, site: Site, ages: number): SiteSurvivors {
    let survivors = this.sites.get(key);
    if (survivors === undefined) {
      survivors = {
        site,
        liveBytes: 0,
        youngSamples: 0,
        youngBytes: 0,
        ages: Array.from({ length: Math.max(ages, 0) }, () => 0),
        callees: new Map(),
      };
      this.sites.set(key, survivors);
    }
    return survivors;
  }

  /**
   * The functions on a stack that may be named, outermost first and each once: the application's own, without any
   * its libraries', without any the runtime's.
   */
  #path(nodeId: number): readonly TreeNode[] {
    let path = this.#paths.get(nodeId);
    if (path === undefined) {
      const stack = [...new Map(this.#ancestors(nodeId).map((node) => [node.key, node])).values()].toReversed();
      const owners = ['application', 'library', 'runtime'] as const;
      const owner = owners.find((candidate) => stack.some((node) => node.owner === candidate));
      path = stack.filter((node) => node.owner === owner);
      this.#paths.set(nodeId, path);
    }
    return path;
  }

  /** The node and its callers, innermost first. */
  #ancestors(nodeId: number): TreeNode[] {
    const stack: TreeNode[] = [];
    for (let node = this.#nodes.get(nodeId); node !== undefined; node = this.#nodes.get(node.parent)) stack.push(node);
    return stack;
  }

  #isExplained(key: string, grown: ReadonlyMap<string, number>): boolean {
    const { callees, youngBytes } = this.sites.get(key) as SiteSurvivors;
    let explained = 0;
    for (const [callee, bytes] of callees) if (grown.has(callee)) explained += bytes;
    return explained >= EXPLAINED_SHARE_MAX * youngBytes;
  }

  /** The whole stack that holds most young bytes below a function, innermost first. */
  #heaviestStack(key: string): Site[] {
    let heaviest = -1;
    for (const [nodeId, bytes] of this.#youngBytes) {
      if (bytes <= (this.#youngBytes.get(heaviest) ?? 0)) continue;
      if (this.#path(nodeId).some((node) => node.key === key)) heaviest = nodeId;
    }
    return this.#ancestors(heaviest)
      .slice(0, STACK_FRAMES_MAX)
      .map(({ site }) => site);
  }
}

function hasEveryAge(ages: readonly number[]): boolean {
  const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);
  const least = EDGE_SHARE_MIN * sum(ages);
  if (ages.filter((count) => count === 0).length > EMPTY_AGES_MAX) return false;
  return sum(ages.slice(0, EDGE_AGES)) >= least && sum(ages.slice(-EDGE_AGES)) >= least;
}

function ownerOf(file: string, { ownDirectory }: Ownership): TreeNode['owner'] {
  if (file === '' || file.startsWith('node:')) return 'runtime';
  const own = ownDirectory !== undefined && file.startsWith(ownDirectory);
  return own || /[/\\]node_modules[/\\]/.test(file) ? 'library' : 'application';
}
