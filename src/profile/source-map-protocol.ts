// What source-map-thread.ts asks its worker and what that answers. Numbers in arrays that are handed over and names in
// one string: 20,000 functions as objects would block the event loop for 20 ms when they are copied.

/** Functions of one file as V8 has them. */
export interface SourceMapRequest {
  readonly file: string;
  /** Pairs of line and column from 0. */
  readonly positions: Int32Array;
  /** Names by function, SEPARATOR between them; empty for none. */
  readonly names: string;
}

export interface SourceMapResponse {
  /** `none`: the file has no map on this machine; `large`: it or its map is not read; `broken`: the map cannot be used. */
  readonly status: 'mapped' | 'none' | 'large' | 'broken';
  /** Why it is not `mapped`, as a sentence with the file's name. */
  readonly detail: string;
  /** By function PLACE numbers: file as index into `strings`, line and column from 1, name as index; -1 for one that stays. */
  readonly places: Int32Array;
  /** Files and names, SEPARATOR between them. */
  readonly strings: string;
  /** Functions that are not in the file where V8 has them. */
  readonly moved: number;
}

export const PLACE = 4;

export const SEPARATOR = '\0';
