// Readings in short writing.
import type { Reading } from '../../../src/leak/trend.ts';

export function reading(seconds: number, value: number, rest: Partial<Reading> = {}): Reading {
  return { seconds, value, requests: 0, active: 0, ...rest };
}

/** One reading each ten seconds. */
export function readings(...values: number[]): Reading[] {
  return values.map((value, i) => reading(10 * i, value));
}
