// A profile in memory: a call tree in flat arrays with one row of values per sampled node. It is what the ring
// keeps (a node costs 8 bytes, a row 32), what merge and subtract work on, and what pprof.ts writes. The
// vocabulary is profile.proto's.
import { type Frame, frameOf } from './frame.ts';
import { inTurns } from './turns.ts';

/** What a column of values counts and in which unit, as `cpu` in `nanoseconds`. */
export interface ValueType {
  readonly type: string;
  readonly unit: string;
}

/** Labels by name. Samples of a stack with different label sets are different samples. */
export type LabelSet = Readonly<Record<string, string>>;

/** The label set of a sample that has no label. */
export const NO_LABELS: LabelSet = Object.freeze({});

/** What stands in a profile beside its samples. */
export interface ProfileHead {
  readonly sampleTypes: readonly ValueType[];
  /** The sample type that a viewer shows first. */
  readonly defaultSampleType: string;
  readonly periodType: ValueType;
  /** Mean distance between two samples, in the unit of `periodType`. */
  readonly period: number;
  readonly startEpochMillis: number;
  readonly durationMillis: number;
}

export interface Profile extends ProfileHead {
  readonly frames: readonly Frame[];
  /** Parent of each node, always a smaller index, or -1 for the outermost frame. */
  readonly parents: Int32Array;
  /** Index into `frames` of each node. */
  readonly nodeFrames: Int32Array;
  /** The node that each sample ends in; a node has at most one sample with each label set. */
  readonly sampleNodes: Int32Array;
  /** Index into `labelSets` of each sample. */
  readonly sampleLabels: Int32Array;
  /** Each label set once; the first is the empty one. */
  readonly labelSets: readonly LabelSet[];
  /** One row per sample, `sampleTypes.length` numbers each. */
  readonly values: Float64Array;
}

/** Frames come from code, so 2^21 of them are out of reach; the key of a node stays exact below 2^53. */
const FRAMES_MAX = 2 ** 21;

/** Collects stacks and values; equal frames, nodes and samples become one. */
export class ProfileBuilder {
  readonly #columns: number;
  readonly #frames: Frame[] = [];
  readonly #frameIds = new Map<Frame, number>();
  readonly #parents: number[] = [];
  readonly #nodeFrames: number[] = [];
  readonly #nodeIds = new Map<number, number>();
  readonly #sampleNodes: number[] = [];
  readonly #sampleLabels: number[] = [];
  readonly #labelSets: LabelSet[] = [];
  readonly #labelIds = new Map<string, number>();
  /** By label set and node. */
  readonly #sampleIds: Map<number, number>[] = [];
  readonly #values: number[] = [];

  constructor(columns: number) {
    this.#columns = columns;
    this.labels(NO_LABELS);
  }

  frame(name: string, file: string, line: number, column = 0): number {
    return this.addFrame(frameOf(name, file, line, column));
  }

  /** The same for a frame that is there already. */
  addFrame(frame: Frame): number {
    let id = this.#frameIds.get(frame);
    if (id === undefined) this.#frameIds.set(frame, (id = this.#frames.push(frame) - 1));
    return id;
  }

  /** The node for `frame` called from the node `parent`, -1 for an outermost frame. */
  node(parent: number, frame: number): number {
    const key = (parent + 1) * FRAMES_MAX + frame;
    let id = this.#nodeIds.get(key);
    if (id === undefined) {
      id = this.#parents.push(parent) - 1;
      this.#nodeFrames.push(frame);
      this.#nodeIds.set(key, id);
    }
    return id;
  }

  /** The id of a label set, 0 for the empty one; labels in another order make another set. */
  labels(set: LabelSet): number {
    const key = JSON.stringify(set);
    let id = this.#labelIds.get(key);
    if (id === undefined) {
      id = this.#labelSets.push(set) - 1;
      this.#labelIds.set(key, id);
      this.#sampleIds.push(new Map());
    }
    return id;
  }

