// Profiles as OTLP arranges them (opentelemetry-proto 1.10, profiles v1development): tables that all profiles of a request
// share, and one profile for each sample type. Filled by otlp-profiles.ts, read by otlp-profile-protobuf.ts and
// otlp-profile-json.ts. Entry 0 of each table stands for none; the arrays here begin with it, except for the strings' texts.
import { newTraceId } from '../core/ids.ts';
import type { Frame } from '../profile/frame.ts';
import type { LabelSet, Profile, ValueType } from '../profile/profile.ts';

/** Functions come from code, so 2^21 of them are out of reach; the key of a node stays exact below 2^53. */
const FUNCTIONS_MAX = 2 ** 21;

/** A count of hits says again what their times say, and Pyroscope would add both up as CPU time. */
const COUNT_OF_HITS = 'samples';

const UNKNOWN = -2;

const TRACE_ID = 'trace_id';
const SPAN_ID = 'span_id';
const ID_LENGTHS: Readonly<Record<string, number>> = { [TRACE_ID]: 32, [SPAN_ID]: 16 };

/** Labels of ours that the semantic conventions have another name for. */
const CONVENTIONS: Readonly<Record<string, string>> = { thread: 'thread.name' };

/** Texts by their index in the table of strings. */
export interface TableFunction {
  readonly name: number;
  readonly file: number;
  readonly line: number;
  readonly column: number;
}

export interface TableLink {
  /** 32 and 16 hex digits. */
  readonly traceId: string;
  readonly spanId: string;
}

export interface TableAttribute {
  /** Index in the table of strings. */
  readonly key: number;
  readonly value: string;
}

/** Indexes in the table of strings. */
export interface TableValueType {
  readonly type: number;
  readonly unit: number;
}

/** One sample a row. */
interface TableSamples {
  readonly stacks: number[];
  /** Index into `ProfileTables.labels`. */
  readonly labels: number[];
  readonly values: number[];
}

export interface TableProfile {
  readonly type: TableValueType;
  readonly periodType: TableValueType;
  readonly period: number;
  readonly startEpochMillis: number;
  readonly durationMillis: number;
  /** 32 hex digits. */
  readonly id: string;
  readonly samples: TableSamples;
}

/** What a label set becomes. */
export interface TableLabels {
  readonly attributes: readonly number[];
  readonly link: number;
}

const NO_FUNCTION: TableFunction = { name: 0, file: 0, line: 0, column: 0 };
const NO_LINK: TableLink = { traceId: '', spanId: '' };
const NO_ATTRIBUTE: TableAttribute = { key: 0, value: '' };

export class ProfileTables {
  readonly #functionName: (frame: Frame) => string;
  readonly #strings = new Map<string, number>([['', 0]]);
  readonly functions: TableFunction[] = [NO_FUNCTION];
  readonly links: TableLink[] = [NO_LINK];
  readonly attributes: TableAttribute[] = [NO_ATTRIBUTE];
  /** The node that each stack ends in. */
  readonly stacks: number[] = [-1];
  readonly labels: TableLabels[] = [];
  readonly profiles: TableProfile[] = [];
  /** Attribute that every location has. */
  readonly frameType: number;
  /** Parent of each node, -1 for the outermost frame, and its function. */
  readonly #parents: number[] = [];
  readonly #nodeFunctions: number[] = [];
  readonly #functionIds = new Map<Frame, number>();
  readonly #nodeIds = new Map<number, number>();
  readonly #stackIds = new Map<number, number>();
  readonly #linkIds = new Map<string, number>();
  readonly #attributeIds = new Map<string, number>();

  /** `functionName` tells how a function is shown. */
  constructor(functionName: (frame: Frame) => string) {
    this.#functionName = functionName;
    this.frameType = this.#attribute('profile.frame.type', 'v8js');
  }

  get strings(): IterableIterator<string> {
    return this.#strings.keys();
  }

  /** The functions of a stack, innermost first. */
  *functionsOf(stack: number): Generator<number> {
    for (let node = this.stacks[stack] as number; node !== -1; node = this.#parents[node] as number) {
      yield this.#nodeFunctions[node] as number;
    }
  }

