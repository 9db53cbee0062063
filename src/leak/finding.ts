// What the leak detector says: the verdict, its findings and their levels. Types and their order; told by detector.ts, read by
// /debug/leaks, the metrics, the log, `onLeak` and the evidence of a process that is about to die.
import type { Site } from './site.ts';

/**
 * `watching` nothing found; `growing` something fills, which a cache does too; `suspect` it grows steadily and would
 * fill the room that is left; `leak` the same, confirmed; `gone` it was a suspect or a leak and has stopped growing.
 */
export type LeakLevel = 'watching' | 'growing' | 'suspect' | 'leak' | 'gone';

/** The levels from harmless to bad. */
export const LEAK_LEVELS: readonly LeakLevel[] = ['watching', 'gone', 'growing', 'suspect', 'leak'];

/** How bad a level is, to be compared. */
export function severity(level: LeakLevel): number {
  return LEAK_LEVELS.indexOf(level);
}

/**
 * What grows: `heap` V8's old generation, `external` ArrayBuffers and what else objects hold outside of the heap,
 * `native` resident memory beyond both, `resources` handles, timers and requests that keep the event loop alive.
 */
export type LeakKind = 'heap' | 'external' | 'native' | 'resources';

export const LEAK_KINDS: readonly LeakKind[] = ['heap', 'external', 'native', 'resources'];

/** When a limit is met at the present rate: seconds from now, with the 90 % interval of the trend. */
export interface Forecast {
  readonly seconds: number;
  readonly lowSeconds: number;
  /** Null where the slowest rate that the trend allows never gets there. */
  readonly highSeconds: number | null;
}

/** An innermost frame of the stacks that hold the growth. */
export interface LeakLeaf {
  readonly site: Site;
  /** Of the finding's growth, 0 to 1. */
  readonly share: number;
}

export interface LeakFinding {
  readonly kind: LeakKind;
  readonly level: Exclude<LeakLevel, 'watching'>;
  /** Of `resources` the type, as process.getActiveResourcesInfo() names it; null of the other kinds. */
  readonly resourceType: string | null;
  /** The function that keeps what it allocates, or that creates the handle; null where it cannot be named. */
  readonly site: Site | null;
  /** Why there is no site, or what is known beside it; empty where there is nothing to add. */
  readonly note: string;
  /** The stack that allocated most of it, innermost first; empty without a site. */
  readonly stack: readonly Site[];
  /** The innermost frames that hold most of it, at most five, most first: V8 charges an inlined callee to its caller. */
  readonly leaves: readonly LeakLeaf[];
  /** The class that is instantiated most, where an allocating frame is a constructor. */
  readonly className: string | null;
  /** Template of the route whose requests run the site; null where none was seen. */
  readonly route: string | null;
  /** Gained over the stretch that was judged; 0 of `resources`. */
  readonly grownBytes: number;
  /** The same as a rate; 0 of `resources`. */
  readonly bytesPerHour: number;
  /** Of `resources` how many more there are and how fast; 0 of the other kinds. */
  readonly grownCount: number;
  readonly countPerHour: number;
  /** Of the kind's whole growth, 0 to 1. */
  readonly share: number;
  /** Start of the stretch that was judged. */
  readonly sinceEpochMillis: number;
  /** When the level was reached. */
  readonly levelEpochMillis: number;
  /** Until V8's limit of the old generation; null of other kinds, and where it does not rise. */
  readonly heapLimit: Forecast | null;
  /** Until the container's limit, or the machine's where there is no container; null where it does not rise. */
  readonly containerLimit: Forecast | null;
}

/** One kind of memory as it is watched, whether or not it grows. */
export interface KindReading {
  readonly kind: LeakKind;
  readonly level: LeakLevel;
  /** Bytes, or of `resources` how many, after the last major collection. */
  readonly current: number;
  /** Robust slope over the stretch judged last, a minute; 0 where nothing rises. */
  readonly perMinute: number;
  readonly heapLimit: Forecast | null;
  readonly containerLimit: Forecast | null;
}

/** A live-heap profile that was kept from an earlier collection. */
export interface Generation {
  /** 0 is the oldest. */
  readonly index: number;
  readonly epochMillis: number;
  readonly bytes: number;
}

export interface LeakVerdict {
  readonly level: LeakLevel;
  /** Worst and largest first, at most sixteen. */
  readonly findings: readonly LeakFinding[];
  /** One of each kind. */
  readonly kinds: readonly KindReading[];
  /** For `/debug/leaks/heap?generation=`, oldest first. */
  readonly generations: readonly Generation[];
  /** What limits the detector here, as another profiler that holds the heap sampler; empty where nothing does. */
  readonly notes: readonly string[];
}
