import { beforeEach, describe, expect, test } from 'vitest';
import { LostIdle } from '../../../src/profile/lost-idle.ts';

/** Node's count. */
let countedMillis: number;
let lost: LostIdle;

beforeEach(() => {
  countedMillis = 5000;
  lost = new LostIdle(() => countedMillis);
  lost.start();
});

function window(wallMillis: number, activeMillis: number, counted: number): void {
  countedMillis += counted;
  lost.add(wallMillis, activeMillis);
}

describe('what was lost of the time waited', () => {
  test('is what samples saw of it beyond the count', () => {
    window(10_000, 100, 5800);
    window(10_000, 100, 5900);
    expect(lost.millis(0)).toBe(4100 + 4000);
  });

  test('is nothing where the count is no smaller, and does not fall', () => {
    window(1000, 100, 400);
    expect(lost.millis(0)).toBe(500);
    window(1000, 500, 700);
    expect(lost.millis(0)).toBe(500);
  });

  test('is told of windows that are long enough, together with those before', () => {
    window(600, 0, 500);
    expect(lost.millis(0)).toBe(0);
    window(600, 0, 500);
    expect(lost.millis(0)).toBe(200);
  });

  test('goes on as in the last window until the next one ends', () => {
    window(10_000, 1000, 5000);
    expect(lost.millis(5000)).toBe(4000 + 2000);
    window(600, 0, 600);
    expect(lost.millis(400)).toBe(4000 + 400);
  });
});
