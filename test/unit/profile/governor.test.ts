// Each rule of the governor at its last value on one side and its first on the other.
import { describe, expect, test } from 'vitest';
import { Governor } from '../../../src/profile/governor.ts';

const BUDGET = 0.02;

interface Seen {
  readonly seconds?: number;
  readonly utilization?: number;
  /** CPU of Sonde as a share of one core. */
  readonly overhead?: number;
}

/** The rate after each of these observations, of ten seconds of a busy service within the budget unless said. */
function rates(governor: Governor, ...observations: Seen[]): number[] {
  return observations.map(({ seconds = 10, utilization = 0.5, overhead = 0 }) => {
    return governor.decide({ seconds, utilization, overheadCpuSeconds: overhead * seconds }).hz;
  });
}

const times = (count: number, seen: Seen): Seen[] => Array.from({ length: count }, () => seen);

const create = (fullHz = 99): Governor => new Governor(BUDGET, fullHz);

function idleGovernor(): Governor {
  const governor = create();
  expect(rates(governor, ...times(6, { utilization: 0 })).at(-1)).toBe(19);
  return governor;
}

describe('an idle process', () => {
  test('is sampled at 19 Hz after a minute, not before', () => {
    expect(rates(create(), { seconds: 59.999, utilization: 0 }, { seconds: 0.001, utilization: 0 })).toEqual([99, 19]);
    expect(rates(create(), ...times(6, { utilization: 0 }))).toEqual([99, 99, 99, 99, 99, 19]);
  });

  test('is one that is busy for less than 3 % of the time', () => {
    expect(rates(create(), { seconds: 60, utilization: 0.0299 })).toEqual([19]);
    expect(rates(create(), { seconds: 600, utilization: 0.03 })).toEqual([99]);
  });

  test('must be so without a break', () => {
    const [idle, busier] = [{ utilization: 0 }, { utilization: 0.03 }];
    expect(rates(create(), ...times(5, idle), busier, ...times(5, idle))).toEqual(Array(11).fill(99));
  });

  test('is sampled at 99 Hz again when it is busy for more than a tenth of the time, not before', () => {
    expect(rates(idleGovernor(), ...times(100, { utilization: 0.1 }))).toEqual(Array(100).fill(19));
    expect(rates(idleGovernor(), { utilization: 0.1001 })).toEqual([99]);
  });

  test('that has become busy must be idle for a whole minute again', () => {
    expect(rates(idleGovernor(), { utilization: 0.2 }, ...times(6, { utilization: 0 }))).toEqual([99, 99, 99, 99, 99, 99, 19]);
  });

  test('that wavers about either limit does not make the rate waver', () => {
    const wavers = times(20, {}).flatMap(() => [{ utilization: 0.029 }, { utilization: 0.031 }]);
    expect(new Set(rates(create(), ...wavers))).toEqual(new Set([99]));
    expect(new Set(rates(idleGovernor(), ...wavers))).toEqual(new Set([19]));
    const busier = times(20, {}).flatMap(() => [{ utilization: 0.099 }, { utilization: 0.101 }]);
    expect(new Set(rates(idleGovernor(), { utilization: 0.5 }, ...busier))).toEqual(new Set([99]));
  });
});

describe('a process in which Sonde costs more than its budget', () => {
  const over = { overhead: BUDGET * 1.001 };
  const within = { overhead: BUDGET };

  test('is sampled at 49 Hz after half a minute of it and at 19 Hz after another, and not less', () => {
    expect(rates(create(), ...times(12, over))).toEqual([99, 99, 49, 49, 49, 19, 19, 19, 19, 19, 19, 19]);
    expect(rates(create(), { ...over, seconds: 29.999 }, { ...over, seconds: 0.001 })).toEqual([99, 49]);
  });

  test('is not one that just keeps to it', () => {
    expect(rates(create(), ...times(100, within))).toEqual(Array(100).fill(99));
  });

  test('must be so without a break', () => {
    expect(rates(create(), over, over, within, over, over, within, over, over, over)).toEqual([99, 99, 99, 99, 99, 99, 99, 99, 49]);
  });

  test.each([
    [500, [500, 500, 49, 49, 49, 19]],
    [49, [49, 49, 19, 19, 19, 19]],
    [30, [30, 30, 19, 19, 19, 19]],
    [19, Array(6).fill(19)],
    [10, Array(6).fill(10)],
  ])('goes down from %i Hz, if that was asked for, and never up', (fullHz, expected) => {
    expect(rates(create(fullHz), ...times(6, over))).toEqual(expected);
  });

  test('stays reduced when it is within again, so that the rate does not go up and down', () => {
    const governor = create();
    rates(governor, ...times(3, over));
    expect(rates(governor, ...times(100, { overhead: 0 }))).toEqual(Array(100).fill(49));
  });

  test('says each reduction once, in the decision that makes it', () => {
    const governor = create();
    const said = Array.from({ length: 12 }, () => governor.decide({ seconds: 10, utilization: 0.5, overheadCpuSeconds: 1 }).isReduced);
    expect(said.map((isReduced, at) => (isReduced ? at : -1)).filter((at) => at >= 0)).toEqual([2, 5]);
  });

  test('is sampled at its reduced rate after a pause, and never above 19 Hz while idle', () => {
    const governor = create();
    rates(governor, ...times(3, over));
    expect(rates(governor, ...times(6, { utilization: 0 }), { utilization: 0.5 })).toEqual([49, 49, 49, 49, 49, 19, 49]);
    rates(governor, ...times(3, over));
    expect(rates(governor, ...times(6, { utilization: 0 }), { utilization: 0.5 })).toEqual(Array(7).fill(19));
  });
});
