// Call stacks as a tree in flat arrays: a node is a function called from a parent node. A ProfileBuilder fills one of its
// own; the windows of continuous profiling share one, because a service comes by the same stacks every ten seconds.
import type { Frame } from './frame.ts';
import { PairTable } from './pair-table.ts';

export class StackTable {
  readonly #frames: Frame[] = [];
  readonly #frameIds = new Map<Frame, number>();
  /** Of parent and frame. */
  readonly #nodes: PairTable;

  /** Grows beyond `nodes` when it must. */
  constructor(nodes?: number) {
    this.#nodes = new PairTable(nodes);
  }

  /** Nodes so far. */
  get count(): number {
    return this.#nodes.size;
  }

  /** The table's own list: there are more as it fills, none ever changes. */
  get frames(): readonly Frame[] {
    return this.#frames;
  }

  /** Of the nodes so far; parents come before their children. */
  get parents(): Int32Array {
    return this.#nodes.firsts();
  }

  get nodeFrames(): Int32Array {
    return this.#nodes.seconds();
  }

  frame(frame: Frame): number {
    let id = this.#frameIds.get(frame);
    if (id === undefined) this.#frameIds.set(frame, (id = this.#frames.push(frame) - 1));
    return id;
  }

  /** The node for `frame` called from the node `parent`, -1 for an outermost frame. */
  node(parent: number, frame: number): number {
    return this.#nodes.id(parent, frame);
  }
}
