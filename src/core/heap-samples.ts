// The inspector's answer to HeapProfiler.getSamplingProfile, as Chrome DevTools Protocol has it: what the profile
// engine reads and the leak detector judges. Node's own types lack the samples.

/** A node of the allocation call tree. */
export interface HeapSamplesNode {
  /** Lines and columns are 0-based and those of the function, -1 for pseudo frames. */
  readonly callFrame: {
    readonly functionName: string;
    readonly url: string;
    readonly lineNumber: number;
    readonly columnNumber: number;
  };
  /** Live bytes allocated in this node itself. */
  readonly selfSize: number;
  readonly id: number;
  readonly children: readonly HeapSamplesNode[];
}

/** One sampled allocation that is still alive. */
export interface HeapSample {
  /** Bytes it stands for. */
  readonly size: number;
  readonly nodeId: number;
  /** Position in the order of all sampled allocations since the sampler was started. */
  readonly ordinal: number;
}

export interface HeapSamples {
  readonly head: HeapSamplesNode;
  readonly samples: readonly HeapSample[];
}
