import { AsyncResource } from 'node:async_hooks';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { StderrDiag } from '../../../src/core/diag.ts';
import { Guard } from '../../../src/core/guard.ts';
import { ResourceCreations } from '../../../src/leak/resource-creations.ts';
import { BreakableClock } from './breakable-clock.ts';

const KIND = 'Immediate';

describe('sampling the creations of resources', () => {
  const clock = new BreakableClock();
  const lines: string[] = [];
  let creations: ResourceCreations;
  const immediates: NodeJS.Immediate[] = [];

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    creations = new ResourceCreations({ guard: new Guard(new StderrDiag('warn', (line) => lines.push(line))), clock, random: () => 0.5 });
  });

  afterEach(() => {
    creations.stop();
    vi.useRealTimers();
    for (const immediate of immediates.splice(0)) clearImmediate(immediate);
    lines.splice(0);
  });

  function advance(millis: number): void {
    clock.advance(millis);
    vi.advanceTimersByTime(millis);
  }

  function createImmediate(count = 1): void {
    for (let i = 0; i < count; i++) immediates.push(setImmediate(() => {}));
  }

  /** Whether what is created now is seen. */
  function isLooking(): boolean {
    const before = alive();
    createImmediate();
    return alive() > before;
  }

  function alive(): number {
    return creations.rank(KIND, 0).reduce((sum, { count }) => sum + count, 0);
  }

  it('looks for half a second in five', () => {
    creations.start([KIND]);
    expect(isLooking()).toBe(true);
    advance(499);
    expect(isLooking()).toBe(true);
    advance(1);
    expect(isLooking()).toBe(false);
    advance(4499);
    expect(isLooking()).toBe(false);
    advance(1);
    expect(isLooking()).toBe(true);
  });

  it('looks again later where a burst has cost more than two percent of the time', () => {
    creations.start([KIND]);
    // At 0.1 us each 150 ms, of which 2 % are 7.5 s.
    for (let i = 0; i < 1_500_000; i++) void new AsyncResource('other');
    advance(500);
    advance(7499);
    expect(isLooking()).toBe(false);
    advance(2);
    expect(isLooking()).toBe(true);
  });

  it('scales what it found to the time that it did not look', () => {
    creations.start([KIND]);
    createImmediate(10);
    advance(500);
    expect(creations.rank(KIND, 0)).toMatchObject([{ count: 10 }]);
    clock.advance(4500);
    expect(creations.rank(KIND, 0)).toMatchObject([{ count: 100, site: { function: 'createImmediate', file: import.meta.filename } }]);
  });

  it('tells only what is old enough and was not cleared', () => {
    creations.start([KIND]);
    createImmediate(4);
    clock.advance(100);
    createImmediate(4);
    clearImmediate(immediates[0]);
    const [group] = creations.rank(KIND, 100);
    expect(group).toMatchObject({ count: 3, share: 1, note: '' });
    expect(creations.rank('Timeout', 0)).toEqual([]);
  });

  it('sees nothing when it is stopped, keeps what it found, and begins anew', () => {
    creations.start([KIND]);
    creations.start([KIND]);
    createImmediate();
    creations.stop();
    creations.stop();
    expect(creations.isRunning).toBe(false);
    createImmediate();
    advance(60_000);
    createImmediate();
    expect(vi.getTimerCount()).toBe(0);
    expect(creations.rank(KIND, 0)).toHaveLength(1);
    creations.start([KIND]);
    expect(creations.isRunning).toBe(true);
    expect(creations.rank(KIND, 0)).toEqual([]);
  });

  it('creates no timer of its own that keeps the process alive', () => {
    vi.useRealTimers();
    const before = process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    creations.start([KIND]);
    expect(process.getActiveResourcesInfo().filter((name) => name === 'Timeout')).toHaveLength(before);
  });

  it('keeps its failures from the application, and still switches the hook off', () => {
    creations.start([KIND]);
    clock.isBroken = true;
    for (let i = 0; i < 10; i++) expect(() => createImmediate()).not.toThrow();
    clock.isBroken = false;
    expect(lines).toHaveLength(1);
    advance(500);
    expect(isLooking()).toBe(false);
    expect(vi.getTimerCount()).toBe(1);
  });
});
