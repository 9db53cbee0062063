// What is pushed of the profiles: CPU and wall time of exactly the time since they were last taken, and the live heap. Made by
// sdk.ts for each pusher, which encodes and delivers them.
import { setImmediate as nextTurn } from 'node:timers/promises';
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
    const follower = this.#follower;
    if (follower === undefined) return [];
    // By the inspector a read of the heap collects all garbage: 100 ms at 256 MiB, which nobody has asked for.
    const hasHeap = this.#engine.stats().heap === 'native';
    const [window, heap] = await Promise.all([
      unlessRefused(() => follower.take()),
      hasHeap ? unlessRefused(() => this.#engine.heap()) : undefined,
    ]);
    return [...(window === undefined ? [] : await timeProfiles(window)), ...(heap === undefined ? [] : [heap])];
  }

  stop(): void {
    this.#follower?.stop();
    this.#follower = undefined;
  }
}

/** Profiling may be off, or end, or another profiler may have stopped a sampler: that has been said where it happened. */
async function unlessRefused<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof ProfileError) return undefined;
    throw error;
  }
}

/** 20,000 rows are 2 to 10 ms to go through, so that there is a turn between. */
async function timeProfiles(window: Profile): Promise<Profile[]> {
  const cpu = { ...select(window, ['samples', 'cpu']), periodType: CPU };
  await nextTurn();
  return [cpu, select(window, ['samples', 'wall'])];
}
