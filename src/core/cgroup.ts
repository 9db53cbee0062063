// The memory limit that the kernel holds this process to: control groups of version 1 and 2. Every group from the
// process's own up to the outermost that can be seen is looked at, because the tightest of them kills. Synchronous: the
// kernel writes these files from memory, 0.1 ms for all of them. Nothing where there are no control groups.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A limit and what counts against it. */
export interface MemoryLimit {
  readonly limitBytes: number;
  /** Without the page cache that the kernel gives back before it kills. */
  readonly usedBytes: number;
}

/** What differs between the two versions. */
interface Files {
  /** Where the groups are mounted. */
  readonly mount: string;
  /** Path of the process's own group, from /proc/self/cgroup. */
  readonly group: string;
  /** The lowest of them holds. */
  readonly limits: readonly string[];
  readonly used: string;
  /** Line of memory.stat with the page cache that nobody has touched of late, of the whole subtree. */
  readonly cache: string;
}

/** The limit of this process that leaves the least room; undefined when there is none. `root` holds proc and sys. */
export function memoryLimit(root: string = '/'): MemoryLimit | undefined {
  const files = filesOf(root);
  if (files === undefined) return undefined;
  let tightest: MemoryLimit | undefined;
  for (const directory of groupsUpwards(files.mount, files.group)) {
    const limit = limitOf(directory, files);
    if (limit !== undefined && (tightest === undefined || roomOf(limit) < roomOf(tightest))) tightest = limit;
  }
  return tightest;
}

function roomOf({ limitBytes, usedBytes }: MemoryLimit): number {
  return limitBytes - usedBytes;
}

function filesOf(root: string): Files | undefined {
  const mounts = join(root, 'sys/fs/cgroup');
  const lines = (readText(join(root, 'proc/self/cgroup')) ?? '').split('\n').map((line) => line.split(':'));
  // A machine may have both; the memory controller is in one of them only, and where version 1 lists it, it is there.
  const v1 = lines.find(([, controllers = '']) => controllers.split(',').includes('memory'));
  if (v1 !== undefined) {
    return {
      mount: join(mounts, 'memory'),
      group: v1.slice(2).join(':'),
      limits: ['memory.limit_in_bytes'],
      used: 'memory.usage_in_bytes',
      cache: 'total_inactive_file',
    };
  }
  const v2 = lines.find(([hierarchy, controllers]) => hierarchy === '0' && controllers === '');
  if (v2 === undefined) return undefined;
  // Above memory.high the kernel does not kill but stops the process over and over to reclaim.
  const limits = ['memory.max', 'memory.high'];
  return { mount: mounts, group: v2.slice(2).join(':'), limits, used: 'memory.current', cache: 'inactive_file' };
}

/**
 * Directories of a group and of those above it, as far as they exist: in a container whose cgroup namespace is the
 * machine's, the path is the machine's too while the mount begins at the container.
 */
function groupsUpwards(mount: string, group: string): string[] {
  const names = group.split('/').filter((name) => name !== '' && name !== '..');
  const paths = Array.from({ length: names.length + 1 }, (_, above) => join(mount, ...names.slice(0, names.length - above)));
  return paths.filter((path) => existsSync(path));
}

function limitOf(directory: string, { limits, used, cache }: Files): MemoryLimit | undefined {
  const set = limits.map((name) => bytesOf(readText(join(directory, name)))).filter((bytes) => bytes !== undefined);
  const usedBytes = bytesOf(readText(join(directory, used)));
  if (set.length === 0 || usedBytes === undefined) return undefined;
  const stat = readText(join(directory, 'memory.stat')) ?? '';
  const cacheBytes = Number(new RegExp(`^${cache} (\\d+)$`, 'm').exec(stat)?.[1] ?? 0);
  return { limitBytes: Math.min(...set), usedBytes: Math.max(0, usedBytes - cacheBytes) };
}

/** Unlimited is `max` in version 2 and the largest multiple of a page below 2^63 in version 1. */
function bytesOf(text: string | undefined): number | undefined {
  const bytes = text === undefined ? NaN : Number.parseInt(text, 10);
  return bytes <= Number.MAX_SAFE_INTEGER ? bytes : undefined;
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    // Another version, another controller, or no Linux.
    return undefined;
  }
}
