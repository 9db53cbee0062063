// Which functions keep more and more, from live-heap profiles of several generations. A leak gains from each generation
// to the next; a cache that has filled, requests in flight and whatever only allocates a lot do not. A function is
// counted with all it calls, because V8 samples physical frames: once a callee is inlined its allocations are its
// caller's. In steps of some 1 ms: 3 ms in all for nine generations of 1,000 samples on stacks of 30 frames. Pure.
import type { HeapFrame, LiveHeap } from '../core/live-heap.ts';
import type { LeakLeaf } from './finding.ts';
import { ANONYMOUS, keyOf, type Owner, ownerOf, OWNERS, type Ownership, type Site, siteOf, STACK_FRAMES_MAX } from './site.ts';
import { isSteady, type Step } from './trend.ts';

/** A live heap and when it was read. */
export interface HeapGeneration {
  readonly seconds: number;
  readonly heap: LiveHeap;
}

/** A function that keeps more and more. */
export interface SiteGrowth {
  /** Of the function named, and of the one whose frames V8 recorded; a leak keeps at least one as V8 inlines. */
  readonly keys: readonly string[];
  /** `line` is where the function starts, or the nameless callback in it that allocates. */
  readonly site: Site;
  /** The function whose name that is: another one where the site is a nameless callback. */
  readonly namer: Site;
  /** The site has no name of its own. */
  readonly isNameless: boolean;
  /** The stack that gained most, innermost first. */
  readonly stack: readonly Site[];
  readonly leaves: readonly LeakLeaf[];
  readonly className: string | null;
  readonly grownBytes: number;
  /** Of what all stacks have gained together, 0 to 1. */
  readonly share: number;
  /** It has all but stopped in the last third. */
  readonly stopped: boolean;
  /** Most of it is modules that are loaded: there are only so many. */
  readonly isLoading: boolean;
}

export interface RankOptions {
  readonly ownership: Ownership;
  /** Mean bytes between two samples of the heap. */
  readonly sampleBytes: number;
}

/** A function has gained nothing to speak of below so many samples, or this share of the whole growth. */
const SAMPLES_MIN = 4;
const SHARE_MIN = 0.15;

/** A caller is not the site when its own growing callees account for this much of what it has gained. */
const EXPLAINED_SHARE_MAX = 0.5;

/** Of a function's first third of growth: what a callee must have had of it to be taken for inlined since. */
const INLINED_SHARE_MIN = 2 / 3;

/** Below this share of the mean rate in the last third it has stopped. */
const STOPPED_SHARE = 0.25;

/** Sites told of one kind. */
const SITES_MAX = 4;

/** Where Node loads CommonJS and ES modules, and the share of a growth from which that is what it is. */
const LOADERS = 'node:internal/modules/';
const LOADING_SHARE = 0.5;

const LEAVES_MAX = 5;

/** Live bytes per generation. */
type Row = Float64Array;

/** A function with all that it calls. */
interface Totals {
  readonly bytes: Row;
  readonly callees: Map<number, Row>;
}

/** Ranks the functions that grew over the generations, oldest first and all of one tree; most first. A generator of units of work. */
export function* rankSites(generations: readonly HeapGeneration[], options: RankOptions): Generator<number, readonly SiteGrowth[]> {
  const ranking = new Ranking(generations, options);
  yield* ranking.read();
  return ranking.sites();
}

class Ranking {
  readonly #generations: readonly HeapGeneration[];
  readonly #options: RankOptions;
  /** The tree with all nodes: that of the newest. */
  readonly #tree: LiveHeap;
  readonly #owners: (Owner | undefined)[] = [];
  readonly #rows = new Map<number, Row>();
  readonly #paths = new Map<number, readonly number[]>();
  /** By index of the frame. */
  readonly #functions = new Map<number, Totals>();
  /** Nameless callbacks, and the named function of their file that was seen to call them. */
  readonly #callers = new Map<number, number>();
  /** By all stacks that have gained. */
  #grownBytes = 0;
  /** By all together. */
  #netBytes = 0;

  constructor(generations: readonly HeapGeneration[], options: RankOptions) {
    this.#generations = generations;
    this.#options = options;
    this.#tree = (generations.at(-1) as HeapGeneration).heap;
  }

