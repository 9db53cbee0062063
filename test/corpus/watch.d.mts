// The types of watch.mjs, for the tests.
import type { Program } from './programs.d.mts';

export interface Result {
  readonly error: string | null;
  readonly worst: string;
  readonly last: string;
  readonly suspectAt: number | null;
  readonly leakAt: number | null;
  readonly secondsToLimit: number | null;
  readonly atLeak: readonly object[];
}
export interface Run {
  readonly program: Program;
  readonly node: { readonly major: number; readonly binary: string };
  readonly speed: string;
}
export declare function watch(run: Run): Promise<Result>;
export declare function judge(program: Program, result: Result): { readonly named?: boolean };
