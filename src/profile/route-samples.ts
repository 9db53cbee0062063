// Which routes run a function, by the labels of the CPU samples that have it on their stack. Called by the engine for the
// leak detector, which knows who allocates but not for whom. 1 ms for a minute of windows with 500 stacks each. Pure.
import type { Frame } from './frame.ts';
import type { Profile } from './profile.ts';

/** Samples by route, of those with a function of that name and place anywhere on the stack; samples of no route are left out. */
export function samplesByRoute(windows: Iterable<Profile>, wanted: Frame): Map<string, number> {
  const samples = new Map<string, number>();
  for (const window of windows) {
    const { sampleNodes, sampleLabels, labelSets, values, sampleTypes } = window;
    const below = hasFunction(window, wanted);
    for (const [row, node] of sampleNodes.entries()) {
      const route = labelSets[sampleLabels[row] as number]?.['http.route'];
      if (below[node] !== 1 || route === undefined) continue;
      samples.set(route, (samples.get(route) ?? 0) + (values[row * sampleTypes.length] as number));
    }
  }
  return samples;
}

/** 1 for each node of the function and below it. Parents come before their children. */
function hasFunction({ frames, parents, nodeFrames }: Profile, { name, file, line }: Frame): Uint8Array {
  const isWanted = frames.map((frame) => frame.name === name && frame.file === file && frame.line === line);
  const below = new Uint8Array(parents.length);
  for (const [node, parent] of parents.entries()) {
    if (isWanted[nodeFrames[node] as number] === true || (parent !== -1 && below[parent] === 1)) below[node] = 1;
  }
  return below;
}
