// The allocation call tree of V8's heap sampler as functions of the source: whose they are, and which of a stack may
// be named. Pure.
import type { HeapSamples, HeapSamplesNode } from '../core/heap-samples.ts';
import { scriptPath } from '../core/script-path.ts';

/** A function in the source; `line` is where it starts, 1-based. */
export interface Site {
  readonly function: string;
  readonly file: string;
  readonly line: number;
}

/** What tells whose code a script is. */
export interface Ownership {
  /** Where Sonde itself lies; its functions count as a library's. */
  readonly ownDirectory?: string | undefined;
}

/** A function; the key is the same in every reading of this process. */
export interface SiteNode {
  readonly key: string;
  readonly site: Site;
}

interface TreeNode extends SiteNode {
  readonly parent: number;
  readonly owner: (typeof OWNERS)[number];
}

const ANONYMOUS = '(anonymous)';

/** Whose function is named: the first of these that has one on the stack. */
const OWNERS = ['application', 'library', 'runtime'] as const;

const STACK_FRAMES_MAX = 32;

export class CallTree {
  readonly #nodes = new Map<number, TreeNode>();
  readonly #paths = new Map<number, readonly SiteNode[]>();
  /** Nameless callbacks by key, and the named function of their file that was seen to call them. */
  readonly #callers = new Map<string, SiteNode>();

  constructor({ head, samples }: HeapSamples, ownership: Ownership) {
    const pending = head.children.map((node) => ({ parent: -1, node }));
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      this.#nodes.set(next.node.id, treeNode(next.parent, next.node, ownership));
      for (const child of next.node.children) pending.push({ parent: next.node.id, node: child });
    }
    for (const nodeId of new Set(samples.map((sample) => sample.nodeId))) this.#noteCallers(this.path(nodeId));
  }

  /**
   * The functions on a stack that may be named, outermost first and each once: the application's own, without any
   * its libraries', without any the runtime's.
   */
  path(nodeId: number): readonly SiteNode[] {
    let path = this.#paths.get(nodeId);
    if (path === undefined) {
      const stack = this.#ancestors(nodeId).toReversed();
      const owner = OWNERS.find((candidate) => stack.some((node) => node.owner === candidate));
      const named = stack.filter((node) => node.owner === owner);
      path = [...new Map(named.map((node) => [node.key, node])).values()];
      this.#paths.set(nodeId, path);
    }
    return path;
  }

  /**
   * What to call a function: its own name, or for a nameless callback that of the named function of its file which
   * calls it, on any stack, with the callback's line. Once V8 has inlined a callback its allocations are its
   * caller's, and a leak must not change its name for that.
   */
  named(node: SiteNode): SiteNode {
    const caller = this.#callers.get(node.key);
    return caller === undefined ? node : { key: caller.key, site: { ...caller.site, line: node.site.line } };
  }

  /** The whole stack of a node, innermost first, at most 32 frames. */
  stack(nodeId: number): Site[] {
    return this.#ancestors(nodeId)
      .slice(0, STACK_FRAMES_MAX)
      .map(({ site }) => site);
  }

  #noteCallers(stack: readonly SiteNode[]): void {
    let caller: SiteNode | undefined;
    for (const node of stack) {
      if (node.site.function !== ANONYMOUS) caller = node;
      else if (caller?.site.file === node.site.file) this.#callers.set(node.key, caller);
      else caller = undefined;
    }
  }

  /** The node and its callers, innermost first. */
  #ancestors(nodeId: number): TreeNode[] {
    const stack: TreeNode[] = [];
    for (let node = this.#nodes.get(nodeId); node !== undefined; node = this.#nodes.get(node.parent)) stack.push(node);
    return stack;
  }
}

function treeNode(parent: number, { callFrame }: HeapSamplesNode, ownership: Ownership): TreeNode {
  const site: Site = {
    function: callFrame.functionName || ANONYMOUS,
    file: scriptPath(callFrame.url),
    line: callFrame.lineNumber + 1,
  };
  const key = `${site.file}:${site.line}:${callFrame.columnNumber}:${site.function}`;
  return { parent, key, site, owner: ownerOf(site.file, ownership) };
}

function ownerOf(file: string, { ownDirectory }: Ownership): TreeNode['owner'] {
  if (file === '' || file.startsWith('node:')) return 'runtime';
  const own = ownDirectory !== undefined && file.startsWith(ownDirectory);
  return own || /[/\\]node_modules[/\\]/.test(file) ? 'library' : 'application';
}
