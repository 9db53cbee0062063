import { expect, it } from 'vitest';
import { Watermark } from '../../../src/leak/watermark.ts';

it('tells of each level once, on the way up', () => {
  const mark = new Watermark();
  expect([0.699, 0.7, 0.71, 0.8, 0.9, 0.95, 0.99, 1.2].map((share) => mark.rise(share))).toEqual([
    undefined,
    0.7,
    undefined,
    0.8,
    0.9,
    0.95,
    undefined,
    undefined,
  ]);
});

it('tells of the highest of several that are passed at once', () => {
  expect(new Watermark().rise(0.92)).toBe(0.9);
});

it('tells of a level again only after a tenth less', () => {
  const mark = new Watermark();
  expect(mark.rise(0.75)).toBe(0.7);
  expect([0.69, 0.72, 0.6, 0.75].map((share) => mark.rise(share))).toEqual([undefined, undefined, undefined, undefined]);
  expect(mark.rise(0.599)).toBeUndefined();
  expect(mark.level).toBe(0);
  expect(mark.rise(0.7)).toBe(0.7);
});

it('passes no level by a reading that is no number', () => {
  expect(new Watermark().rise(NaN)).toBeUndefined();
});
