import { describe, expect, test } from 'vitest';
import { Findings, type Named, type Observation } from '../../../src/leak/findings.ts';
import { trendOf } from '../../../src/leak/trend.ts';
import { readings } from './readings.ts';

const MINUTE_OF_GROWTH = trendOf(readings(0, 100, 200, 300, 400, 500, 600))!;

function named(name: string, rest: Partial<Named> = {}): Named {
  const site = { function: name, file: '/app/main.js', line: 1, column: 1 };
  const nothing = { leaves: [], className: null, note: '', route: null, stopped: false };
  return { keys: [name], site, stack: [site], share: 1, ...nothing, ...rest };
}

const HEAP = { kind: 'heap', resourceType: null } as const;

/** Evaluations one after another, and who was told what. */
class Evaluations {
  readonly findings = new Findings();
  #nowEpochMillis = 0;

  grows(level: Observation['level'], names: readonly Named[], rest: Partial<Observation> = {}): string[] {
    const changed = this.findings.update({
      ...HEAP,
      level,
      mayWait: false,
      trend: MINUTE_OF_GROWTH,
      names,
      heapLimit: null,
      containerLimit: null,
      sinceEpochMillis: 5,
      nowEpochMillis: (this.#nowEpochMillis += 1),
      ...rest,
    });
    return changed.map((finding) => `${finding.site?.function} ${finding.level}`);
  }

  ends(subject: Pick<Observation, 'kind' | 'resourceType'> = HEAP): string[] {
    return this.findings.ended(subject, (this.#nowEpochMillis += 1)).map((finding) => `${finding.site?.function} ${finding.level}`);
  }

  get list(): string[] {
    return this.findings.list().map((finding) => `${finding.site?.function} ${finding.level}`);
  }
}

describe('a finding', () => {
  test('is told when it is new and whenever its level rises, and once each', () => {
    const evaluations = new Evaluations();
    expect(evaluations.grows('growing', [named('a')])).toEqual(['a growing']);
    expect(evaluations.grows('growing', [named('a')])).toEqual([]);
    expect(evaluations.grows('suspect', [named('a')])).toEqual(['a suspect']);
    expect(evaluations.grows('leak', [named('a')])).toEqual(['a leak']);
    expect(evaluations.grows('leak', [named('a')])).toEqual([]);
  });

  test('does not fall to a lower level', () => {
    const evaluations = new Evaluations();
    evaluations.grows('leak', [named('a')]);
    expect(evaluations.grows('suspect', [named('a')])).toEqual([]);
    expect(evaluations.list).toEqual(['a leak']);
  });

  test('has the time when it reached its level, and the growth of its share', () => {
    const evaluations = new Evaluations();
    evaluations.grows('suspect', [named('a', { share: 0.5 })]);
    evaluations.grows('suspect', [named('a', { share: 0.25 })]);
    expect(evaluations.findings.list()[0]).toMatchObject({
      level: 'suspect',
      levelEpochMillis: 1,
      sinceEpochMillis: 5,
      share: 0.25,
      grownBytes: 150,
      bytesPerHour: 0.25 * 10 * 3600,
      grownCount: 0,
      countPerHour: 0,
    });
  });

  test('of resources has counts and no bytes', () => {
    const evaluations = new Evaluations();
    evaluations.grows('leak', [named('open')], { kind: 'resources', resourceType: 'Timeout' });
    const counts = { grownBytes: 0, bytesPerHour: 0, grownCount: 600, countPerHour: 36_000 };
    expect(evaluations.findings.list()[0]).toMatchObject({ kind: 'resources', resourceType: 'Timeout', ...counts });
  });

  test('that has stopped while others grow is growing at most, and keeps the level that it had', () => {
    const evaluations = new Evaluations();
    expect(evaluations.grows('leak', [named('a', { stopped: true }), named('b')])).toEqual(['a growing', 'b leak']);
    expect(evaluations.grows('leak', [named('a'), named('b', { stopped: true })])).toEqual(['a leak']);
    expect(evaluations.list).toEqual(['a leak', 'b leak']);
  });

  test('keeps its route where none is seen any more', () => {
    const evaluations = new Evaluations();
    evaluations.grows('suspect', [named('a', { route: '/users/:id' })]);
    evaluations.grows('suspect', [named('a')]);
    expect(evaluations.findings.list()[0]!.route).toBe('/users/:id');
  });

  test('is one of its kind: the same function may leak in two', () => {
    const evaluations = new Evaluations();
    evaluations.grows('leak', [named('a')]);
    expect(evaluations.grows('leak', [named('a')], { kind: 'external' })).toEqual(['a leak']);
    expect(evaluations.grows('leak', [named('a')], { kind: 'resources', resourceType: 'Timeout' })).toEqual(['a leak']);
    expect(evaluations.grows('leak', [named('a')], { kind: 'resources', resourceType: 'TCPWrap' })).toEqual(['a leak']);
    expect(evaluations.ends({ kind: 'resources', resourceType: 'Timeout' })).toEqual(['a gone']);
    expect(evaluations.list).toHaveLength(4);
  });
});

describe('a finding without a site', () => {
  const UNNAMED = named('', { keys: [''], site: null, stack: [], note: 'spread' });

  test('takes the first name that is found, which is told though its level is the same', () => {
    const evaluations = new Evaluations();
    expect(evaluations.grows('suspect', [UNNAMED])).toEqual(['undefined suspect']);
    expect(evaluations.grows('suspect', [UNNAMED])).toEqual([]);
    expect(evaluations.grows('suspect', [named('a'), named('b')])).toEqual(['a suspect', 'b suspect']);
    expect(evaluations.grows('suspect', [named('a'), named('b')])).toEqual([]);
    expect(evaluations.list).toEqual(['a suspect', 'b suspect']);
  });

  test('takes none of another kind', () => {
    const evaluations = new Evaluations();
    evaluations.grows('leak', [UNNAMED], { kind: 'native' });
    expect(evaluations.grows('leak', [named('a')])).toEqual(['a leak']);
    expect(evaluations.list).toEqual(['undefined leak', 'a leak']);
  });

  test('does not begin beside one with a site, which keeps its name for any number of such evaluations', () => {
    const evaluations = new Evaluations();
    evaluations.grows('suspect', [named('a')]);
    for (let i = 0; i < 5; i++) expect(evaluations.grows('suspect', [UNNAMED])).toEqual([]);
    expect(evaluations.list).toEqual(['a suspect']);
    expect(evaluations.grows('leak', [named('a')])).toEqual(['a leak']);
  });

  test('begins beside one with a site that is gone', () => {
    const evaluations = new Evaluations();
    evaluations.grows('leak', [named('a')]);
    evaluations.ends();
    expect(evaluations.grows('leak', [UNNAMED])).toEqual(['undefined leak']);
  });
});

describe('a site that V8 has inlined', () => {
  test('goes on under any of its names', () => {
    const evaluations = new Evaluations();
    evaluations.grows('suspect', [named('remember', { keys: ['remember'] })]);
    expect(evaluations.grows('leak', [named('remember', { keys: ['remember', 'handler'] })])).toEqual(['remember leak']);
    expect(evaluations.grows('leak', [named('handler', { keys: ['handler'] })])).toEqual([]);
    expect(evaluations.list).toEqual(['handler leak']);
  });

  test('keeps its own name where its caller is named afterwards, and the caller has no finding of its own', () => {
    const evaluations = new Evaluations();
    const [caller, callee] = [named('handler'), named('remember')];
    evaluations.grows('suspect', [{ ...callee, stack: [callee.site!, caller.site!], leaves: [{ site: callee.site!, share: 1 }] }]);
    expect(evaluations.grows('leak', [{ ...caller, share: 0.9 }])).toEqual(['remember leak']);
    expect(evaluations.grows('leak', [{ ...caller, share: 0.8 }])).toEqual([]);
    expect(evaluations.findings.list()).toMatchObject([
      { site: { function: 'remember' }, stack: [{}, {}], leaves: [{ share: 1 }], share: 0.8, level: 'leak' },
    ]);
  });

  test('takes the name of its caller where it has none of its own', () => {
    const evaluations = new Evaluations();
    const [caller, callee] = [named('subscribe'), named('(anonymous)')];
    evaluations.grows('leak', [{ ...callee, stack: [callee.site!, caller.site!] }]);
    expect(evaluations.grows('leak', [caller])).toEqual(['subscribe leak']);
  });

  test('goes by its eight newest names', () => {
    const seen = (first: number): string[] => {
      const evaluations = new Evaluations();
      for (let i = 0; i < 8; i++) evaluations.grows('leak', [named('a', { keys: [`a${i + 1}`, `a${i}`] })]);
      return evaluations.grows('leak', [named('a', { keys: [`a${first}`] })]);
    };
    expect(seen(1)).toEqual([]);
    expect(seen(0)).toEqual(['a leak']);
  });

  test('is one finding when an evaluation names it twice', () => {
    const evaluations = new Evaluations();
    expect(evaluations.grows('leak', [named('a', { share: 0.6 }), named('b', { keys: ['b', 'a'], share: 0.4 })])).toEqual(['a leak']);
    expect(evaluations.findings.list()[0]!.share).toBe(0.6);
  });
});

describe('growth that is seen under another name', () => {
  const MINUTE = { sinceEpochMillis: 0, nowEpochMillis: 60_000 };

  test('goes on as one finding, whose new name is told though its level is the same', () => {
    const evaluations = new Evaluations();
    evaluations.grows('leak', [named('(anonymous)', { share: 0.9 })], MINUTE);
    const later = { sinceEpochMillis: 10_000, nowEpochMillis: 70_000 };
    expect(evaluations.grows('leak', [named('subscribe', { share: 0.9 })], later)).toEqual(['subscribe leak']);
    expect(evaluations.list).toEqual(['subscribe leak']);
    expect(evaluations.grows('leak', [named('(anonymous)', { share: 0.9 })], later)).toEqual([]);
    expect(evaluations.list).toEqual(['(anonymous) leak']);
  });

  test('is what is left of a whole: two that may have grown side by side are two', () => {
    const evaluations = new Evaluations();
    evaluations.grows('leak', [named('a', { share: 0.6 })], MINUTE);
    expect(evaluations.grows('leak', [named('b', { share: 0.6 })], MINUTE)).toEqual(['b leak']);
    expect(evaluations.list).toEqual(['a leak', 'b leak']);
  });

  test('is growth of the same time: what began when the other was last seen is another', () => {
    const evaluations = new Evaluations();
    evaluations.grows('leak', [named('a')], MINUTE);
    expect(evaluations.grows('leak', [named('b')], { sinceEpochMillis: 55_000, nowEpochMillis: 115_000 })).toEqual(['b leak']);
    expect(evaluations.list).toEqual(['a leak', 'b leak']);
  });

  test('is no growth that is seen under its own name as well, nor any that is gone', () => {
    const evaluations = new Evaluations();
    evaluations.grows('leak', [named('a')], MINUTE);
    evaluations.grows('leak', [named('b'), named('a')], MINUTE);
    expect(evaluations.list).toEqual(['a leak', 'b leak']);
    evaluations.ends();
    expect(evaluations.grows('leak', [named('c')], MINUTE)).toEqual(['c leak']);
    expect(evaluations.list).toEqual(['c leak', 'a gone', 'b gone']);
  });
});

describe('when the growth of a kind has ended', () => {
  test('suspects and leaks are gone, told once, and have neither rate nor forecast', () => {
    const evaluations = new Evaluations();
    const heapLimit = { seconds: 1, lowSeconds: 1, highSeconds: 1 };
    evaluations.grows('suspect', [named('a'), named('b')], { heapLimit, containerLimit: heapLimit });
    expect(evaluations.ends()).toEqual(['a gone', 'b gone']);
    expect(evaluations.ends()).toEqual([]);
    expect(evaluations.findings.list()[0]).toMatchObject({
      level: 'gone',
      levelEpochMillis: 2,
      grownBytes: 600,
      bytesPerHour: 0,
      countPerHour: 0,
      heapLimit: null,
      containerLimit: null,
    });
  });

  test('what only grew is forgotten without a word', () => {
    const evaluations = new Evaluations();
    evaluations.grows('growing', [named('a')]);
    expect(evaluations.ends()).toEqual([]);
    expect(evaluations.list).toEqual([]);
  });

  test('what was gone begins anew when it grows again', () => {
    const evaluations = new Evaluations();
    evaluations.grows('leak', [named('a')]);
    evaluations.ends();
    expect(evaluations.grows('growing', [named('a')])).toEqual(['a growing']);
    expect(evaluations.grows('leak', [named('a')])).toEqual(['a leak']);
    expect(evaluations.list).toEqual(['a leak']);
  });
});

describe('a leak without a name', () => {
  const NAMELESS = named('', { keys: [], site: null });

  test('waits for one as a suspect, for two evaluations, when there is time', () => {
    const evaluations = new Evaluations();
    const evaluate = (): string[] => evaluations.grows('leak', [NAMELESS], { mayWait: true });
    expect([evaluate(), evaluate(), evaluate()]).toEqual([['undefined suspect'], [], ['undefined leak']]);
  });

  test('is one at once when it is named, or when there is no time', () => {
    const evaluations = new Evaluations();
    evaluations.grows('leak', [NAMELESS], { mayWait: true });
    expect(evaluations.grows('leak', [named('a')], { mayWait: true })).toEqual(['a leak']);
    expect(new Evaluations().grows('leak', [NAMELESS])).toEqual(['undefined leak']);
  });

  test('that had a name as a suspect keeps that and does not wait', () => {
    const evaluations = new Evaluations();
    evaluations.grows('suspect', [named('a')], { mayWait: true });
    expect(evaluations.grows('leak', [NAMELESS], { mayWait: true })).toEqual(['a leak']);
  });
});

describe('while something else of its kind goes on growing', () => {
  test('a leak that is not seen in three evaluations in a row is gone, and not in two', () => {
    const evaluations = new Evaluations();
    evaluations.grows('leak', [named('a'), named('b')]);
    const without = (): string[] => evaluations.grows('leak', [named('b')]);
    expect([without(), without()]).toEqual([[], []]);
    expect(evaluations.grows('leak', [named('a'), named('b')])).toEqual([]);
    expect([without(), without(), without(), without()]).toEqual([[], [], ['a gone'], []]);
  });

  test('an evaluation that has named nothing is no evaluation without it', () => {
    const evaluations = new Evaluations();
    evaluations.grows('leak', [named('a'), named('b')]);
    const without = (names: readonly Named[]): string[] => evaluations.grows('leak', names);
    expect([without([]), without([]), without([]), without([named('b')]), without([named('b')])]).toEqual([[], [], [], [], []]);
    expect(without([named('b')])).toEqual(['a gone']);
  });

  test('an evaluation of another kind is no evaluation without it', () => {
    const evaluations = new Evaluations();
    evaluations.grows('leak', [named('a')]);
    for (let i = 0; i < 5; i++) evaluations.grows('leak', [named('b')], { kind: 'external' });
    expect(evaluations.list).toEqual(['a leak', 'b leak']);
  });
});

describe('the list', () => {
  test('has the worst first and of these the largest; what is gone comes last', () => {
    const evaluations = new Evaluations();
    evaluations.grows('leak', [named('gone')], { kind: 'external' });
    evaluations.ends({ kind: 'external', resourceType: null });
    evaluations.grows('growing', [named('growing')], { kind: 'native' });
    evaluations.grows('suspect', [named('small', { share: 0.1 }), named('large', { share: 0.9 })], {
      kind: 'resources',
      resourceType: 'A',
    });
    evaluations.grows('leak', [named('leak', { share: 0.01 })]);
    expect(evaluations.list).toEqual(['leak leak', 'large suspect', 'small suspect', 'growing growing', 'gone gone']);
  });

  test('has sixteen at most: the seventeenth takes the place of one that is gone, if any', () => {
    const evaluations = new Evaluations();
    const sixteen = Array.from({ length: 16 }, (_, i) => named(`f${i}`));
    const type = { kind: 'resources', resourceType: 'Timeout' } as const;
    evaluations.grows('leak', sixteen.slice(0, 15));
    evaluations.grows('leak', sixteen.slice(15), type);
    expect(evaluations.list).toHaveLength(16);
    expect(evaluations.grows('leak', [named('late')], { kind: 'external' })).toEqual([]);
    evaluations.ends(type);
    expect(evaluations.grows('leak', [named('late')], { kind: 'external' })).toEqual(['late leak']);
    expect(evaluations.list).toHaveLength(16);
    expect(evaluations.list).not.toContain('f15 gone');
  });

  test('is empty at first', () => {
    expect(new Evaluations().list).toEqual([]);
  });
});
