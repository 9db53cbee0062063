// From what V8 hands out, natively or through the inspector, to a Profile of ours. Pure. Pseudo frames keep V8's
// names, `(garbage collector)`, `(program)`, `(idle)`; two of ours follow their form: `(non-JS threads)` for CPU
// time of the process outside JavaScript threads and `(external)` for memory that V8 accounts outside its heap.
import type { Profiler } from 'node:inspector';
import type { HeapSamples, HeapSamplesNode } from '../core/heap-samples.ts';
import { scriptPath } from '../core/script-path.ts';
import type { LabelSet, Profile, ProfileHead, ValueType } from './profile.ts';
import { addAll, NO_LABELS, ProfileBuilder } from './profile.ts';
import type { StackTable } from './stack-table.ts';
import type { Allocations } from './allocations.ts';

/** Between samples of a profile that is taken on request: 99 Hz, prime to the 10 ms and 100 ms timers of applications. */
export const ON_REQUEST_INTERVAL_MICROS: number = Math.round(1e6 / 99);

const SAMPLES: ValueType = { type: 'samples', unit: 'count' };
const CPU: ValueType = { type: 'cpu', unit: 'nanoseconds' };
const WALL: ValueType = { type: 'wall', unit: 'nanoseconds' };
const OBJECTS: ValueType = { type: 'inuse_objects', unit: 'count' };
const SPACE: ValueType = { type: 'inuse_space', unit: 'bytes' };
const ALLOCATED: ValueType = { type: 'alloc_space', unit: 'bytes' };

const IDLE = '(idle)';

/** CPU time below which a hit was waiting, not running: a blocked thread is charged some 20 us for the sampling itself. */
const RUNNING_CPU_NANOS = 50_000;

interface NamedNode {
  readonly name?: string;
  readonly scriptName: string;
  /** Where the function starts, 1-based; columns too, 0 for none. */
  readonly lineNumber?: number;
  readonly columnNumber?: number;
}

/** A hit of a native time profile, with the CPU time since the sample before. */
interface Hit {
  /** What the sampler found in its slot or store; never there for `(idle)` and `(program)`. */
  readonly context?: object;
  readonly timestamp: bigint;
  readonly cpuTime?: number;
}

/** A node of a native time profile; `contexts` has one entry per hit. */
export interface TimeNode extends NamedNode {
  readonly hitCount: number;
  readonly contexts?: readonly Hit[];
  readonly children: readonly TimeNode[];
}

/** A native time profile; times in microseconds, CPU times in nanoseconds. */
export interface TimeTree {
  readonly topDownRoot: TimeNode;
  readonly startTime: number;
  readonly endTime: number;
  readonly hasCpuTime?: boolean;
  readonly nonJSThreadsCpuTime?: number;
}

/** A node of a native live-heap profile. */
export interface AllocationNode extends NamedNode {
  readonly allocations: readonly { readonly sizeBytes: number; readonly count: number }[];
  readonly children: readonly AllocationNode[];
}

/** How a time profile was taken. */
export interface TimeTreeOptions {
  readonly startEpochMillis: number;
  /** The distance between samples that was asked for. */
  readonly intervalMicros: number;
  /** What the context of a hit says. */
  readonly labelsOf?: (context: object) => LabelSet;
  /** Name of the thread, for the label `thread`; none without it. */
  readonly thread?: string | undefined;
  /** The tree that the windows share. */
  readonly stacks?: StackTable | undefined;
}

/**
 * A time profile with the sample types samples, cpu and wall. Without CPU times every hit outside `(idle)` counts
 * as one interval of CPU. With them, what is charged to `(idle)` is the work that ended before the next sample,
 * a quarter to four fifths of a bursty service's CPU. It is spread over the hits that found the thread running,
 * because a function is hit in proportion to its CPU time, however short its turns are. Each hit has the labels that
 * `labelsOf` answers for its context; whole nanoseconds make the sum over labels exact.
 */
