// Writes a profile in the format of pprof (profile.proto of github.com/google/pprof), gzipped, as `go tool pprof`,
// Grafana, Parca and Pyroscope read it. Called by serve/ and the pushers with what the engine answered.
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { ProtobufWriter } from '../core/protobuf-writer.ts';
import { distinctName, type Frame } from './frame.ts';
import type { Profile, ValueType } from './profile.ts';
import { inTurns } from '../core/turns.ts';

// Tags of profile.proto: number of the field times 8, plus 2 for a length and that many bytes.
const PROFILE = { sampleType: 0x0a, sample: 0x12, location: 0x22, function: 0x2a, string: 0x32 } as const;
const PROFILE_TAIL = { timeNanos: 0x48, durationNanos: 0x50, periodType: 0x5a, period: 0x60, defaultSampleType: 0x70 } as const;
const VALUE_TYPE = { type: 0x08, unit: 0x10 } as const;
const SAMPLE = { locationId: 0x0a, value: 0x12, label: 0x1a } as const;
const LABEL = { key: 0x08, str: 0x10 } as const;
const LOCATION = { id: 0x08, line: 0x22 } as const;
const LINE = { functionId: 0x08, line: 0x10, column: 0x18 } as const;
const FUNCTION = { id: 0x08, name: 0x10, systemName: 0x18, filename: 0x20, startLine: 0x28 } as const;

/** Enough for any label, location or function without growing, and for most samples. */
const PART_BYTES = 1024;
const WHOLE_BYTES = 64 * 1024;

/** Work in frames of a stack, for turns.ts: a location and its function, a string, a sample besides its stack. */
const UNITS = { frame: 30, string: 10, sample: 20 } as const;

const gzipAsync = promisify(gzip);

/**
 * Encodes and gzips a profile; never blocks the event loop for more than a few milliseconds.
 * One function and one location are written per frame; the line is where the function starts.
 */
export async function encodePprof(profile: Profile): Promise<Uint8Array> {
  return await gzipAsync(await inTurns(new Encoder(profile).encode()));
}

/** One encoding. Its writers and arrays are used again for each message: 20,000 stacks have 800,000 locations. */
class Encoder {
  readonly #profile: Profile;
  readonly #out = new ProtobufWriter(WHOLE_BYTES);
  readonly #part = new ProtobufWriter(PART_BYTES);
  readonly #inner = new ProtobufWriter(PART_BYTES);
  readonly #strings = new StringTable();
  readonly #numbers: number[] = [];

  constructor(profile: Profile) {
    this.#profile = profile;
  }

  /** Yields the work of each step. */
  *encode(): Generator<number, Uint8Array> {
    const { sampleTypes, sampleNodes, frames, periodType, period, startEpochMillis, durationMillis, defaultSampleType } = this.#profile;
    const out = this.#out;
    for (const type of sampleTypes) this.#valueType(PROFILE.sampleType, type);
    for (let i = 0; i < sampleNodes.length; i++) yield UNITS.sample + this.#sample(i);
    for (const [index, frame] of frames.entries()) {
      this.#location(index + 1, frame);
      this.#function(index + 1, frame);
      yield UNITS.frame;
    }
    out.int64Field(PROFILE_TAIL.timeNanos, Math.round(startEpochMillis * 1e6));
    out.int64Field(PROFILE_TAIL.durationNanos, Math.round(durationMillis * 1e6));
    this.#valueType(PROFILE_TAIL.periodType, periodType);
    out.int64Field(PROFILE_TAIL.period, Math.round(period));
    out.int64Field(PROFILE_TAIL.defaultSampleType, this.#strings.index(defaultSampleType));
    for (const text of this.#strings.all) {
      out.textField(PROFILE.string, text);
      yield UNITS.string;
    }
    return out.written;
  }

  #valueType(field: number, { type, unit }: ValueType): void {
    this.#part.clear();
    this.#part.int64Field(VALUE_TYPE.type, this.#strings.index(type));
    this.#part.int64Field(VALUE_TYPE.unit, this.#strings.index(unit));
    this.#out.bytesField(field, this.#part.written);
  }

  /** Answers how many locations its stack has. */
  #sample(index: number): number {
    const { sampleNodes, sampleLabels, labelSets, parents, nodeFrames, sampleTypes, values } = this.#profile;
    const part = this.#part;
    const numbers = this.#numbers;
    part.clear();
    numbers.length = 0;
    for (let node = sampleNodes[index] as number; node !== -1; node = parents[node] as number) {
      numbers.push((nodeFrames[node] as number) + 1);
    }
    const depth = numbers.length;
    part.packedField(SAMPLE.locationId, numbers);
    numbers.length = 0;
    const columns = sampleTypes.length;
    for (let at = index * columns; at < (index + 1) * columns; at++) numbers.push(Math.round(values[at] as number));
    part.packedField(SAMPLE.value, numbers);
    for (const [key, value] of Object.entries(labelSets[sampleLabels[index] as number] as object)) this.#label(key, value as string);
    this.#out.bytesField(PROFILE.sample, part.written);
    return depth;
  }

  #label(key: string, value: string): void {
    this.#inner.clear();
    this.#inner.int64Field(LABEL.key, this.#strings.index(key));
    this.#inner.int64Field(LABEL.str, this.#strings.index(value));
    this.#part.bytesField(SAMPLE.label, this.#inner.written);
  }

  #location(id: number, { line, column }: Frame): void {
    this.#inner.clear();
    this.#inner.int64Field(LINE.functionId, id);
    this.#inner.int64Field(LINE.line, line);
    this.#inner.int64Field(LINE.column, column);
    this.#part.clear();
    this.#part.int64Field(LOCATION.id, id);
    this.#part.bytesField(LOCATION.line, this.#inner.written);
    this.#out.bytesField(PROFILE.location, this.#part.written);
  }

  #function(id: number, frame: Frame): void {
    // By it alone pprof groups.
    const name = this.#strings.index(distinctName(frame));
    this.#part.clear();
    this.#part.int64Field(FUNCTION.id, id);
    this.#part.int64Field(FUNCTION.name, name);
    this.#part.int64Field(FUNCTION.systemName, name);
    this.#part.int64Field(FUNCTION.filename, this.#strings.index(frame.file));
    this.#part.int64Field(FUNCTION.startLine, frame.line);
    this.#out.bytesField(PROFILE.function, this.#part.written);
  }
}

/** Strings by index in order of first use; index 0 is the empty string, as the format demands. */
class StringTable {
  readonly #indexes = new Map<string, number>([['', 0]]);

  get all(): Iterable<string> {
    return this.#indexes.keys();
  }

  index(text: string): number {
    let index = this.#indexes.get(text);
    if (index === undefined) {
      index = this.#indexes.size;
      this.#indexes.set(text, index);
    }
    return index;
  }
}
