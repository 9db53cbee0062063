// Who can be asked for metrics. Collections coalesce: callers that come while one is under way share its answer,
// so two Prometheus servers and a push cost one reading. A collector that fails is left out and counted.
import type { Guard } from '../core/guard.ts';
import type { Collector, Family } from './family.ts';

export class Registry {
  readonly #guard: Guard;
  readonly #collectors = new Map<string, Collector>();
  #underway: Promise<readonly Family[]> | undefined;

  constructor(guard: Guard) {
    this.#guard = guard;
  }

  /** Adds a collector under the name its failures are counted by; a second one of that name replaces the first. */
  register(name: string, collector: Collector): void {
    this.#collectors.set(name, collector);
  }

  /** Reads every collector. Families of one name are merged into one, their series in order of registration. */
  collect(): Promise<readonly Family[]> {
    this.#underway ??= this.#collectAll().finally(() => {
      this.#underway = undefined;
    });
    return this.#underway;
  }

  async #collectAll(): Promise<readonly Family[]> {
    const merged = new Map<string, Family>();
    for (const [name, collector] of this.#collectors) {
      const families = await this.#guard.runAsync(`metrics:${name}`, async () => collector());
      for (const family of families ?? []) {
        const known = merged.get(family.name);
        if (known === undefined) merged.set(family.name, family);
        else if (known.type === family.type) merged.set(family.name, { ...known, points: [...known.points, ...family.points] } as Family);
      }
    }
    return [...merged.values()];
  }
}