export function fromTimeTree(tree: TimeTree, options: TimeTreeOptions, activity: Activity = activityOf(tree)): Profile {
  const { intervalMicros, thread } = options;
  const measured = tree.hasCpuTime === true;
  const { wallNanos, samples, runningSamples, idleCpuNanos } = activity;
  const spreadNanos = runningSamples > 0 ? Math.round(idleCpuNanos / runningSamples) : 0;
  // Signals come late on a busy machine; beyond twice the interval the process was not running at all.
  const meanMicros = samples > 0 ? wallNanos / 1000 / samples : 0;
  const intervalNanos = Math.round(1000 * Math.min(Math.max(meanMicros, intervalMicros), 2 * intervalMicros));

  const builder = new ProfileBuilder(3, { stacks: options.stacks });
  const add = (node: number, hits: number, cpuNanos: number, labels: number): void => {
    if (hits === 0 && cpuNanos === 0) return;
    builder.add(node, 0, hits, labels);
    builder.add(node, 1, cpuNanos, labels);
    builder.add(node, 2, hits * intervalNanos, labels);
  };
  const unlabelled = thread === undefined ? 0 : builder.labels({ thread });
  const labelIds = labelIdsOf(builder, unlabelled, options);
  walk(builder, tree.topDownRoot, namedFrame, (node, from) => {
    const { hitCount, contexts = [] } = from;
    if (from.name === IDLE) return add(node, hitCount, spreadNanos > 0 ? 0 : cpuTimeNanos(from), unlabelled);
    if (!measured) return add(node, hitCount, hitCount * intervalNanos, unlabelled);
    for (const { context, cpuTime = 0 } of contexts) {
      add(node, 1, cpuTime + (cpuTime > RUNNING_CPU_NANOS ? spreadNanos : 0), labelIds(context));
    }
    // Hits beyond the room for contexts.
    add(node, hitCount - contexts.length, 0, unlabelled);
  });
  const otherNanos = tree.nonJSThreadsCpuTime ?? 0;
  if (otherNanos > 0) builder.add(outermost(builder, '(non-JS threads)'), 1, otherNanos);
  return builder.build({
    sampleTypes: [SAMPLES, CPU, WALL],
    defaultSampleType: CPU.type,
    periodType: WALL,
    period: intervalMicros * 1000,
    startEpochMillis: options.startEpochMillis,
    durationMillis: wallNanos / 1e6,
  });
}

/** The same from the inspector's CPU profiler, which knows no CPU times. */
export function fromCpuProfile(profile: Profiler.Profile, startEpochMillis: number, thread?: string): Profile {
  const byId = new Map(profile.nodes.map((node) => [node.id, node]));
  const toTimeNode = (node: Profiler.ProfileNode): TimeNode => ({
    name: node.callFrame.functionName,
    scriptName: node.callFrame.url,
    lineNumber: node.callFrame.lineNumber + 1,
    columnNumber: node.callFrame.columnNumber + 1,
    hitCount: node.hitCount ?? 0,
    children: (node.children ?? []).map((id) => toTimeNode(byId.get(id) as Profiler.ProfileNode)),
  });
  const topDownRoot = toTimeNode(profile.nodes[0] as Profiler.ProfileNode);
  const tree = { topDownRoot, startTime: profile.startTime, endTime: profile.endTime };
  return fromTimeTree(tree, { startEpochMillis, intervalMicros: ON_REQUEST_INTERVAL_MICROS, thread });
}

/** How a heap profile was taken. */
export interface HeapOptions {
  readonly startEpochMillis: number;
  /** Mean bytes between two samples. */
  readonly intervalBytes: number;
  /** The tree that several profiles share. */
  readonly stacks?: StackTable | undefined;
}

/** A live-heap profile with inuse_objects and inuse_space, scaled by V8 from the samples to all allocations. */
export function fromAllocationTree(root: AllocationNode, externalBytes: number, options: HeapOptions): Profile {
  const builder = new ProfileBuilder(2, options);
  walk(builder, root, namedFrame, (node, { allocations }) => {
    for (const { sizeBytes, count } of allocations) {
      builder.add(node, 0, count);
      builder.add(node, 1, sizeBytes * count);
    }
  });
  if (externalBytes > 0) {
    const node = outermost(builder, '(external)');
    builder.add(node, 0, 1);
    builder.add(node, 1, externalBytes);
  }
  return builder.build(heapHead([OBJECTS, SPACE], options));
}

/** The same from the inspector, which tells no object counts. */
export function fromHeapSamples(profile: HeapSamples, externalBytes: number, options: HeapOptions): Profile {
  const builder = new ProfileBuilder(1, options);
  walk(builder, profile.head, inspectorFrame, (node, { selfSize }) => {
    if (selfSize > 0) builder.add(node, 0, selfSize);
  });
  if (externalBytes > 0) builder.add(outermost(builder, '(external)'), 0, externalBytes);
  return builder.build(heapHead([SPACE], options));
}

/** What was allocated since the start, besides what is live now: the sample types alloc_space, and those of `live`. */
export function withAllocations(allocations: Allocations, live: Profile): Profile {
  const builder = new ProfileBuilder(1 + live.sampleTypes.length);
  const options: HeapOptions = { startEpochMillis: live.startEpochMillis, intervalBytes: live.period };
  addAll(builder, allocations.profile(heapHead([ALLOCATED], options)));
  addAll(builder, live, { shift: 1 });
  return builder.build({ ...heapHead([ALLOCATED, ...live.sampleTypes], options), defaultSampleType: ALLOCATED.type });
}

