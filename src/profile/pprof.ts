// Writes a profile in the format of pprof (profile.proto of github.com/google/pprof), gzipped, as `go tool pprof`,
// Grafana, Parca and Pyroscope read it. Called by serve/ and the pushers with what the engine answered.
import { basename } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { ProtobufWriter } from '../core/protobuf-writer.ts';
import type { Frame } from './frame.ts';
import type { Profile, ValueType } from './profile.ts';

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

/** Samples written between two turns of the event loop: some 2 ms. */
const SAMPLES_PER_TURN = 1000;

const gzipAsync = promisify(gzip);

/**
 * Encodes and gzips a profile; never blocks the event loop for more than a few milliseconds.
 * One function and one location are written per frame; the line is where the function starts.
 */
export async function encodePprof(profile: Profile): Promise<Uint8Array> {
  return await gzipAsync(await encode(profile));
}

async function encode(profile: Profile): Promise<Uint8Array> {
  const out = new ProtobufWriter(WHOLE_BYTES);
  const part = new ProtobufWriter(PART_BYTES);
  const strings = new StringTable();
  for (const type of profile.sampleTypes) out.bytesField(PROFILE.sampleType, valueType(part, strings, type));
  const labelSets = profile.labelSets.map((set) => Object.entries(set).map(([key, value]) => label(part, strings, [key, value])));
  for (let i = 0; i < profile.sampleNodes.length; i++) {
    out.bytesField(PROFILE.sample, sample(part, labelSets, profile, i));
    if (i % SAMPLES_PER_TURN === SAMPLES_PER_TURN - 1) await nextTurn();
  }
  for (const [index, frame] of profile.frames.entries()) {
    out.bytesField(PROFILE.location, location(part, index + 1, frame));
    out.bytesField(PROFILE.function, fn(part, strings, index + 1, frame));
  }
  out.int64Field(PROFILE_TAIL.timeNanos, Math.round(profile.startEpochMillis * 1e6));
  out.int64Field(PROFILE_TAIL.durationNanos, Math.round(profile.durationMillis * 1e6));
  out.bytesField(PROFILE_TAIL.periodType, valueType(part, strings, profile.periodType));
  out.int64Field(PROFILE_TAIL.period, Math.round(profile.period));
  out.int64Field(PROFILE_TAIL.defaultSampleType, strings.index(profile.defaultSampleType));
  for (const text of strings.all) out.textField(PROFILE.string, text);
  return out.written;
}

function valueType(part: ProtobufWriter, strings: StringTable, { type, unit }: ValueType): Uint8Array {
  part.clear();
  part.int64Field(VALUE_TYPE.type, strings.index(type));
  part.int64Field(VALUE_TYPE.unit, strings.index(unit));
  return part.written;
}

function label(part: ProtobufWriter, strings: StringTable, [key, value]: readonly [string, string]): Uint8Array {
  part.clear();
  part.int64Field(LABEL.key, strings.index(key));
  part.int64Field(LABEL.str, strings.index(value));
  return Buffer.from(part.written);
}

function sample(part: ProtobufWriter, labelSets: readonly Uint8Array[][], profile: Profile, index: number): Uint8Array {
  const columns = profile.sampleTypes.length;
  const values = profile.values.subarray(index * columns, (index + 1) * columns);
  part.clear();
  part.packedField(SAMPLE.locationId, locationIds(profile, profile.sampleNodes[index] as number));
  part.packedField(SAMPLE.value, values.map(Math.round));
  for (const bytes of labelSets[profile.sampleLabels[index] as number] as Uint8Array[]) part.bytesField(SAMPLE.label, bytes);
  return part.written;
}

/** The stack that ends in a node, innermost frame first, as location ids. */
function locationIds(profile: Profile, node: number): number[] {
  const ids: number[] = [];
  for (let at = node; at !== -1; at = profile.parents[at] as number) {
    ids.push((profile.nodeFrames[at] as number) + 1);
  }
  return ids;
}

function location(part: ProtobufWriter, id: number, frame: Frame): Uint8Array {
  part.clear();
  part.int64Field(LOCATION.id, id);
  const line = part.begin(LOCATION.line);
  part.int64Field(LINE.functionId, id);
  part.int64Field(LINE.line, frame.line);
  part.int64Field(LINE.column, frame.column);
  part.end(line);
  return part.written;
}

function fn(part: ProtobufWriter, strings: StringTable, id: number, frame: Frame): Uint8Array {
  const name = strings.index(functionName(frame));
  part.clear();
  part.int64Field(FUNCTION.id, id);
  part.int64Field(FUNCTION.name, name);
  part.int64Field(FUNCTION.systemName, name);
  part.int64Field(FUNCTION.filename, strings.index(frame.file));
  part.int64Field(FUNCTION.startLine, frame.line);
  return part.written;
}

/** pprof groups by name alone, so all anonymous functions would be one row; the place makes them distinct. */
function functionName({ name, file, line }: Frame): string {
  return name === '(anonymous)' && file !== '' ? `(anonymous ${basename(file)}:${line})` : name;
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
