// Profiles as JSON (OTLP's: ids in hex, 64-bit integers as text): an ExportProfilesServiceRequest of filled tables. Called by
// otlp-profiles.ts, for receivers that take nothing else.
import type { InstrumentationScope } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import { int64Text, resourceJson, schemaUrlJson, scopeJson, toJson } from './otlp-json.ts';
import type { ProfileTables, TableProfile, TableValueType } from './otlp-profile-tables.ts';
import { epochNanos, nanosOf, secondsOf } from './otlp-span-values.ts';

/** Characters after which a piece is made bytes: 0.1 ms. */
const PIECE_CHARACTERS = 64 * 1024;

/** The text before and behind the profiles that is the same in every request. */
export interface JsonOrigin {
  readonly before: string;
  readonly behind: string;
}

export function jsonOrigin(resource: Pick<Resource, 'attributes' | 'schemaUrl'>, scope: InstrumentationScope): JsonOrigin {
  return {
    before: `{"resourceProfiles":[{"resource":${resourceJson(resource)},"scopeProfiles":[{"scope":${scopeJson(scope)},"profiles":[`,
    behind: `]}]${schemaUrlJson(resource.schemaUrl)}}],"dictionary":{`,
  };
}

/** The request; yields units of work. */
export function* profilesJson(tables: ProfileTables, origin: JsonOrigin): Generator<number, Uint8Array> {
  const pieces: Buffer[] = [];
  let piece = '';
  for (const text of requestTexts(tables, origin)) {
    piece += text;
    // An element of a table takes some 0.5 us to turn into text.
    yield 5;
    if (piece.length < PIECE_CHARACTERS) continue;
    pieces.push(Buffer.from(piece));
    piece = '';
  }
  pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

function* requestTexts(tables: ProfileTables, origin: JsonOrigin): Generator<string, void> {
  yield origin.before;
  for (const [index, profile] of tables.profiles.entries()) {
    yield index === 0 ? '' : ',';
    yield* profileTexts(tables, profile);
  }
  yield `${origin.behind}"mappingTable":[{}]`;
  yield* tableTexts('locationTable', locations(tables));
  yield* tableTexts('functionTable', functions(tables));
  yield* tableTexts('linkTable', links(tables));
  yield* tableTexts('stringTable', tables.strings);
  yield* tableTexts('attributeTable', attributes(tables));
  yield* tableTexts('stackTable', stacks(tables));
  yield '}}';
}

function* profileTexts(tables: ProfileTables, profile: TableProfile): Generator<string, void> {
  const { type, periodType, period, startEpochMillis, durationMillis, id } = profile;
  const timeUnixNano = String(epochNanos(secondsOf(startEpochMillis), nanosOf(startEpochMillis)));
  yield `{"sampleType":${valueType(type)}`;
  yield* tableTexts('samples', samples(tables, profile));
  const durationNano = int64Text(Math.round(durationMillis * 1e6));
  yield `,"timeUnixNano":"${timeUnixNano}","durationNano":"${durationNano}","periodType":${valueType(periodType)}`;
  yield `,"period":"${int64Text(period)}","profileId":"${id}"}`;
}

/** A field that is a list, after other fields. */
function* tableTexts(name: string, elements: Iterable<unknown>): Generator<string, void> {
  let separator = `,"${name}":[`;
  for (const element of elements) {
    yield separator + toJson(element);
    separator = ',';
  }
  yield separator === ',' ? ']' : `${separator}]`;
}

function* samples({ labels }: ProfileTables, { samples: { stacks, labels: rows, values } }: TableProfile): Generator<object, void> {
  for (let row = 0; row < stacks.length; row++) {
    const { attributes, link } = labels[rows[row] as number]!;
    yield {
      stackIndex: stacks[row],
      attributeIndices: attributes.length === 0 ? undefined : attributes,
      linkIndex: link || undefined,
      values: [int64Text(values[row] as number)],
    };
  }
}

function* locations({ functions, frameType }: ProfileTables): Generator<object, void> {
  for (const [index, { line, column }] of functions.entries()) {
    const place = { functionIndex: index, line: line === 0 ? undefined : String(line), column: column === 0 ? undefined : String(column) };
    yield index === 0 ? {} : { lines: [place], attributeIndices: [frameType] };
  }
}

function* functions(tables: ProfileTables): Generator<object, void> {
  for (const { name, file, line } of tables.functions) {
    yield {
      nameStrindex: name || undefined,
      systemNameStrindex: name || undefined,
      filenameStrindex: file || undefined,
      startLine: line === 0 ? undefined : String(line),
    };
  }
}

function* links(tables: ProfileTables): Generator<object, void> {
  for (const { traceId, spanId } of tables.links) yield traceId === '' ? {} : { traceId, spanId };
}

function* attributes(tables: ProfileTables): Generator<object, void> {
  for (const { key, value } of tables.attributes) yield key === 0 ? {} : { keyStrindex: key, value: { stringValue: value } };
}

function* stacks(tables: ProfileTables): Generator<object, void> {
  for (let i = 0; i < tables.stacks.length; i++) {
    const locationIndices = Array.from(tables.functionsOf(i));
    yield locationIndices.length === 0 ? {} : { locationIndices };
  }
}

function valueType({ type, unit }: TableValueType): string {
  return toJson({ typeStrindex: type, unitStrindex: unit });
}
