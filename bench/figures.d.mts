// The types of what the tests call of figures.mjs.
import type { Spread } from './statistics.mjs';

export interface Run {
  readonly row: string;
  readonly round: number;
  readonly micros: number;
  readonly requestsPerSecond?: number;
}
export interface Figures {
  readonly name: string;
  readonly rounds: number;
  readonly micros: Spread;
  readonly addedMicros: Spread;
  readonly ratio: Spread;
  readonly rateRatio: Spread | undefined;
  readonly startMillis: Spread | undefined;
}
export declare function figuresOf(
  campaign: { runs: readonly Run[]; starts: readonly { row: string; round: number; millis: number }[] },
  rows: readonly { name: string; title: string }[],
): Figures[];
export declare function shareOfAdded(figures: readonly Figures[], row: string, other: string): number | undefined;
