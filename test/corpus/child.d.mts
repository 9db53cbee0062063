// The types of child.mjs, for the tests.
export declare function endAll(): void;
