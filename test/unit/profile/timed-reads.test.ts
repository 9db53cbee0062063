import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { StderrDiag } from '../../../src/core/diag.ts';
import { Guard } from '../../../src/core/guard.ts';
import { checkSeconds, TimedReads } from '../../../src/profile/timed-reads.ts';

const create = (): TimedReads => new TimedReads(new Guard(new StderrDiag('warn')));

const never = (): Promise<never> => new Promise(() => {});

test('eight reads at once are taken and the ninth is refused, until one ends, well or not', async () => {
  const reads = create();
  let end!: (value: string) => void;
  let fail!: (reason: Error) => void;
  const ends = reads.run(() => new Promise<string>((resolve) => (end = resolve)));
  const fails = reads.run(() => new Promise((_, reject) => (fail = reject)));
  for (let i = 3; i <= 8; i++) void reads.run(never);
  await expect(reads.run(never)).rejects.toMatchObject({ status: 503, message: '8 profiles are being taken already' });
  end('answer');
  expect(await ends).toBe('answer');
  void reads.run(never);
  await expect(reads.run(never)).rejects.toMatchObject({ status: 503 });
  fail(new Error('of the read'));
  await expect(fails).rejects.toThrow('of the read');
  expect(await reads.run(async () => 'taken')).toBe('taken');
});

test('a wait takes its time, and leaves nothing on the signal', async () => {
  const { signal } = new AbortController();
  const started = performance.now();
  await create().wait(0.05, signal);
  // A timer may fire a millisecond early by this clock.
  expect(performance.now() - started).toBeGreaterThan(48);
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});

test('a wait ends with the reason of the signal, before or meanwhile', async () => {
  const reads = create();
  await expect(reads.wait(900, AbortSignal.abort(new Error('had left')))).rejects.toThrow('had left');
  const client = new AbortController();
  const waiting = reads.wait(900, client.signal);
  client.abort(new Error('has left'));
  await expect(waiting).rejects.toThrow('has left');
});

test('all waits end with 503 when profiling stops, and there are no more', async () => {
  const reads = create();
  const waiting = [reads.wait(900, undefined), reads.wait(900, new AbortController().signal)];
  reads.stop();
  for (const wait of waiting) await expect(wait).rejects.toMatchObject({ status: 503, message: 'profiling has stopped' });
  await expect(reads.wait(0.001, undefined)).rejects.toMatchObject({ status: 503 });
});

test('seconds are above 0 and at most 900', () => {
  for (const seconds of [Number.MIN_VALUE, 1, 900]) expect(() => checkSeconds(seconds)).not.toThrow();
  for (const seconds of [0, -1, 900.001, Infinity, Number.NaN]) expect(() => checkSeconds(seconds)).toThrow(/above 0 and at most 900/);
});
