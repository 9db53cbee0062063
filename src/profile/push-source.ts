// What is pushed of the profiles: CPU and wall time of exactly the time since they were last taken, and the live heap. Made by
// sdk.ts for each pusher, which encodes and delivers them.
import { ProfileError } from './profile-error.ts';
import { select, type Profile, type ValueType } from './profile.ts';

/** One reader's own sequence of windows with samples, cpu and wall, without gap or overlap. */
export interface Follower {
  /** Undefined when there is nothing new. */
  take(): Promise<Profile | undefined>;
  stop(): void;
}

/** What is read of the engine. */
export interface FollowedEngine {
  /** Undefined without continuous profiles. */
  follow(): Follower | undefined;
  heap(): Promise<Profile>;
  stats(): { readonly heap: 'off' | 'native' | 'inspector' };
}

/** Time on the CPU is the period of a CPU profile, as in Go; receivers tell profiles apart by it. */
const CPU: ValueType = { type: 'cpu', unit: 'nanoseconds' };

export class PushSource {
  readonly #engine: FollowedEngine;
  #follower: Follower | undefined;

  constructor(engine: FollowedEngine) {
    this.#engine = engine;
    this.#follower = engine.follow();
  }

  /** One profile for each kind that there is; none that could not be taken. */
  async take(): Promise<readonly Profile[]> {
    if (this.#follower === undefined) return [];
    const [window, heap] = await Promise.all([this.#follower.take(), this.#heap()]);
    return [...(window === undefined ? [] : timeProfiles(window)), ...(heap === undefined ? [] : [heap])];
  }

  stop(): void {
    this.#follower?.stop();
    this.#follower = undefined;
  }

  async #heap(): Promise<Profile | undefined> {
    // By the inspector a read collects all garbage: 100 ms at 256 MiB, which nobody has asked for.
    if (this.#engine.stats().heap !== 'native') return undefined;
    try {
      return await this.#engine.heap();
    } catch (error) {
      // Profiling is off, ends, or another profiler has stopped the sampler: that has been said, and the next one comes.
      if (error instanceof ProfileError) return undefined;
      throw error;
    }
  }
}

function timeProfiles(window: Profile): Profile[] {
  return [{ ...select(window, ['samples', 'cpu']), periodType: CPU }, select(window, ['samples', 'wall'])];
}
