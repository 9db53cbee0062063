// What counts as a block of the event loop, on a loop in which time passes as told. That Node's own loop behaves so is shown by
// integration/stalls.test.ts.
import { beforeEach, describe, expect, test } from 'vitest';
import { Heartbeat, type LoopBlock } from '../../../src/profile/heartbeat.ts';
import { SimulatedLoop } from './simulated-loop.ts';

let loop: SimulatedLoop;
let heartbeat: Heartbeat;
let blocks: LoopBlock[];
let beats: number;
/** Milliseconds that telling of a block takes. */
let tellingMillis: number;

beforeEach(() => {
  loop = new SimulatedLoop();
  blocks = [];
  beats = 0;
  tellingMillis = 0;
  begin(100);
});

function begin(thresholdMillis: number): void {
  heartbeat = new Heartbeat({
    guard: loop,
    clock: loop,
    idleMillis: () => loop.idleMillis,
    cpuMillis: () => loop.nowMillis - loop.idleMillis,
    onBeat: () => {
      beats += 1;
    },
    blocks: {
      thresholdMillis,
      onBlock: (block) => {
        blocks.push(block);
        loop.nowMillis += tellingMillis;
      },
    },
  });
  heartbeat.start();
}

const lengths = (): number[] => blocks.map(({ durationMillis }) => Math.round(durationMillis * 10) / 10);

/** Where in the time between two beats something begins. */
const OFFSETS = Array.from({ length: 45 }, (_, i) => i * 2.3);

describe('in a loop with nothing else to do', () => {
  test.each(['poll', 'timers', 'check'] as const)('a block in the phase %s is exact, and below the threshold there is none', (phase) => {
    for (const offset of OFFSETS) {
      for (const length of [20, 99.9, 100, 105, 340, 2000]) {
        loop.work(offset, length, phase);
        loop.run(3000 + offset);
      }
      expect(lengths()).toEqual([100, 105, 340, 2000]);
      blocks.length = 0;
    }
  });

  test('a block is told of when it has ended', () => {
    loop.run(20);
    const start = loop.nowMillis + 13;
    loop.work(13, 250);
    loop.run(300);
    expect(blocks).toEqual([{ endMillis: start + 250, durationMillis: 250, cpuMillis: 250, wasWaiting: false }]);
    loop.work(10, 300);
    loop.run(1000);
    expect(blocks[1]!.cpuMillis).toBe(300);
  });

  test('waiting is none, and nobody is woken but by the beat', () => {
    loop.run(60_000);
    expect(blocks).toEqual([]);
    expect(loop.wakeUps).toBeGreaterThan(590);
    expect(loop.wakeUps).toBeLessThan(605);
  });

  test('a request now and then wakes nobody once more', () => {
    for (let i = 0; i < 60; i++) loop.work(i * 1000 + 17, 3);
    loop.run(60_000);
    expect(loop.wakeUps).toBeLessThan(665);
  });
});

describe('in a busy loop', () => {
  test.each([1, 7, 20, 60, 90])('turns of %d ms without a pause are none', (turn) => {
    loop.saturate(turn, 20_000);
    loop.run(20_000);
    expect(blocks).toEqual([]);
  });

  test.each([1, 7, 20])('a block among turns of %d ms is told of once, and exact to 8 ms and such a turn', (turn) => {
    for (const length of [110, 200, 1000, 2000]) {
      for (const offset of OFFSETS) {
        loop.saturate(turn, 200 + offset);
        loop.work(100 + offset, length);
        loop.run(length + 400);
        expect(blocks, `${length} at ${offset}`).toHaveLength(1);
        expect(Math.abs(blocks[0]!.durationMillis - length)).toBeLessThanOrEqual(7.6 + turn);
        blocks.length = 0;
      }
    }
  });

  test.each([1, 7])('a block that is 20 ms too short is none, among turns of %d ms', (turn) => {
    for (const offset of OFFSETS) {
      loop.saturate(turn, 200 + offset);
      loop.work(100 + offset, 80);
      loop.run(500);
    }
    expect(blocks).toEqual([]);
  });

  test('a block of 60 ms after other work is none, however the two fall between beats', () => {
    for (const offset of OFFSETS) {
      for (let i = 0; i < 4; i++) loop.work(offset + i * 10.01, 10);
      loop.work(offset + 40.1, 60);
      loop.run(300);
    }
    expect(blocks).toEqual([]);
  });

  test('callbacks that all run in one turn are one block: no timer could run', () => {
    for (let i = 0; i < 12; i++) loop.work(30, 10);
    loop.run(300);
    expect(lengths()).toEqual([120]);
  });
});

test('with the least threshold there is, bursts of short turns and the waits between them are no blocks', () => {
  heartbeat.stop();
  begin(20);
  for (let i = 0; i < 50; i++) for (let turn = 0; turn < 20; turn++) loop.work(i * 107 + turn * 2.1, 2);
  loop.run(6000);
  expect(blocks).toEqual([]);
  loop.work(5, 20);
  loop.run(100);
  expect(lengths()).toEqual([20]);
});

describe('a process that does not run', () => {
  test('while it waits, was not held by anything', () => {
    loop.run(25);
    loop.freeze(10, 5000);
    loop.run(6000);
    expect(blocks).toHaveLength(1);
    expect(blocks[0]!.wasWaiting).toBe(true);
    // Nobody knows since when, only that a timer should have run.
    expect(blocks[0]!.durationMillis).toBeGreaterThan(4900);
    expect(blocks[0]!.durationMillis).toBeLessThanOrEqual(5000);
  });

  test.each([
    [100, 0],
    [201, 1],
  ])('for %d ms while it waits makes %d blocks', (length, count) => {
    loop.run(25);
    loop.freeze(0, length);
    loop.run(1000);
    expect(blocks).toHaveLength(count);
  });
});

describe('asked in the middle of a turn', () => {
  test('a block that is long enough is told of at once, and not again at its end', () => {
    const told: number[] = [];
    loop.work(30, 150, 'poll', () => {
      heartbeat.check();
      told.push(...lengths());
      loop.nowMillis += 20;
    });
    loop.run(500);
    expect(told).toEqual([150]);
    expect(lengths()).toEqual([150]);
  });

  test('a block that is not long enough yet is told of at its end, as a whole', () => {
    loop.work(30, 60, 'poll', () => {
      heartbeat.check();
      expect(blocks).toEqual([]);
      loop.nowMillis += 60;
    });
    loop.run(500);
    expect(lengths()).toEqual([120]);
  });

  test('nothing is told before the start and after the end', () => {
    heartbeat.stop();
    loop.work(30, 500, 'poll', () => heartbeat.check());
    loop.run(2000);
    expect([blocks, beats]).toEqual([[], 0]);
  });
});

test('what telling of a block takes, and a pause of our own, are not the application’s', () => {
  tellingMillis = 150;
  loop.work(30, 200);
  loop.work(700, 120, 'poll', () => heartbeat.skip());
  loop.run(1000);
  expect(lengths()).toEqual([200]);
});

test('without a listener for blocks it only beats', () => {
  const quiet = new SimulatedLoop();
  let seen = 0;
  new Heartbeat({ guard: quiet, clock: quiet, idleMillis: () => quiet.idleMillis, onBeat: () => (seen += 1) }).start();
  quiet.saturate(3, 1000);
  quiet.run(1000);
  expect(seen).toBeGreaterThan(8);
  expect(seen).toBeLessThan(11);
});
