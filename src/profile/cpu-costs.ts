// What the CPU time of the windows was spent for, as running totals: each route (`sonde_cpu_seconds_total`), and Sonde
// itself (`sonde_overhead_cpu_seconds_total`). Read from every window once, when it ends. Owned by cpu-windows.ts.
import type { Frame } from './frame.ts';
import type { Profile } from './profile.ts';
import type { Activity } from './v8.ts';

/** A route that comes after this many others is counted with what has no route. */
const ROUTES_MAX = 1000;

/** Whose code a frame is. Node's and V8's own work is that of whoever called for it. */
type Owner = 'sonde' | 'application' | 'runtime';

export class CpuCosts {
  readonly #ownDirectory: string;
  readonly #seconds = new Map<string, number>([['', 0]]);
  /** Of the tree that the windows share, known by its frames, whose the nodes are that were there before. */
  #known: { frames: readonly Frame[]; owners: Owner[]; isOwn: Uint8Array; nodes: number } | undefined;
  #ownSeconds = 0;
  #samples = 0;
  #quietSamples = 0;
  #quietNanos = 0;
  #activeSeconds = 0;
  #sampledSeconds = 0;

  /** `ownDirectory` is where Sonde's files are. */
  constructor(ownDirectory: string) {
    this.#ownDirectory = `${ownDirectory}/`;
  }

  /** CPU seconds by route; under the empty name those of everything that belongs to no request, garbage collection and other threads included. */
  get byRoute(): ReadonlyMap<string, number> {
    return this.#seconds;
  }

  /** CPU seconds in Sonde's own code and in what of Node it called. */
  get ownSeconds(): number {
    return this.#ownSeconds;
  }

  /** CPU seconds that being sampled took from the thread: what a sample costs that finds it waiting, times all samples. */
  get samplingSeconds(): number {
    return this.#quietSamples === 0 ? 0 : (this.#samples * this.#quietNanos) / this.#quietSamples / 1e9;
  }

  /** Seconds that the thread was active, whoever for. */
  get activeSeconds(): number {
    return this.#activeSeconds;
  }

  /** Seconds that have been sampled. */
  get sampledSeconds(): number {
    return this.#sampledSeconds;
  }

  /** Adds what the samples of a window say together. */
  addActivity({ wallNanos, samples, quietSamples, quietNanos, activeNanos }: Activity): void {
    this.#sampledSeconds += wallNanos / 1e9;
    this.#activeSeconds += activeNanos / 1e9;
    this.#samples += samples;
    this.#quietSamples += quietSamples;
    this.#quietNanos += quietNanos;
  }

  /** Adds a window with a `cpu` column. */
  add(window: Profile): void {
    const columns = window.sampleTypes.length;
    const cpu = window.sampleTypes.findIndex(({ type }) => type === 'cpu');
    const routes = window.labelSets.map((set) => set['http.route'] ?? '');
    const isOwn = this.#ownNodes(window);
    for (let row = 0; row < window.sampleNodes.length; row++) {
      const seconds = (window.values[row * columns + cpu] as number) / 1e9;
      const route = routes[window.sampleLabels[row] as number] as string;
      const known = route === '' || this.#seconds.has(route) || this.#seconds.size <= ROUTES_MAX ? route : '';
      this.#seconds.set(known, (this.#seconds.get(known) ?? 0) + seconds);
      if (isOwn[window.sampleNodes[row] as number] === 1) this.#ownSeconds += seconds;
    }
  }

  /** Of each node, whether Sonde is the last to have been called there. */
  #ownNodes({ frames, parents, nodeFrames }: Profile): Uint8Array {
    if (this.#known?.frames !== frames) this.#known = { frames, owners: [], isOwn: new Uint8Array(0), nodes: 0 };
    const known = this.#known;
    for (let id = known.owners.length; id < frames.length; id++) known.owners.push(this.#ownerOf(frames[id] as Frame));
    if (known.isOwn.length < parents.length) {
      const grown = new Uint8Array(parents.length * 2);
      grown.set(known.isOwn);
      known.isOwn = grown;
    }
    for (let node = known.nodes; node < parents.length; node++) {
      const owner = known.owners[nodeFrames[node] as number];
      const parent = parents[node] as number;
      if (owner === 'sonde') known.isOwn[node] = 1;
      else if (owner === 'runtime' && parent !== -1) known.isOwn[node] = known.isOwn[parent] as number;
    }
    known.nodes = parents.length;
    return known.isOwn;
  }

  #ownerOf({ file }: Frame): Owner {
    if (file.startsWith(this.#ownDirectory)) return 'sonde';
    return file === '' || file.startsWith('node:') ? 'runtime' : 'application';
  }
}
