import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StderrDiag } from '../../../src/core/diag.ts';
import { EvidenceDirectory, evidenceBase, startTicksOf } from '../../../src/leak/evidence-directory.ts';
import { evidenceOf } from './evidence.ts';

const HOST = hostname();

/** Above what Linux gives to processes. */
const GONE_PID = 4_194_999;

let root: string;
let directory: string;
let said: string[];

beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'sonde-evidence-'));
  directory = path.join(root, 'dump');
  said = [];
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

function open(pid: number = process.pid, bounds: { processesMax?: number; bytesMax?: number; directory?: string } = {}): EvidenceDirectory {
  const base = evidenceBase({ service: 'shop', pid, startEpochMillis: 1_700_000_000_000 + pid });
  return new EvidenceDirectory({ directory, base, diag: new StderrDiag('warn', (line) => said.push(line)), ...bounds });
}

function names(): string[] {
  return readdirSync(directory).toSorted();
}

/** Leaves evidence of a process, as old as is said. */
function leave(pid: number, ageSeconds = 0): EvidenceDirectory {
  const of = open(pid);
  of.prepare();
  const file = of.write(evidenceOf({ pid, host: HOST, startTicks: startTicksOf(pid) }))!;
  utimesSync(file, Date.now() / 1000 - ageSeconds, Date.now() / 1000 - ageSeconds);
  return of;
}

describe('names', () => {
  it('are of the service, the process and its start', () => {
    expect(evidenceBase({ service: 'shop', pid: 7, startEpochMillis: 1_700_000_000_123 })).toBe('sonde-shop-7-20231114T221320123Z');
  });

  it('hold nothing that leads out of the directory', () => {
    expect(evidenceBase({ service: '../../etc/passwd x', pid: 7, startEpochMillis: 0 })).toBe(
      'sonde-.._.._etc_passwd_x-7-19700101T000000000Z',
    );
    expect(evidenceBase({ service: 'x'.repeat(300), pid: 7, startEpochMillis: 0 }).length).toBeLessThan(100);
  });
});

describe('writing', () => {
  it('makes the directory for its owner alone', () => {
    const evidence = open();
    expect(evidence.prepare()).toBe(true);
    expect(names()).toEqual([]);
    const file = evidence.write(evidenceOf())!;
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(evidenceOf());
  });

  it('replaces what the process wrote before, and leaves nothing half done', () => {
    const evidence = open();
    evidence.prepare();
    evidence.write(evidenceOf());
    const file = evidence.write(evidenceOf({ reason: 'container-limit' }))!;
    evidence.writeProfile(Buffer.from('profile'));
    expect(names()).toEqual([`${evidence.base}.heap.pb.gz`, `${evidence.base}.json`]);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ reason: 'container-limit' });
  });

  it('follows no link that lies in its way', () => {
    const evidence = open();
    evidence.prepare();
    const victim = path.join(root, 'victim');
    writeFileSync(victim, 'mine');
    symlinkSync(victim, path.join(directory, `${evidence.base}.json.tmp`));
    evidence.write(evidenceOf());
    expect(readFileSync(victim, 'utf8')).toBe('mine');
  });

  it('reads the state that was left before what was written', () => {
    const evidence = open();
    evidence.prepare();
    evidence.write(evidenceOf());
    expect(evidence.read()).toMatchObject({ uptimeSeconds: 61 });
    evidence.writeState(evidenceOf({ uptimeSeconds: 62 }));
    expect(evidence.read()).toMatchObject({ uptimeSeconds: 62 });
    evidence.dropState();
    expect(evidence.read()).toMatchObject({ uptimeSeconds: 61 });
  });
});

/** A user who owns nothing. */
const NOBODY = 65_534;

describe('a directory that cannot be used is said once, and nothing is written', () => {
  it.each([
    ['a file in the way', () => writeFileSync(directory, '')],
    ['a file above it', () => [writeFileSync(directory, ''), (directory = path.join(directory, 'below'))]],
    ['a place where nothing can be made', () => (directory = '/proc/sonde')],
    ['a name too long', () => (directory = path.join(root, 'x'.repeat(300)))],
  ])('%s', (_, prepare) => {
    prepare();
    const evidence = open();
    expect(evidence.prepare()).toBe(false);
    expect(evidence.write(evidenceOf())).toBeUndefined();
    expect(evidence.writeProfile(Buffer.from(''))).toBeUndefined();
    expect(evidence.writeState(evidenceOf())).toBe(false);
    evidence.touch(0);
    evidence.over();
    expect(said).toHaveLength(1);
    expect(said[0]).toContain(`cannot be written to ${directory}, only to stderr`);
  });

  it('one that is read-only', () => {
    mkdirSync(directory);
    chmodSync(directory, 0o500);
    const isRoot = process.getuid!() === 0;
    if (isRoot) {
      // Root may write everywhere.
      chmodSync(root, 0o755);
      chownSync(directory, NOBODY, NOBODY);
      process.seteuid!(NOBODY);
    }
    try {
      expect(open().prepare()).toBe(false);
    } finally {
      if (isRoot) process.seteuid!(0);
    }
    expect(said).toEqual([expect.stringContaining(`cannot be written to ${directory}, only to stderr: EACCES`)]);
  });

  it('one that goes away later', () => {
    const evidence = open();
    evidence.prepare();
    rmSync(directory, { recursive: true });
    expect(evidence.write(evidenceOf())).toBeUndefined();
    expect(said).toHaveLength(1);
  });
});

