// A profile with other frames, for source-maps.ts.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Frame } from './frame.ts';
import type { Profile } from './profile.ts';
import { ProfileBuilder } from './profile.ts';

/** Nodes or samples between two turns of the event loop: 1 to 2 ms. */
const STEPS_PER_TURN = 4000;

/** The profile with `frames` in the place of its own, one for each; frames that have become equal are one, and their samples add up. */
export async function replaceFrames(profile: Profile, frames: readonly Frame[]): Promise<Profile> {
  if (new Set(frames).size === frames.length) return { ...profile, frames };
  const columns = profile.sampleTypes.length;
  const builder = new ProfileBuilder(columns);
  const frameIds = frames.map((frame) => builder.addFrame(frame));
  const nodeIds = new Int32Array(profile.parents.length);
  for (const [i, parent] of profile.parents.entries()) {
    nodeIds[i] = builder.node(parent === -1 ? -1 : (nodeIds[parent] as number), frameIds[profile.nodeFrames[i] as number] as number);
    if (i % STEPS_PER_TURN === STEPS_PER_TURN - 1) await nextTurn();
  }
  const labelIds = profile.labelSets.map((set) => builder.labels(set));
  for (const [i, node] of profile.sampleNodes.entries()) {
    const labels = labelIds[profile.sampleLabels[i] as number] as number;
    for (let column = 0; column < columns; column++) {
      builder.add(nodeIds[node] as number, column, profile.values[i * columns + column] as number, labels);
    }
    if (i % STEPS_PER_TURN === STEPS_PER_TURN - 1) await nextTurn();
  }
  return builder.build(profile);
}
