// Where the frames of a flame graph lie. Called by flame-graph.ts.
import { defaultColumn, type Links, linksOf, selfValues, totalValues } from './call-tree.ts';
import type { Frame } from './frame.ts';
import type { Profile } from './profile.ts';
import { NODES_PER_STEP } from '../core/turns.ts';

/** Narrower frames are left out, with what they call: 1 px of 1,000. It bounds a row to 1,000 frames. */
const WIDTH_MIN = 0.001;

/** Places of the graph from the left, 0 to 1, and rows from the top. */
export interface Box {
  /** Undefined for the row on top, which is everything. */
  readonly frame: Frame | undefined;
  readonly depth: number;
  readonly left: number;
  readonly width: number;
  /** In the unit of the sample type; below zero where a difference has become less. */
  readonly value: number;
  /** Of the difference's total change; as `value` in other profiles. */
  readonly change: number;
}

export interface Layout {
  /** The box of everything first, callers before their callees, the larger of two neighbours before the smaller. */
  readonly boxes: readonly Box[];
  readonly rows: number;
  /** Frames left out because they are too narrow. */
  readonly leftOut: number;
  readonly isDifference: boolean;
}

interface Sums {
  readonly links: Links;
  /** Value of each node with all that it calls. */
  readonly values: Float64Array;
  /** The same without signs: what a difference is as wide as, since gains and losses in one frame would cancel. */
  readonly changes: Float64Array;
}

/** Lays out the default sample type, summed over labels. Yields empty text for the pace of turns.ts. */
export function* layoutOf(profile: Profile): Generator<'', Layout> {
  const links = yield* linksOf(profile);
  const self = yield* selfValues(profile, defaultColumn(profile));
  const isDifference = profile.values.some((value) => value < 0);
  const values = yield* totalValues(profile, self);
  const changes = isDifference ? yield* totalValues(profile, yield* withoutSigns(self)) : values;
  const { boxes, total } = yield* boxesOf(profile, { links, values, changes });
  let frames = 0;
  for (let node = 0; node < changes.length; node++) {
    if ((changes[node] as number) > 0) frames += 1;
    if (node % NODES_PER_STEP === 0) yield '';
  }
  const rows = boxes.reduce((most, { depth }) => Math.max(most, depth + 1), 0);
  return { boxes, rows, leftOut: total > 0 ? frames - boxes.length + 1 : 0, isDifference };
}

function* boxesOf(profile: Profile, { links, values, changes }: Sums): Generator<'', { boxes: Box[]; total: number }> {
  const roots = siblings(links, links.firstRoot);
  const sum = (of: Float64Array): number => roots.reduce((total, node) => total + (of[node] as number), 0);
  const total = sum(changes);
  const boxes: Box[] = [{ frame: undefined, depth: 0, left: 0, width: 1, value: sum(values), change: total }];
  if (total === 0) return { boxes, total };
  /** Wide enough, the narrowest first: they are taken from the end. */
  const wide = (first: number, left: number, depth: number): { node: number; left: number; depth: number }[] => {
    const kept = siblings(links, first).filter((node) => (changes[node] as number) / total >= WIDTH_MIN);
    let at = left;
    return kept
      .toSorted((a, b) => (changes[b] as number) - (changes[a] as number))
      .map((node) => {
        const place = { node, left: at, depth };
        at += (changes[node] as number) / total;
        return place;
      })
      .toReversed();
  };
  const pending = wide(links.firstRoot, 0, 1);
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { node, left, depth } = next;
    const change = changes[node] as number;
    const frame = profile.frames[profile.nodeFrames[node] as number] as Frame;
    boxes.push({ frame, depth, left, width: change / total, value: values[node] as number, change });
    pending.push(...wide(links.firstChild[node] as number, left, depth + 1));
    yield '';
  }
  return { boxes, total };
}

function* withoutSigns(values: Float64Array): Generator<'', Float64Array> {
  const sizes = new Float64Array(values.length);
  for (let i = 0; i < values.length; i++) {
    sizes[i] = Math.abs(values[i] as number);
    if (i % NODES_PER_STEP === 0) yield '';
  }
  return sizes;
}

function siblings({ nextSibling }: Links, first: number): number[] {
  const nodes: number[] = [];
  for (let node = first; node !== -1; node = nextSibling[node] as number) nodes.push(node);
  return nodes;
}
