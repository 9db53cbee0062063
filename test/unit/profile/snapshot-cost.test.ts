// What a snapshot is expected to cost, and where there is no room for it. That the expectation covers what happens is
// measured in test/integration/heap-snapshot.test.ts.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ProfileBuilder, type Profile } from '../../../src/profile/profile.ts';
import { averageObjectBytes, noRoom, size, snapshotCost } from '../../../src/profile/snapshot-cost.ts';

const TYPES = [
  { type: 'inuse_objects', unit: 'count' },
  { type: 'inuse_space', unit: 'bytes' },
];

/** A live-heap profile with rows of objects and bytes by function. */
function heapOf(rows: readonly (readonly [name: string, objects: number, bytes: number])[], types = TYPES): Profile {
  const builder = new ProfileBuilder(types.length);
  for (const [name, objects, bytes] of rows) {
    const node = builder.node(-1, builder.frame(name, '/app.js', 1));
    builder.add(node, 0, types.length === 1 ? bytes : objects);
    if (types.length > 1) builder.add(node, 1, bytes);
  }
  const head = { sampleTypes: types, defaultSampleType: 'inuse_space', periodType: { type: 'space', unit: 'bytes' } };
  return builder.build({ ...head, period: 524_288, startEpochMillis: 0, durationMillis: 0 });
}

describe('the cost', () => {
  it('goes by the number of objects: the same heap of smaller ones costs more of everything', () => {
    const small = snapshotCost(100e6, 40);
    const large = snapshotCost(100e6, 200);
    for (const key of ['memoryBytes', 'fileBytes', 'seconds'] as const) expect(small[key]).toBeGreaterThan(large[key]);
    expect(small).toEqual({ heapUsedBytes: 100e6, memoryBytes: 50e6 + 150e6 + 2.5e6 * 1250, fileBytes: 100e6 + 2.5e6 * 120, seconds: 14 });
  });

  it('is that of small objects when their size is not known, and no average is believed that cannot be', () => {
    expect(snapshotCost(100e6)).toEqual(snapshotCost(100e6, 40));
    expect(snapshotCost(100e6, 1)).toEqual(snapshotCost(100e6, 24));
    expect(snapshotCost(100e6, 1e6)).toEqual(snapshotCost(100e6, 400));
  });
});

describe('the average object', () => {
  it('is that of V8`s heap, without what lies outside', () => {
    const rows = [
      ['rows', 400_000, 20e6],
      ['names', 100_000, 10e6],
      ['(external)', 1, 900e6],
    ] as const;
    expect(averageObjectBytes(heapOf(rows))).toBe(60);
  });

  it('is unknown when too little was sampled or objects are not counted', () => {
    expect(averageObjectBytes(heapOf([['rows', 1000, 16e6 - 1]]))).toBeUndefined();
    expect(averageObjectBytes(heapOf([['rows', 1000, 16e6]]))).toBe(16_000);
    expect(averageObjectBytes(heapOf([['rows', 1000, 20e6]], TYPES.slice(1)))).toBeUndefined();
    expect(averageObjectBytes(heapOf([]))).toBeUndefined();
  });
});

describe.runIf(process.platform === 'linux')('room', () => {
  let root: string;
  const cost = { heapUsedBytes: 88e6, memoryBytes: 2e9, fileBytes: 150e6, seconds: 14 };

  beforeEach(() => {
    root = mkdtempSync(path.join(tmpdir(), 'sonde-room-'));
    for (const directory of ['proc/self', 'sys/fs/cgroup']) mkdirSync(path.join(root, directory), { recursive: true });
    machine(8e9);
    container(4e9, 1e9);
  });

  afterEach(() => rmSync(root, { recursive: true }));

  function machine(freeBytes: number): void {
    writeFileSync(path.join(root, 'proc/meminfo'), `MemTotal: 9 kB\nMemFree: 1 kB\nMemAvailable:   ${Math.floor(freeBytes / 1024)} kB\n`);
  }

  function container(limitBytes: number, usedBytes: number): void {
    writeFileSync(path.join(root, 'proc/self/cgroup'), '0::/\n');
    writeFileSync(path.join(root, 'sys/fs/cgroup/memory.max'), String(limitBytes));
    writeFileSync(path.join(root, 'sys/fs/cgroup/memory.current'), String(usedBytes));
  }

  const ask = (asked = cost): Promise<string | undefined> => noRoom(asked, { directory: root, root });

  it('is there up to the last byte of the container`s limit', async () => {
    container(3e9, 1e9);
    expect(await ask()).toBeUndefined();
    container(3e9, 1e9 + 1);
    expect(await ask()).toBe(
      "a snapshot of this heap of 88 MB needs up to 2.0 GB of memory while it is taken, and the container's limit of 3.0 GB, of which " +
        '1.0 GB are used, leaves 2.0 GB. The kernel would kill the process. /debug/heapprofile shows who allocated what lives, at no such cost.',
    );
  });

  it('is that of the machine when it has less', async () => {
    machine(1.5e9);
    expect(await ask()).toContain('and this machine has 1.5 GB free.');
    machine(2.1e9);
    expect(await ask()).toBeUndefined();
  });

  it('is that of the machine when nothing else limits', async () => {
    writeFileSync(path.join(root, 'sys/fs/cgroup/memory.max'), 'max');
    expect(await ask()).toBeUndefined();
    machine(1e9);
    expect(await ask()).toContain('this machine has 1.0 GB free');
  });

  it('is none below a limit that is overdrawn', async () => {
    container(1e9, 2e9);
    expect(await ask()).toContain('leaves 0 MB');
  });

  it('is also needed on the disk', async () => {
    expect(await ask({ ...cost, fileBytes: 1e18 })).toMatch(
      /needs up to 1000000000\.0 GB in .*sonde-room-\S+, where .* are free\. TMPDIR names another/,
    );
  });

  it('of a directory that is memory counts as memory', async (context) => {
    const shared = '/dev/shm';
    const at = (asked: typeof cost): Promise<string | undefined> => noRoom(asked, { directory: shared, root });
    if ((await at({ ...cost, fileBytes: 1e18 })) === undefined) context.skip(`${shared} is no memory here`);
    container(3.1e9, 1e9);
    expect(await at(cost)).toContain('needs up to 2.1 GB of memory');
    expect(await ask()).toBeUndefined();
  });

  it('in a directory that is not there is an error', async () => {
    await expect(noRoom(cost, { directory: path.join(root, 'nowhere'), root })).rejects.toThrow('ENOENT');
  });
});

it.each([
  [0, '0 MB'],
  [499_999, '0 MB'],
  [88e6, '88 MB'],
  [999.4e6, '999 MB'],
  [999.5e6, '1.0 GB'],
  [1.26e9, '1.3 GB'],
])('%i bytes are %s', (bytes, text) => {
  expect(size(bytes)).toBe(text);
});
