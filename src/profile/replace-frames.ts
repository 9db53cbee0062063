// A profile with other frames, for source-maps.ts.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Frame } from './frame.ts';
import type { Profile } from './profile.ts';
import { ProfileBuilder } from './profile.ts';

/** Frames, nodes or samples between two turns of the event loop: 1 to 2 ms. */
const STEPS_PER_TURN = 2000;

/** The profile with `frames` in the place of its own, one for each; frames that have become equal are one, and their samples add up. */
export async function replaceFrames(profile: Profile, frames: readonly Frame[]): Promise<Profile> {
  const columns = profile.sampleTypes.length;
  const builder = new ProfileBuilder(columns);
  const frameIds = new Int32Array(frames.length);
  await eachInTurns(frames.length, (i) => (frameIds[i] = builder.addFrame(frames[i] as Frame)));
  if (frameIds.every((id, i) => id === i)) return { ...profile, frames };
  const nodeIds = new Int32Array(profile.parents.length);
  await eachInTurns(nodeIds.length, (i) => {
    const parent = profile.parents[i] as number;
    nodeIds[i] = builder.node(parent === -1 ? -1 : (nodeIds[parent] as number), frameIds[profile.nodeFrames[i] as number] as number);
  });
  const labelIds = profile.labelSets.map((set) => builder.labels(set));
  await eachInTurns(profile.sampleNodes.length, (i) => {
    const node = nodeIds[profile.sampleNodes[i] as number] as number;
    const labels = labelIds[profile.sampleLabels[i] as number] as number;
    for (let column = 0; column < columns; column++) builder.add(node, column, profile.values[i * columns + column] as number, labels);
  });
  return builder.build(profile);
}

async function eachInTurns(count: number, step: (index: number) => void): Promise<void> {
  for (let i = 0; i < count; i++) {
    step(i);
    if (i % STEPS_PER_TURN === STEPS_PER_TURN - 1) await nextTurn();
  }
  await nextTurn();
}
