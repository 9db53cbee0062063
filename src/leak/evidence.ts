// What is written of a process that comes near the end of its memory: one JSON object, and the same in some ten lines for
// people. Made by near-end.ts while the process lives, completed by the exporter that V8's end starts, read again by
// the next start. Plain data and pure functions.
import type { MemoryLimit } from '../core/cgroup.ts';
import type { LeakVerdict } from './finding.ts';

/** What is about to end the process, or did. */
export type NearEndReason = 'heap-limit' | 'container-limit' | 'v8-out-of-memory';

/** A function and what it holds, from the live-heap profile. */
export interface HeapSite {
  readonly function: string;
  readonly file: string;
  readonly line: number;
  readonly bytes: number;
}

/** A request that had begun and not ended. */
export interface InFlightRequest {
  readonly method: string;
  /** The router's template; empty where none has matched. */
  readonly route: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly durationMillis: number;
}

/** Who writes: the same in every evidence of a process. */
export interface EvidenceProcess {
  /** Of Sonde. */
  readonly version: string;
  readonly service: string;
  readonly pid: number;
  readonly host: string;
  /** The kernel's count of ticks at which the process started, which tells it from a later one with its pid; 0 off Linux. */
  readonly startTicks: number;
  readonly node: string;
}

export interface Evidence extends EvidenceProcess {
  readonly reason: NearEndReason;
  readonly epochMillis: number;
  readonly time: string;
  /** When sizes, verdict and requests were read: up to five seconds before the rest where V8's end came by surprise. */
  readonly measuredEpochMillis: number;
  /** When a leak meets the limit of `reason` at its rate; null once the limit itself is near. */
  readonly forecastSeconds: number | null;
  readonly uptimeSeconds: number;
  readonly oldGeneration: MemoryLimit;
  /** Null where nothing limits the container. */
  readonly container: MemoryLimit | null;
  readonly memoryUsage: NodeJS.MemoryUsage;
  /** Null where leaks are not watched. */
  readonly verdict: Pick<LeakVerdict, 'level' | 'findings'> | null;
  /** The heaviest of the live heap, at most ten, heaviest first; empty until it has been read. */
  readonly heap: readonly HeapSite[];
  /** Longest first, at most fifty. */
  readonly requests: readonly InFlightRequest[];
  /** File of the live-heap profile beside this one; null until it is written. */
  readonly profile: string | null;
}

const REASONS: Readonly<Record<NearEndReason, string>> = {
  'heap-limit': "the heap is near V8's limit",
  'container-limit': "memory is near the container's limit",
  'v8-out-of-memory': 'V8 has run out of memory and ends the process',
};

/** From here on sizes are told with their age. */
const OLD_MILLIS = 1000;

/** Rows of a list in the text. */
const ROWS_MAX = 3;

/** One line: what is near, and how near. */
export function headline({ reason, forecastSeconds, service, pid, oldGeneration, container }: Evidence): string {
  const limit = reason === 'container-limit' && container !== null ? container : oldGeneration;
  // What V8 has at its end nobody could measure any more.
  const how =
    reason === 'v8-out-of-memory' ? `its limit is ${megabytes(limit.limitBytes)}` : `${percent(limit)} of ${megabytes(limit.limitBytes)}`;
  const which = reason === 'container-limit' ? "the container's limit" : "V8's limit of the heap";
  const what = typeof forecastSeconds === 'number' ? `${which} is met in ${Math.round(forecastSeconds)} s at this rate` : REASONS[reason];
  return `${what}: ${how}, ${service} (pid ${pid})`;
}

/** The text for people, `file` where it was written to; at most a dozen lines. */
export function evidenceText(evidence: Evidence, file: string | undefined): string {
  const { oldGeneration, container, memoryUsage, heap, requests, verdict, uptimeSeconds, epochMillis, measuredEpochMillis } = evidence;
  const lines = [headline(evidence)];
  const { rss, external } = memoryUsage;
  const ageMillis = epochMillis - measuredEpochMillis;
  lines.push(
    (ageMillis < OLD_MILLIS ? '' : `${Math.round(ageMillis / 1000)} s before: `) +
      `old generation ${megabytes(oldGeneration.usedBytes)} of ${megabytes(oldGeneration.limitBytes)}, ` +
      (container === null ? '' : `container ${megabytes(container.usedBytes)} of ${megabytes(container.limitBytes)}, `) +
      `rss ${megabytes(rss)}, external ${megabytes(external)}, up for ${Math.round(uptimeSeconds - ageMillis / 1000)} s`,
  );
  for (const { level, site, grownBytes } of (verdict?.findings ?? []).slice(0, ROWS_MAX)) {
    if (site !== null) lines.push(`${level}: ${placeOf(site)} has gained ${megabytes(grownBytes)}`);
  }
  for (const site of heap.slice(0, ROWS_MAX)) lines.push(`live: ${megabytes(site.bytes)} allocated by ${placeOf(site)}`);
  for (const { method, route, traceId, durationMillis } of requests.slice(0, ROWS_MAX)) {
    lines.push(`in flight for ${Math.round(durationMillis)} ms: ${method} ${route || '(no route)'} trace ${traceId}`);
  }
  if (requests.length > ROWS_MAX) lines.push(`and ${requests.length - ROWS_MAX} more requests`);
  if (file !== undefined) lines.push(`evidence: ${file}`);
  return lines.join('\n  ');
}

/** How the evidence's process ended, as far as it tells: what was only near a limit may have been killed for another reason. */
const ENDS: Readonly<Record<NearEndReason, string>> = {
  'heap-limit': "ended abnormally while its heap was near V8's limit",
  'container-limit': "ended abnormally while memory was near the container's limit",
  'v8-out-of-memory': 'ended because V8 ran out of memory',
};

/** One line about a process that has gone, for the start that finds its evidence. */
export function describeDeath(evidence: Evidence, file: string): string {
  const { pid, time, reason } = evidence;
  const site = culpritOf(evidence);
  const culprit = site === undefined ? '' : `; most of its memory was allocated by ${placeOf(site)}`;
  return `process ${pid} ${ENDS[reason]}, last seen ${time}${culprit}; evidence: ${file}`;
}

/** Who is to be looked at first: what grows and has a name, else what holds most of the heap; undefined where neither is known. */
export function culpritOf({ verdict, heap }: Evidence): Omit<HeapSite, 'bytes'> | undefined {
  const growing = verdict?.findings.find(({ site, level }) => site !== null && level !== 'gone');
  return growing?.site ?? heap[0];
}

/** The evidence in a file's text; undefined where it is not ours or not whole. */
export function parseEvidence(text: string): Evidence | undefined {
  try {
    const evidence = JSON.parse(text) as Partial<Evidence> | null;
    const whole =
      typeof evidence?.pid === 'number' &&
      typeof evidence.time === 'string' &&
      evidence.oldGeneration !== undefined &&
      Array.isArray(evidence.heap);
    return whole ? (evidence as Evidence) : undefined;
  } catch {
    return undefined;
  }
}

function placeOf({ function: name, file, line }: Omit<HeapSite, 'bytes'>): string {
  return file === '' ? name : `${name} (${file}:${line})`;
}

function percent({ usedBytes, limitBytes }: MemoryLimit): string {
  return `${Math.round((100 * usedBytes) / limitBytes)} %`;
}

function megabytes(bytes: number): string {
  return `${(bytes / (1024 * 1024)).toFixed(bytes < 10 * 1024 * 1024 ? 1 : 0)} MiB`;
}
