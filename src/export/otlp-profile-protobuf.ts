// Profiles as protobuf: an ExportProfilesServiceRequest (opentelemetry-proto 1.10, collector profiles v1development) of filled
// tables. Called by otlp-profiles.ts. Fields come in the order of their numbers; one with its default value is not written.
import type { InstrumentationScope } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import { ProtobufWriter } from '../core/protobuf-writer.ts';
import { AttributeEncoder } from './otlp-attribute-protobuf.ts';
import type { ProfileTables, TableProfile, TableValueType } from './otlp-profile-tables.ts';
import { resourceField, schemaUrlField, scopeField } from './otlp-resource-protobuf.ts';
import { nanosOf, secondsOf } from './otlp-span-values.ts';

// Tags: number of the field times 8, plus 0 for a varint, 1 for 8 bytes, 2 for a length and that many bytes.
const REQUEST = { resourceProfiles: 0x0a, dictionary: 0x12 } as const;
const RESOURCE_PROFILES = { scopeProfiles: 0x12 } as const;
const SCOPE_PROFILES = { profiles: 0x12 } as const;
const PROFILE = {
  sampleType: 0x0a,
  samples: 0x12,
  timeUnixNano: 0x19,
  durationNano: 0x20,
  periodType: 0x2a,
  period: 0x30,
  profileId: 0x3a,
} as const;
const SAMPLE = { stackIndex: 0x08, attributeIndices: 0x12, linkIndex: 0x18, values: 0x22 } as const;
const VALUE_TYPE = { type: 0x08, unit: 0x10 } as const;
const DICTIONARY = { mapping: 0x0a, location: 0x12, function: 0x1a, link: 0x22, string: 0x2a, attribute: 0x32, stack: 0x3a } as const;
const LOCATION = { lines: 0x1a, attributeIndices: 0x22 } as const;
const LINE = { functionIndex: 0x08, line: 0x10, column: 0x18 } as const;
const FUNCTION = { name: 0x08, systemName: 0x10, filename: 0x18, startLine: 0x20 } as const;
const LINK = { traceId: 0x0a, spanId: 0x12 } as const;
const ATTRIBUTE = { key: 0x08, value: 0x12 } as const;
const STRING_VALUE = 0x0a;
const STACK = { locationIndices: 0x0a } as const;

const INITIAL_BYTES = 64 * 1024;

/** Room for the length of the messages that hold all of a profile: 16 KiB to 2 MiB. */
const LARGE = 3;

/** The bytes before and behind the profiles that are the same in every request. */
export interface ProtobufOrigin {
  readonly resource: Uint8Array;
  readonly scope: Uint8Array;
  readonly schemaUrl: Uint8Array;
}

export function protobufOrigin(resource: Pick<Resource, 'attributes' | 'schemaUrl'>, scope: InstrumentationScope): ProtobufOrigin {
  return {
    resource: resourceField(resource, new AttributeEncoder()),
    scope: scopeField(scope),
    schemaUrl: schemaUrlField(resource.schemaUrl),
  };
}

/** The request; yields units of work. */
export function* profilesProtobuf(tables: ProfileTables, origin: ProtobufOrigin): Generator<number, Uint8Array> {
  const out = new ProtobufWriter(INITIAL_BYTES);
  const resourceProfiles = out.begin(REQUEST.resourceProfiles, LARGE);
  append(out, origin.resource);
  const scopeProfiles = out.begin(RESOURCE_PROFILES.scopeProfiles, LARGE);
  append(out, origin.scope);
  for (const profile of tables.profiles) yield* writeProfile(out, tables, profile);
  out.end(scopeProfiles, LARGE);
  append(out, origin.schemaUrl);
  out.end(resourceProfiles, LARGE);
  const dictionary = out.begin(REQUEST.dictionary, LARGE);
  yield* writeDictionary(out, tables);
  out.end(dictionary, LARGE);
  // The buffer is larger by half on average, and the request may wait long.
  return Buffer.from(out.written);
}

