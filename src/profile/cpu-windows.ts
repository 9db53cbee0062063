// Continuous CPU and wall profiling: what the sampler saw, cut into windows of at most ten seconds without a gap, kept in
// a ring and given to whoever is collecting. Owned by the engine, whose heartbeat says when to look whether a window is over.
import { isMainThread, threadId } from 'node:worker_threads';
import type { Clock } from '../core/clock.ts';
import type { Guard } from '../core/guard.ts';
import type { CpuCosts } from './cpu-costs.ts';
import type { CpuSampler } from './cpu-sampler.ts';
import { Follower } from './follower.ts';
import { LostIdle } from './lost-idle.ts';
import type { Profile } from './profile.ts';
import { ProfileError } from './profile-error.ts';
import { StackTable } from './stack-table.ts';
import { stretchOf, type Stretch } from './stretch.ts';
import { activityOf, fromTimeTree, type TimeTree, type TimeTreeOptions } from './v8.ts';
import { WindowRing, type RingLimits } from './window-ring.ts';

const WINDOW_MILLIS_MAX = 10_000;

/**
 * A rotation costs in proportion to the distinct stacks: 0.4 ms for few, 3 us for each node of the tree. So that a program
 * of wide and deep trees is stopped for 3 ms four times a second rather than for 100 every ten seconds, a window is halved after a
 * rotation above the upper figure, doubled after one below the lower, and short at first.
 */
const WINDOW_MILLIS_MIN = 250;
const WINDOW_MILLIS_FIRST = 1000;
const ROTATION_MILLIS_HIGH = 3;
const ROTATION_MILLIS_LOW = 1;

/** Half a sampling interval: a reader that comes in this time shares the cut of the one before. */
const SHARED_CUT_MILLIS = 5;

/**
 * A current window younger than this is not cut for readers of the past, so that polling cannot shred the ring, and
 * not judged stuck, which so short a window is often mistaken for; a restart can block for 100 ms.
 */
const WHOLE_MILLIS_MIN = 900;

/**
 * Nodes of the tree that the windows share; a service has some thousands. A full one makes room for another, and is kept by the
 * windows that were made with it. Room is only taken as it fills.
 */
const SHARED_NODES_MAX = 65_536;

const THREAD: string = isMainThread ? 'main' : `worker ${threadId}`;

export interface CpuWindowsOptions {
  readonly sampler: CpuSampler;
  readonly guard: Guard;
  readonly clock: Clock;
  readonly costs: CpuCosts;
  readonly limits: RingLimits;
}

export class CpuWindows {
  readonly #options: CpuWindowsOptions;
  readonly #sampler: CpuSampler;
  readonly #ring: WindowRing;
  /** Who is collecting now; each gets every window that ends. */
  readonly #collecting = new Set<{ push(window: Profile): unknown }>();
  readonly #followers = new Set<Follower>();
  readonly #lostIdle = new LostIdle();
  #stacks = new StackTable(SHARED_NODES_MAX);
  #windowStartMillis = 0;
  #windowMillis = WINDOW_MILLIS_FIRST;
  #rotations = 0;
  #rotationMillis = 0;
  #isStopped = false;

  constructor(options: CpuWindowsOptions) {
    this.#options = options;
    this.#sampler = options.sampler;
    this.#ring = new WindowRing(options.guard, options.limits);
  }

  get ring(): { readonly bytes: number; readonly seconds: number } {
    return this.#ring;
  }

