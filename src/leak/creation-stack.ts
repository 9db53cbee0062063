// The stack at this moment as exact places in files, innermost first: line and column of the calls, not of the
// functions, and across `await`. Asked by the samplers of creations, a few hundred times a second at most: one capture
// costs some 20 us at 20 frames. Positions are those of the files that run; source maps are applied by who tells them.
import { scriptPath } from '../core/script-path.ts';
import { ANONYMOUS, ownerOf, OWNERS, STACK_FRAMES_MAX, type Owner, type Ownership, type Site } from './site.ts';

/** Frames asked of V8: those of Node and of Sonde at the top are not kept, an accepted connection has four of them. */
const CAPTURED_FRAMES_MAX: number = STACK_FRAMES_MAX + 16;

/** As they were when Sonde was loaded; an application may replace both. */
const RealError = Error;
const { captureStackTrace } = Error;

/** A frame of a stack that may be named, and whose it is. */
export interface OwnedSite {
  readonly site: Site;
  readonly owner: Owner;
}

/**
 * The stack below the function `below`, at most 32 frames, without Sonde's and Node's own at its top; a stack that has no
 * others is given whole. Empty where the application has made stacks unreadable.
 */
export function captureStack(below: (...args: never[]) => unknown, ownership: Ownership): Site[] {
  const frames = structuredStack(below).map(siteOf);
  return withoutInternals(frames, ownership).slice(0, STACK_FRAMES_MAX);
}

/** A stack from its first frame that is neither Sonde's nor Node's; whole where there is none. */
export function withoutInternals(stack: readonly Site[], { ownDirectory }: Ownership): readonly Site[] {
  const isInternal = ({ file }: Site): boolean =>
    ownerOf(file, {}) === 'runtime' || (ownDirectory !== undefined && file.startsWith(ownDirectory));
  const first = stack.findIndex((site) => !isInternal(site));
  return first < 0 ? stack : stack.slice(first);
}

/** The innermost frame of the application's, without any of a library's, without any of the runtime's. */
export function innermostOwned(stack: readonly Site[], ownership: Ownership): OwnedSite | undefined {
  const owned = stack.map((site) => ({ site, owner: ownerOf(site.file, ownership) }));
  for (const owner of OWNERS) {
    const found = owned.find((candidate) => candidate.owner === owner);
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * V8 hands frames as objects only to `Error.prepareStackTrace`. It is ours for the length of one capture, in which no
 * code of the application's runs, and is put back as it was found, accessors and absence included.
 */
function structuredStack(below: (...args: never[]) => unknown): readonly NodeJS.CallSite[] {
  const restorePrepare = replaced('prepareStackTrace', (_error: unknown, frames: unknown) => frames);
  const restoreLimit = replaced('stackTraceLimit', CAPTURED_FRAMES_MAX);
  try {
    const holder: { stack?: unknown } = {};
    captureStackTrace(holder, below);
    // A string where ours could not be set, as under a frozen Error.
    return Array.isArray(holder.stack) ? (holder.stack as NodeJS.CallSite[]) : [];
  } finally {
    restoreLimit();
    restorePrepare();
  }
}

/** Puts a value in the place of a property of Error without calling setters; returns how to undo it. */
function replaced(name: 'prepareStackTrace' | 'stackTraceLimit', value: unknown): () => void {
  const before = Object.getOwnPropertyDescriptor(RealError, name);
  const during = { value, writable: true, configurable: before?.configurable ?? true, enumerable: before?.enumerable ?? true };
  if (!Reflect.defineProperty(RealError, name, during)) return () => {};
  return () => {
    if (before === undefined) Reflect.deleteProperty(RealError, name);
    else Reflect.defineProperty(RealError, name, before);
  };
}

function siteOf(frame: NodeJS.CallSite): Site {
  return {
    function: frame.getFunctionName() || ANONYMOUS,
    file: scriptPath(frame.getFileName() ?? frame.getScriptNameOrSourceURL() ?? ''),
    line: frame.getLineNumber() ?? 0,
    column: frame.getColumnNumber() ?? 0,
  };
}
