// Whole lives of heaps, and what is said of them when.
import { describe, expect, test } from 'vitest';
import { seeded } from '../../../bench/soak/work.ts';
import { forecast, judge, type Judgement, type LevelLimits, type Room } from '../../../src/leak/levels.ts';
import { Series } from '../../../src/leak/series.ts';
import { type Reading, trendOf } from '../../../src/leak/trend.ts';
import { DAY, HOUR, type Life, levelsOf, MIB, play, secondsTo } from './life.ts';
import { reading, readings } from './readings.ts';

const GIB = 1024 * MIB;
const MINUTE = 60;

/** A service with 60 MiB and a limit of 1 GiB. */
const SERVICE = { limitBytes: GIB, garbagePerSecond: MIB / 2 };
const BASE = 60 * MIB;

/** What lives while something is gained from one time to another. */
function ramp(perSecond: number, fromSeconds = 0, untilSeconds = Infinity): Life['live'] {
  return (seconds) => BASE + perSecond * Math.max(0, Math.min(seconds, untilSeconds) - fromSeconds);
}

const MB_A_MINUTE = 1e6 / MINUTE;

/** The level of a straight rise, of which nothing but what is said speaks for more than growing. */
function judged(rise: readonly Reading[], room: Partial<Room>, limits: Partial<LevelLimits> = {}): Judgement['level'] {
  const series = new Series();
  for (const each of rise) series.push(each);
  return judge(series, { limit: 1000, nextFactor: 1, ...room }, { windowSeconds: 1e6, minGrowth: 1, ...limits }).level;
}

/** From a value by as much in each of so many steps of ten seconds. */
function straight(from: number, gain: number, steps = 4): Reading[] {
  return readings(...Array.from({ length: steps + 1 }, (_, i) => from + (gain * i) / steps));
}

describe('a steady rise', () => {
  test('is a suspect from 5.5 % of the room on, and a leak from 13.5 %', () => {
    expect([54, 55, 134, 135].map((gain) => judged(straight(0, gain), {}))).toEqual(['growing', 'suspect', 'suspect', 'leak']);
  });

  test('is a suspect from 1.5 % on where the next reading is expected at 7.5 %', () => {
    const rise = (gain: number, next: number) => judged(straight(100, gain), { limit: 1100, nextFactor: next / (100 + gain) });
    expect([rise(15, 174), rise(15, 176), rise(14, 400)]).toEqual(['growing', 'suspect', 'growing']);
  });

  test('is a leak from 5 % on where the next reading is expected at 20 %', () => {
    const rise = (gain: number, next: number) => judged(straight(100, gain), { limit: 1100, nextFactor: next / (100 + gain) });
    expect([rise(50, 299), rise(50, 301), rise(49, 600)]).toEqual(['suspect', 'leak', 'suspect']);
  });

  test('is a suspect after a third of the window and a leak after four fifths, however little it gains', () => {
    const by = (seconds: number) => judged(straight(0, 4), { limit: 500 }, { windowSeconds: (40 * 30) / seconds });
    expect([9.9, 10, 23.9, 24].map(by)).toEqual(['growing', 'suspect', 'suspect', 'leak']);
  });

  test('is a suspect in two steps and a leak in three; where it leaves more than six windows, in three and four', () => {
    expect([1, 2, 3].map((steps) => judged(straight(0, 300, steps), {}))).toEqual(['watching', 'suspect', 'leak']);
    const late = { limit: 10_000 };
    expect([2, 3, 4].map((steps) => judged(straight(0, 300, steps), late, { windowSeconds: 10 }))).toEqual(['growing', 'suspect', 'leak']);
  });

  test('that began before the first collection is a suspect at that one and a leak at the third, when it has three steps', () => {
    const dirty = { dirty: true };
    const rise = [reading(0, 0, dirty), reading(10, 100, dirty), reading(20, 200), reading(30, 300), reading(40, 400)];
    // At the second the reading in the middle goes: two steps again.
    expect([2, 3, 4, 5].map((count) => judged(rise.slice(0, count), {}))).toEqual(['watching', 'suspect', 'suspect', 'leak']);
  });

  test('is no more than growing when its room is not full in a day, whatever the window', () => {
    const until = (seconds: number) => judged(straight(0, 40), { limit: 40 + seconds }, { windowSeconds: 30 });
    expect([until(86_400), until(86_401)]).toEqual(['leak', 'growing']);
  });

  test('is growing from the least growth on, a suspect from twice as much and a leak from three times as much', () => {
    const rise = (gain: number) => judged(straight(0, gain), { limit: 10_000 }, { minGrowth: 200, windowSeconds: 40 });
    expect([199, 200, 399, 400, 599, 600].map(rise)).toEqual(['watching', 'growing', 'growing', 'suspect', 'suspect', 'leak']);
  });
});