  /** Windows that followers did not take in time. */
  get dropped(): number {
    return [...this.#followers].reduce((sum, { dropped }) => sum + dropped, 0);
  }

  get rotations(): number {
    return this.#rotations;
  }

  /** Time that rotations have taken on the event loop, in all. */
  get rotationMillis(): number {
    return this.#rotationMillis;
  }

  /** What Node's count of the time that the event loop has waited lacks, because sampling interrupts it. */
  get lostIdleMillis(): number {
    return this.#lostIdle.millis(this.#ageMillis());
  }

  /** Starts sampling; blocks as `CpuSampler.start` does. */
  start(): void {
    this.#sampler.start();
    this.#lostIdle.start();
    this.#windowStartMillis = this.#options.clock.monotonicMillis();
  }

  /** Ends the window if its time has come; called some ten times a second. */
  tick(): void {
    if (this.#ageMillis() >= this.#windowMillis || this.#sampler.isHalfFull) this.#rotate();
  }

  stop(): void {
    this.#isStopped = true;
    // What they have not taken is still theirs.
    if (this.#followers.size > 0) this.#rotate();
    this.#followers.clear();
    this.#sampler.stop();
    this.#ring.clear();
  }

  /** Windows of exactly the time that `until` takes, to half a sampling interval; at least one. Rejects with 503 when profiling stops. */
  async collect(until: () => Promise<void>): Promise<Profile[]> {
    if (this.#ageMillis() >= SHARED_CUT_MILLIS) this.#rotate();
    const windows: Profile[] = [];
    this.#collecting.add(windows);
    try {
      await until();
      if (this.#isStopped) throw new ProfileError(503, 'profiling has stopped');
      if (windows.length === 0 || this.#ageMillis() >= SHARED_CUT_MILLIS) this.#rotate();
      return windows;
    } finally {
      this.#collecting.delete(windows);
    }
  }

  /** Every window from now on, kept until it is taken; `finish` makes of their sum what the reader gets. */
  follow(finish: (profile: Profile) => Promise<Profile>): Follower {
    this.#rotate();
    const follower = new Follower({
      // Windows are cut for nobody when profiling has stopped.
      cut: () => this.#followers.has(follower) && this.#rotate(),
      leave: () => this.#followers.delete(follower),
      finish,
    });
    this.#followers.add(follower);
    return follower;
  }

  /** Windows that hold anything of the last `seconds`, at once, oldest first. */
  last(seconds: number): Generator<Profile> {
    const { clock } = this.#options;
    if (this.#ageMillis() >= WHOLE_MILLIS_MIN) this.#rotate();
    return this.#ring.since(clock.epochMillis(clock.monotonicMillis()) - seconds * 1000);
  }

  /** What was sampled in the milliseconds that have just passed, in which the process used that much CPU, for a stall; ends the window. */
  stretch(durationMillis: number, processCpuMillis: number): Stretch {
    const { clock } = this.#options;
    const toMicros = clock.epochMillis(clock.monotonicMillis()) * 1000;
    return this.#rotate((tree, options) => {
      const activeOf = (context: object): object | undefined => this.#sampler.activeOf(context);
      return stretchOf(tree, { ...options, fromMicros: toMicros - durationMillis * 1000, toMicros, processCpuMillis, activeOf });
    });
  }

  /** Keeps the ring and what waits for followers below so many bytes; answers whether the ring had to be cut for it. */
  limitTo(bytes: number): boolean {
    const followedBytes = [...this.#followers].reduce((sum, follower) => sum + follower.bytes, 0);
    const excess = this.#ring.bytes + followedBytes - bytes;
    if (excess > 0) this.#ring.limitTo(this.#ring.bytes - excess);
    return excess > 0;
  }

  /** Ends the window and samples at another rate from now on. */
  changeInterval(intervalMicros: number): void {
    this.#rotate();
    this.#sampler.changeInterval(intervalMicros);
    this.#windowStartMillis = this.#options.clock.monotonicMillis();
  }

  #ageMillis(): number {
    return this.#options.clock.monotonicMillis() - this.#windowStartMillis;
  }

  /** Ends the current window and begins the next; `read` may look at what V8 has answered. */
  #rotate(): void;
  #rotate<T>(read: (tree: TimeTree, options: TimeTreeOptions) => T): T;
  #rotate<T>(read?: (tree: TimeTree, options: TimeTreeOptions) => T): T | undefined {
    const { clock, costs } = this.#options;
    const startMillis = this.#windowStartMillis;
    const nowMillis = clock.monotonicMillis();
    const tree = this.#sampler.cut(nowMillis - startMillis >= WHOLE_MILLIS_MIN);
    this.#windowStartMillis = nowMillis;
    const options: TimeTreeOptions = {
      startEpochMillis: clock.epochMillis(startMillis),
      intervalMicros: this.#sampler.intervalMicros,
      labelsOf: (context) => this.#sampler.labelsOf(context),
      thread: THREAD,
      stacks: this.#sharedStacks(),
    };
    const activity = activityOf(tree);
    const window = fromTimeTree(tree, options, activity);
    this.#ring.push(window);
    costs.add(window);
    costs.addActivity(activity);
    this.#lostIdle.add(activity.wallNanos / 1e6, activity.activeNanos / 1e6);
    for (const reader of [...this.#collecting, ...this.#followers]) reader.push(window);
    const answer = read?.(tree, options);
    this.#rotations += 1;
    this.#adapt(clock.monotonicMillis() - nowMillis);
    return answer;
  }

  #sharedStacks(): StackTable {
    if (this.#stacks.count > SHARED_NODES_MAX / 2) this.#stacks = new StackTable(SHARED_NODES_MAX);
    return this.#stacks;
  }

  #adapt(rotationMillis: number): void {
    this.#rotationMillis += rotationMillis;
    if (rotationMillis > ROTATION_MILLIS_HIGH) this.#windowMillis = Math.max(this.#windowMillis / 2, WINDOW_MILLIS_MIN);
    else if (rotationMillis < ROTATION_MILLIS_LOW) this.#windowMillis = Math.min(this.#windowMillis * 2, WINDOW_MILLIS_MAX);
  }
}
