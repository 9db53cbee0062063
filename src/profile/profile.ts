// A profile in memory: a call tree in flat arrays with one row of values per sampled node. It is what the ring
// keeps (a node costs 8 bytes, a row 32), what merge and subtract work on, and what pprof.ts writes. The
// vocabulary is profile.proto's.
import { type Frame, frameOf } from './frame.ts';
import { PairTable } from './pair-table.ts';
import { StackTable } from './stack-table.ts';
import { inTurns } from '../core/turns.ts';

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
  /** Where the tree is shared with other profiles and holds stacks of theirs: how many nodes are new with this one. */
  readonly newNodes?: number | undefined;
}

/** How much a builder is going to hold at the most, as far as that is known: then it never stops to grow. */
interface ExpectedSize {
  readonly nodes: number;
  readonly rows: number;
}

const ROWS_AT_FIRST = 64;

/** Collects stacks and values; equal frames, nodes and samples become one. */
export class ProfileBuilder {
  readonly #columns: number;
  readonly #stacks: StackTable;
  readonly #sharedNodes: number | undefined;
  readonly #labelSets: LabelSet[] = [];
  readonly #labelIds = new Map<string, number>();
  /** Of node and label set. */
  readonly #rows: PairTable;
  #values: Float64Array;

  /** `stacks` is a tree that other profiles have too. */
  constructor(columns: number, { stacks, expected }: { stacks?: StackTable | undefined; expected?: ExpectedSize | undefined } = {}) {
    this.#columns = columns;
    this.#stacks = stacks ?? new StackTable(expected?.nodes);
    this.#sharedNodes = stacks?.count;
    this.#rows = new PairTable(expected?.rows);
    this.#values = new Float64Array((expected?.rows ?? ROWS_AT_FIRST) * columns);
    this.labels(NO_LABELS);
  }

  frame(name: string, file: string, line: number, column = 0): number {
    return this.#stacks.frame(frameOf(name, file, line, column));
  }

  /** The same for a frame that is there already. */
  addFrame(frame: Frame): number {
    return this.#stacks.frame(frame);
  }

  get nodeCount(): number {
    return this.#stacks.count;
  }

  /** The node for `frame` called from the node `parent`, -1 for an outermost frame. */
  node(parent: number, frame: number): number {
    return this.#stacks.node(parent, frame);
  }

  /** The id of a label set, 0 for the empty one; labels in another order make another set. */
  labels(set: LabelSet): number {
    const key = JSON.stringify(set);
    let id = this.#labelIds.get(key);
    if (id === undefined) {
      id = this.#labelSets.push(set) - 1;
      this.#labelIds.set(key, id);
    }
    return id;
  }

  /** Adds `value` to one column of the node's sample with a label set. */
  add(node: number, column: number, value: number, labels: number = 0): void {
    const at = this.#row(node, labels) * this.#columns + column;
    this.#values[at] = (this.#values[at] as number) + value;
  }

  /** Adds a row of another profile's values, each times `factor`, from the builder's column `shift` on. */
  addRow(node: number, labels: number, { values, factor, shift }: { values: Float64Array; factor: number; shift: number }): void {
    const at = this.#row(node, labels) * this.#columns + shift;
    for (let i = 0; i < values.length; i++) this.#values[at + i] = (this.#values[at + i] as number) + factor * (values[i] as number);
  }

  build(head: ProfileHead): Profile {
    return {
      ...head,
      frames: this.#stacks.frames,
      parents: this.#stacks.parents,
      nodeFrames: this.#stacks.nodeFrames,
      sampleNodes: this.#rows.firsts().slice(),
      sampleLabels: this.#rows.seconds().slice(),
      labelSets: this.#labelSets,
      values: this.#values.slice(0, this.#rows.size * this.#columns),
      newNodes: this.#sharedNodes === undefined ? undefined : this.#stacks.count - this.#sharedNodes,
    };
  }

  /** The row of the node's sample with a label set, made when new. */
  #row(node: number, labels: number): number {
    const row = this.#rows.id(node, labels);
    if ((row + 1) * this.#columns > this.#values.length) this.#growValues();
    return row;
  }

