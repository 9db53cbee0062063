// How near a share of a limit has come, in levels, each told of once: a service that lives at 75 % crosses 70 once, and
// again only after it has been below 60. Pure.

const LEVELS: readonly number[] = [0.7, 0.8, 0.9, 0.95];

/** A level is left this far below it: the old generation swings by less between two collections of a steady service. */
const SLACK = 0.1;

export class Watermark {
  #passed = 0;

  /** The highest level that has been passed and not been left; 0 for none. */
  get level(): number {
    return LEVELS[this.#passed - 1] ?? 0;
  }

  /** Takes a new reading; answers the level that it passes, undefined when it passes none. */
  rise(share: number): number | undefined {
    const reached = LEVELS.filter((level) => share >= level).length;
    if (reached > this.#passed) {
      this.#passed = reached;
      return this.level;
    }
    // A hair's breadth less: 0.8 - 0.1 is more than 0.7.
    while (this.#passed > 0 && share < this.level - SLACK - 1e-9) this.#passed -= 1;
    return undefined;
  }
}
