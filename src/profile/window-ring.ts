// The windows of continuous profiling that have just passed, the oldest dropped first. Two limits: an age, and
// bytes, because a window of a service with wide call trees is a hundred times that of a small one.
import type { Profile } from './profile.ts';
import { sizeBytes } from './profile.ts';

/** Fifteen minutes: what one still wants to look at when an alert has fired and a person has come. */
export const RING_SECONDS = 900;

/** 8 MiB: fifteen minutes of a usual service take 1 to 5, and the widest trees (64 KiB a window) still get twenty. */
const RING_BYTES: number = 8 * 1024 * 1024;

export class WindowRing {
  readonly #maxAgeMillis: number;
  readonly #maxBytes: number;
  #windows: Profile[] = [];
  #bytes = 0;

  constructor(maxAgeSeconds: number = RING_SECONDS, maxBytes: number = RING_BYTES) {
    this.#maxAgeMillis = maxAgeSeconds * 1000;
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Adds the newest window; a single window above the limit is kept until the next one comes. */
  push(window: Profile): void {
    this.#windows.push(window);
    this.#bytes += sizeBytes(window);
    const horizon = endMillis(window) - this.#maxAgeMillis;
    let drop = 0;
    while (drop < this.#windows.length - 1) {
      const oldest = this.#windows[drop] as Profile;
      if (endMillis(oldest) > horizon && this.#bytes <= this.#maxBytes) break;
      this.#bytes -= sizeBytes(oldest);
      drop++;
    }
    if (drop > 0) this.#windows = this.#windows.slice(drop);
  }

  /** Windows that hold anything of the time from `sinceEpochMillis` on, oldest first. */
  since(sinceEpochMillis: number): Profile[] {
    return this.#windows.filter((window) => endMillis(window) > sinceEpochMillis);
  }

  clear(): void {
    this.#windows = [];
    this.#bytes = 0;
  }
}

function endMillis(window: Profile): number {
  return window.startEpochMillis + window.durationMillis;
}
