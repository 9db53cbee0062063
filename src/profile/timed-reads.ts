// Reads that take time: how many at once, how they wait, and how they end when the client leaves or profiling stops.
// Owned by the engine.
import type { Guard } from '../core/guard.ts';
import { ProfileError } from './profile-error.ts';

/** Each holds its windows and cuts two. */
const READS_MAX = 8;

/** Longest time to come or passed that can be asked for, and what the ring keeps at most. */
export const READ_SECONDS_MAX = 900;

export class TimedReads {
  readonly #guard: Guard;
  readonly #stopping = new AbortController();
  #reads = 0;

  constructor(guard: Guard) {
    this.#guard = guard;
  }

  /** Runs a read unless eight are under way. */
  async run<T>(read: () => Promise<T>): Promise<T> {
    if (this.#reads >= READS_MAX) throw new ProfileError(503, `${READS_MAX} profiles are being taken already`);
    this.#reads += 1;
    try {
      return await read();
    } finally {
      this.#reads -= 1;
    }
  }

  /** Resolves after the time; rejects with the reason of `signal`, or with 503 when profiling stops. */
  async wait(seconds: number, signal: AbortSignal | undefined): Promise<void> {
    const stopping = this.#stopping.signal;
    const either = signal === undefined ? stopping : AbortSignal.any([signal, stopping]);
    either.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const abort = (): void => {
        timer.stop();
        reject(either.reason as Error);
      };
      const timer = this.#guard.after('profile wait', seconds * 1000, () => {
        either.removeEventListener('abort', abort);
        resolve();
      });
      either.addEventListener('abort', abort, { once: true });
    });
  }

  /** Ends those that wait. */
  stop(): void {
    this.#stopping.abort(new ProfileError(503, 'profiling has stopped'));
  }
}

export function checkSeconds(seconds: number): void {
  if (seconds > 0 && seconds <= READ_SECONDS_MAX) return;
  throw new ProfileError(400, `seconds must be above 0 and at most ${READ_SECONDS_MAX}`);
}
