// How long the writers hold the event loop, on the widest profile there may be. Times are compared with one another, as
// the machine that runs the tests may be busy.
import { describe, expect, test } from 'vitest';
import { cpuprofile } from '../../../src/profile/cpuprofile.ts';
import { flameGraph } from '../../../src/profile/flame-graph.ts';
import { folded } from '../../../src/profile/folded.ts';
import { encodePprof } from '../../../src/profile/pprof.ts';
import { merge, type Profile } from '../../../src/profile/profile.ts';
import { speedscope } from '../../../src/profile/speedscope.ts';
import { inTurns, textInTurns } from '../../../src/core/turns.ts';
import { textOf } from '../../fixtures/profile/stacks.ts';
import { wideProfile } from '../../fixtures/profile/wide.ts';

/** Turns of the event loop while something is done, and which share of the time the longest one took. */
async function turnsDuring(work: () => Promise<unknown>): Promise<{ count: number; longestShare: number }> {
  const ends = [performance.now()];
  let isDone = false;
  const turn = (): void => {
    ends.push(performance.now());
    if (!isDone) setImmediate(turn);
  };
  setImmediate(turn);
  await work();
  isDone = true;
  ends.push(performance.now());
  const longest = ends.slice(1).reduce((most, end, i) => Math.max(most, end - ends[i]!), 0);
  return { count: ends.length - 1, longestShare: longest / (ends.at(-1)! - ends[0]!) };
}

describe('a profile of 20,000 stacks of 40 frames', () => {
  const profile = wideProfile({ shared: 20 });
  const title = { subject: '', filters: [] };

  test.each<[string, (profile: Profile) => Promise<unknown>]>([
    ['pprof', (of) => encodePprof(of)],
    ['folded stacks', (of) => textOf(folded(of))],
    ['speedscope', (of) => textOf(speedscope(of))],
    ['cpuprofile', (of) => textOf(cpuprofile(of))],
    ['flame graph', (of) => textOf(flameGraph(of, title))],
    ['sum', (of) => merge([of, of])],
  ])('is made a %s in turns of which none is a large part', { timeout: 60_000 }, async (_format, write) => {
    // The best of a few: another process may take the core from any of them. In one piece it is never below a third.
    let best = 1;
    for (let run = 0; run < 5 && best > 0.25; run++) {
      best = Math.min(best, (await turnsDuring(() => write(profile))).longestShare);
    }
    expect(best).toBeLessThanOrEqual(0.25);
  });
});

describe('text in turns', () => {
  test('is what its parts are, in their order, however small', async () => {
    const parts = Array.from({ length: 5000 }, (_, i) => (i % 3 === 0 ? '' : `${i} `));
    expect(await textOf(textInTurns(parts))).toBe(parts.join(''));
    expect(await textOf(textInTurns([]))).toBe('');
  });

  test('gives the event loop a turn for parts without text too', async () => {
    const parts = (function* (): Generator<string> {
      for (let i = 0; i < 1000; i++) yield '';
    })();
    expect((await turnsDuring(() => textOf(textInTurns(parts)))).count).toBeGreaterThan(20);
  });

  test('comes in pieces of bounded size, and is not made before it is taken', async () => {
    let made = 0;
    const parts = (function* (): Generator<string> {
      for (; made < 1000; made++) yield 'x'.repeat(1000);
    })();
    const pieces = textInTurns(parts)[Symbol.asyncIterator]();
    const { value } = await pieces.next();
    expect((value as string).length).toBeLessThan(150_000);
    expect(made).toBeLessThan(200);
  });
});

test('work in turns answers what it returns, and passes on what it throws', async () => {
  const work = function* (fails: boolean): Generator<number, string> {
    for (let i = 0; i < 10; i++) yield 5000;
    if (fails) throw new Error('broken');
    return 'done';
  };
  const { count } = await turnsDuring(async () => expect(await inTurns(work(false))).toBe('done'));
  expect(count).toBeGreaterThanOrEqual(5);
  await expect(inTurns(work(true))).rejects.toThrow('broken');
});