describe('bounds', () => {
  it('keep the ten processes that wrote last, and this one', () => {
    for (let i = 0; i < 12; i++) leave(GONE_PID + i, 1000 - i);
    const evidence = open(1);
    evidence.write(evidenceOf());
    expect(names().filter((name) => name.endsWith('.json'))).toHaveLength(10);
    expect(names().some((name) => name.includes(String(GONE_PID + 2)))).toBe(false);
    expect(names().some((name) => name.includes(String(GONE_PID + 3)))).toBe(true);
  });

  it('keep the bytes, profiles counted', () => {
    mkdirSync(directory);
    const first = open(GONE_PID, { bytesMax: 10_000 });
    first.write(evidenceOf());
    first.writeProfile(Buffer.alloc(7000));
    const second = open(GONE_PID + 1, { bytesMax: 10_000 });
    second.write(evidenceOf());
    expect(names()).toHaveLength(3);
    second.writeProfile(Buffer.alloc(7000));
    expect(names().every((name) => name.startsWith(second.base))).toBe(true);
    expect(second.writeProfile(Buffer.alloc(10_001))).toBeUndefined();
  });

  it('leave other people`s files alone', () => {
    mkdirSync(directory);
    for (const name of ['sonde.log', 'sonde-shop-1.json', 'core.1', 'sonde-shop-1-20231114T221320123Z.json.bak']) {
      writeFileSync(path.join(directory, name), 'x'.repeat(1000));
    }
    open(process.pid, { processesMax: 1, bytesMax: 1 }).write(evidenceOf());
    expect(names()).toHaveLength(5);
  });
});

describe('what earlier processes have left', () => {
  const now = Date.now();

  it('is taken once, however many look', async () => {
    leave(GONE_PID);
    const taken = await Promise.all([1, 2, 3].map((pid) => open(pid).takePast(HOST, now)));
    expect(taken.flat()).toHaveLength(1);
    expect(taken.flat()[0]).toMatchObject({ evidence: { pid: GONE_PID }, file: expect.stringMatching(/\.reported\.json$/) });
    expect(await open().takePast(HOST, now)).toEqual([]);
  });

  it('is not taken while the process lives, nor of this one', async () => {
    leave(process.ppid);
    const own = leave(process.pid);
    expect(await own.takePast(HOST, now)).toEqual([]);
  });

  it('is taken when another process has its pid, as in a container that was started again', async () => {
    const evidence = new EvidenceDirectory({
      directory,
      base: evidenceBase({ service: 'shop', pid: process.ppid, startEpochMillis: 0 }),
      diag: new StderrDiag('none'),
    });
    mkdirSync(directory);
    evidence.write(evidenceOf({ pid: process.ppid, host: HOST, startTicks: startTicksOf(process.ppid) - 1 }));
    expect(await open().takePast(HOST, now)).toHaveLength(1);
  });

  it('is taken of another machine only after it has been silent for three minutes', async () => {
    const of = leave(GONE_PID);
    of.write(evidenceOf({ pid: process.ppid, host: 'elsewhere' }));
    expect(await open().takePast(HOST, Date.now() + 170_000)).toEqual([]);
    of.touch(Date.now() + 10_000);
    expect(await open().takePast(HOST, Date.now() + 185_000)).toEqual([]);
    expect(await open().takePast(HOST, Date.now() + 195_000)).toHaveLength(1);
  });

  it('is nothing when the process was well again', async () => {
    const of = leave(GONE_PID);
    of.over();
    expect(await open().takePast(HOST, now)).toEqual([]);
    expect(names()).toEqual([`${of.base}.over.json`]);
  });

  it('is nothing of files that are broken or strange', async () => {
    const { base } = leave(GONE_PID);
    writeFileSync(path.join(directory, `${base}.json`), '{"pid":');
    mkdirSync(path.join(directory, 'sonde-a-1-20231114T221320123Z.json'));
    symlinkSync('/nowhere', path.join(directory, 'sonde-b-1-20231114T221320123Z.json'));
    expect(await open().takePast(HOST, now)).toEqual([]);
  });

  it('leaves the state of another machine`s process for a week', async () => {
    const of = open(GONE_PID);
    of.prepare();
    of.writeState(evidenceOf({ pid: GONE_PID, host: 'elsewhere' }));
    await open().takePast(HOST, Date.now() + 6 * 86_400_000);
    expect(names()).toHaveLength(1);
    await open().takePast(HOST, Date.now() + 8 * 86_400_000);
    expect(names()).toEqual([]);
  });

  it('takes the state that was left by what has gone away', async () => {
    const of = open(GONE_PID);
    of.prepare();
    of.writeState(evidenceOf({ pid: GONE_PID, host: HOST }));
    expect(await open().takePast(HOST, now)).toEqual([]);
    expect(existsSync(path.join(directory, `${of.base}.state.json`))).toBe(false);
  });
});
