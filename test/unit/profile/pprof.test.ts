// What is written is decoded by the package of another author, pprof-format.
import { gunzipSync } from 'node:zlib';
import { Profile as Decoded } from 'pprof-format';
import { expect, test } from 'vitest';
import { encodePprof } from '../../../src/profile/pprof.ts';
import { NO_LABELS, type Profile, ProfileBuilder } from '../../../src/profile/profile.ts';

const SAMPLES = { type: 'samples', unit: 'count' };
const CPU = { type: 'cpu', unit: 'nanoseconds' };

async function decode(profile: Profile): Promise<Decoded> {
  return Decoded.decode(gunzipSync(await encodePprof(profile)));
}

function build(values: [number, number][], stacks: string[][]): Profile {
  const builder = new ProfileBuilder(2);
  for (const [i, stack] of stacks.entries()) {
    let node = -1;
    for (const name of stack) node = builder.node(node, builder.frame(name, '/app/main.js', 12));
    values[i]!.forEach((value, column) => builder.add(node, column, value));
  }
  const startEpochMillis = Date.UTC(2026, 10, 21);
  const head = {
    sampleTypes: [SAMPLES, CPU],
    defaultSampleType: 'cpu',
    periodType: CPU,
    period: 10_101_000,
    startEpochMillis,
    durationMillis: 30_000.5,
  };
  return builder.build(head);
}

test('writes stacks from the inside out with their values, places and types', async () => {
  const decoded = await decode(
    build(
      [
        [3, 30_303_000],
        [1, 5],
      ],
      [['main', 'work'], ['main']],
    ),
  );
  const { strings } = decoded.stringTable;
  const text = (index: number | bigint): string => strings[Number(index)]!;
  const stack = (ids: (number | bigint)[]): string[] =>
    ids.map((id) => {
      const [line] = decoded.location.find((location) => location.id === id)!.line;
      const fn = decoded.function.find((candidate) => candidate.id === line!.functionId)!;
      return `${text(fn.name)} ${text(fn.filename)}:${line!.line} ${fn.startLine}`;
    });
  expect(decoded.sample.map(({ locationId, value }) => [stack(locationId), value.map(Number)])).toEqual([
    [
      ['work /app/main.js:12 12', 'main /app/main.js:12 12'],
      [3, 30_303_000],
    ],
    [['main /app/main.js:12 12'], [1, 5]],
  ]);
  expect(decoded.sampleType.map(({ type, unit }) => [text(type), text(unit)])).toEqual([
    ['samples', 'count'],
    ['cpu', 'nanoseconds'],
  ]);
  expect([text(decoded.defaultSampleType), text(decoded.periodType!.type), Number(decoded.period)]).toEqual(['cpu', 'cpu', 10_101_000]);
  expect(BigInt(decoded.timeNanos)).toBe(BigInt(Date.UTC(2026, 10, 21)) * 1_000_000n);
  expect(Number(decoded.durationNanos)).toBe(30_000_500_000);
  expect(strings[0]).toBe('');
});

test('writes negative values and values beyond 32 bits exactly', async () => {
  const values = [-1, -(2 ** 40) - 1, 127, 128, 2 ** 31, 2 ** 53 - 1];
  const decoded = await decode(
    build(
      values.map((value) => [value, 0]),
      values.map((value) => [String(value)]),
    ),
  );
  expect(decoded.sample.map(({ value }) => BigInt.asIntN(64, BigInt(value[0]!)))).toEqual(values.map(BigInt));
});

test('tells nameless functions apart by their place, which pprof would make one', async () => {
  const { stringTable } = await decode(build([[1, 1]], [['(anonymous)']]));
  expect(stringTable.strings).toContain('(anonymous main.js:12)');
});

test('writes names of any script and thousands of samples', async () => {
  const names = Array.from({ length: 2500 }, (_, i) => `größe_${i}`);
  const decoded = await decode(
    build(
      names.map(() => [1, 1]),
      names.map((name) => [name]),
    ),
  );
  expect(decoded.sample).toHaveLength(2500);
  expect(decoded.stringTable.strings).toContain('größe_2499');
});

test('writes the labels of a sample, and none where there are none', async () => {
  const builder = new ProfileBuilder(1);
  const node = builder.node(-1, builder.frame('main', '/app/main.js', 12));
  const sets = [NO_LABELS, { 'http.route': '/a/:id' }, { 'http.route': '/größe', thread: '/a/:id' }];
  for (const [i, set] of sets.entries()) builder.add(node, 0, i + 1, builder.labels(set));
  const head = { sampleTypes: [CPU], defaultSampleType: 'cpu', periodType: CPU, period: 1, startEpochMillis: 0, durationMillis: 1 };
  const { sample, stringTable } = await decode(builder.build(head));
  const text = (index: number | bigint): string => stringTable.strings[Number(index)]!;
  const rows = sample.map(({ value, label }) => [
    Number(value[0]),
    Object.fromEntries(label.map(({ key, str }) => [text(key), text(str)])),
  ]);
  expect(rows).toEqual(sets.map((set, i) => [i + 1, set]));
  expect(sample.map(({ locationId }) => locationId)).toEqual([[1], [1], [1]]);
});

test.each([1, 127, 128, 129, 8191, 8192, 20_000])('writes a stack of %d frames whole', async (depth) => {
  const names = Array.from({ length: depth }, (_, i) => `f${i % 300}`);
  const { sample, location, function: functions, stringTable } = await decode(build([[1, 2]], [names]));
  const nameOf = new Map(functions.map(({ id, name }) => [id, stringTable.strings[Number(name)]]));
  const functionOf = new Map(location.map(({ id, line }) => [id, line[0]!.functionId]));
  expect(sample[0]!.locationId.map((id) => nameOf.get(functionOf.get(id)!))).toEqual(names.toReversed());
  expect(sample[0]!.value.map(Number)).toEqual([1, 2]);
});
