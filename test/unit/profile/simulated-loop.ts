// An event loop in which time passes only as a test says: the phases of libuv since 1.45 (timers, poll, check), with timers as Node
// keeps them (an interval is counted from the end of the call). It stands for `Guard` and `Clock` where a test is about when things run.
import type { Clock } from '../../../src/core/clock.ts';
import type { Alarm, Guard, Timer } from '../../../src/core/guard.ts';

interface Due {
  readonly atMillis: number;
  readonly run: () => void;
}

type Phase = 'timers' | 'poll' | 'check';

export class SimulatedLoop implements Clock, Pick<Guard, 'every' | 'alarm' | 'turnEnd'> {
  nowMillis = 1_000_000;
  idleMillis = 0;
  /** How often a timer alone has ended a wait. */
  wakeUps = 0;
  readonly #timers = new Set<Due>();
  readonly #polls: Due[] = [];
  #checks = new Set<() => void>();
  /** Ends waits late: the process is not run in these. */
  #frozen: { fromMillis: number; untilMillis: number }[] = [];

  monotonicMillis(): number {
    return this.nowMillis;
  }

  epochMillis(monotonicMillis: number): number {
    return 1_700_000_000_000 + monotonicMillis;
  }

  every(_part: string, intervalMillis: number, fn: () => void): Timer {
    let due: Due;
    const arm = (): void => {
      due = { atMillis: this.nowMillis + intervalMillis, run: () => (fn(), arm()) };
      this.#timers.add(due);
    };
    arm();
    return { stop: () => this.#timers.delete(due) };
  }

  alarm(_part: string, delayMillis: number, fn: () => void): Alarm {
    let due: Due | undefined;
    const stop = (): void => void (due && this.#timers.delete(due));
    const arm = (): void => {
      stop();
      due = { atMillis: this.nowMillis + delayMillis, run: fn };
      this.#timers.add(due);
    };
    return { arm, stop };
  }

  turnEnd(_part: string, fn: () => void): Alarm {
    return { arm: () => this.#checks.add(fn), stop: () => this.#checks.delete(fn) };
  }

  /** Work of the application that comes up `inMillis` from now and takes `durationMillis`. */
  work(inMillis: number, durationMillis: number, phase: Phase = 'poll', then: () => void = () => {}): void {
    const atMillis = this.nowMillis + inMillis;
    const run = (): void => {
      this.nowMillis += durationMillis;
      then();
    };
    if (phase === 'timers') this.#timers.add({ atMillis, run });
    else if (phase === 'poll') this.#polls.push({ atMillis, run });
    else this.#polls.push({ atMillis, run: () => this.#checks.add(run) });
  }

  /** Work without a pause: turns of that length, one after the other. */
  saturate(turnMillis: number, forMillis: number): void {
    const until = this.nowMillis + forMillis;
    const turn = (): void => {
      if (this.nowMillis < until) this.work(0, turnMillis, 'poll', turn);
    };
    turn();
  }

  /** The process does not run in this time, should the loop be waiting. */
  freeze(inMillis: number, durationMillis: number): void {
    this.#frozen.push({ fromMillis: this.nowMillis + inMillis, untilMillis: this.nowMillis + inMillis + durationMillis });
  }

  /** Lets the loop run. */
  run(forMillis: number): void {
    const until = this.nowMillis + forMillis;
    while (this.nowMillis < until) {
      for (const timer of this.#dueTimers()) {
        if (!this.#timers.delete(timer)) continue;
        timer.run();
      }
      this.#wait(until);
      const polls = this.#polls.filter(({ atMillis }) => atMillis <= this.nowMillis);
      for (const poll of polls) {
        this.#polls.splice(this.#polls.indexOf(poll), 1);
        poll.run();
      }
      const checks = this.#checks;
      this.#checks = new Set();
      for (const check of checks) check();
    }
  }

  #dueTimers(): Due[] {
    return [...this.#timers].filter(({ atMillis }) => atMillis <= this.nowMillis).sort((a, b) => a.atMillis - b.atMillis);
  }

  #wait(until: number): void {
    const timerMillis = Math.min(...[...this.#timers].map(({ atMillis }) => atMillis));
    const pollMillis = Math.min(...this.#polls.map(({ atMillis }) => atMillis));
    let wakeMillis = Math.min(timerMillis, pollMillis, until);
    if (wakeMillis <= this.nowMillis) return;
    if (timerMillis < pollMillis) this.wakeUps += 1;
    for (const { fromMillis, untilMillis } of this.#frozen) {
      if (wakeMillis >= fromMillis && this.nowMillis < untilMillis) wakeMillis = Math.max(wakeMillis, untilMillis);
    }
    this.idleMillis += wakeMillis - this.nowMillis;
    this.nowMillis = wakeMillis;
  }
}
