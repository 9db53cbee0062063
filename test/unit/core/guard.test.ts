import { describe, expect, it, vi } from 'vitest';
import { StderrDiag } from '../../../src/core/diag.ts';
import { Guard } from '../../../src/core/guard.ts';

function guarded(): { guard: Guard; lines: string[] } {
  const lines: string[] = [];
  return { guard: new Guard(new StderrDiag('warn', (line) => lines.push(line))), lines };
}

describe('a guarded function', () => {
  it('gets its arguments and gives its result', () => {
    expect(guarded().guard.wrap('part', (a: number, b: string, c: boolean) => [a, b, c])(1, 'x', true)).toEqual([1, 'x', true]);
  });

  it('answers undefined for a throw, which is counted, and said once', () => {
    const { guard, lines } = guarded();
    const fails = guard.wrap('part', () => {
      throw new Error('broken');
    });
    expect([fails(), fails()]).toEqual([undefined, undefined]);
    expect(guard.failures()).toEqual(new Map([['part', 2]]));
    expect(lines).toEqual(['sonde: part failed and was skipped, the application is not affected: broken']);
  });

  it.each([undefined, null, 'text', 5, Symbol.iterator])('stops a throw of %s too', (thrown) => {
    const { guard } = guarded();
    expect(() =>
      guard.run('part', () => {
        throw thrown;
      }),
    ).not.toThrow();
    expect(guard.failures().get('part')).toBe(1);
  });

  it('is called for the fifth failure and not after it, with every other function of its part', () => {
    const { guard } = guarded();
    const calls = vi.fn(() => {
      throw new Error('broken');
    });
    const fails = guard.wrap('part', calls);
    const sibling = vi.fn();
    for (let i = 0; i < 4; i++) fails();
    guard.run('part', sibling);
    expect(sibling).toHaveBeenCalledTimes(1);
    fails();
    fails();
    guard.run('part', sibling);
    expect(calls).toHaveBeenCalledTimes(5);
    expect(sibling).toHaveBeenCalledTimes(1);
    expect(guard.run('other', () => 'on')).toBe('on');
  });

  it('may be asynchronous', async () => {
    const { guard } = guarded();
    expect(await guard.runAsync('part', async () => 42)).toBe(42);
    expect(await guard.runAsync('part', async () => Promise.reject(new Error('broken')))).toBeUndefined();
    expect(guard.failures().get('part')).toBe(1);
  });
});

describe('a timer', () => {
  it('repeats until it is stopped, and survives a failure', () => {
    vi.useFakeTimers();
    try {
      const { guard } = guarded();
      const fn = vi.fn().mockImplementationOnce(() => {
        throw new Error('broken');
      });
      const timer = guard.every('part', 100, fn);
      vi.advanceTimersByTime(300);
      expect(fn).toHaveBeenCalledTimes(3);
      timer.stop();
      vi.advanceTimersByTime(300);
      expect(fn).toHaveBeenCalledTimes(3);
    } finally {
      vi.restoreAllMocks();
      vi.useRealTimers();
    }
  });

  it('keeps no process alive, repeating or not', () => {
    const { guard } = guarded();
    const alive = (): number => process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length;
    const before = alive();
    const timers = [guard.every('part', 60_000, () => {}), guard.after('part', 60_000, () => {})];
    // Node lists only what holds the event loop.
    expect(alive()).toBe(before);
    const held = setTimeout(() => {}, 60_000);
    expect(alive()).toBe(before + 1);
    clearTimeout(held);
    for (const timer of timers) timer.stop();
  });

  it('fires once after its delay, or never when it is stopped before', () => {
    vi.useFakeTimers();
    try {
      const { guard } = guarded();
      const [fired, stopped] = [vi.fn(), vi.fn()];
      guard.after('part', 100, fired);
      guard.after('part', 100, stopped).stop();
      vi.advanceTimersByTime(99);
      expect(fired).not.toHaveBeenCalled();
      vi.advanceTimersByTime(1000);
      expect([fired.mock.calls.length, stopped.mock.calls.length]).toEqual([1, 0]);
    } finally {
      vi.useRealTimers();
    }
  });
});
