// The door to @datadog/pprof. Its native classes are used without its JavaScript layer, which drops `(program)`,
// loads a source-map engine (9 ms instead of 25 to load without), and cannot take a context key of ours. That layer
// is internal to the package, hence the exact pin and the check of shape here. Only the engine's parts come here.
import type { AllocationNode, TimeTree } from './v8.ts';

/** V8's CPU profiler with a CPU clock; one per thread and copy of the addon. */
export interface NativeTimeProfiler {
  start(): void;
  /** The profile since the start; with `restart` the next one is begun before, so that there is no gap. */
  stop(restart: boolean): TimeTree;
  dispose(): void;
  /** 0 no, 1 perhaps, 2 surely: V8's sampling thread spins and profiles stay empty. */
  v8ProfilerStuckEventLoopDetected(): number;
  /** What the samples from now on carry; contexts must be set once for CPU times to be kept. */
  context: object;
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
  useCPED: false;
}

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
  if (typeof time.TimeProfiler !== 'function' || typeof heap.getAllocationProfile !== 'function') {
    throw new Error('this version of it has another shape');
  }
  return { TimeProfiler: time.TimeProfiler as NativeProfilers['TimeProfiler'], heap: heap as NativeHeapProfiler };
}
