// The types of nodes.mjs, for the tests.
export declare const MAJORS: readonly number[];
export declare function nodeBinary(major: number): string;
