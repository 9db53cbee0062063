// The life of a heap as V8 would run it: what lives and what garbage comes with it, collected when the heap has grown by a
// factor since the last collection, as far as half of what is left below the limit. Played into a Watched, whose levels
// are told.
import type { LeakLevel } from '../../../src/leak/finding.ts';
import { Watched } from '../../../src/leak/watched.ts';

export const MIB: number = 1024 * 1024;
export const HOUR = 3600;
export const DAY: number = 24 * HOUR;

export interface Life {
  /** Bytes that live. */
  readonly live: (seconds: number) => number;
  readonly limitBytes: number;
  /** Until then, or until the heap is full. */
  readonly untilSeconds: number;
  /** Ends where this has been told. */
  readonly untilLevel?: LeakLevel;
  /** Bytes that come to the old generation and die there. */
  readonly garbagePerSecond?: number;
  /** The heap grows by this between two collections. */
  readonly factor?: number;
  /** Collections come after so long whatever the heap, as V8 makes them when a process idles; not by themselves without. */
  readonly collectSeconds?: number;
  readonly requests?: (seconds: number) => number;
  readonly active?: (seconds: number) => number;
  /** No readings between these. */
  readonly gap?: readonly [fromSeconds: number, untilSeconds: number];
}

export interface Told {
  readonly seconds: number;
  readonly level: LeakLevel;
  readonly bytes: number;
}

const WINDOW_SECONDS = 1800;
const MIN_GROWTH_BYTES: number = 4 * MIB;
const WARM_UP_SECONDS = 10;
/** Looks come each five seconds, and more often in a young process, each second at the most. */
const TICK_SECONDS_MAX = 5;
const TICK_AGE_SHARE = 1 / 20;
const STEP_SECONDS = 0.5;
/** V8 grows a heap by this at the least. */
const GROWTH_BYTES_MIN: number = 4 * MIB;

/** What was told, and when. */
export function play(life: Life): { readonly told: Told[]; readonly watched: Watched } {
  const { live, limitBytes, untilSeconds, garbagePerSecond = MIB, factor = 2, collectSeconds = Infinity, gap = [0, 0] } = life;
  const { requests = () => 0, active = () => 0 } = life;
  const options = { kind: 'heap', resourceType: null, minGrowth: MIN_GROWTH_BYTES, windowSeconds: WINDOW_SECONDS } as const;
  const watched = new Watched({ ...options, readAfterCollections: true });
  const told: Told[] = [];
  let [level, collected]: [LeakLevel, number] = ['watching', 0];
  let [threshold, looked] = [0, -Infinity];
  const readingOf = (seconds: number, value: number) => ({ seconds, value, requests: requests(seconds), active: active(seconds) });
  const limits = { heap: limitBytes, container: Infinity };
  for (let seconds = 0; seconds <= untilSeconds; seconds += STEP_SECONDS) {
    const [bytes, garbage] = [live(seconds), garbagePerSecond * (seconds - collected)];
    if (bytes >= limitBytes) break;
    const mayRead = !(seconds >= gap[0] && seconds < gap[1]);
    if (bytes + garbage >= threshold || seconds - collected >= collectSeconds) {
      collected = seconds;
      threshold = Math.min(Math.max(bytes * factor, bytes + GROWTH_BYTES_MIN), (bytes + limitBytes) / 2);
      if (mayRead && seconds > WARM_UP_SECONDS) watched.push(readingOf(seconds, bytes), limits);
    } else if (mayRead && seconds >= WARM_UP_SECONDS && Number.isInteger(seconds) && seconds - looked >= pauseAt(seconds)) {
      looked = seconds;
      watched.look(readingOf(seconds, bytes + garbage));
    }
    if (watched.level === level) continue;
    ({ level } = watched);
    told.push({ seconds, level, bytes });
    if (level === life.untilLevel) break;
  }
  return { told, watched };
}

/** The least time between two looks at that age. */
function pauseAt(seconds: number): number {
  return 0.9 * Math.min(seconds * TICK_AGE_SHARE, TICK_SECONDS_MAX);
}

export const levelsOf = (life: Life): LeakLevel[] => play(life).told.map(({ level }) => level);

/** When a level was told first; Infinity when never. */
export const secondsTo = (told: readonly Told[], wanted: LeakLevel): number =>
  told.find(({ level }) => level === wanted)?.seconds ?? Infinity;
