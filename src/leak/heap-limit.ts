// Where V8 ends the process: the old generation's size and its limit. Read by whoever forecasts or watches that end.
// `heap_size_limit` is not it: that adds three semi-spaces, so --max-old-space-size=128 reads as 176 MiB on Node 20 and
// 22, 320 on 24 and 224 on 26, while V8 died with 126 MiB in use on each (64: 49 to 63 in use, 256: 253 to 255; the
// same with --max-semi-space-size=2 and =64). One call costs some 5 us. Limits of other threads are other limits.
import { getHeapSpaceStatistics, getHeapStatistics } from 'node:v8';
import { resourceLimits } from 'node:worker_threads';

const MEBIBYTE = 1024 * 1024;

export interface HeapLimitInputs {
  /** `heap_size_limit` of V8's heap statistics. */
  readonly heapSizeLimitBytes: number;
  /** What Node was started with: those of NODE_OPTIONS, then those of the command line, which win. */
  readonly flags: readonly string[];
  readonly nodeMajor: number;
  /** `resourceLimits.maxOldGenerationSizeMb` of a worker thread; undefined on the main thread. */
  readonly workerOldMebibytes?: number | undefined;
}

/** The inputs of this thread; `nodeOptions` is the variable NODE_OPTIONS. */
export function heapLimitInputs(nodeOptions: string): HeapLimitInputs {
  return {
    heapSizeLimitBytes: getHeapStatistics().heap_size_limit,
    flags: [...nodeOptions.replaceAll('"', '').split(/\s+/), ...process.execArgv],
    nodeMajor: Number.parseInt(process.versions.node, 10),
    workerOldMebibytes: (resourceLimits as { maxOldGenerationSizeMb?: number }).maxOldGenerationSizeMb,
  };
}

/**
 * Bytes of the old generation at which V8 gives up. Exact by measurement where --max-old-space-size is set and on a
 * machine that leaves V8 its full semi-spaces; where V8 shrinks them (--max-heap-size, small machines) at most 1 % off
 * on Node 20 and 22, and at most 8 % too low on Node 24 with limits of 256 MiB and less.
 */
export function oldGenerationLimitBytes(inputs: HeapLimitInputs): number {
  const { heapSizeLimitBytes, flags, workerOldMebibytes } = inputs;
  const given = workerOldMebibytes ?? lastFlag(flags, 'max-old-space-size');
  if (given !== undefined && given > 0) return given * MEBIBYTE;
  const semiSpace = lastFlag(flags, 'max-semi-space-size');
  const semiBytes = semiSpace !== undefined && semiSpace > 0 ? semiSpace * MEBIBYTE : semiSpaceBytes(inputs);
  return Math.max(heapSizeLimitBytes - 3 * semiBytes, heapSizeLimitBytes / 2);
}

/** Bytes in use outside of the young generation, garbage that has not been collected yet included. */
export function oldGenerationBytes(): number {
  let bytes = 0;
  for (const { space_name: name, space_used_size: used } of getHeapSpaceStatistics()) {
    if (!name.startsWith('new_')) bytes += used;
  }
  return bytes;
}

/**
 * V8's largest semi-space, and the share of the heap that it never exceeds: by the limit that V8 hands to its callback near the
 * end, for --max-heap-size of 128, 256, 512 and 1024 MiB: 125, 253, 500, 1000 on Node 20 and 22; 125, 253, 464, 928 on
 * 24; 116, 232, 464, 928 on 26. A percentage (--max-old-space-size-percentage) leaves them at their largest.
 */
function semiSpaceBytes({ heapSizeLimitBytes, flags, nodeMajor }: HeapLimitInputs): number {
  const largest = (nodeMajor < 24 ? 16 : nodeMajor < 26 ? 64 : 32) * MEBIBYTE;
  if (lastFlag(flags, 'max-old-space-size-percentage') !== undefined) return largest;
  const share = heapSizeLimitBytes / (nodeMajor < 24 ? 128 : 32);
  return Math.min(largest, 2 ** Math.round(Math.log2(share)));
}

/** The flag's last value; V8 takes `_` for `-`, and values after a `=` only. */
function lastFlag(flags: readonly string[], name: string): number | undefined {
  let value: number | undefined;
  for (const flag of flags) {
    const [given = '', text = ''] = flag.split('=', 2);
    if (given.replaceAll('_', '-') === `--${name}` && /^\d+(?:\.\d+)?%?$/.test(text)) value = Number.parseFloat(text);
  }
  return value;
}
