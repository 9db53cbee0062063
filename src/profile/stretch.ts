// What a time profile holds of the time between two moments, for a block of the event loop. Pure. A sample stands for the
// time since the one before it, and not for one interval: what cannot be interrupted (a long read, a stopped process) has few.
import type { Profile, ValueType } from './profile.ts';
import { ProfileBuilder } from './profile.ts';
import { labelIdsOf, namedFrame, type TimeNode, type TimeTree, type TimeTreeOptions } from './v8.ts';

const SAMPLES: ValueType = { type: 'samples', unit: 'count' };
const WALL: ValueType = { type: 'wall', unit: 'nanoseconds' };

/**
 * A gap of this many intervals between two samples is no chance: the thread could not be interrupted, as in a long read, or did
 * not run. One that ran had a fifth of a core even on a machine with four times as much to do as it can.
 */
const SILENT_INTERVALS = 4;
const SILENT_CPU_SHARE_MAX = 0.05;

const IDLE = '(idle)';

/** Being sampled costs a waiting thread some 20 us. */
const WAITING_CPU_NANOS_MAX = 50_000;

/** Where Node calls the file system from: its own part of that cannot be interrupted while it waits for a disk. */
const FILE_CALLERS = /^node:(?:fs|internal\/fs|internal\/modules)\b/;

/** What is kept of a stretch of time. */
export interface Stretch {
  /** With the sample types samples and wall; dead time, and what has no sample after it, is left out. It begins after the last pause that was seen. */
  readonly profile: Profile;
  /** The span that was active for at least half of that time. */
  readonly active: object | undefined;
  /** Different spans that samples belong to. */
  readonly activeCount: number;
  /** CPU time of the thread. */
  readonly cpuMillis: number;
  /** Time without samples in which the thread did not use the CPU either, and was not in what cannot be interrupted. */
  readonly deadMillis: number;
  /** What was left out at the start. */
  readonly skippedMillis: number;
}

export interface StretchOptions extends TimeTreeOptions {
  readonly fromMicros: number;
  readonly toMicros: number;
  /** CPU time that the whole process used between them. */
  readonly processCpuMillis: number;
  /** The span that the context of a sample belongs to. */
  readonly activeOf: (context: object) => object | undefined;
}

interface Moment {
  readonly micros: number;
  readonly node: number;
  readonly name: string;
  readonly context: object | undefined;
  readonly cpuNanos: number;
  /** Waits without being interrupted: for a disk in a call of the file system, for the threads that help in a collection. */
  readonly isDeaf: boolean;
}

/** What was sampled between two moments in epoch microseconds; nothing where samples have no time. */
export function stretchOf(tree: TimeTree, options: StretchOptions): Stretch {
  const { toMicros, activeOf, intervalMicros } = options;
  const builder = new ProfileBuilder(2);
  const { moments, fromMicros } = sinceLastPause(momentsOf(builder, tree, options), options.fromMicros, intervalMicros);
  const labelIds = labelIdsOf(builder, 0, options);
  const microsOf = new Map<object | undefined, number>();
  let [seenMicros, cpuNanos, deadMicros] = [fromMicros, 0, 0];
  const deadPart = (micros: number, nanos: number): number =>
    micros > SILENT_INTERVALS * intervalMicros && nanos < micros * 1000 * SILENT_CPU_SHARE_MAX ? micros - intervalMicros : 0;
  for (const { micros, node, name, context, cpuNanos: nanos, isDeaf } of moments) {
    const since = micros - seenMicros;
    seenMicros = micros;
    cpuNanos += nanos;
    const dead = isDeaf ? 0 : deadPart(since, nanos);
    deadMicros += dead;
    if (name === IDLE) continue;
    builder.add(node, 0, 1, labelIds(context));
    builder.add(node, 1, (since - dead) * 1000, labelIds(context));
    // V8's own work has no context on some Nodes, and then says nothing about whose it is.
    if (context === undefined && name.startsWith('(')) continue;
    const active = context && activeOf(context);
    microsOf.set(active, (microsOf.get(active) ?? 0) + since - dead);
  }
  const profile = builder.build({
    sampleTypes: [SAMPLES, WALL],
    defaultSampleType: WALL.type,
    periodType: WALL,
    period: intervalMicros * 1000,
    startEpochMillis: fromMicros / 1000,
    durationMillis: (toMicros - fromMicros) / 1000,
  });
  return {
    profile,
    active: majority(microsOf),
    activeCount: microsOf.size - (microsOf.has(undefined) ? 1 : 0),
    cpuMillis: cpuNanos / 1e6,
    // What the process used beyond the samples may be this thread's after the last of them: the sampler may not have run either.
    deadMillis: (deadMicros + deadPart(toMicros - seenMicros, options.processCpuMillis * 1e6 - cpuNanos)) / 1000,
    skippedMillis: (fromMicros - options.fromMicros) / 1000,
  };
}

/**
 * Two turns of the loop with a pause between them look like one block to the heartbeat, if it noted neither the end of the first nor
 * the pause; two samples that found the loop waiting tell. Node's own work between two calls of a turn is `(idle)` too, but uses CPU.
 */
function sinceLastPause(moments: Moment[], fromMicros: number, intervalMicros: number): { moments: Moment[]; fromMicros: number } {
  const at = moments.findLastIndex(
    ({ name, cpuNanos }, i) => name === IDLE && cpuNanos < WAITING_CPU_NANOS_MAX && moments[i - 1]?.name === IDLE,
  );
  const pause = moments[at];
  return pause === undefined ? { moments, fromMicros } : { moments: moments.slice(at + 1), fromMicros: pause.micros + intervalMicros / 2 };
}

/** A node of V8's tree on the way to one that has samples in the stretch; most have none, and never come into the profile. */
interface Visit {
  readonly from: TimeNode;
  readonly up: Visit | undefined;
  node: number | undefined;
}

/** The samples of the stretch in the order of time. */
function momentsOf(builder: ProfileBuilder, tree: TimeTree, { fromMicros, toMicros }: StretchOptions): Moment[] {
  const moments: Moment[] = [];
  const nodeOf = (visit: Visit): number =>
    (visit.node ??= builder.node(visit.up === undefined ? -1 : nodeOf(visit.up), namedFrame(builder, visit.from)));
  const pending: Visit[] = tree.topDownRoot.children.map((from) => ({ from, up: undefined, node: undefined }));
  for (let visit = pending.pop(); visit !== undefined; visit = pending.pop()) {
    const { name = '', scriptName, contexts = [], children } = visit.from;
    const isFileCall = scriptName === '' && !name.startsWith('(') && FILE_CALLERS.test(visit.up?.from.scriptName ?? '');
    const isDeaf = isFileCall || name === '(garbage collector)';
    for (const { context, timestamp, cpuTime = 0 } of contexts) {
      const micros = Number(timestamp);
      if (micros < fromMicros || micros > toMicros) continue;
      // The addon has no CPU time for samples of `(program)`.
      moments.push({ micros, node: nodeOf(visit), name, context, cpuNanos: Number.isFinite(cpuTime) ? cpuTime : 0, isDeaf });
    }
    for (const from of children) pending.push({ from, up: visit, node: undefined });
  }
  return moments.toSorted((a, b) => a.micros - b.micros);
}

/** What has at least half of the sum. */
function majority<T>(weights: ReadonlyMap<T, number>): T | undefined {
  const sum = [...weights.values()].reduce((total, weight) => total + weight, 0);
  return [...weights].find(([, weight]) => weight > 0 && weight >= sum / 2)?.[0];
}
