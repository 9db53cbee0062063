// The types of what the tests call of baseline.mjs.
import type { Spread } from './statistics.mjs';

export interface RowFigures {
  readonly name: string;
  readonly title: string;
  readonly ratio: Spread;
}
export interface Comparison extends RowFigures {
  readonly before: Spread;
  readonly isWorse: boolean;
}
export declare function isRegression(ratio: Pick<Spread, 'min'>, baselineRatio: Pick<Spread, 'upperQuartile'>): boolean;
export declare function compare(figures: readonly RowFigures[], baselineFigures: readonly RowFigures[]): Comparison[];
