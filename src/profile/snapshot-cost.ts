// What a heap snapshot costs and whether there is room for it: memory up to the container's limit or the machine's,
// disk for the file. heap-snapshot.ts asks before it takes one, and class-histogram.ts for the room. V8 builds a graph of every object outside its heap, so
// the cost goes by how many objects there are, not by how large they are: 3 times the heap used when it is strings of
// 500 bytes, 4 for a program that is mostly code, 8 for rows of a database, 35 for numbers in one large array (measured
// as the peak of rss on Node 20, 24 and 26; a table of medians after the snapshot shows half of it). How large objects
// are on average is known from the heap sampler.
import { existsSync, readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import os from 'node:os';
import { join } from 'node:path';
import { memoryLimit } from '../core/cgroup.ts';
import type { Profile } from './profile.ts';

/** Taken when the sampler does not run or has seen too little: a heap of small objects and nothing else has 30 to 50. */
const OBJECT_BYTES_DEFAULT = 40;

/** Averages beyond these are chance: an object has at least a header and a word, and every program has its code. */
const OBJECT_BYTES_RANGE = [24, 400] as const;

/** Sampled memory from which the average is worth something: some 16 samples. */
const SAMPLED_BYTES_MIN = 16e6;

/** Measured 320 to 1010 an object, and the sampler finds 0.5 to 1.2 of the objects that the snapshot has. */
const MEMORY_PER_OBJECT_BYTES = 1250;

/** For the names of edges and the strings, which are copied. */
const MEMORY_PER_HEAP_BYTE = 1.5;

/** Whatever the heap: that of an empty program takes 30 to 40 MB. */
const MEMORY_BASE_BYTES = 50e6;

/** Measured 65 to 112 an object, and each string once. */
const FILE_PER_OBJECT_BYTES = 120;

/** Measured 2 to 6 us an object here. */
const SECONDS_PER_OBJECT = 5e-6;

/** Writing the strings out. */
const SECONDS_PER_HEAP_BYTE = 1e-8;

/** File systems that are memory: tmpfs and ramfs. */
const MEMORY_FILE_SYSTEMS: readonly number[] = [0x01021994, 0x858458f6];

/** What a snapshot is expected to cost. */
export interface SnapshotCost {
  readonly heapUsedBytes: number;
  /** On top of what the process has, while the snapshot is taken. */
  readonly memoryBytes: number;
  readonly fileBytes: number;
  /** For which the process stands still. */
  readonly seconds: number;
}

/** Where a snapshot would be taken. */
export interface SnapshotPlace {
  /** For the file. */
  readonly directory: string;
  /** Where proc and sys are. */
  readonly root: string;
}

/** The cost for a heap of so many bytes; `objectBytes` is their average size when it is known. */
export function snapshotCost(heapUsedBytes: number, objectBytes: number = OBJECT_BYTES_DEFAULT): SnapshotCost {
  const [min, max] = OBJECT_BYTES_RANGE;
  const objects = heapUsedBytes / Math.min(Math.max(objectBytes, min), max);
  return {
    heapUsedBytes,
    memoryBytes: Math.round(MEMORY_BASE_BYTES + MEMORY_PER_HEAP_BYTE * heapUsedBytes + MEMORY_PER_OBJECT_BYTES * objects),
    fileBytes: Math.round(heapUsedBytes + FILE_PER_OBJECT_BYTES * objects),
    seconds: Math.ceil(SECONDS_PER_OBJECT * objects + SECONDS_PER_HEAP_BYTE * heapUsedBytes),
  };
}

/** Average size of the objects of a live-heap profile; undefined when it tells no numbers of objects, or too few. */
export function averageObjectBytes({ sampleTypes, sampleNodes, nodeFrames, frames, values }: Profile): number | undefined {
  const [objects, space] = ['inuse_objects', 'inuse_space'].map((name) => sampleTypes.findIndex(({ type }) => type === name));
  if (objects === undefined || space === undefined || objects === -1 || space === -1) return undefined;
  let count = 0;
  let bytes = 0;
  for (const [i, node] of sampleNodes.entries()) {
    // Memory outside of V8's heap is in no snapshot.
    if (frames[nodeFrames[node] ?? -1]?.name === '(external)') continue;
    count += values[i * sampleTypes.length + objects] ?? 0;
    bytes += values[i * sampleTypes.length + space] ?? 0;
  }
  return bytes < SAMPLED_BYTES_MIN ? undefined : bytes / count;
}

/** Why there is no room for a snapshot, with the sizes; undefined when there is. Rejects when there is no such directory. */
export async function noRoom(cost: SnapshotCost, { directory, root }: SnapshotPlace): Promise<string | undefined> {
  const { type, bavail, bsize } = await statfs(directory);
  const diskBytes = bavail * bsize;
  const isMemory = process.platform === 'linux' && MEMORY_FILE_SYSTEMS.includes(type);
  const memoryBytes = cost.memoryBytes + (isMemory ? cost.fileBytes : 0);
  const room = memoryRoom(root);
  if (memoryBytes > room.bytes) {
    return (
      `a snapshot of this heap of ${size(cost.heapUsedBytes)} needs up to ${size(memoryBytes)} of memory while it is taken, and ${room.of}. ` +
      'The kernel would kill the process. /debug/heapprofile shows who allocated what lives, at no such cost.'
    );
  }
  if (cost.fileBytes <= diskBytes) return undefined;
  return (
    `a snapshot of this heap of ${size(cost.heapUsedBytes)} needs up to ${size(cost.fileBytes)} in ${directory}, where ${size(diskBytes)} are free. ` +
    'TMPDIR names another directory.'
  );
}

/** Bytes for a person. */
export function size(bytes: number): string {
  return bytes < 999.5e6 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

/** What this process may still take, and whose room it is as a sentence. */
export function memoryRoom(root: string): { readonly bytes: number; readonly of: string } {
  const machineBytes = freeBytes(root);
  const limit = memoryLimit(root);
  const containerBytes = limit === undefined ? Infinity : Math.max(0, limit.limitBytes - limit.usedBytes);
  if (limit === undefined || machineBytes < containerBytes)
    return { bytes: machineBytes, of: `this machine has ${size(machineBytes)} free` };
  return {
    bytes: containerBytes,
    of: `the container's limit of ${size(limit.limitBytes)}, of which ${size(limit.usedBytes)} are used, leaves ${size(containerBytes)}`,
  };
}

function freeBytes(root: string): number {
  // macOS calls free what has never been used, some 100 MB however little runs.
  if (process.platform === 'darwin') return os.totalmem() - process.memoryUsage.rss();
  const file = join(root, 'proc/meminfo');
  const kilobytes = existsSync(file) ? /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync(file, 'latin1'))?.[1] : undefined;
  return kilobytes === undefined ? os.freemem() : Number(kilobytes) * 1024;
}
