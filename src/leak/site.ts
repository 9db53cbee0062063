// A function of the application as the leak detector names it, and whose it is. Pure.
import type { HeapFrame } from '../core/live-heap.ts';

/** A function, or a place in one; `line` and `column` are 1-based, 0 where there is none. */
export interface Site {
  readonly function: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** What tells whose code a script is. */
export interface Ownership {
  /** Where Sonde itself lies; its functions count as a library's. */
  readonly ownDirectory?: string | undefined;
}

/** Whose function is named: the first of these that has one on the stack. */
export const OWNERS = ['application', 'library', 'runtime'] as const;

export type Owner = (typeof OWNERS)[number];

/** What a function without a name is called. */
export const ANONYMOUS = '(anonymous)';

/** Frames kept of a stack. */
export const STACK_FRAMES_MAX = 32;

export function ownerOf(file: string, { ownDirectory }: Ownership): Owner {
  if (file === '' || file.startsWith('node:')) return 'runtime';
  const own = ownDirectory !== undefined && file.startsWith(ownDirectory);
  return own || /[/\\]node_modules[/\\]/.test(file) ? 'library' : 'application';
}

export function siteOf({ name, file, line, column }: HeapFrame): Site {
  return { function: name, file, line, column };
}

/** What a site goes by in every reading. */
export function keyOf({ function: name, file, line, column }: Site): string {
  return `${file}:${line}:${column}:${name}`;
}