test('a small room needs 9 % of it for a suspect and 20 % for a leak instead of twice and three times the least growth', () => {
  const rise = (gain: number) => judged(straight(0, gain), { limit: 1000 }, { minGrowth: 80 });
  expect([79, 80, 89, 90, 199, 200].map(rise)).toEqual(['watching', 'growing', 'growing', 'suspect', 'suspect', 'leak']);
});

describe('a fast leak', () => {
  // Collections that come before the heap has grown to twice its size leave little time unseen, as garbage of a busy service makes them.
  const lives = [
    { limit: 64, start: 12, minutes: [15, 60] },
    { limit: 128, start: 20, minutes: [15, 60] },
    { limit: 512, start: 50, minutes: [5, 15, 60] },
    { limit: 4096, start: 300, minutes: [5, 15, 60] },
  ].flatMap(({ limit, start, minutes }) => minutes.flatMap((each) => [1.3, 2].map((factor) => [limit, each, factor, start] as const)));

  test.each(lives)(
    'in %i MiB that ends in %i minutes, collected each %f-fold, is a suspect before a tenth (up to 128 MiB an eighth) and a leak before a quarter',
    (limit, minutes, factor, start) => {
      const seconds = minutes * MINUTE;
      const rate = ((limit - start) * MIB) / seconds;
      const live = (at: number): number => start * MIB + rate * at;
      const life: Life = { live, limitBytes: limit * MIB, untilSeconds: seconds, garbagePerSecond: 16 * rate, factor };
      const { told } = play({ ...life, untilLevel: 'leak' });
      // There it must have gained 8 MiB or 9 % of the room; in a process a collection is forced then.
      expect(secondsTo(told, 'suspect') / seconds).toBeLessThan(limit <= 128 ? 0.125 : 0.1);
      expect(secondsTo(told, 'leak') / seconds).toBeLessThan(0.25);
    },
  );

  test('is a leak before half of its time where hardly anything else is collected, and the heap doubles from one collection to the next', () => {
    for (const [limit, start] of [
      [128, 20],
      [512, 50],
      [4096, 300],
    ] as const) {
      const rate = ((limit - start) * MIB) / HOUR;
      const live = (at: number): number => start * MIB + rate * at;
      const { told } = play({ live, limitBytes: limit * MIB, untilSeconds: HOUR, garbagePerSecond: rate, untilLevel: 'leak' });
      expect(secondsTo(told, 'leak') / HOUR).toBeLessThan(0.5);
    }
  });
});

describe('a leak of 1 MB a minute below a limit of 1 GiB', () => {
  test.each([1.5, 2])(
    'that is collected each %f-fold is a suspect after 10 to 13 minutes, 10 of them after a first collection, and a leak within 30',
    (factor) => {
      const { told } = play({ ...SERVICE, live: ramp(MB_A_MINUTE), untilSeconds: HOUR, factor });
      expect(secondsTo(told, 'suspect') / MINUTE).toBeGreaterThan(10);
      expect(secondsTo(told, 'suspect') / MINUTE).toBeLessThan(13);
      expect(secondsTo(told, 'leak') / MINUTE).toBeGreaterThan(13);
      expect(secondsTo(told, 'leak') / MINUTE).toBeLessThan(30);
      expect(told.at(-1)!.level).toBe('leak');
    },
  );

  test('is one within 35 minutes of its beginning after two days of health', () => {
    const { told } = play({ ...SERVICE, live: ramp(MB_A_MINUTE, 2 * DAY), untilSeconds: 2 * DAY + HOUR, garbagePerSecond: MIB / 5 });
    expect(told.every(({ seconds }) => seconds > 2 * DAY)).toBe(true);
    expect((secondsTo(told, 'leak') - 2 * DAY) / MINUTE).toBeLessThan(35);
  });

  test('is one after an hour without readings, at the next but one', () => {
    const { told } = play({ ...SERVICE, live: ramp(MB_A_MINUTE), untilSeconds: 2 * HOUR, gap: [10 * MINUTE, 70 * MINUTE] });
    expect(secondsTo(told, 'leak') / MINUTE).toBeLessThan(75);
    expect(told.map(({ level }) => level)).not.toContain('gone');
  });

  test('that pauses with its traffic for eight hours is not withdrawn', () => {
    const awake = (seconds: number): number => Math.min(seconds, HOUR) + Math.max(0, seconds - 9 * HOUR);
    const live = (seconds: number): number => BASE + 2 * MB_A_MINUTE * awake(seconds);
    const life = { ...SERVICE, live, garbagePerSecond: MIB / 10, collectSeconds: 5 * MINUTE, untilSeconds: 10 * HOUR };
    expect(levelsOf({ ...life, requests: (seconds) => 100 * awake(seconds) })).toEqual(['growing', 'suspect', 'leak']);
  });

  test('that stops while its traffic goes on is gone within a quarter of the time that it lasted', () => {
    const life = { ...SERVICE, live: ramp(2 * MB_A_MINUTE, 0, HOUR), garbagePerSecond: MIB / 10, collectSeconds: 5 * MINUTE };
    const { told } = play({ ...life, untilSeconds: 10 * HOUR, requests: (seconds) => 100 * seconds });
    expect(told.map(({ level }) => level)).toEqual(['growing', 'suspect', 'leak', 'gone']);
    expect(secondsTo(told, 'gone')).toBeGreaterThan(HOUR);
    expect(secondsTo(told, 'gone')).toBeLessThanOrEqual(1.25 * HOUR);
  });
});