  /** Adds `value` to one column of the node's sample with a label set. */
  add(node: number, column: number, value: number, labels: number = 0): void {
    const ofLabels = this.#sampleIds[labels] as Map<number, number>;
    let sample = ofLabels.get(node);
    if (sample === undefined) {
      sample = this.#sampleNodes.push(node) - 1;
      this.#sampleLabels.push(labels);
      ofLabels.set(node, sample);
      for (let i = 0; i < this.#columns; i++) this.#values.push(0);
    }
    const at = sample * this.#columns + column;
    this.#values[at] = (this.#values[at] as number) + value;
  }

  build(head: ProfileHead): Profile {
    return {
      ...head,
      frames: this.#frames,
      parents: Int32Array.from(this.#parents),
      nodeFrames: Int32Array.from(this.#nodeFrames),
      sampleNodes: Int32Array.from(this.#sampleNodes),
      sampleLabels: Int32Array.from(this.#sampleLabels),
      labelSets: this.#labelSets,
      values: Float64Array.from(this.#values),
    };
  }
}

/** Bytes a profile holds: arrays exactly, a frame as the slot of a shared object, a label set as 56 (48 and its slot), strings as shared. */
export function sizeBytes(profile: Profile): number {
  const { parents, nodeFrames, sampleNodes, sampleLabels, values, frames, labelSets } = profile;
  const arrays = [parents, nodeFrames, sampleNodes, sampleLabels, values];
  return arrays.reduce((sum, { byteLength }) => sum + byteLength, 0) + frames.length * 8 + labelSets.length * 56;
}

/** The profile with only the samples whose labels `keeps` answers true for; asked once a label set. */
export function filter(profile: Profile, keeps: (labels: LabelSet) => boolean): Profile {
  const kept = profile.labelSets.map(keeps);
  const columns = profile.sampleTypes.length;
  const rows = Array.from(profile.sampleLabels.keys()).filter((row) => kept[profile.sampleLabels[row] as number]);
  return {
    ...profile,
    sampleNodes: Int32Array.from(rows, (row) => profile.sampleNodes[row] as number),
    sampleLabels: Int32Array.from(rows, (row) => profile.sampleLabels[row] as number),
    values: Float64Array.from({ length: rows.length * columns }, (_, i) => {
      return profile.values[(rows[Math.floor(i / columns)] as number) * columns + (i % columns)] as number;
    }),
  };
}

/** The profile with only the named sample types, the last of them the default; samples without any of it are left out. */
export function select(profile: Profile, types: readonly string[]): Profile {
  const from = types.map((type) => profile.sampleTypes.findIndex((sampleType) => sampleType.type === type));
  const main = from.at(-1) as number;
  const columns = profile.sampleTypes.length;
  const nodes: number[] = [];
  const labels: number[] = [];
  const values: number[] = [];
  for (let i = 0; i < profile.sampleNodes.length; i++) {
    if (profile.values[i * columns + main] === 0) continue;
    nodes.push(profile.sampleNodes[i] as number);
    labels.push(profile.sampleLabels[i] as number);
    for (const column of from) values.push(profile.values[i * columns + column] as number);
  }
  return {
    ...profile,
    sampleTypes: from.map((column) => profile.sampleTypes[column] as ValueType),
    defaultSampleType: types.at(-1) as string,
    sampleNodes: Int32Array.from(nodes),
    sampleLabels: Int32Array.from(labels),
    values: Float64Array.from(values),
  };
}

/**
 * The sum of profiles of the same sample types and period, from the oldest to the newest; needs at least one. In turns
 * of the event loop: a window of 1,000 nodes costs half a millisecond, and the ring holds ninety.
 */
export async function merge(profiles: readonly Profile[]): Promise<Profile> {
  const first = profiles[0] as Profile;
  if (profiles.length === 1) return first;
  const builder = new ProfileBuilder(first.sampleTypes.length);
  let durationMillis = 0;
  for (const profile of profiles) {
    await inTurns(adding(builder, profile, 1));
    durationMillis += profile.durationMillis;
  }
  return builder.build({ ...first, durationMillis });
}

/**
 * What `later` has more than `earlier`, per stack and label set; less is negative, equal is left out. Its duration is the
 * time between. In turns of the event loop.
 */
export async function subtract(later: Profile, earlier: Profile): Promise<Profile> {
  const builder = new ProfileBuilder(later.sampleTypes.length);
  await inTurns(adding(builder, later, 1));
  await inTurns(adding(builder, earlier, -1));
  const difference = builder.build({
    ...later,
    startEpochMillis: earlier.startEpochMillis,
    durationMillis: later.startEpochMillis - earlier.startEpochMillis,
  });
  return select(
    difference,
    later.sampleTypes.map(({ type }) => type),
  );
}

/** Work of a node or a value in the unit of turns.ts: some 400 ns, as each is looked up in a map. */
const UNITS_PER_ENTRY = 6;

/** Adds a profile to a builder; yields the work of each step. */
function* adding(builder: ProfileBuilder, profile: Profile, factor: number): Generator<number, void> {
  const frameIds = new Int32Array(profile.frames.length);
  for (const [i, frame] of profile.frames.entries()) {
    frameIds[i] = builder.addFrame(frame);
    yield UNITS_PER_ENTRY;
  }
  const nodeIds = new Int32Array(profile.parents.length);
  for (let i = 0; i < nodeIds.length; i++) {
    const parent = profile.parents[i] as number;
    nodeIds[i] = builder.node(parent === -1 ? -1 : (nodeIds[parent] as number), frameIds[profile.nodeFrames[i] as number] as number);
    yield UNITS_PER_ENTRY;
  }
  const labelIds = new Int32Array(profile.labelSets.length);
  for (const [i, set] of profile.labelSets.entries()) {
    labelIds[i] = builder.labels(set);
    yield 4 * UNITS_PER_ENTRY;
  }
  const columns = profile.sampleTypes.length;
  for (let i = 0; i < profile.sampleNodes.length; i++) {
    const labels = labelIds[profile.sampleLabels[i] as number] as number;
    const node = nodeIds[profile.sampleNodes[i] as number] as number;
    for (let column = 0; column < columns; column++) {
      builder.add(node, column, factor * (profile.values[i * columns + column] as number), labels);
    }
    yield columns * UNITS_PER_ENTRY;
  }
}
