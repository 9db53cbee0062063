// Call stacks as a tree in flat arrays: a node is a function called from a parent node. A ProfileBuilder fills one of its
// own; the windows of continuous profiling share one, because a service comes by the same stacks every ten seconds.
import type { Frame } from './frame.ts';

/** Frames come from code, so 2^21 of them are out of reach; the key of a node stays exact below 2^53. */
const FRAMES_MAX = 2 ** 21;

const NODES_AT_FIRST = 256;

export class StackTable {
  readonly #frames: Frame[] = [];
  readonly #frameIds = new Map<Frame, number>();
  readonly #nodeIds = new Map<number, number>();
  #parents: Int32Array;
  #nodeFrames: Int32Array;
  #count = 0;

  /** With room for that many nodes at first; views of a table that never grows are never copied. */
  constructor(nodes: number = NODES_AT_FIRST) {
    this.#parents = new Int32Array(nodes);
    this.#nodeFrames = new Int32Array(nodes);
  }

  /** Nodes so far. */
  get count(): number {
    return this.#count;
  }

  /** The table's own list: there are more as it fills, none ever changes. */
  get frames(): readonly Frame[] {
    return this.#frames;
  }

  /** Of the nodes so far; parents come before their children. */
  get parents(): Int32Array {
    return this.#parents.subarray(0, this.#count);
  }

  get nodeFrames(): Int32Array {
    return this.#nodeFrames.subarray(0, this.#count);
  }

  frame(frame: Frame): number {
    let id = this.#frameIds.get(frame);
    if (id === undefined) this.#frameIds.set(frame, (id = this.#frames.push(frame) - 1));
    return id;
  }

  /** The node for `frame` called from the node `parent`, -1 for an outermost frame. */
  node(parent: number, frame: number): number {
    const key = (parent + 1) * FRAMES_MAX + frame;
    let id = this.#nodeIds.get(key);
    if (id === undefined) {
      id = this.#count;
      if (id === this.#parents.length) this.#grow();
      this.#parents[id] = parent;
      this.#nodeFrames[id] = frame;
      this.#nodeIds.set(key, id);
      this.#count += 1;
    }
    return id;
  }

  #grow(): void {
    this.#parents = doubled(this.#parents, Int32Array);
    this.#nodeFrames = doubled(this.#nodeFrames, Int32Array);
  }
}

/** A copy with twice the room. */
export function doubled<T extends Int32Array | Float64Array>(array: T, type: new (length: number) => T): T {
  const grown = new type(array.length * 2);
  grown.set(array);
  return grown;
}