  *read(): Generator<number, void> {
    for (const [index, { heap }] of this.#generations.entries()) {
      const columns = heap.sampleTypes.length;
      for (const [i, node] of heap.sampleNodes.entries()) {
        const row = this.#rows.get(node) ?? new Float64Array(this.#generations.length);
        this.#rows.set(node, row);
        row[index] = (row[index] as number) + (heap.values[i * columns + columns - 1] as number);
      }
      yield heap.sampleNodes.length;
    }
    for (const [node, row] of this.#rows) {
      this.#grownBytes += Math.max(0, gain(row));
      this.#netBytes += gain(row);
      const path = this.#path(node);
      for (const [depth, frame] of path.entries()) this.#add(frame, row, path[depth + 1]);
      this.#noteCallers(path);
      yield 5 * path.length + 10;
    }
  }

  sites(): SiteGrowth[] {
    const growing = new Map<number, number>();
    for (const [frame, { bytes }] of this.#functions) if (this.#grows(bytes)) growing.set(frame, gain(bytes));
    const sites = [...growing]
      .filter(([frame]) => !this.#isExplained(frame, growing))
      .toSorted((a, b) => b[1] - a[1])
      .slice(0, SITES_MAX)
      .map(([frame]) => this.#site(frame));
    // Two callers of one inlined function are one site; the larger comes first and is kept.
    return sites.filter(({ keys }, i) => sites.findIndex((site) => site.keys[0] === keys[0]) === i);
  }

  /** The functions on a stack that may be named, outermost first and each once: the application's, without any its libraries'. */
  #path(node: number): readonly number[] {
    const frames: number[] = [];
    for (let at = node; at !== -1; at = this.#tree.parents[at] as number) frames.push(this.#tree.nodeFrames[at] as number);
    const owner = OWNERS.find((candidate) => frames.some((frame) => this.#owner(frame) === candidate));
    const path = [...new Set(frames.filter((frame) => this.#owner(frame) === owner).toReversed())];
    this.#paths.set(node, path);
    return path;
  }

  #owner(frame: number): Owner {
    return (this.#owners[frame] ??= ownerOf(this.#frame(frame).file, this.#options.ownership));
  }

  #frame(frame: number): HeapFrame {
    return this.#tree.frames[frame] as HeapFrame;
  }

  #add(frame: number, row: Row, callee: number | undefined): void {
    let totals = this.#functions.get(frame);
    if (totals === undefined) {
      totals = { bytes: new Float64Array(row.length), callees: new Map() };
      this.#functions.set(frame, totals);
    }
    addRow(totals.bytes, row);
    if (callee === undefined) return;
    const ofCallee = totals.callees.get(callee) ?? new Float64Array(row.length);
    totals.callees.set(callee, ofCallee);
    addRow(ofCallee, row);
  }

  #grows(bytes: Row): boolean {
    const { sampleBytes } = this.#options;
    const gained = gain(bytes);
    if (gained < Math.max(SAMPLES_MIN * sampleBytes, SHARE_MIN * this.#grownBytes)) return false;
    // One standard deviation of what a step should bring, counted in samples.
    const noise = Math.sqrt((gained / (bytes.length - 1)) * sampleBytes);
    return isSteady(this.#steps(bytes), noise);
  }

  #steps(bytes: Row): Step[] {
    const generations = this.#generations;
    const seconds = (generations.at(-1) as HeapGeneration).seconds - (generations[0] as HeapGeneration).seconds;
    const rate = gain(bytes) / seconds;
    return generations.slice(1).map((generation, i) => ({
      gained: (bytes[i + 1] as number) - (bytes[i] as number),
      expected: rate * (generation.seconds - (generations[i] as HeapGeneration).seconds),
    }));
  }

  #isExplained(frame: number, growing: ReadonlyMap<number, number>): boolean {
    const { bytes, callees } = this.#functions.get(frame) as Totals;
    const goesOn = !hasStopped(this.#steps(bytes));
    let explained = 0;
    for (const [callee, row] of callees) {
      // A callee that has stopped while its caller goes on was inlined.
      if (growing.has(callee) && !(goesOn && hasStopped(this.#steps(row)))) explained += gain(row);
    }
    return explained >= EXPLAINED_SHARE_MAX * gain(bytes);
  }

  #site(frame: number): SiteGrowth {
    const innermost = this.#inlined(frame);
    const nodes = [...this.#rows].filter(([node, row]) => gain(row) > 0 && this.#paths.get(node)!.includes(frame));
    const { bytes } = this.#functions.get(frame) as Totals;
    const heaviest = nodes.reduce((best, entry) => (gain(entry[1]) > gain(best[1]) ? entry : best), nodes[0] as [number, Row])[0];
    const leaves = this.#leaves(nodes);
    // Once V8 has inlined a callback its allocations are its caller's, and a leak must not change its name for that.
    const namer = this.#callers.get(innermost) ?? innermost;
    const site = siteOf(this.#frame(innermost));
    return {
      keys: [...new Set([keyOf(siteOf(this.#frame(namer))), keyOf(site), keyOf(siteOf(this.#frame(frame)))])],
      site: { ...site, function: this.#frame(namer).name },
      namer: siteOf(this.#frame(namer)),
      isNameless: site.function === ANONYMOUS,
      stack: this.#stack(heaviest),
      leaves,
      className: leaves.map(({ site: leaf }) => leaf.function).find((name) => isClassName(name)) ?? null,
      grownBytes: gain(bytes),
      share: Math.min(1, gain(bytes) / Math.max(this.#netBytes, 1)),
      stopped: hasStopped(this.#steps(bytes)),
      isLoading: this.#loadedBytes(nodes) >= LOADING_SHARE * gain(bytes),
    };
  }

  /**
   * The callee that V8 has inlined into the function, if it looks like that: what the function gained at first came
   * through callees, most of it through this one.
   */
  #inlined(frame: number): number {
    const { bytes, callees } = this.#functions.get(frame) as Totals;
    const until = Math.max(1, Math.floor((bytes.length - 1) / 3));
    const early = (row: Row): number => (row[until] as number) - (row[0] as number);
    const all = early(bytes);
    for (const [callee, row] of callees) {
      if (early(row) >= Math.max(2 * this.#options.sampleBytes, INLINED_SHARE_MIN * all)) return this.#inlined(callee);
    }
    return frame;
  }

  #noteCallers(path: readonly number[]): void {
    let caller: number | undefined;
    for (const frame of path) {
      const { name, file } = this.#frame(frame);
      if (name !== ANONYMOUS) caller = frame;
      else if (caller !== undefined && this.#frame(caller).file === file) this.#callers.set(frame, caller);
      else caller = undefined;
    }
  }

  /** What was gained below Node's loaders. */
  #loadedBytes(nodes: readonly [number, Row][]): number {
    return nodes.reduce((sum, [node, row]) => (this.#isBelowLoader(node) ? sum + gain(row) : sum), 0);
  }

  #isBelowLoader(node: number): boolean {
    for (let at = node; at !== -1; at = this.#tree.parents[at] as number) {
      if (this.#frame(this.#tree.nodeFrames[at] as number).file.startsWith(LOADERS)) return true;
    }
    return false;
  }

  #leaves(nodes: readonly [number, Row][]): LeakLeaf[] {
    const gained = new Map<number, number>();
    let all = 0;
    for (const [node, row] of nodes) {
      const frame = this.#tree.nodeFrames[node] as number;
      gained.set(frame, (gained.get(frame) ?? 0) + gain(row));
      all += gain(row);
    }
    return [...gained]
      .toSorted((a, b) => b[1] - a[1])
      .slice(0, LEAVES_MAX)
      .map(([frame, bytes]) => ({ site: siteOf(this.#frame(frame)), share: bytes / all }));
  }

  #stack(node: number): Site[] {
    const stack: Site[] = [];
    for (let at = node; at !== -1 && stack.length < STACK_FRAMES_MAX; at = this.#tree.parents[at] as number) {
      stack.push(siteOf(this.#frame(this.#tree.nodeFrames[at] as number)));
    }
    return stack;
  }
}

function gain(row: Row): number {
  return (row.at(-1) as number) - (row[0] as number);
}

function addRow(sums: Row, row: Row): void {
  for (let i = 0; i < row.length; i++) sums[i] = (sums[i] as number) + (row[i] as number);
}

function hasStopped(steps: readonly Step[]): boolean {
  const late = steps.slice(-Math.max(1, Math.floor(steps.length / 3)));
  const sum = (of: (step: Step) => number): number => late.reduce((total, step) => total + of(step), 0);
  return sum(({ gained }) => gained) < STOPPED_SHARE * sum(({ expected }) => expected);
}

/** JavaScript tells no class of a sample; by custom the functions that `new` calls, and only those, begin with a capital letter. */
function isClassName(name: string): boolean {
  return /^[A-Z][A-Za-z0-9_$]*[a-z]/.test(name);
}
