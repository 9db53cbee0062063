import { expect, test } from 'vitest';
import { MemoryReader, NativeMemory } from '../../../src/leak/memory.ts';

/** Native memory by readings of the heap and the rest. */
function native(...readings: readonly (readonly [heap: number, rest: number])[]): number[] {
  const memory = new NativeMemory();
  return readings.map(([heap, rest]) => memory.next(heap, rest));
}

test('memory beside the heap is native', () => {
  expect(native([40, 50], [40, 60], [60, 60], [60, 55])).toEqual([50, 60, 60, 55]);
});

test('what the heap has let go of and is still resident is not, until the heap takes it back', () => {
  expect(native([40, 50], [30, 60], [30, 60], [36, 54], [40, 50])).toEqual([50, 50, 50, 50, 50]);
});

test('what the heap gives back to the kernel leaves the rest as it was', () => {
  expect(native([40, 50], [30, 50], [30, 55])).toEqual([50, 50, 55]);
});

test('what is given back to the kernel in the end makes room for what is native', () => {
  expect(native([40, 50], [30, 60], [30, 50], [30, 60], [40, 60])).toEqual([50, 50, 50, 60, 60]);
});

test('a leak beside a heap that swings is seen in each reading', () => {
  // Each second 5 more, while the heap goes down and up by 10; first the pages stay resident, then they are used again.
  const readings = Array.from({ length: 9 }, (_, i) => [i % 2 === 0 ? 40 : 30, 50 + 5 * i + (i % 2 === 0 ? 0 : 10)] as const);
  expect(native(...readings)).toEqual(readings.map((_, i) => 50 + 5 * i));
});

test('of what may be pages that V8 keeps 32 MiB are left out at most', () => {
  const MIB = 1024 * 1024;
  expect(native([200 * MIB, 50 * MIB], [100 * MIB, 150 * MIB])).toEqual([50 * MIB, 118 * MIB]);
});

test('this process has memory of all kinds', () => {
  const fresh = Array.from({ length: 20_000 }, (_, i) => ({ i }));
  const { heapBytes, externalBytes, nativeBytes, leftBytes, youngBytes } = new MemoryReader('/').read();
  const { rss, heapUsed } = process.memoryUsage();
  for (const bytes of [heapBytes, externalBytes, nativeBytes, leftBytes]) expect(bytes).toBeGreaterThan(0);
  expect(youngBytes + fresh.length).toBeGreaterThan(fresh.length);
  expect((heapBytes + youngBytes) / heapUsed).toBeCloseTo(1, 1);
  expect(heapBytes + nativeBytes).toBeLessThan(rss);
});
