import { describe, expect, test } from 'vitest';
import { compare, isRegression } from '../../../bench/baseline.mjs';
import { spread } from '../../../bench/statistics.mjs';

describe('a ratio to bare is a regression', () => {
  test('when its best round is over 15 % above the worse quartile of the baseline', () => {
    expect(isRegression({ min: 2.3 }, { upperQuartile: 2 })).toBe(false);
    expect(isRegression({ min: 2.3001 }, { upperQuartile: 2 })).toBe(true);
  });
});

describe('a ratio to bare is no regression', () => {
  test('when one round is as good as before, however bad the others', () => {
    expect(isRegression(spread([1.28, 1.5, 1.6, 1.8, 2]), spread([1.1, 1.12, 1.11, 1.13, 1.1]))).toBe(false);
  });

  test('when it has become better', () => {
    expect(isRegression(spread([1.01, 1.02, 1.03]), spread([1.4, 1.5, 1.6]))).toBe(false);
  });

  test('because one round of the baseline was disturbed: that round does not widen what is allowed', () => {
    const disturbed = spread([1.1, 1.12, 1.11, 1.13, 3]);
    expect(isRegression(spread([1.12, 1.13, 1.14, 1.12, 1.13]), disturbed)).toBe(false);
    expect(isRegression(spread([1.4, 1.41, 1.42, 1.4, 1.43]), disturbed)).toBe(true);
  });
});

test('rows are compared by name; bare and those that the baseline does not know are left out', () => {
  const row = (name: string, ...ratios: number[]) => ({ name, title: name, ratio: spread(ratios) });
  const compared = compare(
    [row('bare', 1), row('otlp', 2), row('defaults', 1.1), row('new', 9)],
    [row('defaults', 1.1), row('otlp', 1.5), row('bare', 1)],
  );
  expect(compared.map(({ name, isWorse }) => [name, isWorse])).toEqual([
    ['otlp', true],
    ['defaults', false],
  ]);
});
