// What a block of the event loop was, from what was sampled in it: its cause, the stack that held the loop, whose request
// it was. Pure; called by stalls.ts.
import type { Frame } from './frame.ts';
import type { Profile } from './profile.ts';
import type { StallCause } from './stall-entry.ts';
import type { Stretch } from './stretch.ts';

/** Innermost frames that are kept; V8 goes 255 deep. */
const FRAMES_MAX = 128;

/** The CPU of a thread that a debugger has paused; sampling it takes 0.2 % of a core. */
const HELD_CPU_SHARE_MAX = 0.05;

const NOT_WOKEN = 'the process was idle and not woken in time: stopped, suspended, or starved of CPU';
const STOPPED = 'next to no CPU time passed and no sample could be taken: stopped, suspended, or starved of CPU';
const HELD = 'next to no CPU time passed, and a debugger is attached: it has most likely paused the process';
const NO_STACK = 'no sample of JavaScript was taken in it';

/** A block of the event loop as the engine tells of it. */
export interface Block {
  /** On the monotonic clock. */
  readonly startMillis: number;
  readonly durationMillis: number;
  /** The loop was waiting for something to happen and did not wake when it was time to. */
  readonly wasWaiting: boolean;
  /** What was sampled in it, or why nothing was. */
  readonly sampled: Stretch | string;
}

/** What the samples of a block tell. */
export interface StallDescription {
  /** The innermost first. */
  readonly frames: readonly Frame[];
  /** Of the sampled time, how much was spent in each of them and what it called. */
  readonly shares: readonly number[];
  readonly samples: number;
  readonly route: string | undefined;
  readonly traceId: string | undefined;
  readonly spanId: string | undefined;
  readonly gcMillis: number;
  /** Why nothing in the process is to blame. */
  readonly notRunning: string | undefined;
}

/** How a block is judged. */
export interface Judgement {
  /** What is shorter is no stall. */
  readonly thresholdMillis: number;
  /** Whether a debugger is attached. */
  readonly isDebugged: () => boolean;
}

/** Describes a block by its samples. */
export function describeStall(durationMillis: number, stretch: Stretch, { thresholdMillis, isDebugged }: Judgement): StallDescription {
  const { profile, cpuMillis, deadMillis } = stretch;
  const times = timesOf(profile);
  const { frames, nanos } = heaviestPath(profile, times);
  // What a debugger holds is interrupted by samples like a call that waits; but that waits in a function that is built in.
  const isHeld = cpuMillis < HELD_CPU_SHARE_MAX * durationMillis && frames[0]?.file !== '' && isDebugged();
  // Without that time it would have been none.
  const notRunning = durationMillis - deadMillis < thresholdMillis ? STOPPED : isHeld ? HELD : undefined;
  return {
    frames: frames.slice(0, FRAMES_MAX),
    shares: nanos.map((spent) => spent / times.allNanos),
    samples: times.samples,
    ...subjectOf(profile),
    gcMillis: times.gcNanos / 1e6,
    notRunning,
  };
}

/** What held the loop, from all that is known in the end. */
export function causeOf(
  block: Block,
  description: StallDescription | undefined,
  gcMillis: number,
): { readonly cause: StallCause; readonly reason: string | undefined } {
  if (block.wasWaiting) return { cause: 'not running', reason: NOT_WOKEN };
  // On a busy machine it is the collector that does not run.
  if (gcMillis >= block.durationMillis / 2) return { cause: 'garbage collection', reason: undefined };
  if (description?.notRunning !== undefined) return { cause: 'not running', reason: description.notRunning };
  if (description !== undefined && description.frames.length > 0) return { cause: 'code', reason: undefined };
  return { cause: 'unknown', reason: typeof block.sampled === 'string' ? block.sampled : NO_STACK };
}

/**
 * The frame to name to a person, by its place in a stack with the innermost first: the innermost of the application, else of
 * a dependency, else of Node. -1 for an empty stack.
 */
export function culpritOf(frames: readonly Frame[], ownDirectory: string): number {
  const isOwn = ({ file }: Frame): boolean => file.startsWith(`${ownDirectory}/`);
  const application = frames.findIndex((frame) => isScript(frame) && !isOwn(frame) && !/[/\\]node_modules[/\\]/.test(frame.file));
  if (application !== -1) return application;
  const dependency = frames.findIndex((frame) => isScript(frame) && !isOwn(frame));
  return dependency === -1 ? Math.min(0, frames.length - 1) : dependency;
}

