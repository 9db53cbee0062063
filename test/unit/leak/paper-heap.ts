// A live heap on paper: what stacks hold, changed as the test says, read as generations of one tree.
import type { HeapFrame, LiveHeap } from '../../../src/core/live-heap.ts';
import type { HeapGeneration } from '../../../src/leak/growth-sites.ts';

export const MIB: number = 1024 * 1024;

const TYPES = [{ type: 'inuse_objects' }, { type: 'inuse_space' }];

/** Stacks are written outermost first, `file:line name > file:line name`; a missing name is a nameless function. */
export class PaperHeap {
  readonly #frames: HeapFrame[] = [];
  readonly #parents: number[] = [];
  readonly #nodeFrames: number[] = [];
  readonly #ids = new Map<string, number>();
  readonly #live = new Map<number, number>();

  /** Keeps so many MiB more of a stack, each a sample; less where that is negative. */
  keep(stack: string, mib: number): void {
    const node = this.#node(stack);
    this.#live.set(node, (this.#live.get(node) ?? 0) + mib);
  }

  read(): LiveHeap {
    const rows = [...this.#live].filter(([, mib]) => mib > 0);
    return {
      frames: this.#frames,
      parents: Int32Array.from(this.#parents),
      nodeFrames: Int32Array.from(this.#nodeFrames),
      sampleNodes: Int32Array.from(rows, ([node]) => node),
      sampleTypes: TYPES,
      values: Float64Array.from(rows.flatMap(([, mib]) => [mib * 1000, mib * MIB])),
    };
  }

  #node(stack: string): number {
    let [path, parent] = ['', -1];
    for (const frame of stack.split(' > ')) {
      path += ` > ${frame}`;
      let node = this.#ids.get(path);
      if (node === undefined) {
        node = this.#parents.push(parent) - 1;
        this.#nodeFrames.push(this.#frame(frame));
        this.#ids.set(path, node);
      }
      parent = node;
    }
    return parent;
  }

  #frame(text: string): number {
    const [, file, line, name] = /^(.*):(\d+) ?(.*)$/.exec(text)!;
    const known = this.#frames.findIndex(
      (frame) => frame.file === file && frame.line === Number(line) && frame.name === (name || '(anonymous)'),
    );
    return known === -1 ? this.#frames.push({ name: name || '(anonymous)', file: file!, line: Number(line), column: 1 }) - 1 : known;
  }
}

/** Nine generations, one each ten seconds, with a step of the program before each but the first. */
export function generationsOf(
  step: (heap: PaperHeap, step: number) => void,
  before: (heap: PaperHeap) => void = () => {},
): HeapGeneration[] {
  const heap = new PaperHeap();
  heap.keep('node:internal/boot:1 boot', 3);
  before(heap);
  return Array.from({ length: 9 }, (_, i) => {
    if (i > 0) step(heap, i - 1);
    return { seconds: 10 * i, heap: heap.read() };
  });
}