function* writeProfile(out: ProtobufWriter, tables: ProfileTables, profile: TableProfile): Generator<number, void> {
  const { startEpochMillis, durationMillis, samples } = profile;
  const start = out.begin(SCOPE_PROFILES.profiles, LARGE);
  writeValueType(out, PROFILE.sampleType, profile.type);
  for (let row = 0; row < samples.stacks.length; row++) {
    yield 2;
    const { attributes, link } = tables.labels[samples.labels[row] as number]!;
    const sample = out.begin(PROFILE.samples);
    out.int64Field(SAMPLE.stackIndex, samples.stacks[row] as number);
    out.packedField(SAMPLE.attributeIndices, attributes);
    out.int64Field(SAMPLE.linkIndex, link);
    const values = out.begin(SAMPLE.values);
    out.reserve(10);
    out.int64(samples.values[row] as number);
    out.end(values);
    out.end(sample);
  }
  out.timeField(PROFILE.timeUnixNano, secondsOf(startEpochMillis), nanosOf(startEpochMillis));
  out.int64Field(PROFILE.durationNano, Math.round(durationMillis * 1e6));
  writeValueType(out, PROFILE.periodType, profile.periodType);
  out.int64Field(PROFILE.period, profile.period);
  out.hexField(PROFILE.profileId, profile.id);
  out.end(start, LARGE);
}

function* writeDictionary(out: ProtobufWriter, tables: ProfileTables): Generator<number, void> {
  const { functions, links, attributes, stacks } = tables;
  out.bytesField(DICTIONARY.mapping, new Uint8Array(0));
  for (let i = 0; i < functions.length; i++) yield writeLocation(out, tables, i);
  for (let i = 0; i < functions.length; i++) yield writeFunction(out, tables, i);
  for (const { traceId, spanId } of links) {
    yield 1;
    const start = out.begin(DICTIONARY.link);
    if (traceId !== '') {
      out.hexField(LINK.traceId, traceId);
      out.hexField(LINK.spanId, spanId);
    }
    out.end(start);
  }
  for (const text of tables.strings) {
    yield 2;
    out.textField(DICTIONARY.string, text);
  }
  for (const { key, value } of attributes) {
    yield 2;
    const start = out.begin(DICTIONARY.attribute);
    if (key !== 0) {
      out.int64Field(ATTRIBUTE.key, key);
      const valueStart = out.begin(ATTRIBUTE.value);
      out.textField(STRING_VALUE, value);
      out.end(valueStart);
    }
    out.end(start);
  }
  for (let i = 0; i < stacks.length; i++) {
    const locations = Array.from(tables.functionsOf(i));
    yield 1 + locations.length;
    const start = out.begin(DICTIONARY.stack);
    out.packedField(STACK.locationIndices, locations);
    out.end(start);
  }
}

/** A function has one place, so that its location has its index; answers the units of work. */
function writeLocation(out: ProtobufWriter, { functions, frameType }: ProfileTables, index: number): number {
  const start = out.begin(DICTIONARY.location);
  if (index !== 0) {
    const { line, column } = functions[index]!;
    const lines = out.begin(LOCATION.lines);
    out.int64Field(LINE.functionIndex, index);
    out.int64Field(LINE.line, line);
    out.int64Field(LINE.column, column);
    out.end(lines);
    out.packedField(LOCATION.attributeIndices, [frameType]);
  }
  out.end(start);
  return 2;
}

function writeFunction(out: ProtobufWriter, { functions }: ProfileTables, index: number): number {
  const { name, file, line } = functions[index]!;
  const start = out.begin(DICTIONARY.function);
  out.int64Field(FUNCTION.name, name);
  out.int64Field(FUNCTION.systemName, name);
  out.int64Field(FUNCTION.filename, file);
  out.int64Field(FUNCTION.startLine, line);
  out.end(start);
  return 2;
}

function writeValueType(out: ProtobufWriter, tag: number, { type, unit }: TableValueType): void {
  const start = out.begin(tag);
  out.int64Field(VALUE_TYPE.type, type);
  out.int64Field(VALUE_TYPE.unit, unit);
  out.end(start);
}

function append(out: ProtobufWriter, bytes: Uint8Array): void {
  out.reserve(bytes.length);
  out.bytes.set(bytes, out.length);
  out.length += bytes.length;
}
