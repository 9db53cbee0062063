import { expect, test } from 'vitest';
import { percent, quantity } from '../../../src/profile/quantity.ts';

test.each([
  [0, 'nanoseconds', '0 ns'],
  [999, 'nanoseconds', '999 ns'],
  [1000, 'nanoseconds', '1.00 µs'],
  [999_000, 'nanoseconds', '999 µs'],
  [12_340_000, 'nanoseconds', '12.3 ms'],
  [1e9, 'nanoseconds', '1.00 s'],
  [3_600e9, 'nanoseconds', '3600 s'],
  [-12_340_000, 'nanoseconds', '-12.3 ms'],
  [0, 'bytes', '0 B'],
  [1023, 'bytes', '1023 B'],
  [1024, 'bytes', '1.00 KiB'],
  [-1536, 'bytes', '-1.50 KiB'],
  [2 ** 20, 'bytes', '1.00 MiB'],
  [123.4 * 2 ** 30, 'bytes', '123 GiB'],
  [1234.4, 'count', '1,234'],
])('%d %s reads %s', (value, unit, text) => expect(quantity(value, unit)).toBe(text));

test.each([
  [1, '100 %'],
  [0.9996, '100 %'],
  [0.999, '99.9 %'],
  [0.1234, '12.3 %'],
  [0.01, '1.0 %'],
  [0.009, '0.90 %'],
  [0, '0.00 %'],
])('a share of %d reads %s', (share, text) => expect(percent(share)).toBe(text));
