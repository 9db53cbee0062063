// A reader's own sequence of windows, without a gap or an overlap, for who comes at an interval of his own: the pushers.
// Made by cpu-windows.ts, which hands it every window that ends.
import { merge, sizeBytes, type Profile } from './profile.ts';

/** What may wait to be taken: some ten minutes of a service that is busy all the time. */
const BYTES_MAX = 4 * 1024 * 1024;

export interface FollowerDeps {
  /** Ends the window that is under way. */
  readonly cut: () => void;
  readonly leave: (follower: Follower) => void;
  /** Makes of the sum what readers get. */
  readonly finish: (profile: Profile) => Promise<Profile>;
}

export class Follower {
  readonly #deps: FollowerDeps;
  #windows: Profile[] = [];
  #bytes = 0;
  #dropped = 0;

  constructor(deps: FollowerDeps) {
    this.#deps = deps;
  }

  /** Bytes that wait to be taken. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Windows lost because they were not taken in time. */
  get dropped(): number {
    return this.#dropped;
  }

  push(window: Profile): void {
    this.#windows.push(window);
    this.#bytes += sizeBytes(window);
    while (this.#bytes > BYTES_MAX && this.#windows.length > 1) {
      this.#bytes -= sizeBytes(this.#windows.shift() as Profile);
      this.#dropped += 1;
    }
  }

  /** The sum of the windows since the last call, the one that was under way included; undefined where there is none. */
  async take(): Promise<Profile | undefined> {
    this.#deps.cut();
    const windows = this.#windows;
    this.#windows = [];
    this.#bytes = 0;
    return windows.length === 0 ? undefined : await this.#deps.finish(await merge(windows));
  }

  stop(): void {
    this.#windows = [];
    this.#bytes = 0;
    this.#deps.leave(this);
  }
}
