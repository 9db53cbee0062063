// The readings of one kind of memory over the life of the process, thinned as they age so that every length of time
// back from now has its dozen: a leak of a minute and one of a day are looked for in the same list.
import type { Reading } from './trend.ts';

/** Readings kept: some thirty in the newest eighth of the time, as many in the eighths before. */
const READINGS_MAX = 128;

/** Readings that may hold garbage, before the first that does not. */
const BOUNDS_MAX = 16;

/** A stretch that is judged is half as long as the one before it, down to three readings. */
const STRETCH_READINGS_MIN = 3;

export class Series {
  readonly #readings: Reading[] = [];

  get readings(): readonly Reading[] {
    return this.#readings;
  }

  /** The newest that holds no garbage, or the first. */
  get last(): Reading | undefined {
    return this.#readings.findLast(({ dirty }) => dirty !== true) ?? this.#readings[0];
  }

  /** Adds the newest. */
  push(reading: Reading): void {
    const readings = this.#readings;
    if (reading.dirty === true) {
      if (readings.length < BOUNDS_MAX && readings.every(({ dirty }) => dirty === true)) readings.push(reading);
      return;
    }
    this.#dropBounds(reading);
    readings.push(reading);
    thin(readings, READINGS_MAX);
  }

  /**
   * Before the first collection old-generation readings tell a ramp from a stair. They hold garbage, and lack what is still
   * young, so one in the middle is all that is kept of them, and nothing but the first once there are two collections.
   */
  #dropBounds(newest: Reading): void {
    const readings = this.#readings;
    const start = readings[0];
    if (start === undefined) return;
    const middle = (start.seconds + newest.seconds) / 2;
    const bounds = readings.slice(1).filter(({ dirty }) => dirty === true);
    const nearest = bounds.toSorted((a, b) => Math.abs(a.seconds - middle) - Math.abs(b.seconds - middle))[0];
    const isFirst = readings.every(({ dirty }) => dirty === true);
    const kept = readings.filter((reading) => {
      if (reading.dirty !== true) return true;
      // Where everything begins, unless it turns out to have been garbage for the most part.
      if (reading === start) return reading.value <= newest.value;
      return isFirst && reading === nearest && reading.value <= newest.value;
    });
    readings.splice(0, readings.length, ...kept);
  }

  /** The whole of it, its newer half by time, and so on: the longest first, each of at least three readings. */
  stretches(): (readonly Reading[])[] {
    const stretches: (readonly Reading[])[] = [];
    let stretch: readonly Reading[] = this.#readings;
    while (stretch.length >= STRETCH_READINGS_MIN) {
      stretches.push(stretch);
      const [start, end] = [stretch[0] as Reading, stretch.at(-1) as Reading];
      const middle = (start.seconds + end.seconds) / 2;
      const newer = stretch.filter(({ seconds }) => seconds >= middle);
      if (newer.length === stretch.length) break;
      stretch = newer;
    }
    return stretches;
  }
}

/** While there are too many, drops the one whose neighbours are closest to one another for their age; never the first or the last. */
export function thin(items: { readonly seconds: number }[], itemsMax: number): void {
  while (items.length > itemsMax) {
    const end = (items.at(-1) as { seconds: number }).seconds;
    let [victim, least] = [1, Infinity];
    for (let i = 1; i < items.length - 1; i++) {
      const before = (items[i - 1] as { seconds: number }).seconds;
      const gap = ((items[i + 1] as { seconds: number }).seconds - before) / Math.max(end - before, 1e-9);
      if (gap < least) [victim, least] = [i, gap];
    }
    items.splice(victim, 1);
  }
}
