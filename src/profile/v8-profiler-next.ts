// The door to v8-profiler-next, an optional peer: used for the DevTools formats where the application or Sonde has it
// installed and built for this Node. Its addon is loaded without its JavaScript layer, which puts `process.profiler`
// in place, prints to the console and loads node-pre-gyp (70 ms instead of 1). That layer's settings, the sampling
// interval and the form of the result, are one for the process and cannot be read: where the application has loaded it
// itself, its CPU profiler is left alone. Not used for the live heap: its way to read the heap sampler is to stop it,
// and V8 has one for everybody. Called by devtools.ts and heap-snapshot.ts.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Diag } from '../core/diag.ts';
import { type CpuProfile, fromCallTree, type CallTree } from './recorded-cpu-profile.ts';

const NAME = 'v8-profiler-next';

interface NativeCpuProfile {
  /** Absent when the application has asked the module for another form meanwhile. */
  readonly head?: CallTree;
  readonly samples: readonly number[];
  readonly timestamps: readonly number[];
  /** The module keeps every profile until it is told not to. */
  delete(): void;
}

interface NativeSnapshot {
  /** Synchronous; ends when `onChunk` answers false. A throw in `onChunk` aborts the process. */
  serialize(onChunk: (chunk: string) => boolean, onEnd: () => void): void;
  delete(): void;
}

interface Addon {
  setup(environment: { debug: boolean; thread_id: number }, check: () => { greater_than_12_15_0: boolean }): void;
  readonly cpu: {
    startProfiling(title: string, withSamples: boolean, mode: number): void;
    stopProfiling(title: string): NativeCpuProfile;
    /** 0 is what nobody has set: V8's millisecond. */
    setSamplingInterval(micros: number): void;
  };
  readonly heap: { takeSnapshot(title: string, control: () => void): NativeSnapshot };
}

interface Loaded {
  readonly addon: Addon;
  /** Whether the application has loaded the module itself. */
  isShared(): boolean;
}

/** A CPU profile that is being recorded. */
export interface CpuRecording {
  /** Ends it, once. Undefined when nothing can be read of it. */
  stop(): CpuProfile | undefined;
}

export interface V8ProfilerNextOptions {
  readonly diag: Diag;
  /** Where the module may be installed; the first that throws nothing and has it. A working directory may be gone. */
  readonly directories: readonly (() => string)[];
}

export class V8ProfilerNext {
  readonly #options: V8ProfilerNextOptions;
  /** Undefined before the first use, null when it is not there. */
  #loaded: Loaded | null | undefined;
  #recordings = 0;
  #titles = 0;
  #intervalMicros = 0;

  constructor(options: V8ProfilerNextOptions) {
    this.#options = options;
  }

  /**
   * Begins a CPU profile; blocks for about 20 ms, as every CPU profiler of V8's. Undefined when the module cannot do it
   * now: it is not there, belongs to the application, or records at another interval.
   */
  startCpu(intervalMicros: number): CpuRecording | undefined {
    const loaded = this.#load();
    if (loaded === null || loaded.isShared()) return undefined;
    if (this.#recordings > 0 && intervalMicros !== this.#intervalMicros) return undefined;
    const { cpu } = loaded.addon;
    this.#recordings += 1;
    this.#titles += 1;
    this.#intervalMicros = intervalMicros;
    const title = `sonde ${this.#titles}`;
    cpu.setSamplingInterval(intervalMicros);
    cpu.startProfiling(title, true, 0);
    const stop = (): CpuProfile | undefined => {
      const profile = cpu.stopProfiling(title);
      profile.delete();
      this.#recordings -= 1;
      if (this.#recordings === 0 && !loaded.isShared()) cpu.setSamplingInterval(0);
      return profile.head === undefined ? undefined : fromCallTree(profile.head, profile.samples, profile.timestamps);
    };
    return { stop };
  }

  /** Takes a heap snapshot and hands it over in pieces, all before it returns. Answers false when the module is not there. */
  takeHeapSnapshot(write: (chunk: string) => void): boolean {
    const loaded = this.#load();
    if (loaded === null) return false;
    const snapshot = loaded.addon.heap.takeSnapshot('', () => {});
    let failure: unknown;
    snapshot.serialize(
      (chunk) => {
        try {
          write(chunk);
        } catch (error) {
          failure = error;
        }
        return failure === undefined;
      },
      () => {},
    );
    snapshot.delete();
    if (failure !== undefined) throw failure as Error;
    return true;
  }

  /** Whether the module is there and loads: 1 ms, once. */
  isThere(): boolean {
    return this.#load() !== null;
  }

  #load(): Loaded | null {
    this.#loaded ??= this.#find();
    return this.#loaded;
  }

  #find(): Loaded | null {
    const root = rootOf(this.#options.directories);
    if (root === undefined) return null;
    const require = createRequire(join(root, 'package.json'));
    const isShared = (): boolean => require.cache[join(root, 'lib/binding.js')] !== undefined;
    try {
      const addon = require(join(root, binaryOf())) as Addon;
      const { cpu, heap } = addon;
      const needed: unknown[] = [addon.setup, cpu?.startProfiling, cpu?.stopProfiling, cpu?.setSamplingInterval, heap?.takeSnapshot];
      if (needed.some((part) => typeof part !== 'function')) throw new Error('this version of it has another shape');
      if (!isShared()) addon.setup({ debug: false, thread_id: 0 }, () => ({ greater_than_12_15_0: true }));
      return { addon, isShared };
    } catch (error) {
      const [reason] = (error instanceof Error ? error.message : String(error)).split('\n', 1);
      this.#options.diag.warn(NAME, `${NAME} is installed but does not load, the inspector takes its place: ${reason}`);
      return null;
    }
  }
}

function rootOf(directories: readonly (() => string)[]): string | undefined {
  for (const directory of directories) {
    try {
      return dirname(createRequire(join(directory(), 'package.json')).resolve(`${NAME}/package.json`));
    } catch {
      // Not to be found from there.
    }
  }
  return undefined;
}

/** Where its install script leaves the addon. */
function binaryOf(): string {
  return `build/binding/Release/node-v${process.versions.modules}-${process.platform}-${process.arch}/profiler.node`;
}
