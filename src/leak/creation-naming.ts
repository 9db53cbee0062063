// Who creates what grows outside of the heap: Buffers and resources, sampled from the moment they are seen to grow until
// they no longer do. Owned by leak-watch.ts, asked by the detector. Nothing is hooked while nothing grows.
import type { Clock } from '../core/clock.ts';
import type { Guard } from '../core/guard.ts';
import { BufferCreations } from './buffer-creations.ts';
import type { Suspicion } from './detector.ts';
import type { LeakLeaf } from './finding.ts';
import type { Named } from './findings.ts';
import { ResourceCreations } from './resource-creations.ts';
import { keyOf, type Ownership, type Site } from './site.ts';

export interface CreationNamingOptions {
  readonly guard: Guard;
  readonly clock: Clock;
  readonly ownership: Ownership;
  /** What ArrayBuffers take now. */
  readonly arrayBufferBytes: () => number;
}

/** Creations are held against a place once they are a quarter as old as the sampling is, and ten seconds at most. */
const AGE_SHARE = 0.25;
const AGE_MILLIS_MAX = 10_000;

/** A place is told from this share of what has grown since the sampling began. */
const SHARE_MIN = 0.15;
const SITES_MAX = 4;

/** From here on, twelve samples or more, that next to nothing was sampled is no chance. */
const ELSEWHERE_BYTES_MIN: number = 8 * 1024 * 1024;

const NOT_YET = 'where they are created is being sampled since they were seen to grow';
const BUFFERS_ELSEWHERE =
  'not made by Buffer.alloc, from or concat: by `new ArrayBuffer` or a typed array, which nobody can be told of, or by Node itself (streams, zlib)';
const NATIVE = 'native memory beyond V8: addons, threads, gaps of the allocator; who allocates it is not known in the process';
const SPREAD = `no place has created ${100 * SHARE_MIN} % of what has come since they were seen to grow`;

/** A group of survivors, whichever sampler found it. */
interface Group {
  readonly site: Site | null;
  readonly note: string;
  readonly stack: readonly Site[];
  readonly leaves: readonly LeakLeaf[];
  readonly share: number;
}

export class CreationNaming {
  readonly #options: CreationNamingOptions;
  readonly #buffers: BufferCreations;
  readonly #resources: ResourceCreations;
  #resourceTypes = '';
  #buffersSinceMillis = 0;
  #buffersAtStart = 0;
  #resourcesSinceMillis = 0;

  constructor(options: CreationNamingOptions) {
    this.#options = options;
    this.#buffers = new BufferCreations(options);
    this.#resources = new ResourceCreations(options);
  }

  /** Samples what grows, and nothing else any more. */
  watch(growing: readonly Suspicion[]): void {
    this.#watchBuffers(growing.some(({ kind }) => kind === 'external'));
    this.#watchResources(growing.flatMap(({ resourceType }) => (resourceType === null ? [] : [resourceType])));
  }

  name({ kind, resourceType }: Suspicion): Promise<readonly Named[]> {
    if (kind === 'external') return Promise.resolve(this.#nameBuffers());
    if (resourceType !== null) return Promise.resolve(this.#nameResources(resourceType));
    return Promise.resolve([unnamed(NATIVE)]);
  }

  #watchBuffers(wanted: boolean): void {
    if (wanted === this.#buffers.isRunning) return;
    if (!wanted) {
      this.#buffers.stop();
      this.#buffers.clear();
      return;
    }
    this.#buffersSinceMillis = this.#options.clock.monotonicMillis();
    this.#buffersAtStart = this.#options.arrayBufferBytes();
    this.#buffers.start();
  }

  #watchResources(types: readonly string[]): void {
    const wanted = types.toSorted().join(' ');
    if (wanted === this.#resourceTypes) return;
    this.#resourceTypes = wanted;
    this.#resources.stop();
    this.#resourcesSinceMillis = this.#options.clock.monotonicMillis();
    if (types.length > 0) this.#resources.start(types);
  }

  #nameBuffers(): readonly Named[] {
    const ageMillis = this.#ageMillis(this.#buffersSinceMillis);
    const groups = this.#buffers.rank(ageMillis);
    const sampledBytes = groups.reduce((sum, { bytes }) => sum + bytes, 0);
    const millis = this.#options.clock.monotonicMillis() - this.#buffersSinceMillis;
    const oldShare = millis > 0 ? 1 - ageMillis / millis : 1;
    const grownBytes = oldShare * (this.#options.arrayBufferBytes() - this.#buffersAtStart);
    // Of what is not made by Buffer's functions nothing is sampled.
    const part = grownBytes > sampledBytes ? sampledBytes / grownBytes : 1;
    const named = told(groups.map((group) => ({ ...group, note: '', share: group.share * part })));
    if (named.length > 0) return named;
    if (grownBytes >= ELSEWHERE_BYTES_MIN && sampledBytes < SHARE_MIN * grownBytes) return [unnamed(BUFFERS_ELSEWHERE)];
    return [unnamed(groups.length === 0 ? NOT_YET : SPREAD)];
  }

  #nameResources(type: string): readonly Named[] {
    const groups = this.#resources.rank(type, this.#ageMillis(this.#resourcesSinceMillis));
    const named = told(groups);
    return named.length > 0 ? named : [unnamed(groups.length === 0 ? NOT_YET : SPREAD)];
  }

  #ageMillis(sinceMillis: number): number {
    return Math.min(AGE_SHARE * (this.#options.clock.monotonicMillis() - sinceMillis), AGE_MILLIS_MAX);
  }
}

function told(groups: readonly Group[]): Named[] {
  return groups
    .filter(({ share }) => share >= SHARE_MIN)
    .slice(0, SITES_MAX)
    .map(({ site, note, stack, leaves, share }) => ({
      ...unnamed(note),
      keys: [site === null ? note : keyOf(site)],
      site,
      stack,
      leaves,
      share,
    }));
}

/** What grows where no place is known. */
export function unnamed(note: string): Named {
  return { keys: [''], site: null, stack: [], leaves: [], className: null, note, route: null, share: 1, stopped: false };
}
