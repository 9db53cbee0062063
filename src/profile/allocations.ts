// What was allocated since the start, by allocation site, estimated. V8's sampler forgets a sample when its object is
// collected, and Node before 26 cannot tell it not to without losing the live heap. But samples are numbered in order: those since the
// last collection are all there, without a gap in their numbers, and how many there were since the last look is the
// difference of the numbers. So each look sees a fair sample of the sites and knows how much it stands for. The engine
// looks every two seconds; what a look costs is 0.4 ms at 200 live samples.
import type { HeapSample, HeapSamples, HeapSamplesNode } from '../core/heap-samples.ts';
import { scriptPath } from '../core/script-path.ts';
import { type Profile, ProfileBuilder, type ProfileHead } from './profile.ts';

/** Stacks remembered; the bytes of more go to `(other)`. */
const NODES_MAX = 50_000;

export class Allocations {
  readonly #builder = new ProfileBuilder(1);
  readonly #parents = new Map<number, { node: HeapSamplesNode; parent: number }>();
  #lastOrdinal = 0;
  /** The samples of the last look that had newer ones than the look before. */
  #seen: ReadonlyMap<number, HeapSample> = new Map();

  /** Takes a look at the live samples, garbage that was not collected yet included. */
  look({ head, samples }: HeapSamples): void {
    const fresh = sinceLastCollection(samples);
    const last = fresh[0]?.ordinal ?? this.#lastOrdinal;
    if (last < this.#lastOrdinal) {
      // The newest were collected; or, where there are others than before, the sampler was started anew and numbers from 1.
      if (samples.every((sample) => isSame(sample, this.#seen.get(sample.ordinal)))) return;
      this.#lastOrdinal = 0;
    }
    const allocated = last - this.#lastOrdinal;
    if (allocated === 0) return;
    this.#lastOrdinal = last;
    this.#seen = new Map(samples.map((sample) => [sample.ordinal, sample]));
    const used = fresh.slice(0, allocated);
    this.#index(head);
    for (const { nodeId, size } of used) this.#builder.add(this.#nodeOf(nodeId), 0, (size * allocated) / used.length);
    this.#parents.clear();
  }

  /** The sampler begins to number anew. */
  restarted(): void {
    this.#lastOrdinal = 0;
  }

  /** All of it, under a head with one sample type. */
  profile(head: ProfileHead): Profile {
    return this.#builder.build(head);
  }

  #index(head: HeapSamplesNode): void {
    const pending: { node: HeapSamplesNode; parent: number }[] = [{ node: head, parent: -1 }];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      this.#parents.set(next.node.id, next);
      for (const node of next.node.children) pending.push({ node, parent: next.node.id });
    }
  }

  #nodeOf(nodeId: number): number {
    const place = this.#parents.get(nodeId);
    // The root is no function, but V8 allocates without any.
    if (place === undefined || place.parent === -1 || this.#builder.nodeCount >= NODES_MAX) {
      return this.#builder.node(-1, this.#builder.frame('(other)', '', 0));
    }
    const { functionName, url, lineNumber, columnNumber } = place.node.callFrame;
    const isOutermost = this.#parents.get(place.parent)?.parent === -1;
    const parent = isOutermost ? -1 : this.#nodeOf(place.parent);
    return this.#builder.node(
      parent,
      this.#builder.frame(functionName || '(anonymous)', scriptPath(url), lineNumber + 1, columnNumber + 1),
    );
  }
}

/** Whether a live sample is one that was live before; V8 keeps the ids of nodes that have samples. */
function isSame({ nodeId, size }: HeapSample, before: HeapSample | undefined): boolean {
  return before !== undefined && before.nodeId === nodeId && before.size === size;
}

/** The newest samples, newest first, as far back as none is missing. */
function sinceLastCollection(samples: readonly HeapSample[]): HeapSample[] {
  const newest = samples.toSorted((a, b) => b.ordinal - a.ordinal);
  const end = newest.findIndex(({ ordinal }, index) => index > 0 && ordinal !== (newest[index - 1] as HeapSample).ordinal - 1);
  return end === -1 ? newest : newest.slice(0, end);
}
