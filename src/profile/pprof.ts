// Writes a profile in the format of pprof (profile.proto of github.com/google/pprof), gzipped, as `go tool pprof`,
// Grafana, Parca and Pyroscope read it. Called by serve/ and the pushers with what the engine answered.
import { basename } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Frame } from './frame.ts';
import type { Profile, ValueType } from './profile.ts';
import { ProtoWriter } from './protobuf.ts';

// Field numbers of profile.proto.
const PROFILE = { sampleType: 1, sample: 2, location: 4, function: 5, string: 6 } as const;
const PROFILE_TAIL = { timeNanos: 9, durationNanos: 10, periodType: 11, period: 12, defaultSampleType: 14 } as const;
const SAMPLE = { locationId: 1, value: 2, label: 3 } as const;
const LABEL = { key: 1, str: 2 } as const;
const LOCATION = { id: 1, line: 4 } as const;
const LINE = { functionId: 1, line: 2, column: 3 } as const;
const FUNCTION = { id: 1, name: 2, systemName: 3, filename: 4, startLine: 5 } as const;

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
  const out = new ProtoWriter();
  const part = new ProtoWriter();
  const strings = new StringTable();
  for (const type of profile.sampleTypes) out.message(PROFILE.sampleType, valueType(part, strings, type));
  const labelSets = profile.labelSets.map((set) => Object.entries(set).map(([key, value]) => label(strings, key, value)));
  for (let i = 0; i < profile.sampleNodes.length; i++) {
    out.message(PROFILE.sample, sample(part, labelSets, profile, i));
    if (i % SAMPLES_PER_TURN === SAMPLES_PER_TURN - 1) await nextTurn();
  }
  for (const [index, frame] of profile.frames.entries()) {
    out.message(PROFILE.location, location(part, index + 1, frame));
    out.message(PROFILE.function, fn(part, strings, index + 1, frame));
  }
  out.number(PROFILE_TAIL.timeNanos, Math.round(profile.startEpochMillis * 1e6));
  out.number(PROFILE_TAIL.durationNanos, Math.round(profile.durationMillis * 1e6));
  out.message(PROFILE_TAIL.periodType, valueType(part, strings, profile.periodType));
  out.number(PROFILE_TAIL.period, Math.round(profile.period));
  out.number(PROFILE_TAIL.defaultSampleType, strings.index(profile.defaultSampleType));
  for (const text of strings.all) out.message(PROFILE.string, Buffer.from(text));
  return out.bytes;
}

function valueType(part: ProtoWriter, strings: StringTable, { type, unit }: ValueType): Uint8Array {
  part.reset();
  part.number(1, strings.index(type));
  part.number(2, strings.index(unit));
  return part.bytes;
}

function label(strings: StringTable, key: string, value: string): Uint8Array {
  const part = new ProtoWriter();
  part.number(LABEL.key, strings.index(key));
  part.number(LABEL.str, strings.index(value));
  return part.bytes;
}

function sample(part: ProtoWriter, labelSets: readonly Uint8Array[][], profile: Profile, index: number): Uint8Array {
  const columns = profile.sampleTypes.length;
  const values = profile.values.subarray(index * columns, (index + 1) * columns);
  part.reset();
  part.packed(SAMPLE.locationId, locationIds(profile, profile.sampleNodes[index] as number));
  part.packed(SAMPLE.value, values.map(Math.round));
  for (const bytes of labelSets[profile.sampleLabels[index] as number] as Uint8Array[]) part.message(SAMPLE.label, bytes);
  return part.bytes;
}

/** The stack that ends in a node, innermost frame first, as location ids. */
function locationIds(profile: Profile, node: number): number[] {
  const ids: number[] = [];
  for (let at = node; at !== -1; at = profile.parents[at] as number) {
    ids.push((profile.nodeFrames[at] as number) + 1);
  }
  return ids;
}

function location(part: ProtoWriter, id: number, frame: Frame): Uint8Array {
  const line = new ProtoWriter();
  line.number(LINE.functionId, id);
  line.number(LINE.line, frame.line);
  line.number(LINE.column, frame.column);
  part.reset();
  part.number(LOCATION.id, id);
  part.message(LOCATION.line, line.bytes);
  return part.bytes;
}

function fn(part: ProtoWriter, strings: StringTable, id: number, frame: Frame): Uint8Array {
  const name = strings.index(functionName(frame));
  part.reset();
  part.number(FUNCTION.id, id);
  part.number(FUNCTION.name, name);
  part.number(FUNCTION.systemName, name);
  part.number(FUNCTION.filename, strings.index(frame.file));
  part.number(FUNCTION.startLine, frame.line);
  return part.bytes;
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
