// Writes a profile in the format of pprof (profile.proto of github.com/google/pprof), gzipped, as `go tool pprof`,
// Grafana, Parca and Pyroscope read it. Called by serve/ and the pushers with what the engine answered.
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { distinctName, type Frame } from './frame.ts';
import type { Profile, ValueType } from './profile.ts';
import { ProtoWriter } from './protobuf.ts';
import { inTurns } from './turns.ts';

// Field numbers of profile.proto.
const PROFILE = { sampleType: 1, sample: 2, location: 4, function: 5, string: 6 } as const;
const PROFILE_TAIL = { timeNanos: 9, durationNanos: 10, periodType: 11, period: 12, defaultSampleType: 14 } as const;
const SAMPLE = { locationId: 1, value: 2, label: 3 } as const;
const LABEL = { key: 1, str: 2 } as const;
const LOCATION = { id: 1, line: 4 } as const;
const LINE = { functionId: 1, line: 2, column: 3 } as const;
const FUNCTION = { id: 1, name: 2, systemName: 3, filename: 4, startLine: 5 } as const;

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
  readonly #out = new ProtoWriter();
  readonly #part = new ProtoWriter();
  readonly #inner = new ProtoWriter();
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
    out.number(PROFILE_TAIL.timeNanos, Math.round(startEpochMillis * 1e6));
    out.number(PROFILE_TAIL.durationNanos, Math.round(durationMillis * 1e6));
    this.#valueType(PROFILE_TAIL.periodType, periodType);
    out.number(PROFILE_TAIL.period, Math.round(period));
    out.number(PROFILE_TAIL.defaultSampleType, this.#strings.index(defaultSampleType));
    for (const text of this.#strings.all) {
      out.message(PROFILE.string, Buffer.from(text));
      yield UNITS.string;
    }
    return out.bytes;
  }

  #valueType(field: number, { type, unit }: ValueType): void {
    this.#part.reset();
    this.#part.number(1, this.#strings.index(type));
    this.#part.number(2, this.#strings.index(unit));
    this.#out.message(field, this.#part.bytes);
  }

  /** Answers how many locations its stack has. */
  #sample(index: number): number {
    const { sampleNodes, sampleLabels, labelSets, parents, nodeFrames, sampleTypes, values } = this.#profile;
    const part = this.#part;
    const numbers = this.#numbers;
    part.reset();
    numbers.length = 0;
    for (let node = sampleNodes[index] as number; node !== -1; node = parents[node] as number) {
      numbers.push((nodeFrames[node] as number) + 1);
    }
    const depth = numbers.length;
    part.packed(SAMPLE.locationId, numbers);
    numbers.length = 0;
    const columns = sampleTypes.length;
    for (let at = index * columns; at < (index + 1) * columns; at++) numbers.push(Math.round(values[at] as number));
    part.packed(SAMPLE.value, numbers);
    for (const [key, value] of Object.entries(labelSets[sampleLabels[index] as number] as object)) this.#label(key, value as string);
    this.#out.message(PROFILE.sample, part.bytes);
    return depth;
  }

  #label(key: string, value: string): void {
    this.#inner.reset();
    this.#inner.number(LABEL.key, this.#strings.index(key));
    this.#inner.number(LABEL.str, this.#strings.index(value));
    this.#part.message(SAMPLE.label, this.#inner.bytes);
  }

  #location(id: number, { line, column }: Frame): void {
    this.#inner.reset();
    this.#inner.number(LINE.functionId, id);
    this.#inner.number(LINE.line, line);
    this.#inner.number(LINE.column, column);
    this.#part.reset();
    this.#part.number(LOCATION.id, id);
    this.#part.message(LOCATION.line, this.#inner.bytes);
    this.#out.message(PROFILE.location, this.#part.bytes);
  }

  #function(id: number, frame: Frame): void {
    // By it alone pprof groups.
    const name = this.#strings.index(distinctName(frame));
    this.#part.reset();
    this.#part.number(FUNCTION.id, id);
    this.#part.number(FUNCTION.name, name);
    this.#part.number(FUNCTION.systemName, name);
    this.#part.number(FUNCTION.filename, this.#strings.index(frame.file));
    this.#part.number(FUNCTION.startLine, frame.line);
    this.#out.message(PROFILE.function, this.#part.bytes);
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
