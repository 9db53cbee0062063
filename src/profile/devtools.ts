// Profiles in Chrome's formats, taken on request: .cpuprofile with a profiler of its own beside the continuous one, so
// that it has its own interval and every sample in time order, and .heapprofile from the heap sampler that always runs.
// The first comes from v8-profiler-next where it can, else from the inspector. The second comes from the inspector always:
// V8 has one heap sampler per isolate, ours, and v8-profiler-next reads it by stopping it. The engine makes this and
// lends what it has of readers; serve/ reads. Heap snapshots need no engine and are in heap-snapshot.ts.
import type { HeapSamples } from '../core/heap-samples.ts';
import { type CpuProfile, fromInspector } from './recorded-cpu-profile.ts';
import type { HeapSampler } from './heap-sampler.ts';
import { deoptimize, profileCpu } from './inspector.ts';
import { ProfileError } from './profile-error.ts';
import type { TimedReads } from './timed-reads.ts';
import type { CpuRecording, V8ProfilerNext } from './v8-profiler-next.ts';

/** Who made a file. */
export type ProfilerName = 'v8-profiler-next' | 'inspector';

/** A CPU profile to be recorded from now on. */
export interface CpuProfileRead {
  readonly seconds: number;
  /** Time between two samples. */
  readonly intervalMicros: number;
  /**
   * Have V8 compile anew what it has optimised. From V8 12 on (Node 22) a profiler that begins late does not know code that
   * replaced a function's in the middle of a loop (on-stack replacement): its time goes to the caller. The continuous
   * profiler was there before.
   */
  readonly deoptimize?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A CPU profile and who made it. */
export interface RecordedCpuProfile {
  readonly profiler: ProfilerName;
  readonly profile: CpuProfile;
}

/** What the engine lends. */
export interface DevtoolsEngine {
  /** Throws ProfileError when CPU profiles are off or not running. */
  checkCpu(): void;
  /** The sampler, or a ProfileError. */
  heapSampler(): HeapSampler;
  readonly reads: TimedReads;
}

export class DevtoolsProfiles {
  readonly #engine: DevtoolsEngine;
  readonly #addon: V8ProfilerNext | undefined;
  readonly #recordings = new Set<CpuRecording>();

  constructor(engine: DevtoolsEngine, addon: V8ProfilerNext | undefined) {
    this.#engine = engine;
    this.#addon = addon;
  }

  /**
   * Records a CPU profile. Beginning blocks for 10 to 140 ms, because V8 goes through all compiled code. Rejects with the
   * reason of `signal`, or with ProfileError.
   */
  async cpuProfile({ seconds, intervalMicros, deoptimize: anew, signal }: CpuProfileRead): Promise<RecordedCpuProfile> {
    this.#engine.checkCpu();
    return await this.#engine.reads.run(async () => {
      const until = async (): Promise<void> => {
        if (anew === true) await deoptimize();
        await this.#engine.reads.wait(seconds, signal);
      };
      const recording = this.#addon?.startCpu(intervalMicros);
      if (recording !== undefined) return { profiler: 'v8-profiler-next', profile: await this.#record(recording, until) };
      return { profiler: 'inspector', profile: fromInspector(await profileCpu(until, intervalMicros)) };
    });
  }

  /** The live heap by allocation stack, as the sampler has it; `gc` collects garbage first. Rejects with ProfileError. */
  async heapProfile({ gc }: { readonly gc: boolean }): Promise<HeapSamples> {
    const sampler = this.#engine.heapSampler();
    if (gc) await sampler.collectGarbage();
    return await sampler.readSamples();
  }

  /** Ends what is being recorded, at once: a signal to sample may crash a process that is being torn down. */
  stop(): void {
    for (const recording of this.#recordings) recording.stop();
    this.#recordings.clear();
  }

  async #record(recording: CpuRecording, until: () => Promise<void>): Promise<CpuProfile> {
    this.#recordings.add(recording);
    let profile: CpuProfile | undefined;
    try {
      await until();
    } finally {
      if (this.#recordings.delete(recording)) profile = recording.stop();
    }
    if (profile !== undefined) return profile;
    throw new ProfileError(503, 'the application has begun to use v8-profiler-next in its own way; ask once more');
  }
}
