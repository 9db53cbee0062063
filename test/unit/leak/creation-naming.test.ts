// What is said of who creates what grows, with Buffers and immediates that are real and a clock that is not.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StderrDiag } from '../../../src/core/diag.ts';
import { Guard } from '../../../src/core/guard.ts';
import { CreationNaming } from '../../../src/leak/creation-naming.ts';
import type { Suspicion } from '../../../src/leak/detector.ts';
import type { Named } from '../../../src/leak/findings.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';

const MIB = 1024 * 1024;

/** So much larger than the mean distance of two samples that each is one: one in 10^14 is not. */
const BUFFER_BYTES: number = 16 * MIB;

const EXTERNAL: Suspicion = { kind: 'external', resourceType: null, sinceSeconds: 0 };
const IMMEDIATES: Suspicion = { kind: 'resources', resourceType: 'Immediate', sinceSeconds: 0 };
const TIMERS: Suspicion = { kind: 'resources', resourceType: 'Timeout', sinceSeconds: 0 };

const bare = Buffer.alloc;
const held: Buffer[] = [];
const immediates: NodeJS.Immediate[] = [];

let clock: ManualClock;
let arrayBufferBytes: number;
let naming: CreationNaming;

beforeEach(() => {
  clock = new ManualClock();
  arrayBufferBytes = 100 * MIB;
  const guard = new Guard(new StderrDiag('none'));
  naming = new CreationNaming({ guard, clock, ownership: {}, arrayBufferBytes: () => arrayBufferBytes });
});

afterEach(() => {
  naming.watch([]);
  held.splice(0);
  for (const immediate of immediates.splice(0)) clearImmediate(immediate);
});

/** Places that create, each by the name of its function. */
const BUFFERS: Readonly<Record<string, () => void>> = {
  a: () => void held.push(Buffer.alloc(BUFFER_BYTES)),
  b: () => void held.push(Buffer.alloc(BUFFER_BYTES)),
  c: () => void held.push(Buffer.alloc(BUFFER_BYTES)),
  d: () => void held.push(Buffer.alloc(BUFFER_BYTES)),
  e: () => void held.push(Buffer.alloc(BUFFER_BYTES)),
  f: () => void held.push(Buffer.alloc(BUFFER_BYTES)),
  g: () => void held.push(Buffer.alloc(BUFFER_BYTES)),
};
const SETTERS: Readonly<Record<string, () => void>> = {
  a: () => void immediates.push(setImmediate(() => {})),
  b: () => void immediates.push(setImmediate(() => {})),
  c: () => void immediates.push(setImmediate(() => {})),
  d: () => void immediates.push(setImmediate(() => {})),
  e: () => void immediates.push(setImmediate(() => {})),
  f: () => void immediates.push(setImmediate(() => {})),
  g: () => void immediates.push(setImmediate(() => {})),
};

/** Each letter is a creation by the place of that name. */
function create(places: typeof BUFFERS, letters: string): void {
  for (const letter of letters) places[letter]!();
}

async function namesOf(suspicion: Suspicion): Promise<string[]> {
  const named = await naming.name(suspicion);
  return named.map(({ site, share }) => `${site?.function} ${Math.round(100 * share)} %`);
}

async function noteOf(suspicion: Suspicion): Promise<string> {
  const [only, ...others] = await naming.name(suspicion);
  expect(others).toEqual([]);
  expect(only).toMatchObject({ keys: [''], site: null, stack: [], leaves: [], share: 1 });
  return only!.note;
}

describe('nothing is hooked', () => {
  it('while nothing grows, or only what is named otherwise', () => {
    naming.watch([]);
    expect(Buffer.alloc).toBe(bare);
    naming.watch([{ kind: 'heap', resourceType: null, sinceSeconds: 0 }, IMMEDIATES]);
    expect(Buffer.alloc).toBe(bare);
  });

  it('any more once it does not grow, and what was found is forgotten', async () => {
    naming.watch([EXTERNAL]);
    expect(Buffer.alloc).not.toBe(bare);
    create(BUFFERS, 'a');
    naming.watch([]);
    expect(Buffer.alloc).toBe(bare);
    expect(await noteOf(EXTERNAL)).toContain('is being sampled');
  });
});

