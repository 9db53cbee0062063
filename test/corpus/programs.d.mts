// The types of programs.mjs, for the tests.
export interface Program {
  readonly name: string;
  readonly about: string;
  readonly leaks: false | { readonly kinds: readonly string[]; readonly function: readonly string[]; readonly bytesPerUnit: number };
}
export declare function allPrograms(): readonly Program[];
