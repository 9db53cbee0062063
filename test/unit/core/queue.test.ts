import { describe, expect, it } from 'vitest';
import { BoundedQueue } from '../../../src/core/queue.ts';

describe('a bounded queue', () => {
  it('gives items in the order in which they came', () => {
    const queue = new BoundedQueue<number>(3);
    for (const item of [1, 2, 3]) expect(queue.push(item)).toBe(true);
    expect(queue.take(2)).toEqual([1, 2]);
    expect(queue.take(9)).toEqual([3]);
    expect(queue.take(9)).toEqual([]);
  });

  it('refuses the item over its capacity, counts it, and keeps the older ones', () => {
    const queue = new BoundedQueue<number>(2);
    expect([queue.push(1), queue.push(2), queue.push(3), queue.push(4)]).toEqual([true, true, false, false]);
    expect([queue.size, queue.dropped]).toEqual([2, 2]);
    expect(queue.take(9)).toEqual([1, 2]);
  });

  it('goes round its ring as often as it takes', () => {
    const queue = new BoundedQueue<number>(3);
    const out: number[] = [];
    for (let i = 0; i < 100; i++) {
      queue.push(i);
      if (i % 2 === 1) out.push(...queue.take(2));
    }
    expect(out).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(queue.dropped).toBe(0);
  });

  it('of no capacity refuses everything', () => {
    const queue = new BoundedQueue<number>(0);
    expect(queue.push(1)).toBe(false);
    expect(queue.take(1)).toEqual([]);
  });
});
