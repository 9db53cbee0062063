// The corpus of leaks (test/corpus) at its fast speed: services that leak and services that only look like it. Four at a
// time: on two cores more would measure each other. All of it on Node 20, every other program on 24 and the rest on 26, which
// keeps it to some eight minutes. Times are held with room here, because whatever else runs on the machine moves them: the
// figures themselves are those of `npm run corpus -- --node 20,24,26 --speed fast,medium,slow`, in docs/leak-corpus.md.
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
  test.each(leaking)('$name is found', (run) => {
    const result = results.get(run)!;
    expect(result.error).toBeNull();
    expect(result.leakAt).not.toBeNull();
  });

  test.each(leaking.filter(({ program }) => program.name !== NAMELESS))('$name is named by function and line, first or second', (run) => {
    const result = results.get(run)!;
    expect(judge(run.program, result).named, `named were ${JSON.stringify(result.atLeak, undefined, 1)}`).toBe(true);
  });

  test('is a suspect before a tenth of the time to the limit, nine of ten at least', () => {
    expect(share(({ suspectAt, secondsToLimit }) => suspectAt !== null && suspectAt / secondsToLimit! <= 0.1)).toBeGreaterThanOrEqual(0.9);
  });

  test('is a leak before a quarter of it, nineteen of twenty at least', () => {
    expect(share(({ leakAt, secondsToLimit }) => leakAt !== null && leakAt / secondsToLimit! <= 0.25)).toBeGreaterThanOrEqual(0.95);
  });
});

describe('what does not leak', () => {
  test.each(harmless)('$name is no leak', (run) => {
    const result = results.get(run)!;
    expect(result.error).toBeNull();
    expect(result.worst).not.toBe('leak');
  });

  test.each([20, 24, 26])('is one suspect at most on Node %i', (major) => {
    const suspects = harmless.filter((run) => run.major === major && results.get(run)!.worst === 'suspect');
    expect(suspects.map(({ name }) => name).slice(1)).toEqual([]);
  });
});
