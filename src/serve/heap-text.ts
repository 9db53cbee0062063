// A heap profile as text, for `?debug=1`: the layout of Go's runtime/pprof, so that a person who knows it can read it
// in a terminal. Called by pprof.ts.
import type { Profile } from '../profile/profile.ts';

/** Stacks written, the largest first; the rest is a matter for a tool. */
const STACKS_MAX = 500;

interface Row {
  readonly node: number;
  readonly objects: number;
  readonly bytes: number;
}

/**
 * One paragraph per stack, `objects: bytes [objects: bytes] @` and a line per frame from the innermost. Go has what was
 * allocated since the start in brackets; here it is what lives, again.
 */
export function heapText(profile: Profile): string {
  const rows = rowsOf(profile).toSorted((a, b) => b.bytes - a.bytes);
  const objects = rows.reduce((sum, row) => sum + row.objects, 0);
  const bytes = rows.reduce((sum, row) => sum + row.bytes, 0);
  const stacks = rows.slice(0, STACKS_MAX).map((row) => `${counts(row.objects, row.bytes)} @\n${stackOf(profile, row.node)}`);
  return `heap profile: ${counts(objects, bytes)} @ heap/${profile.period}\n${stacks.join('\n')}\n`;
}

function rowsOf(profile: Profile): Row[] {
  const columns = profile.sampleTypes.length;
  const column = (type: string): number => profile.sampleTypes.findIndex((sampleType) => sampleType.type === type);
  const objects = column('inuse_objects');
  const bytes = column('inuse_space');
  return Array.from(profile.sampleNodes, (node, i) => ({
    node,
    objects: profile.values[i * columns + objects] ?? 0,
    bytes: profile.values[i * columns + bytes] ?? 0,
  }));
}

function counts(objects: number, bytes: number): string {
  return `${objects}: ${bytes} [${objects}: ${bytes}]`;
}

function stackOf(profile: Profile, leaf: number): string {
  const lines: string[] = [];
  for (let node = leaf; node !== -1; node = profile.parents[node] ?? -1) {
    const frame = profile.frames[profile.nodeFrames[node] ?? -1];
    if (frame !== undefined) lines.push(`#\t${frame.name}\t${frame.file}:${frame.line}`);
  }
  return lines.join('\n');
}
