// Who keeps more and more, on heaps on paper of eight equal steps: a sample is a MiB.
import { describe, expect, test } from 'vitest';
import { type HeapGeneration, rankSites, type SiteGrowth } from '../../../src/leak/growth-sites.ts';
import type { Ownership } from '../../../src/leak/site.ts';
import { generationsOf, MIB, type PaperHeap } from './paper-heap.ts';

function rank(generations: readonly HeapGeneration[], ownership: Ownership = {}): readonly SiteGrowth[] {
  const work = rankSites(generations, { ownership, sampleBytes: MIB });
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

const grown = (
  step: (heap: PaperHeap, step: number) => void,
  before?: (heap: PaperHeap) => void,
  ownership?: Ownership,
): readonly SiteGrowth[] => rank(generationsOf(step, before), ownership);

const named = (sites: readonly SiteGrowth[]): string[] => sites.map(({ site }) => `${site.file}:${site.line} ${site.function}`);

const REMEMBER = '/app/main.js:10 handler > /app/store.js:20 remember';

describe('a function that keeps more and more', () => {
  test('is named first, with place, growth and share, and its callers are not', () => {
    const sites = grown((heap) => {
      heap.keep('/app/main.js:10 handler > /app/log.js:7 note', 1);
      heap.keep(REMEMBER, 3);
    });
    expect(named(sites)).toEqual(['/app/store.js:20 remember', '/app/log.js:7 note']);
    expect(sites[0]).toMatchObject({ grownBytes: 24 * MIB, share: 0.75, stopped: false, className: null });
    expect(sites[0]!.keys).toEqual(['/app/store.js:20:1:remember']);
    expect(sites[0]!.namer).toEqual(sites[0]!.site);
  });

  test('has its share of what all have gained together, of which the losses of others are no part', () => {
    const others = Array.from({ length: 12 }, (_, i) => `/app/main.js:10 handler > /app/part${i}.js:20 part`);
    const sites = grown(
      (heap, step) => {
        heap.keep(REMEMBER, 3);
        if (step === 7) for (const [i, other] of others.entries()) heap.keep(other, i % 2 === 0 ? 2 : -2);
      },
      (heap) => others.forEach((other) => heap.keep(other, 10)),
    );
    expect(named(sites)).toEqual(['/app/store.js:20 remember']);
    expect(sites[0]!.share).toBe(1);
  });

  test('is the caller when its growth comes from many functions that grow little', () => {
    const sites = grown((heap) => {
      for (let i = 0; i < 9; i++) heap.keep(`/app/main.js:10 handler > /app/part${i}.js:20 part`, 0.5);
    });
    expect(named(sites)).toEqual(['/app/main.js:10 handler']);
  });

  test('is the caller that leaks where a helper has other callers, which do not', () => {
    const sites = grown(
      (heap) => heap.keep('/app/main.js:10 subscribe > /app/copy.js:5 copy', 4),
      (heap) => heap.keep('/app/main.js:30 render > /app/copy.js:5 copy', 400),
    );
    expect(sites[0]!.stack.map((site) => site.function)).toEqual(['copy', 'subscribe']);
    expect(named(sites)).toEqual(['/app/copy.js:5 copy']);
  });

  test('is each of four at the most, the largest first', () => {
    const sites = grown((heap) => {
      for (const [i, name] of ['a', 'b', 'c', 'd', 'e'].entries())
        heap.keep(`/app/main.js:10 handler > /app/${name}.js:1 ${name}`, 4 + i / 10);
    });
    expect(named(sites)).toEqual(['/app/e.js:1 e', '/app/d.js:1 d', '/app/c.js:1 c', '/app/b.js:1 b']);
  });

  test('is counted once when it calls itself', () => {
    const sites = grown((heap) => heap.keep('/app/tree.js:5 add > /app/tree.js:5 add > /app/tree.js:5 add', 4));
    expect(sites.map(({ grownBytes }) => grownBytes)).toEqual([32 * MIB]);
  });

  test('has stopped when the last third brought less than a quarter of what it should have', () => {
    // 132 MiB in eight steps are 33 in two, of which a quarter is 8.25.
    const stopped = (late: number): boolean => {
      const sites = grown((heap, i) => heap.keep(REMEMBER, i < 6 ? (132 - late) / 6 : late / 2));
      return sites[0]!.stopped;
    };
    expect(stopped(8.25)).toBe(false);
    expect(stopped(8.24)).toBe(true);
  });
});

describe('whose function it is', () => {
  test("is the application's when a library allocates for it", () => {
    const sites = grown((heap) =>
      heap.keep('node:net:5 onread > /app/main.js:10 handler > /app/node_modules/lru/index.js:3 set > node:buffer:1 from', 4),
    );
    expect(named(sites)).toEqual(['/app/main.js:10 handler']);
    expect(sites[0]!.stack.map((site) => site.function)).toEqual(['from', 'set', 'handler', 'onread']);
  });

  test("is the library's, or the runtime's, when nothing of the application is on the stack", () => {
    const library = 'node:net:5 onread > /app/node_modules/pool/index.js:3 grow > node:events:1 on';
    expect(named(grown((heap) => heap.keep(library, 4)))).toEqual(['/app/node_modules/pool/index.js:3 grow']);
    expect(named(grown((heap) => heap.keep('node:net:5 onread > node:events:1 on', 4)))).toEqual(['node:events:1 on']);
  });

  test('is not ours while one of the application is on the stack', () => {
    const step = (heap: PaperHeap): void => heap.keep('/app/main.js:10 handler > /opt/sonde/dist/index.js:1 wrapped', 4);
    expect(named(grown(step, undefined, { ownDirectory: '/opt/sonde/dist' }))).toEqual(['/app/main.js:10 handler']);
  });

  test('is ours where nobody else is on the stack but the runtime', () => {
    const step = (heap: PaperHeap): void => heap.keep('node:net:5 onread > /opt/sonde/dist/index.js:1 wrapped', 4);
    expect(named(grown(step, undefined, { ownDirectory: '/opt/sonde/dist' }))).toEqual(['/opt/sonde/dist/index.js:1 wrapped']);
  });
});

describe('growth is not enough when', () => {
  test('it is below four samples, or below 15 % of the whole', () => {
    expect(grown((heap) => heap.keep(REMEMBER, 0.5))).toHaveLength(1);
    expect(grown((heap) => heap.keep(REMEMBER, 0.499))).toHaveLength(0);
    const beside = (mib: number): string[] =>
      named(
        grown((heap) => {
          heap.keep('/app/a.js:1 a', 100 - mib);
          heap.keep('/app/b.js:1 b', mib);
        }),
      );
    expect(beside(15)).toEqual(['/app/a.js:1 a', '/app/b.js:1 b']);
    expect(beside(14.9)).toEqual(['/app/a.js:1 a']);
  });

  test('a cache had filled early and stays as it is', () => {
    expect(grown((heap, i) => heap.keep('/app/cache.js:5 put', i < 4 ? 40 : 0))).toHaveLength(0);
  });

  test('a cache had filled early that is too small to be sure: it is named as one that has stopped', () => {
    const [site] = grown((heap, i) => heap.keep('/app/cache.js:5 put', i < 4 ? 10 : 0));
    expect(site).toMatchObject({ grownBytes: 40 * MIB, stopped: true });
  });

  test('much is allocated and nothing kept', () => {
    const sites = grown(
      (heap, i) => {
        heap.keep('/app/render.js:5 render', i % 2 === 0 ? 300 : -290);
        heap.keep(REMEMBER, 4);
      },
      (heap) => heap.keep('/app/render.js:5 render', 300),
    );
    expect(named(sites)).not.toContain('/app/render.js:5 render');
  });

  test('requests in flight have become more at the end', () => {
    expect(grown((heap, i) => heap.keep('/app/main.js:5 serve', i === 7 ? 400 : 0))).toHaveLength(0);
  });

  test('there is none', () => {
    expect(grown(() => {})).toEqual([]);
  });
});

describe('the name of a leak stays', () => {
  test('that of the function which a nameless callback of the same file belongs to, with the line of the callback', () => {
    const [site] = grown((heap) => heap.keep('/app/main.js:10 remember > /app/main.js:12', 4));
    expect(site!.site).toEqual({ function: 'remember', file: '/app/main.js', line: 12, column: 1 });
    expect(site!.namer).toEqual({ function: 'remember', file: '/app/main.js', line: 10, column: 1 });
  });

  test('nameless for a callback that another file calls', () => {
    expect(named(grown((heap) => heap.keep('/app/router.js:10 dispatch > /app/main.js:12', 4)))).toEqual(['/app/main.js:12 (anonymous)']);
  });

  test('that of the callee when V8 inlines it half-way, and its keys name both', () => {
    const [site, ...others] = grown((heap, i) => heap.keep(i < 4 ? REMEMBER : '/app/main.js:10 handler', 4));
    expect(others).toEqual([]);
    expect(site!.site).toMatchObject({ function: 'remember', file: '/app/store.js', line: 20 });
    expect(site!.grownBytes).toBe(32 * MIB);
    expect(site!.keys).toEqual(['/app/store.js:20:1:remember', '/app/main.js:10:1:handler']);
  });

  test('that of the caller when it kept things itself from the start', () => {
    const sites = grown((heap, i) => {
      if (i < 2) heap.keep(REMEMBER, 2);
      heap.keep('/app/main.js:10 handler', i < 2 ? 2 : 4);
    });
    expect(named(sites)).toEqual(['/app/main.js:10 handler']);
  });
});

describe('what is known beside the name', () => {
  test('is the stack that gained most, innermost first, of 32 frames at most', () => {
    const deep = (depth: number): string => Array.from({ length: depth }, (_, i) => `/app/deep.js:${i + 1} f${i}`).join(' > ');
    const [site] = grown((heap) => {
      heap.keep(`${deep(40)} > ${REMEMBER}`, 3);
      heap.keep(`/app/other.js:1 other > ${REMEMBER}`, 2);
    });
    expect(site!.stack).toHaveLength(32);
    expect(site!.stack.slice(0, 3).map((each) => each.function)).toEqual(['remember', 'handler', 'f39']);
  });

  test('are the five leaf frames that gained most, with their shares', () => {
    const [site] = grown((heap) => {
      for (const [i, mib] of [4, 3, 1, 0.8, 0.7, 0.5].entries()) heap.keep(`${REMEMBER} > node:lib${i}:1 leaf${i}`, mib);
    });
    expect(site!.leaves.map((leaf) => [leaf.site.function, Math.round(leaf.share * 100) / 100])).toEqual([
      ['leaf0', 0.4],
      ['leaf1', 0.3],
      ['leaf2', 0.1],
      ['leaf3', 0.08],
      ['leaf4', 0.07],
    ]);
  });

  test.each([
    ['Session', 'Session'],
    ['HTTPParser', 'HTTPParser'],
    ['XYZ', null],
    ['create', null],
  ])('is the class where a leaf is called %s: %s', (name, className) => {
    const [site] = grown((heap) => heap.keep(`${REMEMBER} > /app/session.js:3 ${name}`, 4));
    expect(site!.className).toBe(className);
  });
});

describe('nine generations of 1,000 stacks of 30 frames', () => {
  // Of 600 functions, as in a service.
  const generations = generationsOf((heap) => {
    for (let stack = 0; stack < 1000; stack++) {
      const frames = Array.from({ length: 30 }, (_, depth) => `/app/m${(stack >> Math.max(0, 9 - depth)) % 20}.js:${depth + 1} f${depth}`);
      heap.keep(`${frames.join(' > ')} > node:buffer:${stack + 1} from`, 1);
    }
  });

  /** The work in its steps: how long it took, and the longest step. */
  function timed(): { total: number; longest: number } {
    const start = performance.now();
    const work = rankSites(generations, { ownership: {}, sampleBytes: MIB });
    let [longest, at] = [0, start];
    for (let isDone = false; !isDone; at = performance.now()) {
      isDone = work.next().done === true;
      longest = Math.max(longest, performance.now() - at);
    }
    return { total: at - start, longest };
  }

  test('take below 100 ms, and no step of it more than 15, at the best of ten times', () => {
    const times = Array.from({ length: 10 }, timed);
    expect(Math.min(...times.map(({ total }) => total))).toBeLessThan(100);
    expect(Math.min(...times.map(({ longest }) => longest))).toBeLessThan(15);
  });

  test('tell what each step was: a unit a sample for a generation, and five a frame for a stack', () => {
    const units = [...rankSites(generations, { ownership: {}, sampleBytes: MIB })];
    expect(units).toHaveLength(9 + 1001);
    expect(units.slice(0, 9)).toEqual([1, ...Array.from({ length: 8 }, () => 1001)]);
    expect(Math.max(...units.slice(9))).toBe(5 * 30 + 10);
  });
});