function heapHead(sampleTypes: readonly ValueType[], { startEpochMillis, intervalBytes }: HeapOptions): ProfileHead {
  return {
    sampleTypes,
    defaultSampleType: SPACE.type,
    periodType: SPACE,
    period: intervalBytes,
    startEpochMillis,
    durationMillis: 0,
  };
}

/** From the context of a hit to the id of its labels in the builder, asked once a context. */
export function labelIdsOf(
  builder: ProfileBuilder,
  unlabelled: number,
  { labelsOf = () => NO_LABELS, thread }: TimeTreeOptions,
): (context: object | undefined) => number {
  const ids = new Map<object, number>();
  return (context) => {
    if (context === undefined) return unlabelled;
    let id = ids.get(context);
    if (id === undefined) {
      const labels = labelsOf(context);
      ids.set(context, (id = builder.labels(thread === undefined ? labels : { ...labels, thread })));
    }
    return id;
  };
}

function outermost(builder: ProfileBuilder, name: string): number {
  return builder.node(-1, builder.frame(name, '', 0));
}

/** The frame of a node of the addon's trees. */
export function namedFrame(builder: ProfileBuilder, { name, scriptName, lineNumber = 0, columnNumber = 0 }: NamedNode): number {
  return builder.frame(name || '(anonymous)', scriptPath(scriptName), lineNumber, columnNumber);
}

/** The frame of a node of the inspector's trees, with lines and columns from 0. */
function inspectorFrame(builder: ProfileBuilder, { callFrame }: HeapSamplesNode): number {
  const { functionName, url, lineNumber, columnNumber } = callFrame;
  return builder.frame(functionName || '(anonymous)', scriptPath(url), lineNumber + 1, columnNumber + 1);
}

/** Enters every node below `root` into the builder, parents first, and hands each to `visit`. */
function walk<T extends { readonly children: readonly T[] }>(
  builder: ProfileBuilder,
  root: T,
  frameOf: (builder: ProfileBuilder, node: T) => number,
  visit: (node: number, from: T) => void,
): void {
  const pending = root.children.map((child) => ({ parent: -1, from: child }));
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const node = builder.node(next.parent, frameOf(builder, next.from));
    visit(node, next.from);
    for (const child of next.from.children) pending.push({ parent: node, from: child });
  }
}

/** What the thread did, by all samples together. */
export interface Activity {
  readonly wallNanos: number;
  readonly samples: number;
  /** Samples outside `(idle)` that found the thread running. */
  readonly runningSamples: number;
  /** CPU time that was charged to `(idle)`. */
  readonly idleCpuNanos: number;
  /** Samples that found the thread waiting, and its CPU time at them: what it costs to be sampled. */
  readonly quietSamples: number;
  readonly quietNanos: number;
  /** How long the thread was active: in a function, which may itself wait, or using CPU outside of any. */
  readonly activeNanos: number;
}

export function activityOf({ topDownRoot, startTime, endTime }: TimeTree): Activity {
  let [samples, idleSamples, runningSamples, quietSamples] = [0, 0, 0, 0];
  let [cpuNanos, idleCpuNanos, quietNanos] = [0, 0, 0];
  const pending = [topDownRoot];
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    const isIdle = node.name === IDLE;
    samples += node.hitCount;
    if (isIdle) idleSamples += node.hitCount;
    for (const { cpuTime = 0 } of node.contexts ?? []) {
      const isRunning = cpuTime > RUNNING_CPU_NANOS;
      cpuNanos += cpuTime;
      if (isIdle) idleCpuNanos += cpuTime;
      else if (isRunning) runningSamples += 1;
      if (!isIdle || isRunning) continue;
      quietSamples += 1;
      quietNanos += cpuTime;
    }
    pending.push(...node.children);
  }
  const wallNanos = (endTime - startTime) * 1000;
  const calledNanos = samples === 0 ? 0 : (wallNanos * (samples - idleSamples)) / samples;
  const activeNanos = Math.max(calledNanos, cpuNanos - quietNanos);
  return { wallNanos, samples, runningSamples, idleCpuNanos, quietSamples, quietNanos, activeNanos };
}

function cpuTimeNanos({ contexts = [] }: TimeNode): number {
  return contexts.reduce((sum, { cpuTime = 0 }) => sum + cpuTime, 0);
}
