// What source-map-thread.ts asks its worker and what that answers. Types only: what both would load would be a file more
// in every process. Numbers in arrays that are handed over, and names in one string: 20,000 functions as objects would
// hold the event loop for 20 ms when they are copied.

/** Functions of one file as V8 has them. */
export interface SourceMapRequest {
  readonly file: string;
  /** By function, from 0. */
  readonly lines: Int32Array;
  readonly columns: Int32Array;
  /** By function, NUL between them; empty for none. */
  readonly names: string;
}

export interface SourceMapResponse {
  /** `none`: the file has no map on this machine; `large`: it or its map is not read; `broken`: the map cannot be used. */
  readonly status: 'mapped' | 'none' | 'large' | 'broken';
  /** Why it is not `mapped`, as a sentence with the file's name. */
  readonly detail: string;
  /** By function: index into `strings`, -1 for a function that stays as it is; then lines and columns from 1. */
  readonly files: Int32Array;
  readonly names: Int32Array;
  readonly lines: Int32Array;
  readonly columns: Int32Array;
  /** Files and names, NUL between them. */
  readonly strings: string;
  /** Functions that are not in the file where V8 has them. */
  readonly moved: number;
}
