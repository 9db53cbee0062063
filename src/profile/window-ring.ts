// The windows of continuous profiling that have just passed, the oldest dropped first. Two limits: an age, and
// bytes, because a window of a service with wide call trees is a hundred times that of a small one. Short windows are
// added up to longer ones as they age, so that the ring holds some ninety and not thousands.
import type { Guard } from '../core/guard.ts';
import { PackedWindow } from './packed-window.ts';
import { merge, type Profile } from './profile.ts';

/** A window at rest is about this long. */
const PACKED_MILLIS = 10_000;

/** What is kept. */
export interface RingLimits {
  /** 900: what one still wants to look at when an alert has fired and a person has come. */
  readonly seconds: number;
  /** 8 MiB: fifteen minutes of a service that is busy all the time take 5 to 7. */
  readonly bytes: number;
}

export class WindowRing {
  readonly #guard: Guard;
  #limits: RingLimits;
  /** Older than all of `#recent`. */
  #packed: PackedWindow[] = [];
  #recent: Profile[] = [];
  #recentMillis = 0;
  #bytes = 0;
  #packing = false;

  constructor(guard: Guard, limits: RingLimits) {
    this.#guard = guard;
    this.#limits = limits;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Seconds of the past that it holds now. */
  get seconds(): number {
    const first = this.#packed[0] ?? this.#recent[0];
    const last = this.#recent.at(-1) ?? this.#packed.at(-1);
    return first === undefined || last === undefined ? 0 : (endMillis(last) - first.startEpochMillis) / 1000;
  }

  /** Adds the newest window; a single window above the limit is kept until the next one comes. */
  push(window: Profile): void {
    this.#recent.push(window);
    this.#recentMillis += window.durationMillis;
    // Windows of nine and of two seconds are one each: two of nine would be one of eighteen.
    if (this.#recentMillis >= 0.9 * PACKED_MILLIS && !this.#packing) void this.#guard.runAsync('profile ring', () => this.#pack());
  }

  /** Windows that hold anything of the time from `sinceEpochMillis` on, oldest first, each made when it is asked for. */
  *since(sinceEpochMillis: number): Generator<Profile> {
    // What is packed meanwhile is in one of the two.
    const [packed, recent] = [this.#packed, [...this.#recent]];
    for (const window of packed) if (endMillis(window) > sinceEpochMillis) yield window.unpack();
    for (const window of recent) if (endMillis(window) > sinceEpochMillis) yield window;
  }

  /** Holds fewer bytes from now on. */
  limitTo(bytes: number): void {
    this.#limits = { ...this.#limits, bytes };
    if (this.#packed.length > 0) this.#packed = this.#kept(this.#packed);
  }

  clear(): void {
    this.#packed = [];
    this.#recent = [];
    this.#recentMillis = 0;
    this.#bytes = 0;
  }

  async #pack(): Promise<void> {
    this.#packing = true;
    const windows = [...this.#recent];
    const whole = windows.length === 1 ? (windows[0] as Profile) : await merge(windows);
    this.#packing = false;
    // Cleared meanwhile.
    if (this.#recent[0] !== windows[0]) return;
    this.#recent = this.#recent.slice(windows.length);
    this.#recentMillis -= windows.reduce((sum, { durationMillis }) => sum + durationMillis, 0);
    const window = new PackedWindow(whole);
    this.#bytes += window.sizeBytes;
    this.#packed = this.#kept([...this.#packed, window]);
  }

  /** The windows without the oldest that are beyond a limit. */
  #kept(windows: PackedWindow[]): PackedWindow[] {
    const horizon = (windows.at(-1) as PackedWindow).endEpochMillis - this.#limits.seconds * 1000;
    let drop = 0;
    while (drop < windows.length - 1) {
      const oldest = windows[drop] as PackedWindow;
      if (oldest.endEpochMillis > horizon && this.#bytes <= this.#limits.bytes) break;
      this.#bytes -= oldest.sizeBytes;
      drop++;
    }
    return drop > 0 ? windows.slice(drop) : windows;
  }
}

function endMillis({ startEpochMillis, durationMillis }: { startEpochMillis: number; durationMillis: number }): number {
  return startEpochMillis + durationMillis;
}
