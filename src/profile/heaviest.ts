// The functions that hold most of a live heap, for what is written of a process that runs out of memory. Pure.
import type { Frame } from './frame.ts';
import type { Profile } from './profile.ts';

const FUNCTIONS_MAX = 10;

/** A function and the bytes that live of what it allocated itself. */
interface HeavyFunction {
  readonly function: string;
  readonly file: string;
  readonly line: number;
  readonly bytes: number;
}

/**
 * The heaviest functions of a heap profile by `inuse_space`, at most ten, heaviest first. What built-in functions and Node's own
 * allocate is their nearest caller's: an array that `Array.from` has made is nobody's leak but who kept it.
 */
export function heaviestFunctions(profile: Profile): HeavyFunction[] {
  const { sampleTypes, sampleNodes, values } = profile;
  const columns = sampleTypes.length;
  const space = sampleTypes.findIndex(({ type }) => type === 'inuse_space');
  const bytesOf = new Map<Frame, number>();
  for (const [row, node] of sampleNodes.entries()) {
    const frame = ownerOf(profile, node);
    bytesOf.set(frame, (bytesOf.get(frame) ?? 0) + (values[row * columns + space] as number));
  }
  return [...bytesOf]
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, FUNCTIONS_MAX)
    .map(([{ name, file, line }, bytes]) => ({ function: name, file, line, bytes: Math.round(bytes) }));
}

/** The innermost frame with a file that is not Node's; the innermost where the whole stack has none. */
function ownerOf({ parents, nodeFrames, frames }: Profile, leaf: number): Frame {
  for (let node = leaf; node !== -1; node = parents[node] as number) {
    const frame = frames[nodeFrames[node] as number] as Frame;
    if (frame.file !== '' && !frame.file.startsWith('node:')) return frame;
  }
  return frames[nodeFrames[leaf] as number] as Frame;
}
