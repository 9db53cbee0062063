// Chrome's .cpuprofile, the format of DevTools and of `node --cpu-prof`: what devtools.ts answers, made from the
// inspector's profile or from the call tree of v8-profiler-next. Pure.
import type { Profiler } from 'node:inspector';
import { isAbsolute } from 'node:path';
import { pathToFileURL } from 'node:url';

/** What V8's inspector answers, with samples; times in microseconds. */
export interface CpuProfile {
  readonly nodes: readonly Profiler.ProfileNode[];
  readonly startTime: number;
  readonly endTime: number;
  /** Ids of nodes, in time order. */
  readonly samples: readonly number[];
  /** Time from each sample to the one before it, from the first to `startTime`. */
  readonly timeDeltas: readonly number[];
}

/** A node of v8-profiler-next's tree; lines and columns from 1, 0 for none. */
export interface CallTree {
  readonly id: number;
  readonly functionName: string;
  readonly scriptId: number;
  readonly url: string;
  readonly lineNumber: number;
  readonly columnNumber: number;
  readonly hitCount: number;
  readonly bailoutReason: string;
  readonly lineTicks?: readonly { readonly line: number; readonly hitCount: number }[];
  readonly children: readonly CallTree[];
}

/** Items to a piece of text: each takes below a millisecond. */
const NODES_PER_PIECE = 500;
const SAMPLES_PER_PIECE = 20_000;

/** The inspector's profile with its samples in time order, which V8 does not always keep. */
export function fromInspector({ nodes, startTime, endTime, samples = [], timeDeltas = [] }: Profiler.Profile): CpuProfile {
  let time = startTime;
  const timestamps = timeDeltas.map((delta) => (time += delta));
  return inTimeOrder({ nodes, samples, timestamps, startTime, endTime });
}

/** The same from v8-profiler-next, whose profiles begin and end with a sample. */
export function fromCallTree(head: CallTree, samples: readonly number[], timestamps: readonly number[]): CpuProfile {
  const nodes: Profiler.ProfileNode[] = [];
  const pending = [head];
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    nodes.push(toProfileNode(node));
    pending.push(...node.children);
  }
  return inTimeOrder({ nodes, samples, timestamps, startTime: Infinity, endTime: 0 });
}

/** The file, in pieces that take below a millisecond each. */
export async function* cpuProfileJson(profile: CpuProfile): AsyncGenerator<string> {
  yield `{"startTime":${profile.startTime},"endTime":${profile.endTime},"nodes":[`;
  yield* piecesOf(profile.nodes, NODES_PER_PIECE);
  yield '],"samples":[';
  yield* piecesOf(profile.samples, SAMPLES_PER_PIECE);
  yield '],"timeDeltas":[';
  yield* piecesOf(profile.timeDeltas, SAMPLES_PER_PIECE);
  yield ']}';
}

function* piecesOf(items: readonly unknown[], count: number): Generator<string> {
  for (let from = 0; from < items.length; from += count) {
    yield (from === 0 ? '' : ',') + JSON.stringify(items.slice(from, from + count)).slice(1, -1);
  }
}

function toProfileNode(node: CallTree): Profiler.ProfileNode {
  const { id, functionName, scriptId, url, lineNumber, columnNumber, hitCount, bailoutReason, lineTicks = [], children } = node;
  return {
    id,
    callFrame: { functionName, scriptId: String(scriptId), url: urlOf(url), lineNumber: lineNumber - 1, columnNumber: columnNumber - 1 },
    hitCount,
    ...(children.length > 0 ? { children: children.map((child) => child.id) } : {}),
    ...(bailoutReason === '' ? {} : { deoptReason: bailoutReason }),
    ...(lineTicks.length > 0 ? { positionTicks: lineTicks.map(({ line, hitCount: ticks }) => ({ line, ticks })) } : {}),
  };
}

/** As the inspector has it, and DevTools finds its source by: CommonJS modules are known to V8 by their paths. */
function urlOf(scriptName: string): string {
  return isAbsolute(scriptName) ? pathToFileURL(scriptName).href : scriptName;
}

interface Timed extends Omit<CpuProfile, 'timeDeltas'> {
  readonly timestamps: readonly number[];
}

function inTimeOrder({ nodes, samples, timestamps, startTime, endTime }: Timed): CpuProfile {
  const at = (i: number): number => timestamps[i] ?? 0;
  const isOrdered = timestamps.every((time, i) => i === 0 || time >= at(i - 1));
  const order = timestamps.map((_, i) => i);
  if (!isOrdered) order.sort((a, b) => at(a) - at(b));
  const first = Math.min(startTime, at(order[0] ?? 0));
  return {
    nodes,
    startTime: first,
    endTime: Math.max(endTime, at(order.at(-1) ?? 0)),
    samples: isOrdered ? samples : order.map((i) => samples[i] ?? 0),
    timeDeltas: order.map((i, position) => at(i) - (position === 0 ? first : at(order[position - 1] ?? 0))),
  };
}
