// The call tree of a profile as its writers walk it: children of a node, and one column of values summed over labels.
// Each function is a generator that yields empty text now and then, for the pace of turns.ts. Called by the writers.
import type { Profile } from './profile.ts';
import { NODES_PER_STEP } from '../core/turns.ts';

/** Where to go from a node; -1 is nowhere. Children are in the order in which they were first seen. */
export interface Links {
  readonly firstRoot: number;
  readonly firstChild: Int32Array;
  readonly nextSibling: Int32Array;
}

/** The column that a viewer shows first. */
export function defaultColumn(profile: Profile): number {
  return profile.sampleTypes.findIndex(({ type }) => type === profile.defaultSampleType);
}

export function* linksOf({ parents }: Profile): Generator<'', Links> {
  const firstChild = new Int32Array(parents.length).fill(-1);
  const nextSibling = new Int32Array(parents.length).fill(-1);
  let firstRoot = -1;
  for (let node = parents.length - 1; node >= 0; node--) {
    const parent = parents[node] as number;
    nextSibling[node] = parent === -1 ? firstRoot : (firstChild[parent] as number);
    if (parent === -1) firstRoot = node;
    else firstChild[parent] = node;
    if (node % NODES_PER_STEP === 0) yield '';
  }
  return { firstRoot, firstChild, nextSibling };
}

/** The node after another one where callers come before their callees; -1 after the last. */
export function nextInTree({ parents }: Profile, { firstChild, nextSibling }: Links, node: number): number {
  const child = firstChild[node] as number;
  if (child !== -1) return child;
  let at = node;
  while (at !== -1 && nextSibling[at] === -1) at = parents[at] as number;
  return at === -1 ? -1 : (nextSibling[at] as number);
}

/** What each node itself has of one column, its callees not included. */
export function* selfValues(profile: Profile, column: number): Generator<'', Float64Array> {
  const { sampleNodes, values, parents } = profile;
  const columns = profile.sampleTypes.length;
  const self = new Float64Array(parents.length);
  for (let i = 0; i < sampleNodes.length; i++) {
    const node = sampleNodes[i] as number;
    self[node] = (self[node] as number) + (values[i * columns + column] as number);
    if (i % NODES_PER_STEP === 0) yield '';
  }
  return self;
}

/** What each node and all that it calls have together. */
export function* totalValues({ parents }: Profile, self: Float64Array): Generator<'', Float64Array> {
  const totals = self.slice();
  for (let node = parents.length - 1; node >= 0; node--) {
    const parent = parents[node] as number;
    if (parent !== -1) totals[parent] = (totals[parent] as number) + (totals[node] as number);
    if (node % NODES_PER_STEP === 0) yield '';
  }
  return totals;
}

/** The stack that ends in a node as indexes of frames, the innermost first. */
export function stackOf({ parents, nodeFrames }: Profile, leaf: number): number[] {
  const stack: number[] = [];
  for (let node = leaf; node !== -1; node = parents[node] as number) stack.push(nodeFrames[node] as number);
  return stack;
}
