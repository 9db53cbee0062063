import { describe, expect, test } from 'vitest';
import { Findings, type Observation, type StillGrows } from '../../../src/leak/findings.ts';

function seen(name: string, rest: Partial<Observation> = {}): Observation {
  const site = { function: name, file: '/app/main.js', line: 1, column: 1 };
  return {
    keys: [name, name],
    site,
    namer: site,
    stack: [site],
    grownBytes: 8e6,
    heapRises: true,
    window: 0,
    bytesPerHour: 1e9,
    sinceEpochMillis: 5,
    secondsToHeapLimit: 60,
    ...rest,
  };
}

/** Evaluations, one per epoch unless it says when; answers the levels told. */
function play(
  findings: Findings,
  evaluations: Observation[][],
  epochs = evaluations.map((_, i) => i),
  stillGrows: StillGrows = () => false,
): string[] {
  return evaluations.flatMap((observations, i) =>
    findings.update(observations, epochs[i]!, stillGrows).map(({ level, site }) => `${site.function} ${level} @${epochs[i]}`),
  );
}

test('a site seen once is a suspect and is not told', () => {
  const findings = new Findings();
  expect(findings.verdict()).toEqual({ level: 'watching', findings: [] });
  expect(play(findings, [[seen('a')]])).toEqual([]);
  expect(findings.verdict().level).toBe('suspect');
});

test('a suspect is a leak, told once, when it is seen again three epochs after the first time and no sooner', () => {
  expect(play(new Findings(), [[seen('a')], [seen('a')]], [10, 12])).toEqual([]);
  expect(play(new Findings(), [[seen('a')], [seen('a')], [seen('a')], [seen('a')]], [10, 13, 14, 20])).toEqual(['a leak @13']);
});

test('a suspect is forgotten after two evaluations in a row without it', () => {
  expect(play(new Findings(), [[seen('a')], [], [seen('a')]], [0, 1, 3])).toEqual(['a leak @3']);
  const others = new Findings();
  play(others, [[seen('a')], []]);
  expect(others.verdict().level).toBe('suspect');
  play(others, [[]]);
  expect(others.verdict()).toEqual({ level: 'watching', findings: [] });
});

test('a leak is gone, told once, after two evaluations without it, and has to be confirmed anew when it returns', () => {
  const findings = new Findings();
  const told = play(findings, [
    [seen('a')],
    [],
    [],
    [seen('a')],
    [seen('a')],
    [seen('a')],
    [seen('a')],
    [],
    [],
    [],
    [seen('a')],
    [seen('a')],
    [seen('a')],
    [seen('a')],
  ]);
  expect(told).toEqual(['a leak @6', 'a gone @8', 'a leak @13']);
});

test('a leak is not gone while it still grows over its window, a suspect is forgotten all the same', () => {
  const asked: unknown[] = [];
  const growing: StillGrows = (keys, window) => asked.push([keys, window]) > 0;
  const findings = new Findings();
  expect(play(findings, [[seen('a')], [seen('a', { window: 2 })], [], [], [], []], [0, 3, 4, 5, 6, 7], growing)).toEqual(['a leak @3']);
  expect(asked[0]).toEqual([['a', 'a'], 2]);
  expect(play(findings, [[], []])).toEqual(['a gone @1']);
  expect(play(findings, [[seen('b')], [], []], [8, 9, 10], growing)).toEqual([]);
  expect(findings.verdict().findings.map(({ site }) => site.function)).toEqual(['a']);
});

test('a gone leak has no time to the limit and keeps when it began', () => {
  const findings = new Findings();
  play(findings, [[seen('a')], [seen('a', { sinceEpochMillis: 900 })], [], []], [0, 3, 4, 5]);
  expect(findings.verdict()).toMatchObject({
    level: 'gone',
    findings: [{ level: 'gone', sinceEpochMillis: 5, secondsToHeapLimit: null, kind: 'heap' }],
  });
});

describe('while the heap as a whole does not rise', () => {
  const flat = { heapRises: false };

  test('nothing new is suspected', () => {
    const findings = new Findings();
    play(findings, [[seen('a', flat)]]);
    expect(findings.verdict().level).toBe('watching');
  });

  test('a growing suspect is not confirmed and a growing leak is not gone', () => {
    const findings = new Findings();
    expect(play(findings, [[seen('a')], [seen('a', flat)], [seen('a', flat)], [seen('a', flat)], [seen('a', flat)]])).toEqual([]);
    expect(play(findings, [[seen('a')], [], [seen('a', flat)], []], [10, 11, 12, 13])).toEqual(['a leak @10']);
  });
});

test('a site that V8 has inlined goes on under its new name', () => {
  const findings = new Findings();
  const told = play(
    findings,
    [
      [seen('remember', { keys: ['remember', 'remember'] })],
      [seen('handler', { keys: ['handler', 'handler'] }), seen('remember', { keys: ['remember', 'handler'] })],
    ],
    [0, 3],
  );
  expect(told).toEqual(['remember leak @3']);
  expect(findings.isLeak(['x', 'handler'])).toBe(true);
  expect(findings.isLeak(['x'])).toBe(false);
});

test('leaks come before suspects and those before what is gone, the largest first', () => {
  const findings = new Findings();
  play(findings, [[seen('gone')], [seen('gone')], [], []], [0, 3, 4, 5]);
  play(findings, [[seen('leak')], [seen('leak'), seen('small', { grownBytes: 1 }), seen('large', { grownBytes: 9e9 })]], [10, 13]);
  expect(findings.verdict()).toMatchObject({ level: 'leak' });
  expect(findings.verdict().findings.map(({ site }) => site.function)).toEqual(['leak', 'large', 'small', 'gone']);
});

test('sixteen are kept; the seventeenth takes the place of one that is gone, if any', () => {
  const findings = new Findings();
  const names = Array.from({ length: 17 }, (_, i) => seen(`f${i}`));
  play(findings, [names]);
  expect(findings.verdict().findings).toHaveLength(16);
  expect(findings.verdict().findings.map(({ site }) => site.function)).not.toContain('f16');
  const most = names.slice(1);
  play(findings, [names.slice(0, 16), most, most, most], [3, 4, 5, 6]);
  const left = findings.verdict().findings.map(({ site }) => site.function);
  expect(left).toHaveLength(16);
  expect(left).toContain('f16');
  expect(left).not.toContain('f0');
});
