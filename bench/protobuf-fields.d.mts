// The types of protobuf-fields.mjs, for its tests.
export declare function countFields(message: Uint8Array, path: readonly number[]): number;
export declare function textFields(message: Uint8Array, path: readonly number[]): string[];