describe('Buffers that stay', () => {
  beforeEach(() => naming.watch([EXTERNAL]));

  it('have their share of what had grown when they were made: younger ones are not held against anybody yet', async () => {
    for (let second = 0; second < 20; second++) {
      clock.advance(1000);
      create(BUFFERS, 'a');
      arrayBufferBytes += BUFFER_BYTES;
    }
    // Of twenty seconds, and as many Buffers, five are too young.
    expect(await namesOf(EXTERNAL)).toEqual(['a 100 %']);
    arrayBufferBytes += 20 * BUFFER_BYTES;
    expect(await namesOf(EXTERNAL)).toEqual(['a 50 %']);
  });

  it('are named by who created them, the largest first, with the stack', async () => {
    create(BUFFERS, 'abb');
    arrayBufferBytes += 3 * BUFFER_BYTES;
    const named: readonly Named[] = await naming.name(EXTERNAL);
    expect(named).toMatchObject([
      { site: { function: 'b', file: import.meta.filename }, note: '', className: null, route: null, stopped: false, share: 2 / 3 },
      { site: { function: 'a' }, share: 1 / 3 },
    ]);
    expect(named[0]!.keys).toEqual([expect.stringMatching(/creation-naming\.test\.ts:\d+:\d+:b$/)]);
    expect(named[0]!.stack[0]).toEqual(named[0]!.site);
    expect(named[0]!.leaves).toEqual([{ site: named[0]!.site, share: 1 }]);
  });

  it('are told by their share of what has grown, from 15 % on', async () => {
    create(BUFFERS, 'aaa');
    arrayBufferBytes += 20 * BUFFER_BYTES;
    expect(await namesOf(EXTERNAL)).toEqual(['a 15 %']);
    arrayBufferBytes += MIB;
    expect(await noteOf(EXTERNAL)).toContain('not made by Buffer.alloc');
  });

  it('have no larger share than all of what has grown, where some of it is garbage or another has shrunk', async () => {
    create(BUFFERS, 'ab');
    arrayBufferBytes -= MIB;
    expect(await namesOf(EXTERNAL)).toEqual(['a 50 %', 'b 50 %']);
  });

  it('are told of four places at the most', async () => {
    create(BUFFERS, 'abcde');
    arrayBufferBytes += 5 * BUFFER_BYTES;
    expect(await namesOf(EXTERNAL)).toEqual(['a 20 %', 'b 20 %', 'c 20 %', 'd 20 %']);
  });

  it('of seven places are said to be spread', async () => {
    create(BUFFERS, 'abcdefg');
    arrayBufferBytes += 7 * BUFFER_BYTES;
    expect(await noteOf(EXTERNAL)).toBe('no place has created 15 % of what has come since they were seen to grow');
  });

  it('count from a quarter of the time that they are sampled, ten seconds at most', async () => {
    const isTold = async (sampledMillis: number, ageMillis: number): Promise<boolean> => {
      naming.watch([]);
      naming.watch([EXTERNAL]);
      clock.advance(sampledMillis - ageMillis);
      create(BUFFERS, 'a');
      clock.advance(ageMillis);
      return (await namesOf(EXTERNAL))[0] !== 'undefined 100 %';
    };
    expect([await isTold(20_000, 5000), await isTold(20_000, 4999)]).toEqual([true, false]);
    expect([await isTold(100_000, 10_000), await isTold(100_000, 9999)]).toEqual([true, false]);
  });

  it('are said to be made by something else only when 8 MiB have come of which nothing was seen', async () => {
    arrayBufferBytes += 8 * MIB - 1;
    expect(await noteOf(EXTERNAL)).toContain('is being sampled');
    arrayBufferBytes += 1;
    expect(await noteOf(EXTERNAL)).toContain('not made by Buffer.alloc');
  });
});

describe('resources that stay', () => {
  it('are named by who created them, of the type that grows', async () => {
    naming.watch([IMMEDIATES, TIMERS]);
    create(SETTERS, 'abb');
    expect(await namesOf(IMMEDIATES)).toEqual(['b 67 %', 'a 33 %']);
    expect(await noteOf(TIMERS)).toContain('is being sampled');
  });

  it('go on being sampled while the same types grow, in any order, and are sampled anew with another', async () => {
    naming.watch([IMMEDIATES, TIMERS]);
    create(SETTERS, 'a');
    naming.watch([TIMERS, EXTERNAL, IMMEDIATES]);
    expect(await namesOf(IMMEDIATES)).toEqual(['a 100 %']);
    naming.watch([IMMEDIATES]);
    expect(await noteOf(IMMEDIATES)).toContain('is being sampled');
    create(SETTERS, 'b');
    expect(await namesOf(IMMEDIATES)).toEqual(['b 100 %']);
  });

  it('are no longer sampled once they do not grow', async () => {
    naming.watch([IMMEDIATES]);
    create(SETTERS, 'a');
    naming.watch([]);
    create(SETTERS, 'b');
    expect(await namesOf(IMMEDIATES)).toEqual(['a 100 %']);
  });

  it('of six places are told of four, and of seven are said to be spread', async () => {
    naming.watch([IMMEDIATES]);
    create(SETTERS, 'abcdef');
    expect(await namesOf(IMMEDIATES)).toEqual(['a 17 %', 'b 17 %', 'c 17 %', 'd 17 %']);
    create(SETTERS, 'g');
    expect(await noteOf(IMMEDIATES)).toContain('no place has created 15 %');
  });
});

it('native memory is named by nobody, and that is said', async () => {
  expect(await noteOf({ kind: 'native', resourceType: null, sinceSeconds: 0 })).toContain('is not known in the process');
});
