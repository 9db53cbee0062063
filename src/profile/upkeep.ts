// What profiling does all the time by itself, in step with the heartbeat: ends windows, asks the governor, looks at the
// allocations, tells of stalls. Owned by the engine, which says what runs.
import type { Clock } from '../core/clock.ts';
import type { Guard } from '../core/guard.ts';
import type { ContinuousProfile } from './continuous.ts';
import { Heartbeat, type LoopBlock } from './heartbeat.ts';
import type { HeapSampler } from './heap-sampler.ts';
import type { Block } from './stall-description.ts';

/** How often the governor looks, and the least time between two looks at the allocations. */
const GOVERN_MILLIS = 10_000;
const LOOK_MILLIS = 2000;
/** A look at the allocations takes a two-thousandth of the time at most, and is left to the leak detector when it takes longer than this. */
const LOOK_PAUSE_FACTOR = 2000;
const LOOK_MILLIS_MAX = 10;

const NOT_SAMPLED = '@datadog/pprof is not running, which samples the stacks';

export interface UpkeepOptions {
  readonly guard: Guard;
  readonly clock: Clock;
  /** Told of every block of the event loop that is at least this long. */
  readonly stalls?: { readonly thresholdMillis: number; readonly onBlock: (block: Block) => void } | undefined;
}

/** What is kept up, as far as it runs. */
interface Kept {
  readonly continuous: ContinuousProfile | undefined;
  readonly heap: HeapSampler | undefined;
}

export class Upkeep {
  readonly #options: UpkeepOptions;
  readonly #heartbeat: Heartbeat;
  #kept: Kept = { continuous: undefined, heap: undefined };
  #governedMillis = 0;
  #lookAtMillis = 0;

  constructor(options: UpkeepOptions) {
    const { guard, clock, stalls } = options;
    this.#options = options;
    this.#heartbeat = new Heartbeat({
      guard,
      clock,
      onBeat: (nowMillis) => this.#beat(nowMillis),
      blocks: stalls && { thresholdMillis: stalls.thresholdMillis, onBlock: (block) => this.#blocked(block) },
    });
  }

  start(kept: Kept): void {
    this.#kept = kept;
    this.#governedMillis = this.#options.clock.monotonicMillis();
    this.#heartbeat.start();
  }

  stop(): void {
    this.#heartbeat.stop();
  }

  /** Tells of a block of the event loop now, if one is under way that is long enough. */
  checkStall(): void {
    this.#heartbeat.check();
  }

  /** Ten times a second. */
  #beat(nowMillis: number): void {
    this.#kept.continuous?.windows.tick();
    if (nowMillis - this.#governedMillis >= GOVERN_MILLIS) this.#govern(nowMillis);
    const { heap } = this.#kept;
    // The inspector's reads collect the heap.
    if (heap?.kind === 'native' && nowMillis >= this.#lookAtMillis) this.#look(heap, nowMillis);
  }

  #blocked({ endMillis, durationMillis: upToMillis, cpuMillis, wasWaiting }: LoopBlock): void {
    const { stalls } = this.#options;
    if (stalls === undefined) return;
    const sampled = wasWaiting ? '' : (this.#kept.continuous?.stretch(upToMillis, cpuMillis) ?? NOT_SAMPLED);
    // The samples may have seen a pause in it.
    const durationMillis = typeof sampled === 'string' ? upToMillis : upToMillis - sampled.skippedMillis;
    if (durationMillis < stalls.thresholdMillis) return;
    stalls.onBlock({ startMillis: endMillis - durationMillis, durationMillis, wasWaiting, sampled });
  }

  #look(heap: HeapSampler, nowMillis: number): void {
    this.#lookAtMillis = nowMillis + Math.max(LOOK_MILLIS, heap.lookMillis * LOOK_PAUSE_FACTOR);
    if (heap.lookMillis <= LOOK_MILLIS_MAX) void this.#options.guard.runAsync('profile allocations', () => heap.look());
  }

  #govern(nowMillis: number): void {
    const seconds = (nowMillis - this.#governedMillis) / 1000;
    this.#governedMillis = nowMillis;
    // A change of the rate is a pause of ours and no stall of the application's.
    if (this.#kept.continuous?.govern(seconds) === true) this.#heartbeat.skip();
  }
}