  /** Adds a profile for each of its sample types that has samples; yields units of work. */
  *add(profile: Profile): Generator<number, void> {
    const { sampleTypes, sampleNodes, sampleLabels, labelSets } = profile;
    const stackOf = this.#stacksOf(profile);
    const labelIds = new Int32Array(labelSets.length).fill(UNKNOWN);
    const isTold = sampleTypes.some(({ type }) => type !== COUNT_OF_HITS);
    for (const [column, type] of sampleTypes.entries()) {
      if (isTold && type.type === COUNT_OF_HITS) continue;
      const samples: TableSamples = { stacks: [], labels: [], values: [] };
      for (let row = 0; row < sampleNodes.length; row++) {
        const value = Math.round(profile.values[row * sampleTypes.length + column] as number);
        yield 1;
        if (value === 0) continue;
        const set = sampleLabels[row] as number;
        if (labelIds[set] === UNKNOWN) labelIds[set] = this.labels.push(this.#labels(labelSets[set] as LabelSet)) - 1;
        samples.stacks.push(yield* stackOf(sampleNodes[row] as number));
        samples.labels.push(labelIds[set] as number);
        samples.values.push(value);
      }
      if (samples.values.length === 0) continue;
      this.profiles.push({
        type: this.#valueType(type),
        periodType: this.#valueType(profile.periodType),
        period: Math.round(profile.period),
        startEpochMillis: profile.startEpochMillis,
        durationMillis: profile.durationMillis,
        id: newTraceId(),
        samples,
      });
    }
  }

  /** From a node of the profile to its stack here; of what no sample has, as functions without a value, nothing is added. */
  #stacksOf({ frames, parents, nodeFrames }: Profile): (node: number) => Generator<number, number> {
    const known = new Int32Array(parents.length).fill(UNKNOWN);
    const add = this.#stack.bind(this);
    const nodeOf = (parent: number, frame: number): number => this.#node(parent, this.#function(frames[frame] as Frame));
    return function* stackOf(node) {
      const path: number[] = [];
      let at = node;
      for (; at !== -1 && known[at] === UNKNOWN; at = parents[at] as number) path.push(at);
      yield path.length;
      let parent = at === -1 ? -1 : (known[at] as number);
      for (let i = path.length - 1; i >= 0; i--) {
        const next = path[i] as number;
        parent = nodeOf(parent, nodeFrames[next] as number);
        known[next] = parent;
      }
      return add(parent);
    };
  }

  #node(parent: number, ofFunction: number): number {
    const key = (parent + 1) * FUNCTIONS_MAX + ofFunction;
    let id = this.#nodeIds.get(key);
    if (id === undefined) {
      id = this.#parents.push(parent) - 1;
      this.#nodeFunctions.push(ofFunction);
      this.#nodeIds.set(key, id);
    }
    return id;
  }

  #function(frame: Frame): number {
    let id = this.#functionIds.get(frame);
    if (id === undefined) {
      const { file, line, column } = frame;
      id = this.functions.push({ name: this.#string(this.#functionName(frame)), file: this.#string(file), line, column }) - 1;
      this.#functionIds.set(frame, id);
    }
    return id;
  }

  #stack(node: number): number {
    let id = this.#stackIds.get(node);
    if (id === undefined) this.#stackIds.set(node, (id = this.stacks.push(node) - 1));
    return id;
  }

  #labels(set: LabelSet): TableLabels {
    const { [TRACE_ID]: traceId = '', [SPAN_ID]: spanId = '' } = set;
    const isLink = isId(TRACE_ID, traceId) && isId(SPAN_ID, spanId);
    const attributes = Object.entries(set)
      .filter(([name, value]) => !(name in ID_LENGTHS) && value !== '')
      .map(([name, value]) => this.#attribute(CONVENTIONS[name] ?? name, value));
    return { attributes, link: isLink ? this.#link({ traceId, spanId }) : 0 };
  }

  #link(link: TableLink): number {
    const key = link.traceId + link.spanId;
    let id = this.#linkIds.get(key);
    if (id === undefined) this.#linkIds.set(key, (id = this.links.push(link) - 1));
    return id;
  }

  #attribute(name: string, value: string): number {
    const attribute = { key: this.#string(name), value };
    const key = `${attribute.key} ${value}`;
    let id = this.#attributeIds.get(key);
    if (id === undefined) this.#attributeIds.set(key, (id = this.attributes.push(attribute) - 1));
    return id;
  }

  #valueType({ type, unit }: ValueType): TableValueType {
    return { type: this.#string(type), unit: this.#string(unit) };
  }

  #string(text: string): number {
    let id = this.#strings.get(text);
    if (id === undefined) this.#strings.set(text, (id = this.#strings.size));
    return id;
  }
}

function isId(name: string, text: string): boolean {
  return text.length === ID_LENGTHS[name] && /^[0-9a-f]+$/.test(text);
}
