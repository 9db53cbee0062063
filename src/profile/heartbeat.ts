// Is the event loop held up? And the one clockwork for all of profiling that has to be done from time to time: the ends of
// windows, the governor. Owned by upkeep.ts. It notes the time at every beat (a timer), at the ends of the first turns of
// the loop after it (which wakes nobody) and, when there are many of them, every fifteen milliseconds (another timer). So it
// knows when the turn began that holds the loop; of a loop that is busy to eight milliseconds. Costs a busy service 70 timers a second,
// an idle one ten.
import type { Clock } from '../core/clock.ts';
import type { Alarm, Guard, Timer } from '../core/guard.ts';

/** What an idle process pays for: 0.16 to 0.2 % of a core; twenty plain timers a second would cost 0.25. */
const BEAT_MILLIS = 100;

/** The least time between two timers, and so the most that the start of a block can be uncertain by. */
const PROBE_MILLIS = 15;

/** Turns of the loop that are noted after a timer; each costs some 15 us among other work, and a busy service has ten thousand a second. */
const TURNS_MAX = 3;

/** When that many turns take as long as this, they are few enough to note them all. */
const SLOW_TURNS_MILLIS = 30;

/** A process that used this share of a core has so many turns of its loop that to note three tells nothing. */
const BUSY_SHARE_MIN = 0.5;

/** A time in which no timer could run. */
export interface LoopBlock {
  readonly endMillis: number;
  readonly durationMillis: number;
  /** CPU time that the whole process used in it and up to a tenth of a second before. */
  readonly cpuMillis: number;
  /** The loop was waiting for something to happen and did not wake when it was time to: the process did not run. */
  readonly wasWaiting: boolean;
}

export interface HeartbeatOptions {
  readonly guard: Pick<Guard, 'every' | 'alarm' | 'turnEnd'>;
  readonly clock: Clock;
  /** Told the time, ten times a second. */
  readonly onBeat: (nowMillis: number) => void;
  /** Told, right after it, of every block that is at least this long. */
  readonly blocks?: { readonly thresholdMillis: number; readonly onBlock: (block: LoopBlock) => void } | undefined;
  /** How long this thread's loop has waited, in all, or less: a profiler makes Node forget some of it. */
  readonly idleMillis?: () => number;
  /** CPU time of the process, in all. */
  readonly cpuMillis?: () => number;
}

export class Heartbeat {
  readonly #options: HeartbeatOptions;
  readonly #idleMillis: () => number;
  readonly #cpuMillis: () => number;
  readonly #probeAlarm: Alarm;
  readonly #turnAlarm: Alarm;
  #timer: Timer | undefined;
  /** When the loop was last seen to turn, and how long it had waited by then. */
  #seenMillis = 0;
  #seenIdleMillis = 0;
  /** CPU time at the last beat; asking for it takes 10 us. */
  #cpuBeatMillis = 0;
  #beatMillis = 0;
  #isBusy = false;
  /** When the timers are to run. */
  #beatDueMillis = 0;
  #probeDueMillis = Infinity;
  /** Whether the end of this turn will be noted. */
  #notesTurn = false;
  #turnsLeft = 0;
  /** When the first of them was to be noted. */
  #turnsMillis = 0;

  constructor(options: HeartbeatOptions) {
    const { guard, idleMillis = () => performance.nodeTiming.idleTime, cpuMillis = processCpuMillis } = options;
    this.#options = options;
    this.#idleMillis = idleMillis;
    this.#cpuMillis = cpuMillis;
    this.#probeAlarm = guard.alarm('profile heartbeat', PROBE_MILLIS, () => this.#probe());
    this.#turnAlarm = guard.turnEnd('profile heartbeat', () => this.#turn());
  }

  start(): void {
    const { guard, clock } = this.#options;
    this.skip();
    this.#beatMillis = this.#seenMillis;
    this.#cpuBeatMillis = this.#cpuMillis();
    this.#beatDueMillis = clock.monotonicMillis() + BEAT_MILLIS;
    this.#timer = guard.every('profile heartbeat', BEAT_MILLIS, () => this.#beat());
    this.#noteTurns();
  }

  /** What has passed is known already, as a pause that profiling itself has made. */
  skip(): void {
    this.#seenMillis = this.#options.clock.monotonicMillis();
    this.#seenIdleMillis = this.#idleMillis();
  }

