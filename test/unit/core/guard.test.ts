import { setTimeout as delay } from 'node:timers/promises';
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

describe('an alarm', () => {
  it('calls once each time that it is armed, anew when it is armed again', async () => {
    const { guard } = guarded();
    const fn = vi.fn();
    const alarm = guard.alarm('part', 20, fn);
    await delay(40);
    expect(fn).not.toHaveBeenCalled();
    alarm.arm();
    alarm.arm();
    await vi.waitFor(() => expect(fn).toHaveBeenCalledTimes(1), { interval: 5 });
    await delay(40);
    expect(fn).toHaveBeenCalledTimes(1);
    alarm.arm();
    await vi.waitFor(() => expect(fn).toHaveBeenCalledTimes(2), { interval: 5 });
    alarm.arm();
    alarm.stop();
    await delay(40);
    expect(fn).toHaveBeenCalledTimes(2);
  });

  it('stops what it calls from throwing, and may be armed in it', async () => {
    const { guard } = guarded();
    let calls = 0;
    const alarm = guard.alarm('part', 1, () => {
      if ((calls += 1) < 3) alarm.arm();
      throw new Error('broken');
    });
    alarm.arm();
    await vi.waitFor(() => expect(calls).toBe(3), { interval: 5 });
    expect(guard.failures().get('part')).toBe(3);
  });
});

describe('the end of a turn', () => {
  it('comes once each time that it is armed', async () => {
    const { guard } = guarded();
    const order: string[] = [];
    const end = guard.turnEnd('part', () => void order.push('end'));
    end.arm();
    end.arm();
    await new Promise<void>((resolve) => setTimeout(() => (order.push('timer'), setImmediate(resolve)), 5));
    expect(order.filter((what) => what === 'end')).toHaveLength(1);
    end.arm();
    end.stop();
    await delay(5);
    expect(order.filter((what) => what === 'end')).toHaveLength(1);
  });

  it('wakes nobody: a loop that waits goes on waiting', async () => {
    const { guard } = guarded();
    let turns = 0;
    const end = guard.turnEnd('part', () => {
      turns += 1;
      end.arm();
    });
    await delay(20);
    end.arm();
    const before = performance.eventLoopUtilization();
    await delay(200);
    end.stop();
    // An immediate that holds the loop makes it spin.
    expect(performance.eventLoopUtilization(before).utilization).toBeLessThan(0.5);
    expect(turns).toBeGreaterThan(0);
    expect(turns).toBeLessThan(200);
  });
});

it('keeps no process alive, armed or not', () => {
  const { guard } = guarded();
  const alive = (): number => process.getActiveResourcesInfo().filter((resource) => /Timeout|Immediate/.test(resource)).length;
  const before = alive();
  const alarms = [guard.alarm('part', 60_000, () => {}), guard.turnEnd('part', () => {})];
  for (const alarm of alarms) alarm.arm();
  expect(alive()).toBe(before);
  const held = setImmediate(() => {});
  expect(alive()).toBe(before + 1);
  clearImmediate(held);
  for (const alarm of alarms) alarm.stop();
});

it('runs alarms in real time where an application’s tests have put fake timers', async () => {
  vi.useFakeTimers();
  try {
    const { guard } = guarded();
    const fn = vi.fn();
    for (const alarm of [guard.alarm('part', 1, fn), guard.turnEnd('part', fn)]) alarm.arm();
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
    await vi.waitFor(() => expect(fn).toHaveBeenCalledTimes(2), { interval: 5 });
  } finally {
    vi.useRealTimers();
  }
});
