import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StderrDiag } from '../../../src/core/diag.ts';
import { Guard } from '../../../src/core/guard.ts';
import type { Evidence } from '../../../src/leak/evidence.ts';
import { EvidenceDirectory } from '../../../src/leak/evidence-directory.ts';
import { NearEnd, type NearEndOptions, type NearEndSources } from '../../../src/leak/near-end.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';
import { evidenceOf, MIB } from './evidence.ts';

const BASE = 'sonde-shop-1-20231114T221320123Z';

let root: string;
let clock: ManualClock;
let said: string[];
let pushed: Evidence[];
let oldMebibytes: number;
let nearEnd: NearEnd | undefined;

beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'sonde-near-end-'));
  clock = new ManualClock();
  said = [];
  pushed = [];
  oldMebibytes = 10;
});

afterEach(() => {
  nearEnd?.stop();
  rmSync(root, { recursive: true, force: true });
});

const diag = new StderrDiag('warn', (line) => said.push(line));

const sources: NearEndSources = {
  verdict: () => ({ level: 'watching', findings: [] }),
  requests: () => evidenceOf().requests,
  liveHeap: () => {
    const sites = evidenceOf().heap;
    return Promise.resolve({ sites, finish: () => Promise.resolve({ sites, gzippedPprof: Buffer.from('profile') }) });
  },
};

function create(over: Partial<NearEndOptions> = {}): NearEnd {
  const directory = new EvidenceDirectory({ directory: root, base: BASE, diag });
  nearEnd = new NearEnd({
    guard: new Guard(diag),
    diag,
    clock,
    process: evidenceOf(),
    directory,
    keepsState: false,
    cgroupRoot: root,
    isToldOfSignals: true,
    oldGenerationLimitBytes: 100 * MIB,
    oldGenerationBytes: () => oldMebibytes * MIB,
    sources,
    onEvidence: (evidence) => pushed.push(evidence),
    onDeath: () => {},
    ...over,
  });
  return nearEnd;
}

function collect(mebibytes: number): void {
  oldMebibytes = mebibytes;
  nearEnd!.majorGc();
}

function container(usedMebibytes: number): void {
  mkdirSync(path.join(root, 'proc/self'), { recursive: true });
  mkdirSync(path.join(root, 'sys/fs/cgroup'), { recursive: true });
  writeFileSync(path.join(root, 'proc/self/cgroup'), '0::/\n');
  writeFileSync(path.join(root, 'sys/fs/cgroup/memory.max'), String(200 * MIB));
  writeFileSync(path.join(root, 'sys/fs/cgroup/memory.current'), String(usedMebibytes * MIB));
}

function files(): string[] {
  return readdirSync(root)
    .filter((name) => name.startsWith('sonde-'))
    .toSorted();
}

function written(): Evidence {
  return JSON.parse(readFileSync(path.join(root, `${BASE}.json`), 'utf8')) as Evidence;
}

