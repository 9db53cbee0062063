// What the soaked program does besides being profiled: garbage of all ages, code that is compiled and thrown away, and
// distinct stacks. The same with and without profiling, as it is made of seeded numbers.

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d_2b_79_f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Turns that what was allocated in one lives on: long enough to be moved to the old generation. */
const KEPT_TURNS = 64;

/** Functions of a level of the call tree; six levels of four are 4,096 stacks. */
const LEVELS = 6;
const FUNCTIONS_PER_LEVEL = 4;

type Step = (random: () => number, below: () => number) => number;

export class Work {
  readonly #random: () => number;
  readonly #kept: unknown[] = [];
  readonly #levels: readonly Step[][];
  #turns = 0;

  constructor(random: () => number) {
    this.#random = random;
    this.#levels = Array.from({ length: LEVELS }, (_, level) =>
      Array.from({ length: FUNCTIONS_PER_LEVEL }, (__, index) => {
        // From its source, so that each is a function of its own to V8.
        // oxlint-disable-next-line typescript/no-implied-eval
        return new Function('random', 'below', `/* level ${level} */ return below() + ${index} * random();`) as Step;
      }),
    );
  }

  /** Some 1.5 ms: garbage of all ages under one of 4,096 stacks, and two functions compiled anew. */
  turn(): number {
    this.#turns += 1;
    return this.#descend(0) + this.#churn();
  }

  #descend(level: number): number {
    if (level === LEVELS) return this.#allocate();
    const step = this.#levels[level]![Math.floor(this.#random() * FUNCTIONS_PER_LEVEL)]!;
    return step(this.#random, () => this.#descend(level + 1));
  }

  #allocate(): number {
    const rows = Array.from({ length: 600 }, (_, id) => ({ id, name: `row ${id}`, tags: [id, this.#turns], at: this.#random() }));
    const text = JSON.stringify(rows);
    this.#kept[this.#turns % KEPT_TURNS] = { rows: JSON.parse(text) as unknown, buffer: Buffer.alloc(16_384, 1) };
    return text.length;
  }

  #churn(): number {
    let sum = 0;
    for (let i = 0; i < 2; i++) {
      // oxlint-disable-next-line typescript/no-implied-eval
      const compiled = new Function(
        'n',
        `let sum = ${this.#turns * 2 + i}; for (let i = 0; i < n; i++) sum = (sum * 31 + i) % 65521; return sum;`,
      );
      // Hot enough that V8 optimises it while it runs.
      sum += (compiled as (n: number) => number)(50_000);
    }
    return sum;
  }
}
