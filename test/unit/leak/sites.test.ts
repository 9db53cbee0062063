import { describe, expect, test } from 'vitest';
import { CallTree, type Ownership } from '../../../src/leak/call-tree.ts';
import { type Growth, SiteIndex } from '../../../src/leak/sites.ts';
import { MIB, PaperHeap } from './heap.ts';

const STEPS = 8;

/** Runs eight equal steps between nine marks, and one open step, and answers what grew by at least 12 MiB since the first mark. */
function grown(
  step: (heap: PaperHeap, step: number) => void,
  before: (heap: PaperHeap) => void = () => {},
  ownership?: Ownership,
): Growth[] {
  const heap = new PaperHeap();
  heap.allocate('node:internal/boot:1 boot', 3);
  before(heap);
  const base = new SiteIndex(new CallTree(heap.read(), ownership), []).liveBytes();
  const boundaries = [heap.ordinal];
  for (let i = 0; i <= STEPS; i++) {
    // Every step allocates something that dies, so that its boundary is its own.
    heap.allocate('/app/main.js:1 garbage');
    step(heap, i);
    heap.free('/app/main.js:1 garbage');
    if (i < STEPS) boundaries.push(heap.ordinal);
  }
  return new SiteIndex(new CallTree(heap.read(), ownership), boundaries).growing(base, { minGrowthBytes: 12 * MIB, sampleBytes: MIB });
}

const named = (growths: Growth[]): string[] => growths.map(({ site }) => `${site.file}:${site.line} ${site.function}`);

describe('a function that keeps more and more', () => {
  test('is named with file, line, stack and growth, and its callers are not', () => {
    const growths = grown((heap) => heap.allocate('/app/main.js:10 handler > /app/store.js:20 remember', 4));
    expect(named(growths)).toEqual(['/app/store.js:20 remember']);
    expect(growths[0]).toMatchObject({
      grownBytes: 36 * MIB,
      stack: [
        { function: 'remember', file: '/app/store.js', line: 20 },
        { function: 'handler', file: '/app/main.js', line: 10 },
      ],
    });
  });

  test('is the caller when its growth comes from many functions that grow little', () => {
    const growths = grown((heap, i) => heap.allocate(`/app/main.js:10 handler > /app/part${i % 9}.js:20 part`, 4));
    expect(named(growths)).toEqual(['/app/main.js:10 handler']);
  });

  test('are several, the largest first', () => {
    const growths = grown((heap) => {
      heap.allocate('/app/main.js:10 handler > /app/a.js:1 a', 3);
      heap.allocate('/app/main.js:10 handler > /app/b.js:1 b', 5);
    });
    expect(named(growths)).toEqual(['/app/b.js:1 b', '/app/a.js:1 a']);
  });

  test('is the one of the application when a library allocates for it', () => {
    const growths = grown((heap) =>
      heap.allocate('node:net:5 onread > /app/main.js:10 handler > /app/node_modules/lru/index.js:3 set > node:buffer:1 from', 4),
    );
    expect(named(growths)).toEqual(['/app/main.js:10 handler']);
    expect(growths[0]!.stack.map((site) => site.function)).toEqual(['from', 'set', 'handler', 'onread']);
  });

  test('is the library or the runtime when nothing of the application is on the stack', () => {
    expect(
      named(grown((heap) => heap.allocate('node:net:5 onread > /app/node_modules/pool/index.js:3 grow > node:events:1 on', 4))),
    ).toEqual(['/app/node_modules/pool/index.js:3 grow']);
    expect(named(grown((heap) => heap.allocate('node:net:5 onread > node:events:1 on', 4)))).toEqual(['node:events:1 on']);
  });

  test('is not one of our own while one of the application is on the stack', () => {
    const step = (heap: PaperHeap): void => heap.allocate('/app/main.js:10 handler > /opt/sonde/dist/index.js:1 wrapped', 4);
    expect(named(grown(step, undefined, { ownDirectory: '/opt/sonde/dist' }))).toEqual(['/app/main.js:10 handler']);
  });

  test('is counted once when it calls itself', () => {
    const growths = grown((heap) => heap.allocate('/app/tree.js:5 add > /app/tree.js:5 add > /app/tree.js:5 add', 4));
    expect(growths.map(({ grownBytes }) => grownBytes)).toEqual([36 * MIB]);
  });

  test('has a path that can be opened in an ES module', () => {
    expect(named(grown((heap) => heap.allocate('file:///app/a%20b.mjs:20 remember', 4)))).toEqual(['/app/a b.mjs:20 remember']);
  });
});