describe('the heap', () => {
  it('far from its limit leaves nothing', () => {
    create();
    collect(69);
    nearEnd!.tick();
    expect([files(), said, pushed]).toEqual([[], [], []]);
  });

  it('at 70 % is written at once, and its profile after it', async () => {
    create();
    collect(70);
    expect(files()).toEqual([`${BASE}.json`]);
    expect(written()).toMatchObject({ reason: 'heap-limit', heap: [], profile: null, requests: [{ method: 'GET' }] });
    await nearEnd!.settled();
    expect(files()).toEqual([`${BASE}.heap.pb.gz`, `${BASE}.json`]);
    expect(written()).toMatchObject({ heap: [{ function: 'leakHere' }], profile: `${BASE}.heap.pb.gz` });
    expect(pushed).toHaveLength(1);
    expect(said).toEqual([expect.stringMatching(/^sonde: the heap is near V8's limit: 70 % of 100 MiB, shop \(pid \d+\); evidence: \S+$/)]);
  });

  it('that lives at 75 % for weeks is said and written once', async () => {
    create();
    for (let day = 0; day < 60; day++) {
      collect(75 - (day % 3) * 6);
      nearEnd!.tick();
      clock.advance(8 * 3_600_000);
    }
    await nearEnd!.settled();
    expect([said.length, pushed.length]).toEqual([1, 1]);
  });

  it('that goes on is written at each level, in full from 90 %', async () => {
    create();
    for (const mebibytes of [71, 75, 81, 91, 96, 99]) {
      collect(mebibytes);
      await nearEnd!.settled();
    }
    expect(pushed.map(({ oldGeneration }) => oldGeneration.usedBytes / MIB)).toEqual([71, 81, 91, 96]);
    expect(said.map((text) => text.split('\n').length > 1)).toEqual([false, false, true, true]);
    expect(written().oldGeneration.usedBytes).toBe(96 * MIB);
  });

  it('that goes up and down for ever is said ten times at most', async () => {
    create();
    for (let i = 0; i < 30; i++) {
      collect(75);
      await nearEnd!.settled();
      collect(20);
      for (let second = 0; second < 130; second++) {
        clock.advance(1000);
        nearEnd!.tick();
      }
    }
    expect(said).toHaveLength(10);
  });

  it('that is well again for a minute has nothing to be reported', async () => {
    create();
    collect(75);
    await nearEnd!.settled();
    collect(20);
    nearEnd!.tick();
    clock.advance(59_000);
    nearEnd!.tick();
    expect(files()).toContain(`${BASE}.json`);
    clock.advance(1000);
    nearEnd!.tick();
    expect(files()).toEqual([`${BASE}.heap.pb.gz`, `${BASE}.over.json`]);
    collect(75);
    await nearEnd!.settled();
    expect(files()).toEqual([`${BASE}.heap.pb.gz`, `${BASE}.json`]);
  });
});

describe('the container', () => {
  it('near its limit is written', async () => {
    create();
    container(139);
    nearEnd!.tick();
    expect(files()).toEqual([]);
    container(140);
    nearEnd!.tick();
    await nearEnd!.settled();
    expect(written()).toMatchObject({ reason: 'container-limit', container: { usedBytes: 140 * MIB, limitBytes: 200 * MIB } });
    expect(said[0]).toContain("memory is near the container's limit: 70 % of 200 MiB");
  });
});

describe('a forecast', () => {
  it('below a minute is written once', async () => {
    let seconds = 60;
    create({ sources: { ...sources, forecast: () => ({ reason: 'heap-limit', seconds }) } });
    nearEnd!.tick();
    expect(pushed).toHaveLength(0);
    for (seconds of [59, 30, 90, 59]) nearEnd!.tick();
    await nearEnd!.settled();
    expect(pushed).toHaveLength(1);
  });

  it('says when the limit is met, and no more once a limit is near', async () => {
    create({ sources: { ...sources, forecast: () => ({ reason: 'heap-limit', seconds: 41.6 }) } });
    nearEnd!.tick();
    await nearEnd!.settled();
    expect(said).toEqual([
      expect.stringMatching(/^sonde: V8's limit of the heap is met in 42 s at this rate: 10 % of 100 MiB, shop \(pid \d+\); /),
    ]);
    expect(written().forecastSeconds).toBe(41.6);
    collect(71);
    await nearEnd!.settled();
    expect(written().forecastSeconds).toBeNull();
    expect(said[1]).toContain("the heap is near V8's limit: 71 %");
  });

  it('is no death of a process that was killed far from its limit; one near its limit is', async () => {
    const of = (base: string, evidence: Partial<Evidence>): void =>
      writeFileSync(path.join(root, `${base}.json`), JSON.stringify(evidenceOf(evidence)));
    of('sonde-shop-2-20231114T221320123Z', { forecastSeconds: 42, service: 'killed' });
    of('sonde-shop-3-20231114T221320123Z', { forecastSeconds: null, service: 'died' });
    const deaths: string[] = [];
    const told = new Promise<void>((resolve) => {
      create({ onDeath: ({ service }) => (deaths.push(service), resolve()) }).start();
    });
    await told;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(deaths).toEqual(['died']);
    expect(said).toHaveLength(1);
  });
});

describe('what fails changes nothing else', () => {
  it('the verdict, the requests and the heap', async () => {
    const fail = (): never => {
      throw new Error('broken');
    };
    create({ sources: { verdict: fail, requests: fail, liveHeap: () => Promise.reject(new Error('broken')) } });
    collect(92);
    await nearEnd!.settled();
    expect(written()).toMatchObject({ verdict: null, requests: [], heap: [], profile: null });
    expect(said.at(-1)).toContain('evidence: ');
  });

  it('a directory that has gone: the text has it all', async () => {
    create();
    rmSync(root, { recursive: true });
    collect(82);
    await nearEnd!.settled();
    expect(said).toHaveLength(2);
    expect(said[0]).toContain('cannot be written');
    expect(said[1]).toContain('live: 90 MiB allocated by leakHere');
    expect(pushed).toHaveLength(1);
  });
});

describe('the state for the exporter', () => {
  it('is left at the start and from half of the limit on, once a second at most', () => {
    create({ keepsState: true }).start();
    const state = path.join(root, `${BASE}.state.json`);
    const used = (): number => (JSON.parse(readFileSync(state, 'utf8')) as Evidence).oldGeneration.usedBytes / MIB;
    expect(used()).toBe(10);
    clock.advance(1000);
    collect(49);
    expect(used()).toBe(10);
    collect(51);
    expect(used()).toBe(51);
    collect(55);
    expect(used()).toBe(51);
    clock.advance(1000);
    collect(60);
    expect(used()).toBe(60);
    clock.advance(1000);
    oldMebibytes = 69;
    nearEnd!.tick();
    expect(used()).toBe(60);
    oldMebibytes = 71;
    nearEnd!.tick();
    expect(used()).toBe(71);
    nearEnd!.stop();
    expect(files()).toEqual([]);
  });

  it('is written anew each five seconds though nothing is near: V8 may run out of memory in one turn', () => {
    let requests: Evidence['requests'] = [];
    create({ keepsState: true, sources: { ...sources, requests: () => requests } }).start();
    const state = (): Evidence => JSON.parse(readFileSync(path.join(root, `${BASE}.state.json`), 'utf8')) as Evidence;
    requests = evidenceOf().requests;
    clock.advance(4999);
    nearEnd!.tick();
    expect(state().requests).toEqual([]);
    clock.advance(1);
    nearEnd!.tick();
    expect(state()).toMatchObject({ requests, measuredEpochMillis: clock.epochMillis(clock.monotonicMillis()) });
  });

  it('of a heap that rises by a tenth of its limit from one look to the next is written before the one after', async () => {
    create({ keepsState: true, intervalMillis: 3_600_000 }).start();
    const state = path.join(root, `${BASE}.state.json`);
    const used = (): number => (JSON.parse(readFileSync(state, 'utf8')) as Evidence).oldGeneration.usedBytes / MIB;
    const soon = async (mebibytes: number): Promise<number> => {
      oldMebibytes = mebibytes;
      clock.advance(1000);
      await new Promise((resolve) => setTimeout(resolve, 300));
      return used();
    };
    oldMebibytes = 19;
    nearEnd!.tick();
    expect(await soon(60)).toBe(10);
    oldMebibytes = 30;
    nearEnd!.tick();
    expect(await soon(60)).toBe(60);
    // It has risen since, and does so no more.
    nearEnd!.tick();
    nearEnd!.tick();
    expect(await soon(80)).toBe(60);
  });
});
