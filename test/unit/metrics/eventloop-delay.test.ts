// Real histograms: a stall is a busy loop, and each test waits for the samples it needs instead of a fixed time.
import { afterEach, expect, test } from 'vitest';
import { EventLoopDelay } from '../../../src/metrics/eventloop-delay.ts';

const delay = new EventLoopDelay();
afterEach(() => {
  delay.stop();
  delay.rotate();
  delay.rotate();
});

function stall(millis: number): void {
  const end = performance.now() + millis;
  while (performance.now() < end);
}

/** Lets the loop turn until the condition holds. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

async function sampled(): Promise<void> {
  await until(() => delay.reading() !== undefined);
}

test('there is no reading before the first sample', () => {
  expect(delay.reading()).toBeUndefined();
});

test('a stall shows in the maximum, less the sampling interval at most', async () => {
  delay.start();
  await sampled();
  stall(120);
  await until(() => delay.reading()!.maxSeconds > 0.09);
  expect(delay.reading()!.maxSeconds).toBeGreaterThanOrEqual(0.1);
  expect(delay.reading()!.maxSeconds).toBeLessThan(1);
  expect(delay.reading()!.p99Seconds).toBeGreaterThanOrEqual(0.09);
});

test('reading does not end the window, so that a second reader sees the same stall', async () => {
  delay.start();
  await sampled();
  stall(80);
  await until(() => delay.reading()!.maxSeconds > 0.05);
  expect(delay.reading()!.maxSeconds).toBe(delay.reading()!.maxSeconds);
});

test('a stall is still seen after one rotation and gone after two', async () => {
  delay.start();
  await sampled();
  stall(80);
  await until(() => delay.reading()!.maxSeconds > 0.05);
  delay.rotate();
  expect(delay.reading()!.maxSeconds).toBeGreaterThan(0.05);
  delay.rotate();
  expect(delay.reading()).toBeUndefined();
});

test('a stall that falls on a rotation is not lost with the sample that clearing drops', async () => {
  delay.start();
  await sampled();
  delay.rotate();
  stall(80);
  await until(() => delay.reading()!.maxSeconds > 0.05);
});

test('an idle loop has a delay near zero, not the sampling interval', async () => {
  delay.start();
  await sampled();
  // One sample that was not held up is enough; on a busy machine the first may be.
  await until(() => delay.reading()!.minSeconds < 0.015);
});
