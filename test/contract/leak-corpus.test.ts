// The corpus of leaks (test/corpus) at its fast speed: services that leak and services that only look like it. Four at a
// time: on two cores more would measure each other. All of it on Node 20, every other program on 24 and the rest on 26, which
// keeps it to some nine minutes. Shares are held with room here, because the other tests that run beside it take up to half of the
// machine: the figures themselves are those of `npm run corpus -- --node 20,24,26 --speed fast,medium,slow`, in docs/leak-corpus.md.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { endAll } from '../corpus/child.mjs';
import { allPrograms, type Program } from '../corpus/programs.mjs';
import { inParallel } from '../corpus/in-parallel.mjs';
import { judge, type Result, watch } from '../corpus/watch.mjs';
import { nodeBinary } from '../helpers/nodes.mjs';

const AT_ONCE = 4;
const ALL_MILLIS = 20 * 60_000;

/** Made by typed arrays, of which nobody is told: found, and not named. */
const NAMELESS = 'typed-arrays-kept';

interface Run {
  readonly program: Program;
  readonly major: number;
  readonly name: string;
}

const programs = allPrograms();
const runs: readonly Run[] = [
  { major: 20, chosen: programs },
  { major: 24, chosen: programs.filter((_, index) => index % 2 === 0) },
  { major: 26, chosen: programs.filter((_, index) => index % 2 === 1) },
].flatMap(({ major, chosen }) => chosen.map((program) => ({ program, major, name: `${program.name} on Node ${major}` })));

const leaking = runs.filter(({ program }) => program.leaks !== false);
const harmless = runs.filter(({ program }) => program.leaks === false);
const results = new Map<Run, Result>();

beforeAll(async () => {
  await inParallel(runs, AT_ONCE, async (run) => {
    const node = { major: run.major, binary: nodeBinary(run.major) };
    results.set(run, await watch({ program: run.program, node, speed: 'fast' }));
  });
}, ALL_MILLIS);

afterAll(endAll);

/** Share of the leaking runs that something holds of. */
function share(holds: (result: Result, run: Run) => boolean): number {
  return leaking.filter((run) => holds(results.get(run)!, run)).length / leaking.length;
}

describe('what leaks', () => {
  test.each(leaking)('$name runs to its end', (run) => {
    expect(results.get(run)!.error).toBeNull();
  });

  test('is found before 40 % of the time to the limit, nine of ten', () => {
    expect(share(({ leakAt }) => leakAt !== null)).toBeGreaterThanOrEqual(0.9);
  });

  test('is named by function and line, first or second, nine of ten', () => {
    const named = (result: Result, run: Run): boolean => run.program.name === NAMELESS || judge(run.program, result).named === true;
    const others = leaking.filter((run) => !named(results.get(run)!, run)).map((run) => [run.name, results.get(run)!.atLeak]);
    expect(share(named), JSON.stringify(others, undefined, 1)).toBeGreaterThanOrEqual(0.9);
  });

  test('is a suspect before a tenth of the time to the limit, three of four', () => {
    expect(share(({ suspectAt, secondsToLimit }) => suspectAt !== null && suspectAt / secondsToLimit! <= 0.1)).toBeGreaterThanOrEqual(0.75);
  });

  test('is a leak before a quarter of it, five of six', () => {
    expect(share(({ leakAt, secondsToLimit }) => leakAt !== null && leakAt / secondsToLimit! <= 0.25)).toBeGreaterThanOrEqual(5 / 6);
  });
});

describe('what does not leak', () => {
  test.each(harmless)('$name is no leak', (run) => {
    const result = results.get(run)!;
    expect(result.error).toBeNull();
    expect(result.worst).not.toBe('leak');
  });

  test.each([20, 24, 26])('is two suspects at most on Node %i', (major) => {
    const suspects = harmless.filter((run) => run.major === major && results.get(run)!.worst === 'suspect');
    expect(suspects.map(({ name }) => name).slice(2)).toEqual([]);
  });
});
