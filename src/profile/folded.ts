// Writes a profile as folded stacks, the line format of Brendan Gregg's flamegraph.pl that inferno, speedscope and
// `sort` read too: `outer;inner;leaf value`, one line per stack. Called by serve/.
import { defaultColumn, selfValues, stackOf } from './call-tree.ts';
import type { Frame } from './frame.ts';
import type { Profile } from './profile.ts';
import { NODES_PER_STEP, textInTurns } from '../core/turns.ts';

/**
 * The stacks with their values of the default sample type, rounded to whole units, summed over labels; zeros are left
 * out. A frame is `name (file:line)`, where the function starts, or `name` alone where there is no file; `;` in it
 * becomes `:` and a line break a space. Differences have negative values, which flamegraph.pl skips. Yields text.
 */
export function folded(profile: Profile): AsyncIterable<string> {
  return textInTurns(lines(profile));
}

function* lines(profile: Profile): Generator<string> {
  const self = yield* selfValues(profile, defaultColumn(profile));
  const texts: string[] = [];
  const textOf = (frame: number): string => (texts[frame] ??= frameText(profile.frames[frame] as Frame));
  for (let node = 0; node < self.length; node++) {
    const value = Math.round(self[node] as number);
    if (value !== 0) yield `${stackOf(profile, node).map(textOf).toReversed().join(';')} ${value}\n`;
    else if (node % NODES_PER_STEP === 0) yield '';
  }
}

function frameText({ name, file, line }: Frame): string {
  const text = file === '' ? name : `${name} (${file}:${line})`;
  return text.replaceAll(';', ':').replaceAll(/[\r\n\u2028\u2029]+/g, ' ');
}
