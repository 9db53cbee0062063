// The types of statistics.mjs, for its tests.
export interface Slice {
  readonly seconds: number;
  readonly requests: number;
  readonly cpuMicros: number;
}
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly lowerQuartile: number;
  readonly upperQuartile: number;
}
export declare function quantile(values: readonly number[], q: number): number;
export declare function median(values: readonly number[]): number;
export declare function spread(values: readonly number[]): Spread;
export declare function microsPerRequest(slices: readonly Slice[]): number;
export declare function saturatedRate(slices: readonly Slice[]): number | undefined;