describe('what would take more than 24 hours to fill the room', () => {
  test('is growing and no more', () => {
    const slow = { ...SERVICE, limitBytes: 4 * GIB, live: ramp(MB_A_MINUTE / 10), untilSeconds: 3 * HOUR };
    expect(levelsOf(slow)).toEqual(['growing']);
  });
});

describe('a cache', () => {
  test.each([60, 300])('that fills exponentially, by two thirds in %i s, is growing and then no longer watched for', (tau) => {
    const live = (seconds: number): number => BASE + 40 * MIB * (1 - Math.exp(-seconds / tau));
    expect(levelsOf({ ...SERVICE, live, untilSeconds: HOUR })).toEqual(['growing', 'watching']);
  });

  test.each([2, 5, 10, 15, 20])(
    'of a twentieth of the room that fills in %i minutes is never a leak, and what it was is withdrawn',
    (minutes) => {
      const room = GIB - BASE;
      const live = ramp((0.05 * room) / (minutes * MINUTE), 0, minutes * MINUTE);
      const levels = levelsOf({ ...SERVICE, live, untilSeconds: 2 * HOUR });
      expect(levels).not.toContain('leak');
      expect(['gone', 'watching']).toContain(levels.at(-1));
    },
  );

  test.each([5, 6, 7])(
    'of %i MiB that fills evenly for half an hour below 128 MiB is growing and then no longer watched for',
    (mebibytes) => {
      const live = (seconds: number): number => 10 * MIB + mebibytes * MIB * Math.min(1, seconds / (HOUR / 2));
      const life = { live, limitBytes: 128 * MIB, garbagePerSecond: MIB / 20, factor: 1.5, untilSeconds: 2 * HOUR };
      expect(levelsOf(life)).toEqual(['growing', 'watching']);
    },
  );

  test('that begins to fill after half an hour is no different', () => {
    const live = ramp((0.05 * (GIB - BASE)) / (20 * MINUTE), HOUR / 2, HOUR / 2 + 20 * MINUTE);
    expect(levelsOf({ ...SERVICE, live, untilSeconds: 2 * HOUR })).toEqual(['growing', 'suspect', 'gone']);
  });
});

describe('a healthy life in which', () => {
  test('nothing is gained has nothing to tell', () => {
    expect(levelsOf({ ...SERVICE, live: () => BASE, untilSeconds: 6 * HOUR })).toEqual([]);
  });

  test('200 MiB are loaded at once has nothing to tell', () => {
    expect(levelsOf({ ...SERVICE, live: (seconds) => BASE + (seconds < 1000 ? 0 : 200 * MIB), untilSeconds: 2 * HOUR })).toEqual([]);
  });

  test('30 MiB come without readings, in an hour that the process slept, has nothing to tell', () => {
    const live = (seconds: number): number => BASE + (seconds < HOUR ? 0 : 30 * MIB);
    expect(levelsOf({ ...SERVICE, live, untilSeconds: 3 * HOUR, gap: [HOUR / 2, 1.5 * HOUR] })).toEqual([]);
  });

  test('80 MiB of modules and pools are loaded in the first 20 s has nothing to tell', () => {
    const live = (seconds: number): number => BASE + 80 * MIB * Math.min(1, seconds / 20);
    expect(levelsOf({ ...SERVICE, live, untilSeconds: HOUR, garbagePerSecond: 4 * MIB })).toEqual([]);
  });

  test('traffic rises to twentyfold, and memory with it, is growing for as long', () => {
    const active = (seconds: number): number => Math.round(10 + 190 * Math.min(1, seconds / 1200));
    const live = (seconds: number): number => BASE + active(seconds) * (MIB / 2);
    const life = { ...SERVICE, live, active, requests: (seconds: number) => 100 * seconds, untilSeconds: 2 * HOUR };
    expect(levelsOf(life)).toEqual(['growing', 'watching']);
  });

  test('300 MiB and 200 requests come each day and go each night is growing by day only, for five days', { timeout: 30_000 }, () => {
    const wave = (seconds: number): number => 1 - Math.cos((2 * Math.PI * seconds) / DAY);
    const served = (seconds: number): number => 100 * (seconds - (DAY / 2 / Math.PI) * Math.sin((2 * Math.PI * seconds) / DAY));
    const levels = levelsOf({
      limitBytes: GIB,
      live: (seconds) => BASE + 150 * MIB * wave(seconds),
      untilSeconds: 5 * DAY,
      garbagePerSecond: MIB / 50,
      collectSeconds: 1800,
      requests: served,
      active: (seconds) => Math.round(1 + 100 * wave(seconds)),
    });
    expect(new Set(levels)).toEqual(new Set(['growing', 'watching']));
    expect(levels.length).toBeLessThanOrEqual(10);
  });

  test(
    'batches of up to 10 % of the room come and go, in 1,000 variations, is no leak, and no suspect below 5 % but for five',
    { timeout: 60_000 },
    () => {
      const random = seeded(1);
      const between = (low: number, high: number): number => low + (high - low) * random();
      const counts = { suspects: 0, leaks: 0 };
      for (let i = 0; i < 1000; i++) {
        const [period, phase, share] = [between(10, 120), random(), between(0.01, 0.1)];
        const [factor, garbagePerSecond] = [between(1.3, 2), between(1, 3) * MIB];
        const live = (seconds: number): number => 80 * MIB + share * GIB * ((seconds / period + phase) % 1);
        const levels = levelsOf({ live, limitBytes: GIB, untilSeconds: 20 * MINUTE, factor, garbagePerSecond });
        if (levels.includes('leak')) counts.leaks += 1;
        if (share < 0.05 && levels.includes('suspect')) counts.suspects += 1;
      }
      expect(counts.leaks).toBe(0);
      expect(counts.suspects).toBeLessThanOrEqual(5);
    },
  );
});