describe('growth is not enough when', () => {
  test('it is less than asked for: 12 MiB pass, one less does not', () => {
    const leak = '/app/main.js:10 leak';
    expect(grown((heap, i) => heap.allocate(leak, i < 3 ? 2 : 1))).toHaveLength(1);
    expect(grown((heap, i) => heap.allocate(leak, i < 2 ? 2 : 1))).toHaveLength(0);
  });

  test('it may be chance: of 72 young samples, 26 more than before are beyond three deviations, 25 are not', () => {
    const churn = '/app/main.js:10 churn';
    const keeping = (more: number) => (heap: PaperHeap, i: number) => {
      heap.allocate(churn, 8);
      if (i === STEPS) heap.free(churn, 50 + more);
    };
    expect(grown(keeping(26), (heap) => heap.allocate(churn, 50))).toHaveLength(1);
    expect(grown(keeping(25), (heap) => heap.allocate(churn, 50))).toHaveLength(0);
  });

  test('nothing has survived from two of the eight steps; one may be empty', () => {
    const leak = '/app/main.js:10 leak';
    expect(grown((heap, i) => heap.allocate(leak, i === 4 ? 0 : 4))).toHaveLength(1);
    expect(grown((heap, i) => heap.allocate(leak, i === 4 || i === 5 ? 0 : 4))).toHaveLength(0);
  });

  test('a cache has filled and stays as it is', () => {
    expect(grown((heap, i) => heap.allocate('/app/cache.js:5 put', i < 4 ? 12 : 1))).toHaveLength(0);
  });

  test('a full cache replaces its entries, however long they stay', () => {
    const put = '/app/cache.js:5 put';
    const step = (heap: PaperHeap): void => {
      heap.allocate(put, 5);
      heap.free(put, 60);
    };
    expect(grown(step, (heap) => heap.allocate(put, 60))).toHaveLength(0);
  });

  test('requests in flight have become more', () => {
    const serve = '/app/main.js:5 serve';
    const step = (heap: PaperHeap, i: number): void => {
      heap.allocate(serve, 3 * i);
      heap.free(serve, 3 * i);
    };
    expect(grown(step)).toHaveLength(0);
  });
});

describe('the name of a leak stays', () => {
  test('that of the function which a nameless callback of the same file belongs to, with the line of the callback', () => {
    const growths = grown((heap) => heap.allocate('/app/main.js:10 remember > /app/main.js:12', 4));
    expect(named(growths)).toEqual(['/app/main.js:12 remember']);
  });

  test('also on stacks where V8 has inlined that function, as long as one shows it', () => {
    const growths = grown(
      (heap) => heap.allocate('node:http:1 on > /app/main.js:12', 4),
      (heap) => heap.allocate('node:http:1 on > /app/main.js:10 remember > /app/main.js:12'),
    );
    expect(named(growths)).toEqual(['/app/main.js:12 remember']);
  });

  test('nameless for a callback that another file calls', () => {
    const growths = grown((heap) => heap.allocate('/app/router.js:10 dispatch > /app/main.js:12', 4));
    expect(named(growths)).toEqual(['/app/main.js:12 (anonymous)']);
  });

  test('that of the callee when V8 has inlined it into its caller, which only the first survivors tell', () => {
    const inlined = (heap: PaperHeap): void => heap.allocate('/app/main.js:10 handler', 4);
    const first = (count: number) => (heap: PaperHeap) => heap.allocate('/app/main.js:10 handler > /app/store.js:20 remember', count);
    const [growth] = grown(inlined, first(2));
    expect(growth!.site).toEqual({ function: 'remember', file: '/app/store.js', line: 20, column: 1 });
    expect(growth!.keys[1]).toContain('handler');
    expect(named(grown(inlined, first(1)))).toEqual(['/app/main.js:10 handler']);
  });

  test('that of the caller when it kept things itself from the start', () => {
    const growths = grown(
      (heap) => heap.allocate('/app/main.js:10 handler', 4),
      (heap) => {
        heap.allocate('/app/main.js:10 handler');
        heap.allocate('/app/main.js:10 handler > /app/store.js:20 remember', 9);
      },
    );
    expect(named(growths)).toEqual(['/app/main.js:10 handler']);
  });
});
