import { expect, test } from 'vitest';
import { hotFunctions } from '../../../src/profile/hot-functions.ts';
import { type Profile, ProfileBuilder } from '../../../src/profile/profile.ts';

const CPU = { type: 'cpu', unit: 'nanoseconds' };

/** One sample of that many milliseconds per function, each called by the one before. */
function nested(calls: [name: string, millis: number][]): Profile {
  const builder = new ProfileBuilder(1);
  let node = -1;
  for (const [name, millis] of calls) {
    node = builder.node(node, builder.frame(name, '/app.js', 1));
    builder.add(node, 0, millis * 1e6);
  }
  return builder.build({
    sampleTypes: [CPU],
    defaultSampleType: 'cpu',
    periodType: CPU,
    period: 1,
    startEpochMillis: 0,
    durationMillis: 1,
  });
}

test('adds up time spent in a function itself over stacks and windows, hottest first', () => {
  const hot = hotFunctions(
    [
      nested([
        ['main', 10],
        ['hot', 50],
      ]),
      nested([['hot', 40]]),
    ],
    5,
  );
  expect(hot).toEqual([
    { name: 'hot', file: '/app.js', line: 1, selfMillis: 90, share: 0.9 },
    { name: 'main', file: '/app.js', line: 1, selfMillis: 10, share: 0.1 },
  ]);
});

test('leaves waiting and other threads out of the list and of the shares', () => {
  const hot = hotFunctions(
    [nested([['(idle)', 900]]), nested([['(non-JS threads)', 300]]), nested([['(garbage collector)', 30]]), nested([['work', 10]])],
    5,
  );
  expect(hot.map(({ name, share }) => [name, share])).toEqual([
    ['(garbage collector)', 0.75],
    ['work', 0.25],
  ]);
});

test('answers at most as many as asked for, and none for no time', () => {
  expect(
    hotFunctions(
      [
        nested([
          ['a', 2],
          ['b', 1],
        ]),
      ],
      1,
    ).map(({ name }) => name),
  ).toEqual(['a']);
  expect(hotFunctions([nested([['a', 0]])], 1)).toEqual([]);
  expect(hotFunctions([], 1)).toEqual([]);
});
