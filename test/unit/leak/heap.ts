// A heap sampler on paper: allocations by stack, freed when the test says so, read as the inspector answers.
import type { HeapSample, HeapSamples, HeapSamplesNode } from '../../../src/core/heap-samples.ts';

export const MIB: number = 1024 * 1024;

interface PaperNode extends HeapSamplesNode {
  readonly children: PaperNode[];
}

interface PaperSample extends HeapSample {
  readonly stack: string;
}

/** Stacks are written outermost first, `file:line name > file:line name`; a missing name is a nameless function. */
export class PaperHeap {
  readonly #head = paperNode(0, '(root)', '', 0);
  #nodes = 0;
  #ordinal = 0;
  #samples: PaperSample[] = [];

  /** Allocates one sample of a MiB for each. */
  allocate(stack: string, count = 1): void {
    const nodeId = this.#nodeOf(stack);
    for (let i = 0; i < count; i++) this.#samples.push({ stack, nodeId, size: MIB, ordinal: ++this.#ordinal });
  }

  /** Frees the oldest samples of a stack beyond the newest `keep`. */
  free(stack: string, keep = 0): void {
    const own = this.#samples.filter((sample) => sample.stack === stack);
    const freed = new Set(own.slice(0, Math.max(own.length - keep, 0)));
    this.#samples = this.#samples.filter((sample) => !freed.has(sample));
  }

  get liveBytes(): number {
    return this.#samples.length * MIB;
  }

  /** The ordinal of the newest allocation. */
  get ordinal(): number {
    return this.#ordinal;
  }

  read(): HeapSamples {
    return { head: this.#head, samples: this.#samples.toReversed() };
  }

  #nodeOf(stack: string): number {
    let node = this.#head;
    for (const frame of stack.split(' > ')) {
      const [, url, line, name] = /^(.*):(\d+) ?(.*)$/.exec(frame)!;
      let child = node.children.find(
        ({ callFrame }) => callFrame.url === url && callFrame.functionName === name && callFrame.lineNumber === Number(line) - 1,
      );
      if (child === undefined) node.children.push((child = paperNode(++this.#nodes, name!, url!, Number(line) - 1)));
      node = child;
    }
    return node.id;
  }
}

function paperNode(id: number, functionName: string, url: string, lineNumber: number): PaperNode {
  return { id, callFrame: { functionName, url, lineNumber, columnNumber: 0 }, selfSize: 0, children: [] };
}
