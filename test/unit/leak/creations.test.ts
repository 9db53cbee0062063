import { runInThisContext } from 'node:vm';
import { afterEach, describe, expect, it } from 'vitest';
import { captureStack } from '../../../src/leak/creation-stack.ts';
import type { Site } from '../../../src/leak/site.ts';
import { Creations } from '../../../src/leak/creations.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';

const KIB = 1024;

/** Park and Miller: the same numbers in every run. */
function seeded(seed = 1): () => number {
  let state = seed;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

function site(file: string, line = 1, name = 'f'): Site {
  return { function: name, file, line, column: 1 };
}

const APP = [site('/app/upload.js', 7, 'readUpload')];

interface Made {
  readonly size: number;
}

/** Creates objects of those sizes as a sampler would; what is given back holds them. */
function create(store: Creations<Made>, sizes: readonly number[], stack: readonly Site[] = APP): Made[] {
  let left = store.nextGap();
  return sizes.map((size) => {
    const made = { size };
    left -= size;
    if (left <= 0) {
      store.add(made, size, stack);
      left = store.nextGap();
    }
    return made;
  });
}

/** 100 objects of the same size, several times over. */
function sizes(count: number, ...each: readonly number[]): number[] {
  return Array.from({ length: count }, (_, i) => each[i % each.length]!);
}

describe('a store of sampled creations', () => {
  const held: Made[][] = [];
  afterEach(() => void held.splice(0));

  function store(options: { distance?: number; entriesMax?: number; seed?: number; isAlive?: (made: Made) => boolean } = {}) {
    const { seed, ...rest } = options;
    const clock = new ManualClock();
    return { clock, creations: new Creations<Made>({ clock, distance: 64 * KIB, random: seeded(seed), ...rest }) };
  }

  it('estimates the bytes and the number of what was created within three standard errors, small and large alike', () => {
    const { creations, clock } = store({ entriesMax: 100_000 });
    const all = sizes(40_000, 100, KIB, 16 * KIB, 200 * KIB);
    for (let i = 0; i < all.length; i += 400) {
      held.push(create(creations, all.slice(i, i + 400)));
      clock.advance(2000);
    }
    expect(creations.distance).toBe(64 * KIB);
    const [group] = creations.rank(0, {});
    const bytes = all.reduce((sum, size) => sum + size, 0);
    // Of a Poisson sample: the sum of size squared times (1 / chance - 1).
    const variance = all.reduce((sum, size) => sum + size * size * (1 / -Math.expm1(-size / creations.distance) - 1), 0);
    expect(Math.abs(group!.bytes - bytes)).toBeLessThan(3 * Math.sqrt(variance));
    expect(group!.share).toBe(1);
  });

  it('keeps at most as many as it may and its estimate right, with a longer distance', () => {
    const { creations } = store({ entriesMax: 512 });
    held.push(create(creations, sizes(20_000, 32 * KIB)));
    const bytes = 20_000 * 32 * KIB;
    expect(creations.size).toBeLessThanOrEqual(512);
    expect(creations.distance).toBeGreaterThanOrEqual(1024 * KIB);
    const [group] = creations.rank(0, {});
    expect(Math.abs(group!.bytes - bytes) / bytes).toBeLessThan(3 / Math.sqrt(256));
    expect(Math.abs(group!.count - 20_000) / 20_000).toBeLessThan(3 / Math.sqrt(256));
  });

  it('drops the dead before it lengthens the distance', () => {
    const { creations } = store({ distance: 0, entriesMax: 100, isAlive: ({ size }) => size !== 2 });
    held.push(create(creations, sizes(150, 2)), create(creations, sizes(10, 1)));
    expect(creations.distance).toBe(0);
    expect(creations.rank(0, {})).toMatchObject([{ count: 10, bytes: 10 }]);
  });

  it('takes every creation at distance 0, and counts right when it no longer can', () => {
    const { creations } = store({ distance: 0, entriesMax: 500 });
    held.push(create(creations, sizes(500, 1)));
    expect(creations.rank(0, {})[0]!.count).toBe(500);
    held.push(create(creations, sizes(9500, 1)));
    expect(creations.distance).toBeGreaterThan(4);
    expect(Math.abs(creations.rank(0, {})[0]!.count - 10_000)).toBeLessThan((3 * 10_000) / Math.sqrt(250));
  });

  it('lengthens the distance with the 513th sample within two seconds', () => {
    const { creations } = store({ distance: 0 });
    held.push(create(creations, sizes(512, 1)));
    expect(creations.distance).toBe(0);
    held.push(create(creations, [1]));
    expect(creations.distance).toBe(1);
    const slow = store({ distance: 0 });
    held.push(create(slow.creations, sizes(500, 1)));
    slow.clock.advance(2000);
    held.push(create(slow.creations, sizes(500, 1)));
    expect(slow.creations.distance).toBe(0);
  });

  it('tells only those of the age asked for', () => {
    const { creations, clock } = store({ distance: 0 });
    held.push(create(creations, [1]));
    clock.advance(1000);
    held.push(create(creations, [1]));
    expect(creations.rank(1000, {})).toMatchObject([{ count: 1, share: 1 }]);
    expect(creations.rank(1001, {})).toEqual([]);
  });

  it('names the innermost frame of the application, then of a library, then of the runtime', () => {
    const { creations } = store({ distance: 0 });
    const pool = site('/app/node_modules/pool/index.js', 3, 'grow');
    const query = site('/app/db.js', 4, 'query');
    const own = site('/app/lib/sonde/x.js', 5, 'push');
    const inner = site('node:fs', 6, 'readFileSync');
    held.push(create(creations, sizes(3, 1), [inner, pool, query, site('/app/main.js')]));
    held.push(create(creations, sizes(2, 1), [own, site('node:net')]), create(creations, [1], [inner]));
    expect(creations.rank(0, { ownDirectory: '/app/lib/sonde' })).toMatchObject([
      { site: query, owner: 'application', count: 3, share: 0.5 },
      { site: own, owner: 'library', count: 2 },
      { site: inner, owner: 'runtime', count: 1 },
    ]);
    held.push(create(creations, sizes(9, 1), []));
    expect(creations.rank(0, {})[0]).toMatchObject({ site: null, owner: null, stack: [], leaves: [], count: 9 });
  });

  it('tells of a place the heaviest stack and its five heaviest leaves', () => {
    const { creations } = store({ distance: 0 });
    const query = site('/app/db.js', 4, 'query');
    for (let leaf = 1; leaf <= 6; leaf++) {
      held.push(create(creations, sizes(leaf, 1), [site('node:buffer', leaf), query]));
    }
    const [group, ...others] = creations.rank(0, {});
    expect(others).toEqual([]);
    expect(group!.stack[0]!.line).toBe(6);
    expect(group!.leaves.map(({ site: { line } }) => line)).toEqual([6, 5, 4, 3, 2]);
    expect(group!.leaves[0]!.share).toBeCloseTo(6 / 21, 10);
  });

  it('is empty when it has been cleared', () => {
    const { creations } = store({ distance: 0 });
    held.push(create(creations, [1]));
    creations.clear();
    expect(creations.rank(0, {})).toEqual([]);
  });
});

describe('the stack of a creation', () => {
  const descriptors = () => [
    Object.getOwnPropertyDescriptor(Error, 'prepareStackTrace'),
    Object.getOwnPropertyDescriptor(Error, 'stackTraceLimit'),
  ];
  const before = descriptors();
  afterEach(() => {
    for (const [i, name] of ['prepareStackTrace', 'stackTraceLimit'].entries()) {
      if (before[i] === undefined) Reflect.deleteProperty(Error, name);
      else Object.defineProperty(Error, name, before[i]);
    }
  });

  const captured = (): Site[] => captureStack(captured, {});
  const create = (): Site[] => captured();

  it('begins at the line and column of the call', () => {
    const made = runInThisContext('function made(captured) {\n  return captured();\n}\nmade', { filename: '/app/made.js' }) as (
      captured: () => Site[],
    ) => Site[];
    expect(made(captured)[0]).toEqual({ function: 'made', file: '/app/made.js', line: 2, column: 10 });
  });

  it('goes on beyond await', async () => {
    async function made(): Promise<Site[]> {
      await Promise.resolve();
      return create();
    }
    async function handler(): Promise<Site[]> {
      const stack = await made();
      return stack;
    }
    const own = (await handler()).filter(({ file }) => file === import.meta.filename);
    expect(own.slice(0, 3).map(({ function: name }) => name)).toEqual(['create', 'made', 'handler']);
  });

  it('neither asks nor changes what the application has put into Error', () => {
    let asked = 0;
    Error.prepareStackTrace = () => (asked += 1);
    Error.stackTraceLimit = 0;
    const own = descriptors();
    expect(create()[0]!.function).toBe('create');
    expect(asked).toBe(0);
    expect(descriptors()).toEqual(own);
  });

  it('leaves accessors and absence as they were', () => {
    let set = 0;
    Object.defineProperty(Error, 'prepareStackTrace', {
      get: () => undefined,
      set: () => {
        set += 1;
      },
      configurable: true,
      enumerable: false,
    });
    Reflect.deleteProperty(Error, 'stackTraceLimit');
    const own = descriptors();
    expect(create()[0]!.function).toBe('create');
    expect(set).toBe(0);
    expect(descriptors()).toEqual(own);
    expect(own[1]).toBeUndefined();
  });

  it('keeps 32 frames at most, without those of Sonde and Node at the top', () => {
    const deep = (depth: number): Site[] => (depth === 0 ? create() : deep(depth - 1));
    expect(deep(60)).toHaveLength(32);
    const inSort = (): Site[][] => {
      const stacks: Site[][] = [];
      [1].forEach(() => stacks.push(captureStack(captured, { ownDirectory: import.meta.dirname })));
      return stacks;
    };
    expect(inSort()[0]!.every(({ file }) => !file.startsWith(import.meta.dirname))).toBe(true);
  });
});