test(
  'batches of up to 12 minutes between collections minutes apart pass for a leak in one life of a hundred at most',
  { timeout: 30_000 },
  () => {
    const random = seeded(7);
    let leaks = 0;
    for (let i = 0; i < 300; i++) {
      const [period, amplitude, factor, garbage] = [60 + 660 * random(), 0.01 + 0.09 * random(), 1.3 + 2 * random(), 0.3 + random()];
      // Each batch takes up to 30 % more time or less than the others.
      const ends = [period * random()];
      while (ends.at(-1)! < 2400) ends.push(ends.at(-1)! + period * (0.7 + 0.6 * random()));
      let next = 0;
      const live = (seconds: number): number => {
        while (seconds >= ends[next]!) next += 1;
        return 80 * MIB + amplitude * GIB * (1 - (ends[next]! - seconds) / (1.3 * period));
      };
      const levels = levelsOf({ live, limitBytes: GIB, untilSeconds: 2400, untilLevel: 'leak', factor, garbagePerSecond: garbage * MIB });
      if (levels.includes('leak')) leaks += 1;
    }
    expect(leaks).toBeLessThanOrEqual(3);
  },
);

test('a leak of 2 MB a minute is one within 45 minutes beside batches of 20 MiB', () => {
  for (const period of [7, 33, 100, 250]) {
    const live = (seconds: number): number => BASE + 2 * MB_A_MINUTE * seconds + 20 * MIB * ((seconds / period) % 1);
    const { told } = play({ live, limitBytes: GIB, garbagePerSecond: MIB, untilSeconds: 2 * HOUR });
    expect(secondsTo(told, 'leak') / MINUTE).toBeLessThan(45);
    expect(told.at(-1)!.level).toBe('leak');
  }
});

describe('a forecast', () => {
  test('is the time to the limit at the slope, and at the ends of its interval', () => {
    const trend = { ...trendOf(readings(0, 100, 200, 300))!, perSecond: 10, lowPerSecond: 5, highPerSecond: 20 };
    expect(forecast(trend, 300, 1300)).toEqual({ seconds: 100, lowSeconds: 50, highSeconds: 200 });
  });

  test('has no longest time where the slowest rate is none', () => {
    const trend = { ...trendOf(readings(0, 100, 200, 300))!, lowPerSecond: 0 };
    expect(forecast(trend, 300, 1300)).toEqual({ seconds: 100, lowSeconds: 100, highSeconds: null });
  });

  test('is 0 beyond the limit', () => {
    expect(forecast(trendOf(readings(0, 100)), 1301, 1300)).toEqual({ seconds: 0, lowSeconds: 0, highSeconds: 0 });
  });

  test('is null where nothing rises, or no limit is known', () => {
    expect(forecast(undefined, 0, 1)).toBeNull();
    expect(forecast(trendOf(readings(100, 100)), 100, 1000)).toBeNull();
    expect(forecast(trendOf(readings(100, 0)), 0, 1000)).toBeNull();
    expect(forecast(trendOf(readings(0, 100)), 100, Infinity)).toBeNull();
  });
});
