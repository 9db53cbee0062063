// Profiles as OTLP arranges them (opentelemetry-proto 1.10, profiles v1development): tables that all profiles of a request
// share, and one profile for each sample type. Filled by otlp-profiles.ts, read by otlp-profile-protobuf.ts and
// otlp-profile-json.ts. Entry 0 of each table stands for none; the arrays here begin with it, except for the strings' texts.
import { newTraceId } from '../core/ids.ts';
import type { Frame } from '../profile/frame.ts';
import type { LabelSet, Profile, ValueType } from '../profile/profile.ts';

/** A count of hits says again what their times say, and Pyroscope would add both up as CPU time. */
const COUNT_OF_HITS = 'samples';

const UNKNOWN = -1;

/** Locations of all stacks, to begin with: 4,000 stacks of 25. */
const LOCATIONS_INITIAL = 100_000;

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
  readonly labels: TableLabels[] = [];
  readonly profiles: TableProfile[] = [];
  /** Attribute that every location has. */
  readonly frameType: number;
  readonly #functionIds = new Map<Frame, number>();
  /** Of all stacks, one behind the other, and where each begins. One array, as 300,000 objects are 30 ms of garbage collection. */
  #locations = new Int32Array(LOCATIONS_INITIAL);
  #locationCount = 0;
  readonly #stackStarts: number[] = [0];
  readonly #stackIds = new Map<number, number>();
  /** The stacks of the nodes of a call tree, which CPU and wall time have in common; 0 for one not asked for yet. */
  readonly #trees = new Map<Int32Array, Int32Array>();
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

  get stackCount(): number {
    return this.#stackStarts.length;
  }

  /** The locations of a stack, innermost first, which are its functions; a view. */
  locationsOf(stack: number): Int32Array {
    return this.#locations.subarray(this.#stackStarts[stack], this.#stackStarts[stack + 1] ?? this.#locationCount);
  }

  /** Adds a profile for each of its sample types that has samples; yields units of work. */
  *add(profile: Profile): Generator<number, void> {
    const { sampleTypes, sampleNodes, sampleLabels, labelSets } = profile;
    const tree = this.#treeOf(profile);
    const labelIds = new Int32Array(labelSets.length).fill(UNKNOWN);
    const isTold = sampleTypes.some(({ type }) => type !== COUNT_OF_HITS);
    for (const [column, type] of sampleTypes.entries()) {
      if (isTold && type.type === COUNT_OF_HITS) continue;
      const samples: TableSamples = { stacks: [], labels: [], values: [] };
      for (let row = 0; row < sampleNodes.length; row++) {
        const value = Math.round(profile.values[row * sampleTypes.length + column] as number);
        yield 1;
        if (value === 0) continue;
        const node = sampleNodes[row] as number;
        if (tree[node] === 0) tree[node] = yield* this.#addStack(profile, node);
        const set = sampleLabels[row] as number;
        if (labelIds[set] === UNKNOWN) labelIds[set] = this.labels.push(this.#labels(labelSets[set] as LabelSet)) - 1;
        samples.stacks.push(tree[node] as number);
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

  #treeOf({ parents }: Profile): Int32Array {
    let tree = this.#trees.get(parents);
    if (tree === undefined) this.#trees.set(parents, (tree = new Int32Array(parents.length)));
    return tree;
  }

  /** The stack that ends in a node: the same one for the same functions, whatever profile they are of. */
  *#addStack({ frames, parents, nodeFrames }: Profile, node: number): Generator<number, number> {
    const start = this.#locationCount;
    let hash = 0;
    for (let at = node; at !== -1; at = parents[at] as number) {
      const id = this.#function(frames[nodeFrames[at] as number] as Frame);
      hash = (Math.imul(hash, 31) + id) | 0;
      this.#pushLocation(id);
    }
    yield this.#locationCount - start;
    for (;;) {
      const known = this.#stackIds.get(hash);
      if (known === undefined) break;
      if (this.#isLast(known, start)) {
        this.#locationCount = start;
        return known;
      }
      hash = (hash + 1) | 0;
    }
    const id = this.#stackStarts.push(start) - 1;
    this.#stackIds.set(hash, id);
    return id;
  }

  #pushLocation(id: number): void {
    if (this.#locationCount === this.#locations.length) {
      const grown = new Int32Array(this.#locations.length * 2);
      grown.set(this.#locations);
      this.#locations = grown;
    }
    this.#locations[this.#locationCount++] = id;
  }

  /** Whether the locations from `start` on are those of a stack. */
  #isLast(stack: number, start: number): boolean {
    const from = this.#stackStarts[stack] as number;
    const end = this.#stackStarts[stack + 1] ?? start;
    if (end - from !== this.#locationCount - start) return false;
    for (let i = from; i < end; i++) if (this.#locations[i] !== this.#locations[start + i - from]) return false;
    return true;
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
