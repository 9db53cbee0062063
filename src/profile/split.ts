// Cuts a profile that a receiver would refuse as too large into several whose sum it is. Called for the pushers, with what
// sdk.ts hands them. A minute of 99 Hz has 6,000 samples at most, so that only long intervals or very deep stacks come to this.
import { inTurns } from '../core/turns.ts';
import type { Frame } from './frame.ts';
import type { LabelSet, Profile } from './profile.ts';

/** Of one profile as a receiver counts them. */
export interface ProfileLimits {
  readonly samples: number;
  /** Of pprof before it is compressed. */
  readonly bytes: number;
}

// At most, in pprof: numbers of up to 10 bytes, references to texts of up to 4, and tags and lengths around them.
const SAMPLE_BYTES = 12;
const VALUE_BYTES = 10;
const LABEL_BYTES = 12;
/** A function, its location, and two strings besides their text. */
const FRAME_BYTES = 64;
const TEXT_BYTES = 6;
/** Types, times, and what the format has once. */
const HEAD_BYTES = 1024;

/** The profile itself when it is within the limits, else profiles that are, each with only the frames that it needs. */
export async function split(profile: Profile, limits: ProfileLimits): Promise<readonly Profile[]> {
  return await inTurns(splitInSteps(profile, limits));
}

function* splitInSteps(profile: Profile, limits: ProfileLimits): Generator<number, readonly Profile[]> {
  const parts = yield* cutRows(profile, limits);
  if (parts.length <= 1) return [profile];
  const profiles: Profile[] = [];
  let from = 0;
  for (const to of parts) {
    profiles.push(yield* extract(profile, from, to));
    from = to;
  }
  return profiles;
}

/** Where each part ends, in rows. */
function* cutRows(profile: Profile, limits: ProfileLimits): Generator<number, readonly number[]> {
  const { frames, labelSets, parents, nodeFrames, sampleNodes, sampleLabels, sampleTypes } = profile;
  const ends: number[] = [];
  // In which part each was counted last.
  const framePart = new Int32Array(frames.length).fill(-1);
  const labelPart = new Int32Array(labelSets.length).fill(-1);
  const locationIdBytes = varintBytes(frames.length);
  const rowBytes = SAMPLE_BYTES + sampleTypes.length * VALUE_BYTES;
  let bytes = HEAD_BYTES;
  let start = 0;
  for (let row = 0; row < sampleNodes.length;) {
    const set = sampleLabels[row] as number;
    const labels = labelSets[set] as LabelSet;
    let added = rowBytes + Object.keys(labels).length * LABEL_BYTES;
    if (labelPart[set] !== ends.length) added += labelTextBytes(labels);
    labelPart[set] = ends.length;
    let depth = 0;
    for (let at = sampleNodes[row] as number; at !== -1; at = parents[at] as number) {
      const frame = nodeFrames[at] as number;
      if (framePart[frame] !== ends.length) added += frameBytes(frames[frame] as Frame);
      framePart[frame] = ends.length;
      depth += 1;
    }
    added += depth * locationIdBytes;
    yield 1 + depth;
    const isFull = row - start >= limits.samples || bytes + added > limits.bytes;
    if (isFull && row > start) {
      // Again, as the first of the next part.
      ends.push(row);
      start = row;
      bytes = HEAD_BYTES;
      continue;
    }
    bytes += added;
    row += 1;
  }
  ends.push(sampleNodes.length);
  return ends;
}

/** The rows of a part with the nodes, frames and label sets that they need. */
function* extract(profile: Profile, from: number, to: number): Generator<number, Profile> {
  const { parents, nodeFrames, labelSets, sampleTypes } = profile;
  const usedNodes = new Uint8Array(parents.length);
  for (let row = from; row < to; row++) {
    yield 1;
    for (let at = profile.sampleNodes[row] as number; at !== -1 && usedNodes[at] === 0; at = parents[at] as number) usedNodes[at] = 1;
  }
  const nodes = new Int32Array(parents.length);
  const frameIds = new Map<number, number>();
  const newParents: number[] = [];
  const newFrames: number[] = [];
  // A parent has the smaller index, so that it has been seen.
  for (let i = 0; i < parents.length; i++) {
    yield 1;
    if (usedNodes[i] === 0) continue;
    const parent = parents[i] as number;
    nodes[i] = newParents.push(parent === -1 ? -1 : (nodes[parent] as number)) - 1;
    newFrames.push(idOf(frameIds, nodeFrames[i] as number));
  }
  // The first is the empty one.
  const labelIds = new Map<number, number>([[0, 0]]);
  const sampleLabels = profile.sampleLabels.subarray(from, to).map((set) => idOf(labelIds, set));
  return {
    ...profile,
    frames: Array.from(frameIds.keys(), (frame) => profile.frames[frame] as Frame),
    parents: Int32Array.from(newParents),
    nodeFrames: Int32Array.from(newFrames),
    sampleNodes: profile.sampleNodes.subarray(from, to).map((node) => nodes[node] as number),
    sampleLabels,
    labelSets: Array.from(labelIds.keys(), (set) => labelSets[set] as LabelSet),
    values: profile.values.subarray(from * sampleTypes.length, to * sampleTypes.length),
  };
}

function varintBytes(value: number): number {
  return value < 0x80 ? 1 : 1 + varintBytes(Math.floor(value / 0x80));
}

function idOf(ids: Map<number, number>, key: number): number {
  let id = ids.get(key);
  if (id === undefined) ids.set(key, (id = ids.size));
  return id;
}

/** The name may be followed by file and line, where it is none. */
function frameBytes({ name, file }: Frame): number {
  return FRAME_BYTES + Buffer.byteLength(name) + 2 * (TEXT_BYTES + Buffer.byteLength(file));
}

function labelTextBytes(labels: LabelSet): number {
  return Object.entries(labels).reduce(
    (sum, [name, value]) => sum + 2 * TEXT_BYTES + Buffer.byteLength(name) + Buffer.byteLength(value),
    0,
  );
}