  /** Tells now, and not when the turn has ended, if this turn has been a block already. */
  check(): void {
    if (this.#timer === undefined) return;
    const nowMillis = this.#options.clock.monotonicMillis();
    // What is not long enough yet may still be when the turn ends.
    if (this.#blockOf(nowMillis, this.#activeSince(this.#idleMillis(), nowMillis)) !== undefined) this.#look();
  }

  stop(): void {
    this.#timer?.stop();
    this.#timer = undefined;
    this.#probeAlarm.stop();
    this.#turnAlarm.stop();
  }

  #beat(): void {
    const { clock, onBeat } = this.#options;
    this.#look();
    const cpuMillis = this.#cpuMillis();
    this.#isBusy = cpuMillis - this.#cpuBeatMillis >= (this.#seenMillis - this.#beatMillis) * BUSY_SHARE_MIN;
    this.#cpuBeatMillis = cpuMillis;
    this.#beatMillis = this.#seenMillis;
    // Node counts an interval from the end of the call.
    this.#beatDueMillis = clock.monotonicMillis() + BEAT_MILLIS;
    this.#goOn();
    onBeat(this.#seenMillis);
    this.#beatDueMillis = clock.monotonicMillis() + BEAT_MILLIS;
  }

  #probe(): void {
    this.#look();
    this.#probeDueMillis = Infinity;
    this.#goOn();
  }

  #turn(): void {
    this.#look();
    this.#notesTurn = false;
    this.#turnsLeft -= 1;
    if (this.#turnsLeft > 0) this.#noteTurn();
    else if (this.#seenMillis - this.#turnsMillis >= SLOW_TURNS_MILLIS) this.#noteTurns();
    else this.#armProbe();
  }

  /** What follows after a timer. */
  #goOn(): void {
    if (this.#isBusy && !this.#notesTurn) this.#armProbe();
    else this.#noteTurns();
  }

  #armProbe(): void {
    if (this.#options.blocks === undefined || this.#beatDueMillis - this.#seenMillis <= PROBE_MILLIS) return;
    this.#probeDueMillis = this.#seenMillis + PROBE_MILLIS;
    this.#probeAlarm.arm();
  }

  #noteTurns(): void {
    if (this.#options.blocks === undefined) return;
    this.#turnsLeft = TURNS_MAX;
    this.#turnsMillis = this.#seenMillis;
    if (!this.#notesTurn) this.#noteTurn();
  }

  #noteTurn(): void {
    this.#notesTurn = true;
    this.#turnAlarm.arm();
  }

  /** The loop is seen to turn: was it held since it was last seen? */
  #look(): void {
    const nowMillis = this.#options.clock.monotonicMillis();
    const idleMillis = this.#idleMillis();
    const activeMillis = this.#activeSince(idleMillis, nowMillis);
    const block = this.#blockOf(nowMillis, activeMillis);
    this.#seenMillis = nowMillis;
    this.#seenIdleMillis = idleMillis;
    if (block === undefined) return;
    this.#options.blocks?.onBlock({ ...block, cpuMillis: this.#cpuMillis() - this.#cpuBeatMillis });
    // The time that this took is not the application's.
    this.skip();
  }

  #activeSince(idleMillis: number, nowMillis: number): number {
    return Math.max(0, nowMillis - this.#seenMillis - (idleMillis - this.#seenIdleMillis));
  }

  /**
   * Since the loop was last seen one turn has passed when its end was to be noted. Otherwise there were several until a
   * timer was due, and one since then, which began in the last fifteen milliseconds before that.
   */
  #blockOf(nowMillis: number, activeMillis: number): Omit<LoopBlock, 'cpuMillis'> | undefined {
    const thresholdMillis = this.#options.blocks?.thresholdMillis ?? Infinity;
    const lateMillis = nowMillis - Math.max(this.#seenMillis, Math.min(this.#beatDueMillis, this.#probeDueMillis));
    const certainMillis = Math.min(activeMillis, Math.max(0, lateMillis));
    const durationMillis = this.#notesTurn ? activeMillis : (certainMillis + activeMillis) / 2;
    if (durationMillis >= thresholdMillis) return { endMillis: nowMillis, durationMillis, wasWaiting: false };
    const oversleptMillis = lateMillis - activeMillis;
    if (oversleptMillis < thresholdMillis) return undefined;
    return { endMillis: nowMillis, durationMillis: oversleptMillis, wasWaiting: true };
  }
}

function processCpuMillis(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
