// A heap profile as text, for `?debug=1`: the layout of Go's runtime/pprof, so that a person who knows it can read it
// in a terminal. Called by pprof.ts.
import type { Profile } from '../profile/profile.ts';

/** Stacks written, the largest first; the rest is a matter for a tool. */
const STACKS_MAX = 500;

/**
 * One paragraph per sample, `objects: bytes [objects: bytes] @` and a line per frame from the innermost. As in Go what
 * lives is first and what was allocated since the start in brackets; a profile that has one of the two has it twice.
 */
export function heapText(profile: Profile): string {
  const live = columnsOf(profile, 'inuse');
  const allocated = columnsOf(profile, 'alloc');
  const columns = [...(live ?? allocated ?? []), ...(allocated ?? live ?? [])];
  const paragraphs = largest(profile, columns[1] ?? -1).map((row) => {
    const [objects, bytes, ...bracketed] = columns.map((column) => valueAt(profile, row, column));
    return `${counts([objects, bytes, ...bracketed])} @\n${stackOf(profile, profile.sampleNodes[row] as number)}`;
  });
  const totals = columns.map((column) => {
    let sum = 0;
    for (let row = 0; row < profile.sampleNodes.length; row++) sum += valueAt(profile, row, column);
    return sum;
  });
  return `heap profile: ${counts(totals)} @ heap/${profile.period}\n${paragraphs.join('\n')}\n`;
}

/** The columns of objects (-1 when they are not counted) and bytes; undefined when there are no bytes. */
function columnsOf({ sampleTypes }: Profile, prefix: string): [number, number] | undefined {
  const column = (name: string): number => sampleTypes.findIndex(({ type }) => type === `${prefix}_${name}`);
  return column('space') === -1 ? undefined : [column('objects'), column('space')];
}

/** The rows with the most of a column. Only these are sorted: a comparison of 20,000 takes 8 ms. */
function largest(profile: Profile, column: number): number[] {
  const sizes = Float64Array.from(profile.sampleNodes, (_, row) => valueAt(profile, row, column));
  const least = sizes.toSorted().at(-STACKS_MAX) ?? -Infinity;
  const rows: number[] = [];
  for (const [row, size] of sizes.entries()) if (size >= least) rows.push(row);
  return rows.toSorted((a, b) => (sizes[b] as number) - (sizes[a] as number)).slice(0, STACKS_MAX);
}

function valueAt({ values, sampleTypes }: Profile, row: number, column: number): number {
  return column === -1 ? 0 : (values[row * sampleTypes.length + column] as number);
}

function counts([objects = 0, bytes = 0, bracketedObjects = 0, bracketedBytes = 0]: readonly (number | undefined)[]): string {
  return `${objects}: ${bytes} [${bracketedObjects}: ${bracketedBytes}]`;
}

function stackOf(profile: Profile, leaf: number): string {
  const lines: string[] = [];
  for (let node = leaf; node !== -1; node = profile.parents[node] ?? -1) {
    const frame = profile.frames[profile.nodeFrames[node] ?? -1];
    if (frame !== undefined) lines.push(`#\t${frame.name}\t${frame.file}:${frame.line}`);
  }
  return lines.join('\n');
}
