// What the live heap looked like at nine equal steps of a stretch of time: enough to group today's survivors by age
// and to tell how much each function has gained since the start. The detector keeps one per length of time.

/** Age groups between two marks; the group after the last mark is still open. */
export const AGE_GROUPS = 8;

export interface Mark {
  readonly monotonicMillis: number;
  /** The newest allocation sampled until then. */
  readonly ordinal: number;
  /** Live bytes by function key; some hundred functions. */
  readonly liveBytes: ReadonlyMap<string, number>;
}

export class GrowthWindow {
  /** Marks are made every so many epochs. */
  readonly everyEpochs: number;
  #marks: Mark[] = [];

  constructor(everyEpochs: number) {
    this.everyEpochs = everyEpochs;
  }

  /** The oldest mark, once the window is full. */
  get start(): Mark | undefined {
    return this.#marks.length > AGE_GROUPS ? this.#marks[0] : undefined;
  }

  get boundaries(): number[] {
    return this.#marks.map(({ ordinal }) => ordinal);
  }

  /** Adds a mark and drops the one that is now too old. */
  push(mark: Mark): void {
    this.#marks.push(mark);
    if (this.#marks.length > AGE_GROUPS + 1) this.#marks.shift();
  }

  clear(): void {
    this.#marks = [];
  }
}