/** Neither Node's nor built in. */
function isScript({ file }: Frame): boolean {
  return file !== '' && !file.startsWith('node:');
}

interface Times {
  readonly samples: number;
  readonly allNanos: number;
  readonly gcNanos: number;
  /** Of each node with what it called, without V8's pseudo frames. */
  readonly nodeNanos: Float64Array;
}

function timesOf({ parents, nodeFrames, frames, sampleNodes, values }: Profile): Times {
  const nodeNanos = new Float64Array(parents.length);
  let [samples, allNanos, gcNanos] = [0, 0, 0];
  for (const [row, node] of sampleNodes.entries()) {
    const nanos = values[row * 2 + 1] as number;
    const { name } = frames[nodeFrames[node] as number] as Frame;
    samples += values[row * 2] as number;
    allNanos += nanos;
    if (name === '(garbage collector)') gcNanos += nanos;
    else if (name !== '(program)') nodeNanos[node] = (nodeNanos[node] as number) + nanos;
  }
  // Parents come before their children.
  for (let node = parents.length - 1; node >= 0; node--) {
    const parent = parents[node] as number;
    if (parent !== -1) nodeNanos[parent] = (nodeNanos[parent] as number) + (nodeNanos[node] as number);
  }
  return { samples, allNanos, gcNanos, nodeNanos };
}

/**
 * From the outermost frame inwards while one callee has at least half of the time of all JavaScript; and their times. Where only frames of Node come of that, as when many callbacks ran in one turn, on to the heaviest that is not Node's.
 */
function heaviestPath({ parents, nodeFrames, frames }: Profile, { nodeNanos }: Times): { frames: Frame[]; nanos: number[] } {
  const heaviestOf = new Map<number, number>();
  let enough = 0;
  for (const [node, parent] of parents.entries()) {
    if (parent === -1) enough += (nodeNanos[node] as number) / 2;
    const heaviest = heaviestOf.get(parent);
    if (heaviest === undefined || (nodeNanos[node] as number) > (nodeNanos[heaviest] as number)) heaviestOf.set(parent, node);
  }
  const path: Frame[] = [];
  const nanos: number[] = [];
  let hasScript = false;
  for (let node = heaviestOf.get(-1); node !== undefined; node = heaviestOf.get(node)) {
    const here = nodeNanos[node] as number;
    if (here === 0 || (here < enough && hasScript)) break;
    const frame = frames[nodeFrames[node] as number] as Frame;
    hasScript ||= isScript(frame);
    path.unshift(frame);
    nanos.unshift(here);
  }
  return { frames: path, nanos };
}

/** The route, and the trace and span, that had at least half of the time of all samples that can tell. */
function subjectOf({ frames, nodeFrames, sampleNodes, sampleLabels, labelSets, values }: Profile): {
  route: string | undefined;
  traceId: string | undefined;
  spanId: string | undefined;
} {
  const [routes, traces, spans] = [new Map<string, number>(), new Map<string, number>(), new Map<string, number>()];
  let enough = 0;
  for (const [row, node] of sampleNodes.entries()) {
    const labels = sampleLabels[row] as number;
    const { name } = frames[nodeFrames[node] as number] as Frame;
    // V8's own work has no context on some Nodes.
    if (labels === 0 && name.startsWith('(')) continue;
    const nanos = values[row * 2 + 1] as number;
    enough += nanos / 2;
    const { 'http.route': route, trace_id: traceId, span_id: spanId } = labelSets[labels] ?? {};
    for (const [sums, key] of [
      [routes, route],
      [traces, traceId],
      [spans, spanId],
    ] as const) {
      if (key !== undefined) sums.set(key, (sums.get(key) ?? 0) + nanos);
    }
  }
  const main = (sums: ReadonlyMap<string, number>): string | undefined => [...sums].find(([, nanos]) => nanos > 0 && nanos >= enough)?.[0];
  const traceId = main(traces);
  return { route: main(routes), traceId, spanId: traceId === undefined ? undefined : main(spans) };
}
