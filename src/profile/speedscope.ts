// Writes a profile as a speedscope file (https://www.speedscope.app/file-format-schema.json), one `sampled` profile for
// each sample type. Called by serve/.
import { defaultColumn, type Links, linksOf, nextInTree, selfValues, stackOf } from './call-tree.ts';
import { distinctName, type Frame } from './frame.ts';
import type { Profile } from './profile.ts';
import { NODES_PER_STEP, textInTurns } from '../core/turns.ts';

/** The units of the format that profiles of ours are in; counts have none. */
const UNITS: ReadonlySet<string> = new Set(['nanoseconds', 'bytes']);

/** A column's positive values, or its negative ones with the sign turned. */
interface Part {
  readonly column: number;
  readonly name: string;
  readonly sign: 1 | -1;
}

/**
 * Every sample type as a profile of its own name, the default one shown first. Values are summed over labels and whole,
 * samples are in the order of the call tree, as there is no order in time. The format knows no negative values: those
 * of a difference are a second profile, `<type> (less)`. Yields text.
 */
export function speedscope(profile: Profile): AsyncIterable<string> {
  return textInTurns(parts(profile));
}

function* parts(profile: Profile): Generator<string> {
  yield `{"$schema":"https://www.speedscope.app/file-format-schema.json","exporter":"sonde","name":${JSON.stringify(nameOf(profile))},"shared":{"frames":[`;
  for (const [index, frame] of profile.frames.entries()) yield `${comma(index)}${frameJson(frame)}`;
  const profiles = profilesOf(profile);
  const active = profiles.findIndex(({ column }) => column === defaultColumn(profile));
  yield `]},"activeProfileIndex":${active},"profiles":[`;
  const links = yield* linksOf(profile);
  for (const [index, part] of profiles.entries()) {
    yield comma(index);
    yield* sampledProfile(profile, links, part);
  }
  yield ']}\n';
}

function* sampledProfile(profile: Profile, links: Links, { column, name, sign }: Part): Generator<string> {
  const self = yield* selfValues(profile, column);
  const unit = profile.sampleTypes[column]?.unit ?? '';
  const weights: number[] = [];
  yield `{"type":"sampled","name":${JSON.stringify(name)},"unit":"${UNITS.has(unit) ? unit : 'none'}","startValue":0,"samples":[`;
  let passed = 0;
  let total = 0;
  for (let node = links.firstRoot; node !== -1; node = nextInTree(profile, links, node)) {
    const weight = sign * Math.round(self[node] as number);
    if (weight > 0) {
      yield `${comma(weights.length)}[${stackOf(profile, node).toReversed().join(',')}]`;
      weights.push(weight);
      total += weight;
    } else if (++passed % NODES_PER_STEP === 0) yield '';
  }
  yield `],"endValue":${total},"weights":[`;
  for (let from = 0; from < weights.length; from += NODES_PER_STEP) {
    yield `${comma(from)}${weights.slice(from, from + NODES_PER_STEP).join(',')}`;
  }
  yield ']}';
}

function profilesOf(profile: Profile): Part[] {
  const more = profile.sampleTypes.map(({ type }, column): Part => ({ column, name: type, sign: 1 }));
  const isDifference = profile.values.some((value) => value < 0);
  if (!isDifference) return more;
  return more.flatMap((part): Part[] => [part, { ...part, name: `${part.name} (less)`, sign: -1 }]);
}

/** What speedscope shows in its title. */
function nameOf({ defaultSampleType, startEpochMillis, durationMillis }: Profile): string {
  const seconds = durationMillis > 0 ? `, ${(durationMillis / 1000).toFixed(1)} s` : '';
  return `${defaultSampleType} ${new Date(startEpochMillis).toISOString()}${seconds}`;
}

function frameJson(frame: Frame): string {
  const { file, line, column } = frame;
  return JSON.stringify({
    // Its views show the name alone.
    name: distinctName(frame),
    ...(file === '' ? {} : { file }),
    ...(line > 0 ? { line } : {}),
    ...(line > 0 && column > 0 ? { col: column } : {}),
  });
}

function comma(index: number): string {
  return index === 0 ? '' : ',';
}
