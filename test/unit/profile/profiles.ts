// Profiles for tests: of stacks in short writing, and of seeded chance.
import { seeded } from '../../../bench/soak/work.ts';
import { type LabelSet, NO_LABELS, type Profile, ProfileBuilder } from '../../../src/profile/profile.ts';

const TYPES = [
  { type: 'samples', unit: 'count' },
  { type: 'cpu', unit: 'nanoseconds' },
  { type: 'wall', unit: 'nanoseconds' },
] as const;

export interface RandomProfileOptions {
  readonly seed: number;
  readonly stacks: number;
  readonly depth: number;
  /** Functions of the program; each level of a stack is one of them. */
  readonly functions: number;
  readonly startEpochMillis?: number;
  readonly durationMillis?: number;
  /** Label sets that samples choose from; none of them for a tenth of the samples. */
  readonly labelSets?: readonly LabelSet[];
}

/** Stacks of that depth, distinct but by great chance, one sample each. */
export function randomProfile(options: RandomProfileOptions): Profile {
  const { seed, stacks, depth, functions, startEpochMillis = 0, durationMillis = 1000, labelSets = [] } = options;
  const random = seeded(seed);
  const pick = (count: number): number => Math.floor(random() * count);
  const builder = new ProfileBuilder(TYPES.length);
  for (let stack = 0; stack < stacks; stack++) {
    let node = -1;
    for (let level = 0; level < depth; level++) {
      const id = pick(functions);
      node = builder.node(node, builder.frame(`f${id}`, `/app/module${id % 50}.js`, id + 1, 3));
    }
    const labels = labelSets.length === 0 || random() < 0.1 ? NO_LABELS : (labelSets[pick(labelSets.length)] as LabelSet);
    [1, pick(1e7), 1e7].forEach((value, column) => builder.add(node, column, value, builder.labels(labels)));
  }
  return builder.build({
    sampleTypes: TYPES,
    defaultSampleType: 'cpu',
    periodType: TYPES[2],
    period: 1e7,
    startEpochMillis,
    durationMillis,
  });
}

/** Ids of a trace and a span made of seeded chance. */
export function randomIds(seed: number): { trace_id: string; span_id: string } {
  const random = seeded(seed);
  const hex = (digits: number): string => Array.from({ length: digits }, () => Math.floor(random() * 16).toString(16)).join('');
  return { trace_id: hex(32), span_id: hex(16) };
}
