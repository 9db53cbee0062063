// The door to @datadog/pprof. Its native classes are used without its JavaScript layer, which drops `(program)`,
// loads a source-map engine (9 ms instead of 25 to load without), and cannot take a context key of ours. That layer
// is internal to the package, hence the exact pin and the check of shape here. Only the engine's parts come here.
import { AsyncLocalStorage } from 'node:async_hooks';
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

interface NativeTimeOptions {
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

type TimeProfilerSettings = Omit<NativeTimeOptions, 'useCPED' | 'CPEDKey'>;

/** V8's sampling heap profiler; one per isolate, whoever starts it, and whoever stops it stops it for all. */
export interface NativeHeapProfiler {
  startSamplingHeapProfiler(intervalBytes: number, stackDepth: number): void;
  stopSamplingHeapProfiler(): void;
  /** Throws `Heap profiler is not enabled.` when it is not running. */
  getAllocationProfile(): AllocationNode;
}

export interface NativeProfilers {
  readonly TimeProfiler: new (options: NativeTimeOptions) => NativeTimeProfiler;
  readonly heap: NativeHeapProfiler;
}

/** Loads the addon: 9 to 12 ms, once. Rejects when it is not installed or not built for this platform. */
export async function loadNativeProfilers(): Promise<NativeProfilers> {
  const time = await import('@datadog/pprof/out/src/time-profiler-bindings.js');
  const heap = await import('@datadog/pprof/out/src/heap-profiler-bindings.js');
  if (typeof time.TimeProfiler !== 'function' || time.constants?.kSampleCount !== 0 || typeof heap.getAllocationProfile !== 'function') {
    throw new Error('this version of it has another shape');
  }
  return { TimeProfiler: time.TimeProfiler as NativeProfilers['TimeProfiler'], heap: heap as NativeHeapProfiler };
}

/** A profiler that is not started, and the store that is its context key where AsyncContextFrame is active. */
export interface KeyedTimeProfiler {
  readonly profiler: NativeTimeProfiler;
  readonly store: AsyncLocalStorage<object | undefined> | undefined;
}

/** Makes a profiler whose samples carry what is in a store, if this Node can, and one with a single slot otherwise. */
export function createTimeProfiler(native: NativeProfilers, settings: TimeProfilerSettings): KeyedTimeProfiler {
  return (settings.withContexts ? createKeyed(native, settings) : undefined) ?? createUnkeyed(native, settings);
}

function createUnkeyed(native: NativeProfilers, settings: TimeProfilerSettings): KeyedTimeProfiler {
  return { profiler: new native.TimeProfiler({ ...settings, useCPED: false, CPEDKey: undefined }), store: undefined };
}

/** By what it does, not by version: flags turn AsyncContextFrame on in Node 22 and off in 24, and the sampler then finds nothing. */
function createKeyed(native: NativeProfilers, settings: TimeProfilerSettings): KeyedTimeProfiler | undefined {
  const store = new AsyncLocalStorage<object | undefined>();
  let profiler: NativeTimeProfiler;
  try {
    profiler = new native.TimeProfiler({ ...settings, useCPED: true, CPEDKey: store });
  } catch {
    return undefined;
  }
  const probe = {};
  if (store.run(profiler.createContextHolder(probe), () => profiler.context) === probe) return { profiler, store };
  profiler.dispose();
  store.disable();
  return undefined;
}