  #growValues(): void {
    const larger = new Float64Array(Math.max(this.#values.length, this.#columns) * 2);
    larger.set(this.#values);
    this.#values = larger;
  }
}

/**
 * Bytes a profile holds: arrays exactly, of a shared tree what is new, a frame as the slot of a shared object, a label set as
 * 56 (48 and its slot), strings as shared.
 */
export function sizeBytes(profile: Profile): number {
  const { parents, frames, sampleNodes, sampleLabels, values, labelSets, newNodes } = profile;
  const rows = sampleNodes.byteLength + sampleLabels.byteLength + values.byteLength;
  const tree = newNodes === undefined ? parents.length * 8 + frames.length * 8 : newNodes * 8;
  return rows + tree + labelSets.length * 56;
}

/** Which samples of a profile are wanted. */
export interface SampleFilter {
  /** A route template; empty for what belongs to no route. */
  readonly route?: string | undefined;
  readonly traceId?: string | undefined;
  readonly spanId?: string | undefined;
}

/** The profile with only the samples that are wanted. */
export function only(profile: Profile, { route, traceId, spanId }: SampleFilter): Profile {
  return filter(profile, (labels) => {
    if (route !== undefined && (labels['http.route'] ?? '') !== route) return false;
    return (traceId === undefined || labels['trace_id'] === traceId) && (spanId === undefined || labels['span_id'] === spanId);
  });
}

/** The profile with only the samples whose labels `keeps` answers true for; asked once a label set. */
export function filter(profile: Profile, keeps: (labels: LabelSet) => boolean): Profile {
  const kept = profile.labelSets.map(keeps);
  return withRows(profile, (row) => kept[profile.sampleLabels[row] as number] as boolean, columnsOf(profile));
}

/** The profile with only the named sample types, the last of them the default; samples without any of it are left out. */
export function select(profile: Profile, types: readonly string[]): Profile {
  const from = types.map((type) => profile.sampleTypes.findIndex((sampleType) => sampleType.type === type));
  const main = from.at(-1) as number;
  const columns = profile.sampleTypes.length;
  const selected = withRows(profile, (row) => profile.values[row * columns + main] !== 0, from);
  return {
    ...selected,
    sampleTypes: from.map((column) => profile.sampleTypes[column] as ValueType),
    defaultSampleType: types.at(-1) as string,
  };
}

function columnsOf({ sampleTypes }: Profile): number[] {
  return [...sampleTypes.keys()];
}

/** The profile with only the rows that `keeps` answers true for, and of these only some columns. */
function withRows(profile: Profile, keeps: (row: number) => boolean, columns: readonly number[]): Profile {
  const width = profile.sampleTypes.length;
  const sampleNodes = new Int32Array(profile.sampleNodes.length);
  const sampleLabels = new Int32Array(profile.sampleNodes.length);
  const values = new Float64Array(profile.sampleNodes.length * columns.length);
  let count = 0;
  let at = 0;
  for (let row = 0; row < profile.sampleNodes.length; row++) {
    if (!keeps(row)) continue;
    sampleNodes[count] = profile.sampleNodes[row] as number;
    sampleLabels[count] = profile.sampleLabels[row] as number;
    for (const column of columns) values[at++] = profile.values[row * width + column] as number;
    count += 1;
  }
  return {
    ...profile,
    sampleNodes: sampleNodes.subarray(0, count),
    sampleLabels: sampleLabels.subarray(0, count),
    values: values.subarray(0, at),
  };
}

/**
 * The sum of profiles of the same sample types, from the oldest to the newest; needs at least one. In turns of the event
 * loop: a window of a thousand samples costs some 2 ms, and the ring holds ninety.
 */
export async function merge(profiles: Iterable<Profile>): Promise<Profile> {
  let builder: ProfileBuilder | undefined;
  let first: Profile | undefined;
  let durationMillis = 0;
  const known: KnownNodes = new Map();
  for (const profile of profiles) {
    first ??= profile;
    builder ??= new ProfileBuilder(first.sampleTypes.length, { expected: sizeOf(Array.isArray(profiles) ? profiles : [first]) });
    await inTurns(adding(builder, profile, { known }));
    durationMillis += profile.durationMillis;
  }
  return (builder as ProfileBuilder).build({ ...(first as Profile), durationMillis });
}

/**
 * What `later` has more than `earlier`, per stack and label set; less is negative, equal is left out. Its duration is the
 * time between. In turns of the event loop.
 */
export async function subtract(later: Profile, earlier: Profile): Promise<Profile> {
  const builder = new ProfileBuilder(later.sampleTypes.length, { expected: sizeOf([later, earlier]) });
  await inTurns(adding(builder, later));
  await inTurns(adding(builder, earlier, { factor: -1 }));
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

function sizeOf(profiles: readonly Profile[]): ExpectedSize {
  const trees = new Map<readonly Frame[], number>();
  for (const { frames, parents } of profiles) trees.set(frames, Math.max(parents.length, trees.get(frames) ?? 0));
  const nodes = [...trees.values()].reduce((sum, count) => sum + count, 0);
  return { nodes, rows: profiles.reduce((sum, { sampleNodes }) => sum + sampleNodes.length, 0) };
}

/** By tree, known by its frames: the builder's node for each of its nodes, plus one, 0 for one that was not needed yet. */
type KnownNodes = Map<readonly Frame[], Int32Array>;

/** How a profile is added to a builder. */
interface Adding {
  /** Times this; 1. */
  readonly factor?: number;
  /** Its first column becomes this column of the builder, and so on; 0. */
  readonly shift?: number;
  /** Kept between profiles that share trees. */
  readonly known?: KnownNodes;
}

/** Work in the unit of turns.ts: a row and its values, a label set by its JSON, a node of its stack. */
const UNITS = { row: 4, labels: 20, node: 2 } as const;

/** Adds all of a profile to a builder. Only stacks that have samples come over. */
export function addAll(builder: ProfileBuilder, profile: Profile, how: Adding = {}): void {
  const steps = adding(builder, profile, how);
  while (steps.next().done !== true);
}

/** The same; yields the work of each step. */
function* adding(
  builder: ProfileBuilder,
  profile: Profile,
  { factor = 1, shift = 0, known = new Map() }: Adding = {},
): Generator<number, void> {
  const { frames, sampleNodes, sampleLabels, labelSets, values } = profile;
  const nodes = roomFor(known, profile);
  const width = profile.sampleTypes.length;
  const labelIds = new Int32Array(labelSets.length).fill(-1);
  for (let row = 0; row < sampleNodes.length; row++) {
    const set = sampleLabels[row] as number;
    const isNew = labelIds[set] === -1;
    if (isNew) labelIds[set] = builder.labels(labelSets[set] as LabelSet);
    const before = builder.nodeCount;
    const node = nodeIn(builder, profile, { nodes, frames, node: sampleNodes[row] as number });
    builder.addRow(node, labelIds[set] as number, { values: values.subarray(row * width, (row + 1) * width), factor, shift });
    yield UNITS.row + (isNew ? UNITS.labels : 0) + UNITS.node * (builder.nodeCount - before);
  }
}

function roomFor(known: KnownNodes, { frames, parents }: Profile): Int32Array {
  let nodes = known.get(frames);
  if (nodes === undefined || nodes.length < parents.length) {
    const grown = new Int32Array(parents.length);
    if (nodes !== undefined) grown.set(nodes);
    known.set(frames, (nodes = grown));
  }
  return nodes;
}

/** The builder's node for one of a profile's, which comes over with all that lead to it. */
function nodeIn(
  builder: ProfileBuilder,
  { parents, nodeFrames }: Profile,
  { nodes, frames, node }: { nodes: Int32Array; frames: readonly Frame[]; node: number },
): number {
  const path: number[] = [];
  let at = node;
  for (; at !== -1 && nodes[at] === 0; at = parents[at] as number) path.push(at);
  let id = at === -1 ? -1 : (nodes[at] as number) - 1;
  for (let i = path.length - 1; i >= 0; i--) {
    const from = path[i] as number;
    id = builder.node(id, builder.addFrame(frames[nodeFrames[from] as number] as Frame));
    nodes[from] = id + 1;
  }
  return id;
}
