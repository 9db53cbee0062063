// The door to @datadog/pprof. Its native classes are used without its JavaScript layer, which drops `(program)`,
// loads a source-map engine (9 ms instead of 25 to load without), and cannot take a context key of ours. That layer
// is internal to the package, hence the exact pin and the check of shape here. Only the engine's parts come here.
import { AsyncLocalStorage } from 'node:async_hooks';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { dirname } from 'node:path';
import type * as HeapBindings from '@datadog/pprof/out/src/heap-profiler-bindings.js';
import type * as TimeBindings from '@datadog/pprof/out/src/time-profiler-bindings.js';
import type { AllocationNode, TimeTree } from './v8.ts';

/** V8's CPU profiler with a CPU clock; one per thread and copy of the addon. */
export interface NativeTimeProfiler {
  start(): void;
  /** The profile since the start; with `restart` the next one is begun before, so that there is no gap. */
  stop(restart: boolean): TimeTree;
  dispose(): void;
  /** 0 no, 1 perhaps, 2 surely: V8's sampling thread spins and profiles stay empty. */
  v8ProfilerStuckEventLoopDetected(): number;
  /** What samples carry now. With a context key it is to be read only, and is what the key's active holder was made of. */
  context: object | undefined;
  /** A value for the context key's store; natively a weak reference, and made in half a microsecond. */
  createContextHolder(context: object): object;
  /** At 0 the number of samples since the start or the last restart, counted by the signal handler. */
  readonly state: Uint32Array;
}

export interface NativeTimeOptions {
  intervalMicros: number;
  /** Twice this is how long samples keep their contexts; a window must be shorter. */
  durationMillis: number;
  withContexts: boolean;
  collectCpuTime: boolean;
  /** Sleeps 15 to 24 ms of the main thread at each rotation; we look at the stuck check instead. */
  workaroundV8Bug: false;
  isMainThread: boolean;
  lineNumbers: false;
  collectAsyncId: false;
  /** Samples carry what the store `CPEDKey` has in the AsyncContextFrame of the moment (V8's continuation-preserved data). */
  useCPED: boolean;
  CPEDKey: object | undefined;
}

/** V8's sampling heap profiler; one per isolate, whoever starts it, and whoever stops it stops it for all. */
export interface NativeHeapProfiler {
  startSamplingHeapProfiler(intervalBytes: number, stackDepth: number): void;
  stopSamplingHeapProfiler(): void;
  /** Throws `Heap profiler is not enabled.` when it is not running. */
  getAllocationProfile(): AllocationNode;
  /** Until the sampler is stopped. The tuple is the addon's own order. */
  monitorOutOfMemory?(...args: OutOfMemoryArguments): void;
}

/** Bytes to extend the limit by, how often, dump to stderr, command, callback, its mode, main thread, size by V8's young generation. */
type OutOfMemoryArguments = [number, number, boolean, readonly string[], undefined, number, boolean, boolean];

export interface NativeProfilers {
  readonly TimeProfiler: new (options: NativeTimeOptions) => NativeTimeProfiler;
  readonly heap: NativeHeapProfiler;
}

/** Loads the addon: 9 to 12 ms, once. Throws when it is not installed or not built for this platform. */
export function loadNativeProfilers(): NativeProfilers {
  const require = createRequire(__filename);
  const time = require('@datadog/pprof/out/src/time-profiler-bindings.js') as Partial<typeof TimeBindings>;
  const heap = require('@datadog/pprof/out/src/heap-profiler-bindings.js') as Partial<typeof HeapBindings>;
  if (typeof time.TimeProfiler !== 'function' || time.constants?.kSampleCount !== 0 || typeof heap.getAllocationProfile !== 'function') {
    throw new Error('this version of it has another shape');
  }
  return { TimeProfiler: time.TimeProfiler as NativeProfilers['TimeProfiler'], heap: heap as NativeHeapProfiler };
}

/** What V8 may take beyond its limit while the profile is read: without, one of six on Node 22 died reading it; 80 of 80 lived. */
const READING_BYTES: number = 64 * 1024 * 1024;

/**
 * Has `command` run, with the path of a profile in V8's own form added, when V8 is about to end the process for want of heap.
 * The limit is not extended, so that the process then ends as it would have, by the same signal and with V8's message;
 * the addon adds two lines to stderr before it, and waits for the command, at most 15 s.
 */
export function exportOutOfMemory(heap: NativeHeapProfiler, command: readonly string[]): void {
  heap.monitorOutOfMemory?.(READING_BYTES, 0, false, command, undefined, 1, true, false);
}

const PROFILERS = Symbol.for('sonde.profilers');

/**
 * Keeps profilers from being collected: the addon then frees the holders that a profiler has made, and those that die in the
 * same collection a second time, which ends the process (`Check failed: node->IsInUse()`; Node 24 and 26). Global, because
 * a thread that is terminated collects all that only its modules hold.
 */
const undisposed: Set<NativeTimeProfiler> = ((globalThis as { [PROFILERS]?: Set<NativeTimeProfiler> })[PROFILERS] ??= new Set());

export function createTimeProfiler({ TimeProfiler }: NativeProfilers, options: NativeTimeOptions): NativeTimeProfiler {
  const profiler = new TimeProfiler(options);
  undisposed.add(profiler);
  return profiler;
}

/**
 * The file of another copy of the addon (each package that depends on it may bring one) that may be sampling now; undefined where there is none, or
 * where the system does not tell. A copy that starts second calls the first one's signal handler. When the first has stopped
 * and starts again, it calls the second's: each calls the other until the stack is full, and the process ends.
 */
export function otherCopySampling(): string | undefined {
  try {
    const [, caught = ''] = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
    if ((Number.parseInt(caught.slice(-8), 16) & (1 << (constants.signals.SIGPROF - 1))) === 0) return undefined;
    const own = dirname(createRequire(__filename).resolve('@datadog/pprof/package.json'));
    const loaded = readFileSync('/proc/self/maps', 'utf8').match(/\/.*\/dd_pprof[^/]*\.node$/gm) ?? [];
    return loaded.find((file) => !file.startsWith(`${own}/`));
  } catch {
    return undefined;
  }
}

/** The end of a profiler that does not run; it must not be used any more. */
export function disposeTimeProfiler(profiler: NativeTimeProfiler): void {
  undisposed.delete(profiler);
  profiler.dispose();
}

/**
 * A store that samples can carry the value of, where this Node can do that: by what it does, not by version, because flags turn
 * AsyncContextFrame on in Node 22 and off in 24, and the sampler then finds nothing.
 */
export function contextKey(native: NativeProfilers): AsyncLocalStorage<object | undefined> | undefined {
  const store = new AsyncLocalStorage<object | undefined>();
  let profiler: NativeTimeProfiler;
  try {
    profiler = createTimeProfiler(native, { ...PROBE, CPEDKey: store });
  } catch {
    return undefined;
  }
  const subject = {};
  const isFound = store.run(profiler.createContextHolder(subject), () => profiler.context) === subject;
  disposeTimeProfiler(profiler);
  if (isFound) return store;
  store.disable();
  return undefined;
}

const PROBE: Omit<NativeTimeOptions, 'CPEDKey'> = {
  intervalMicros: 10_000,
  durationMillis: 10_000,
  withContexts: true,
  collectCpuTime: true,
  workaroundV8Bug: false,
  isMainThread: true,
  lineNumbers: false,
  collectAsyncId: false,
  useCPED: true,
};
