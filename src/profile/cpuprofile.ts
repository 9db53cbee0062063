// Writes a time profile as a .cpuprofile, the JSON of V8's inspector, for Chrome's DevTools, VS Code and speedscope.
// Called by serve/.
import { pathToFileURL } from 'node:url';
import path from 'node:path';
import { defaultColumn, type Links, linksOf, nextInTree, selfValues, totalValues } from './call-tree.ts';
import type { Frame } from './frame.ts';
import type { Profile } from './profile.ts';
import { NODES_PER_STEP, textInTurns } from '../core/turns.ts';

/** DevTools puts a sample of it on top of the sample before. First of all it is on top of nothing. */
const GARBAGE_COLLECTOR = '(garbage collector)';

const ROOT_ID = 1;

/** What is written of a profile, in whole microseconds. */
interface Timeline {
  /** Nodes with time of their own, in the order of the call tree, and when the time of each ends. */
  readonly nodes: readonly number[];
  readonly endMicros: readonly number[];
  /** Below which something has time. */
  readonly totals: Float64Array;
  /** By node. */
  readonly selfMicros: Float64Array;
}

/**
 * The default sample type, which is in nanoseconds, as a timeline made up from the call tree: each stack once, for as
 * long as all its samples together, so the sum of `timeDeltas` is the total and not the time that has passed.
 * `hitCount` is in microseconds, as readers divide the time by hits; lines and columns are 0-based. Values are summed
 * over labels. Yields text.
 */
export function cpuprofile(profile: Profile): AsyncIterable<string> {
  return textInTurns(parts(profile));
}

function* parts(profile: Profile): Generator<string> {
  const links = withGarbageCollectorFirst(profile, yield* linksOf(profile));
  const timeline = yield* timelineOf(profile, links);
  const { nodes, endMicros } = timeline;
  yield `{"nodes":[{"id":${ROOT_ID},"callFrame":${ROOT_FRAME},"hitCount":0,"children":${children(links, timeline, links.firstRoot)}}`;
  yield* nodesJson(profile, links, timeline);
  const startMicros = Math.round(profile.startEpochMillis * 1000);
  yield `],"startTime":${startMicros},"endTime":${startMicros + (endMicros.at(-1) ?? 0)},"samples":[`;
  for (const node of nodes) yield `${node + ROOT_ID + 1},`;
  // A sample lasts until the next one: the last one is ended by the root.
  yield `${ROOT_ID}],"timeDeltas":[0`;
  for (const [index, end] of endMicros.entries()) yield `,${end - (endMicros[index - 1] ?? 0)}`;
  yield ']}\n';
}

function* timelineOf(profile: Profile, links: Links): Generator<'', Timeline> {
  const self = yield* selfValues(profile, defaultColumn(profile));
  const totals = yield* totalValues(profile, self);
  const selfMicros = new Float64Array(self.length);
  const nodes: number[] = [];
  const endMicros: number[] = [];
  let nanos = 0;
  let micros = 0;
  let passed = 0;
  for (let node = links.firstRoot; node !== -1; node = nextInTree(profile, links, node)) {
    if (++passed % NODES_PER_STEP === 0) yield '';
    nanos += self[node] as number;
    // Of the sum, so that what is cut off does not add up.
    const end = Math.round(nanos / 1000);
    if (end === micros) continue;
    nodes.push(node);
    endMicros.push(end);
    selfMicros[node] = end - micros;
    micros = end;
  }
  return { nodes, endMicros, totals, selfMicros };
}

function* nodesJson(profile: Profile, links: Links, timeline: Timeline): Generator<string> {
  const { totals, selfMicros } = timeline;
  const frames = callFrames(profile.frames);
  let passed = 0;
  for (let node = links.firstRoot; node !== -1; node = nextInTree(profile, links, node)) {
    if (totals[node] === 0) {
      if (++passed % NODES_PER_STEP === 0) yield '';
      continue;
    }
    const frame = frames(profile.nodeFrames[node] as number);
    const below = children(links, timeline, links.firstChild[node] as number);
    yield `,{"id":${node + ROOT_ID + 1},"callFrame":${frame},"hitCount":${selfMicros[node] as number},"children":${below}}`;
  }
}

/** The ids of a node and its siblings, of those that have time. */
function children({ nextSibling }: Links, { totals }: Timeline, first: number): string {
  const ids: number[] = [];
  for (let node = first; node !== -1; node = nextSibling[node] as number) if (totals[node] !== 0) ids.push(node + ROOT_ID + 1);
  return `[${ids.join(',')}]`;
}

function withGarbageCollectorFirst(profile: Profile, links: Links): Links {
  const nextSibling = links.nextSibling;
  const isIt = (node: number): boolean => profile.frames[profile.nodeFrames[node] as number]?.name === GARBAGE_COLLECTOR;
  let before = links.firstRoot;
  while (before !== -1 && nextSibling[before] !== -1 && !isIt(nextSibling[before] as number)) before = nextSibling[before] as number;
  if (before === -1 || nextSibling[before] === -1) return links;
  const collector = nextSibling[before] as number;
  nextSibling[before] = nextSibling[collector] as number;
  nextSibling[collector] = links.firstRoot;
  return { ...links, firstRoot: collector };
}

const ROOT_FRAME = '{"functionName":"(root)","scriptId":"0","url":"","lineNumber":-1,"columnNumber":-1}';

/** The JSON of a frame by its index. Scripts have ids, as readers tell functions apart by these and not by the address. */
function callFrames(frames: readonly Frame[]): (index: number) => string {
  const texts: string[] = [];
  const scriptIds = new Map<string, number>([['', 0]]);
  return (index) => {
    const known = texts[index];
    if (known !== undefined) return known;
    const { name, file, line, column } = frames[index] as Frame;
    let scriptId = scriptIds.get(file);
    if (scriptId === undefined) scriptIds.set(file, (scriptId = scriptIds.size));
    return (texts[index] = JSON.stringify({
      // The format's word for it; readers put their own in its place.
      functionName: name === '(anonymous)' ? '' : name,
      scriptId: String(scriptId),
      url: path.isAbsolute(file) ? pathToFileURL(file).href : file,
      lineNumber: line - 1,
      columnNumber: line > 0 ? Math.max(column - 1, 0) : -1,
    }));
  };
}
