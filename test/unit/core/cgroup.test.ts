import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { memoryLimit } from '../../../src/core/cgroup.ts';

const MB = 1_048_576;

let root: string;

beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'sonde-cgroup-'));
});

afterEach(() => rmSync(root, { recursive: true }));

/** Writes files below the root, by path. */
function write(files: Readonly<Record<string, string | number>>): void {
  for (const [file, content] of Object.entries(files)) {
    const target = path.join(root, file);
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(target, `${content}\n`);
  }
}

describe('version 2', () => {
  const mount = 'sys/fs/cgroup';

  it('is the limit of a container, and what it uses without the page cache that can go', () => {
    write({
      'proc/self/cgroup': '0::/',
      [`${mount}/memory.max`]: 512 * MB,
      [`${mount}/memory.high`]: 'max',
      [`${mount}/memory.current`]: 300 * MB,
      [`${mount}/memory.stat`]: `anon ${200 * MB}\ninactive_file ${80 * MB}\nactive_file ${20 * MB}`,
    });
    expect(memoryLimit(root)).toEqual({ limitBytes: 512 * MB, usedBytes: 220 * MB });
  });

  it('is that of the group with the least room, of all above the process`s own', () => {
    write({
      'proc/self/cgroup': '0::/kubepods/pod1/main',
      [`${mount}/kubepods/memory.max`]: 8000 * MB,
      [`${mount}/kubepods/memory.current`]: 7900 * MB,
      [`${mount}/kubepods/pod1/memory.max`]: 600 * MB,
      [`${mount}/kubepods/pod1/memory.current`]: 100 * MB,
      [`${mount}/kubepods/pod1/main/memory.max`]: 500 * MB,
      [`${mount}/kubepods/pod1/main/memory.current`]: 90 * MB,
    });
    expect(memoryLimit(root)).toEqual({ limitBytes: 8000 * MB, usedBytes: 7900 * MB });
  });

  it('is memory.high where that is lower', () => {
    write({
      'proc/self/cgroup': '0::/',
      [`${mount}/memory.max`]: 512 * MB,
      [`${mount}/memory.high`]: 400 * MB,
      [`${mount}/memory.current`]: MB,
    });
    expect(memoryLimit(root)?.limitBytes).toBe(400 * MB);
  });

  it('is none when nothing is limited', () => {
    write({ 'proc/self/cgroup': '0::/', [`${mount}/memory.max`]: 'max', [`${mount}/memory.high`]: 'max', [`${mount}/memory.current`]: MB });
    expect(memoryLimit(root)).toBeUndefined();
  });

  it('is found at the mount when the path is the machine`s', () => {
    write({ 'proc/self/cgroup': '0::/docker/4711', [`${mount}/memory.max`]: 64 * MB, [`${mount}/memory.current`]: MB });
    expect(memoryLimit(root)).toEqual({ limitBytes: 64 * MB, usedBytes: MB });
  });

  it('does not leave the mount, whatever the path says', () => {
    write({
      'proc/self/cgroup': '0::/../../../elsewhere',
      'elsewhere/memory.max': MB,
      'elsewhere/memory.current': 1,
      [`${mount}/memory.max`]: 64 * MB,
      [`${mount}/memory.current`]: MB,
    });
    expect(memoryLimit(root)?.limitBytes).toBe(64 * MB);
  });
});

describe('version 1', () => {
  const mount = 'sys/fs/cgroup/memory';
  const UNLIMITED = '9223372036854771712';

  it('is the limit in its own files, in a machine that has both versions', () => {
    write({
      'proc/self/cgroup': '11:cpu,cpuacct:/a\n4:memory:/shop/a:b\n0::/',
      'sys/fs/cgroup/memory.max': 1,
      'sys/fs/cgroup/memory.current': 0,
      [`${mount}/memory.limit_in_bytes`]: UNLIMITED,
      [`${mount}/memory.usage_in_bytes`]: 9000 * MB,
      [`${mount}/shop/a:b/memory.limit_in_bytes`]: 256 * MB,
      [`${mount}/shop/a:b/memory.usage_in_bytes`]: 200 * MB,
      [`${mount}/shop/a:b/memory.stat`]: `inactive_file ${MB}\ntotal_inactive_file ${50 * MB}`,
    });
    expect(memoryLimit(root)).toEqual({ limitBytes: 256 * MB, usedBytes: 150 * MB });
  });

  it('is none when nothing is limited', () => {
    write({
      'proc/self/cgroup': '4:memory:/',
      [`${mount}/memory.limit_in_bytes`]: UNLIMITED,
      [`${mount}/memory.usage_in_bytes`]: 9000 * MB,
    });
    expect(memoryLimit(root)).toBeUndefined();
  });

  it('never counts less than nothing as used', () => {
    write({
      'proc/self/cgroup': '4:memory:/',
      [`${mount}/memory.limit_in_bytes`]: 100 * MB,
      [`${mount}/memory.usage_in_bytes`]: 5 * MB,
      [`${mount}/memory.stat`]: `total_inactive_file ${6 * MB}`,
    });
    expect(memoryLimit(root)).toEqual({ limitBytes: 100 * MB, usedBytes: 0 });
  });
});

describe('elsewhere', () => {
  it.each([
    ['there are no control groups', {}],
    ['the memory controller is nowhere', { 'proc/self/cgroup': '3:cpu:/' }],
    ['the groups are not mounted', { 'proc/self/cgroup': '0::/' }],
    ['the files are nonsense', { 'proc/self/cgroup': '0::/', 'sys/fs/cgroup/memory.max': 'x', 'sys/fs/cgroup/memory.current': 'y' }],
    ['a file is empty', { 'proc/self/cgroup': '0::/', 'sys/fs/cgroup/memory.max': '', 'sys/fs/cgroup/memory.current': '1' }],
  ])('there is no limit when %s', (_, files) => {
    write(files);
    expect(memoryLimit(root)).toBeUndefined();
  });
});
