// V8's live heap by allocation stack, as the profile engine reads it and the leak detector compares it: the part of a
// profile (profile/profile.ts) that both know. Profiles of one tree share its nodes, so that a stack has one number in all.

/** A function. `line` and `column` are where it starts, 1-based, 0 where there is none. */
export interface HeapFrame {
  readonly name: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export interface LiveHeap {
  readonly frames: readonly HeapFrame[];
  /** Parent of each node, always a smaller index, or -1 for the outermost frame. */
  readonly parents: Int32Array;
  /** Index into `frames` of each node. */
  readonly nodeFrames: Int32Array;
  /** The node that each sample ends in. */
  readonly sampleNodes: Int32Array;
  readonly sampleTypes: readonly { readonly type: string }[];
  /** One row per sample, `sampleTypes.length` numbers each; the last of them is live bytes. */
  readonly values: Float64Array;
}
