// Profiles for tests of what pushes them: a window as the engine makes it, a heap, and a source that gives what it was given.
import type { ProfileSource } from '../../src/export/profile-exporter.ts';
import { ProfileBuilder, type LabelSet, type Profile, type ValueType } from '../../src/profile/profile.ts';

export const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';
export const SPAN_ID = 'b7ad6b7169203331';

export const SAMPLES: ValueType = { type: 'samples', unit: 'count' };
export const CPU: ValueType = { type: 'cpu', unit: 'nanoseconds' };
export const WALL: ValueType = { type: 'wall', unit: 'nanoseconds' };
const OBJECTS: ValueType = { type: 'inuse_objects', unit: 'count' };
const SPACE: ValueType = { type: 'inuse_space', unit: 'bytes' };

const START_EPOCH_MILLIS = 1_790_000_000_123.5;

/** A stack from the outermost function, with its values and labels. */
export type Row = readonly [stack: readonly string[], values: readonly number[], labels?: LabelSet];

/** A profile of rows; a function's file and line follow from its name. */
export function profileOf(types: readonly ValueType[], rows: readonly Row[], head: Partial<Profile> = {}): Profile {
  const builder = new ProfileBuilder(types.length);
  for (const [stack, values, labels] of rows) {
    let node = -1;
    for (const name of stack) node = builder.node(node, builder.frame(name, `/app/${name}.js`, name.length * 10, name.length));
    const set = labels === undefined ? 0 : builder.labels(labels);
    for (const [column, value] of values.entries()) builder.add(node, column, value, set);
  }
  return builder.build({
    sampleTypes: types,
    defaultSampleType: types.at(-1)!.type,
    periodType: WALL,
    period: 10_101_000,
    startEpochMillis: START_EPOCH_MILLIS,
    durationMillis: 15_000,
    ...head,
  });
}

export function cpuProfile(
  rows: readonly Row[] = [
    [
      ['main', 'work'],
      [2, 20_202_000],
    ],
  ],
): Profile {
  return profileOf([SAMPLES, CPU], rows, { periodType: CPU });
}

export function wallProfile(
  rows: readonly Row[] = [
    [
      ['main', 'wait'],
      [3, 30_303_000],
    ],
  ],
): Profile {
  return profileOf([SAMPLES, WALL], rows);
}

export function heapProfile(
  rows: readonly Row[] = [
    [
      ['main', 'keep'],
      [7, 524_288],
    ],
  ],
): Profile {
  return profileOf([OBJECTS, SPACE], rows, { periodType: SPACE, period: 524_288, durationMillis: 0 });
}

/** Gives each list of profiles that it was offered once, all that are there at a time. */
export class OfferedProfiles implements ProfileSource {
  takes = 0;
  stopped = false;
  #offered: Profile[] = [];

  offer(...profiles: readonly Profile[]): void {
    this.#offered.push(...profiles);
  }

  async take(): Promise<readonly Profile[]> {
    this.takes += 1;
    return this.#offered.splice(0);
  }

  stop(): void {
    this.stopped = true;
  }
}
