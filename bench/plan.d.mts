// The types of what the tests call of plan.mjs.
export interface Plan {
  readonly help?: true;
  readonly nodes: readonly { readonly binary: string; readonly version: string; readonly major: number }[];
  readonly applications: readonly { readonly name: string }[];
  readonly rows: readonly { readonly name: string }[];
  readonly rounds: number;
  readonly seconds: number;
  readonly save: boolean;
}
export declare function parsePlan(args: readonly string[]): Plan;
