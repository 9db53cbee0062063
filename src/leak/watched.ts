// One thing that is watched: a kind of memory, or one type of resource, with its readings, its level and its room. Owned
// by the detector. Pure.
import type { Forecast, KindReading, LeakKind } from './finding.ts';
import { forecast, type Judgement, judge, KindLevel, nextShareOf, type Room } from './levels.ts';
import { Series } from './series.ts';
import type { Reading } from './trend.ts';

/** What leaves room, in the unit of the kind. */
export interface Limits {
  /** V8's limit of the old generation, for the heap; Infinity for the rest. */
  readonly heap: number;
  /** The kind's present value and what the container, or the machine, has left. */
  readonly container: number;
}

export interface WatchedOptions {
  readonly kind: LeakKind;
  readonly resourceType: string | null;
  readonly minGrowth: number;
  readonly windowSeconds: number;
  /** Readings come after major collections only, which are further apart the larger it is. */
  readonly readAfterCollections: boolean;
}

/** V8 lets a heap grow by a factor up to this between two collections. */
const NEXT_FACTOR_MAX = 4.5;

export class Watched {
  readonly kind: LeakKind;
  readonly resourceType: string | null;
  readonly series: Series = new Series();
  readonly #options: WatchedOptions;
  readonly #level = new KindLevel();
  #limits: Limits = { heap: Infinity, container: Infinity };
  #room: Room = { limit: Infinity, nextFactor: 1 };

  constructor(options: WatchedOptions) {
    this.kind = options.kind;
    this.resourceType = options.resourceType;
    this.#options = options;
  }

  get level(): KindLevel['level'] {
    return this.#level.level;
  }

  get trend(): KindLevel['trend'] {
    return this.#level.trend;
  }

  get heapLimit(): Forecast | null {
    return forecast(this.trend, this.#value, this.#limits.heap);
  }

  get containerLimit(): Forecast | null {
    return this.kind === 'resources' ? null : forecast(this.trend, this.#value, this.#limits.container);
  }

  /** What the rise will have taken of its room at the next reading, 0 to 1 and above; 0 while nothing rises. */
  get nextShare(): number {
    return this.trend === undefined ? 0 : nextShareOf(this.trend, this.#value, this.#room);
  }

  /** Takes a reading that holds no garbage, and judges. */
  push(reading: Reading, limits: Limits): void {
    const before = this.series.last?.value ?? reading.value;
    this.series.push(reading);
    this.#limits = limits;
    const judgement = this.#judge(reading, before);
    this.#level.judged(judgement, reading);
    this.#level.look(reading);
  }

  /** Takes one that may hold garbage, and lack what is still `young`: by itself it can only tell that something has ended. */
  look(reading: Reading, young = 0): void {
    this.series.push({ ...reading, dirty: true });
    this.#level.look({ ...reading, value: reading.value + young });
  }

  reading(): KindReading {
    const { kind, level, heapLimit, containerLimit } = this;
    return { kind, level, current: this.#value, perMinute: (this.trend?.perSecond ?? 0) * 60, heapLimit, containerLimit };
  }

  get #value(): number {
    return this.series.last?.value ?? 0;
  }

  #judge(reading: Reading, before: number): Judgement {
    const { minGrowth, windowSeconds, readAfterCollections } = this.#options;
    const factor = readAfterCollections && before > 0 ? reading.value / before : 1;
    const limit = Math.min(this.#limits.heap, this.#limits.container);
    this.#room = { limit, nextFactor: Math.min(Math.max(factor, 1), NEXT_FACTOR_MAX) };
    return judge(this.series, this.#room, { minGrowth, windowSeconds });
  }
}
