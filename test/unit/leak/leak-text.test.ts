import { describe, expect, it } from 'vitest';
import type { LeakFinding, LeakVerdict } from '../../../src/leak/finding.ts';
import { bytesText, durationText, leakSentence, leaksText } from '../../../src/leak/leak-text.ts';
import { findingOf } from './finding.ts';

const SITE = { function: 'rememberSession', file: 'services/gateway.cjs', line: 41, column: 3 };

const finding = (more: Partial<LeakFinding> = {}): LeakFinding =>
  findingOf({
    site: SITE,
    stack: [SITE, { function: 'onLogin', file: 'services/gateway.cjs', line: 90, column: 1 }],
    leaves: [{ site: { function: 'Session', file: 'services/session.cjs', line: 7, column: 1 }, share: 0.62 }],
    route: 'POST /login',
    grownBytes: 12.34e6,
    bytesPerHour: 38.2e6,
    share: 0.84,
    sinceEpochMillis: Date.UTC(2026, 10, 22, 1, 0),
    levelEpochMillis: Date.UTC(2026, 10, 22, 1, 20),
    heapLimit: { seconds: 13_800, lowSeconds: 7800, highSeconds: 21_600 },
    ...more,
  });

const WITHOUT_SITE = { site: null, stack: [], leaves: [], route: null, share: 1 } as const;

describe('a finding as one sentence', () => {
  it.each<[string, Partial<LeakFinding>, string]>([
    [
      'a leak',
      {},
      "leak of heap: rememberSession (services/gateway.cjs:41) gains 38.2 MB an hour, 84 % of the growth, on POST /login; V8's limit is met in 3 h 50 min (2 h 10 min to 6 h)",
    ],
    [
      'a suspect',
      { level: 'suspect', route: null, share: 1 },
      "leak of heap suspected: rememberSession (services/gateway.cjs:41) gains 38.2 MB an hour, all of the growth; V8's limit is met in 3 h 50 min (2 h 10 min to 6 h)",
    ],
    [
      'growth of a class',
      { level: 'growing', className: 'Session', heapLimit: null, share: 0 },
      'growth of heap: rememberSession (services/gateway.cjs:41) gains 38.2 MB an hour, most of it Session, on POST /login',
    ],
    [
      'the end of a leak',
      { level: 'gone' },
      'no leak of heap any more: rememberSession (services/gateway.cjs:41) has stopped growing, the verdict is withdrawn; it had gained 12.3 MB',
    ],
    [
      'the limit that is met first, of two',
      { containerLimit: { seconds: 3000, lowSeconds: 1200, highSeconds: null }, route: null },
      'leak of heap: rememberSession (services/gateway.cjs:41) gains 38.2 MB an hour, 84 % of the growth; the memory limit is met in 50 min (not before 20 min)',
    ],
    [
      'Buffers whose allocator is not known',
      { kind: 'external', ...WITHOUT_SITE, heapLimit: null, note: 'V8 does not sample what is outside of its heap' },
      'leak of memory outside of the heap (Buffers, ArrayBuffers): it gains 38.2 MB an hour; no line is named: V8 does not sample what is outside of its heap',
    ],
    [
      'native memory, with nothing to add',
      { kind: 'native', level: 'suspect', ...WITHOUT_SITE, heapLimit: null },
      'leak of native memory suspected: it gains 38.2 MB an hour; no line is named',
    ],
    [
      'timers by who makes them',
      { kind: 'resources', resourceType: 'Timeout', countPerHour: 1200, grownCount: 340, heapLimit: null, share: 1 },
      'leak of resources: rememberSession (services/gateway.cjs:41) leaves 1200 more of type Timeout an hour open, 340 so far, all of the growth, on POST /login',
    ],
    [
      'sockets of nobody known',
      {
        kind: 'resources',
        level: 'growing',
        ...WITHOUT_SITE,
        resourceType: 'TCPSocketWrap',
        countPerHour: 2.5,
        grownCount: 3,
        heapLimit: null,
      },
      'growth of resources: 2.5 more of type TCPSocketWrap an hour stay open, 3 so far; no line is named',
    ],
    [
      'timers that are made no longer',
      { kind: 'resources', level: 'gone', ...WITHOUT_SITE, resourceType: 'Timeout', grownCount: 340 },
      'no leak of resources any more: the number of type Timeout has stopped growing, the verdict is withdrawn; it had gained 340; no line is named',
    ],
    [
      'what is known beside the site',
      { route: null, heapLimit: null, note: 'it may be the caller of an inlined function' },
      'leak of heap: rememberSession (services/gateway.cjs:41) gains 38.2 MB an hour, 84 % of the growth; it may be the caller of an inlined function',
    ],
  ])('tells %s', (_what, more, sentence) => {
    expect(leakSentence(finding(more))).toBe(sentence);
  });

  const HEADS: [LeakFinding['kind'], string][] = [
    ['heap', 'heap'],
    ['external', 'memory outside of the heap (Buffers, ArrayBuffers)'],
    ['native', 'native memory'],
    ['resources', 'resources'],
  ];

  it.each(HEADS)('begins with the kind and the level: %s', (kind, name) => {
    const begins = (level: LeakFinding['level']) => leakSentence(finding({ kind, level, resourceType: 'Timeout' })).split(': ')[0];
    expect(begins('growing')).toBe(`growth of ${name}`);
    expect(begins('suspect')).toBe(`leak of ${name} suspected`);
    expect(begins('leak')).toBe(`leak of ${name}`);
    expect(begins('gone')).toBe(`no leak of ${name} any more`);
  });

  it.each([
    ['heap', 'it has stopped growing, the verdict is withdrawn; it had gained 12.3 MB; no line is named'],
    ['external', 'it has stopped growing, the verdict is withdrawn; it had gained 12.3 MB; no line is named'],
    ['native', 'it has stopped growing, the verdict is withdrawn; it had gained 12.3 MB; no line is named'],
    ['resources', 'the number of type Timeout has stopped growing, the verdict is withdrawn; it had gained 340; no line is named'],
  ] as const)('has no forecast and no rate of what is gone: %s', (kind, text) => {
    const gone = finding({ kind, level: 'gone', ...WITHOUT_SITE, resourceType: 'Timeout', grownCount: 340 });
    expect(leakSentence(gone).split(' any more: ')[1]).toBe(text);
  });

  it('has no part of the growth below half of a percent, and all of it from 99.5 on', () => {
    const shareIn = (share: number) => / an hour(?:, (.*))?$/.exec(leakSentence(finding({ share, route: null, heapLimit: null })))![1];
    expect([0.0049, 0.005, 0.9949, 0.995].map(shareIn)).toEqual([
      undefined,
      '1 % of the growth',
      '99 % of the growth',
      'all of the growth',
    ]);
  });

  it('is one line without what a terminal obeys, however a function is named', () => {
    const sentence = leakSentence(finding({ site: { ...SITE, function: `a\n\u001b[2J${'x'.repeat(500)}` } }));
    // eslint-disable-next-line no-control-regex -- these must not be there
    expect(sentence).not.toMatch(/[\u0000-\u001f]/);
    expect(sentence.length).toBeLessThan(400);
  });
});

describe('a verdict as text', () => {
  const verdict: LeakVerdict = {
    level: 'leak',
    findings: [
      finding(),
      finding({ kind: 'native', ...WITHOUT_SITE, heapLimit: null, note: 'nothing in the process knows who allocates it' }),
    ],
    kinds: [
      {
        kind: 'heap',
        level: 'leak',
        current: 412e6,
        perMinute: 38.2e6 / 60,
        heapLimit: { seconds: 13_800, lowSeconds: 7800, highSeconds: 21_600 },
        containerLimit: { seconds: 4e7, lowSeconds: 3e7, highSeconds: null },
      },
      { kind: 'resources', level: 'watching', current: 14, perMinute: 0, heapLimit: null, containerLimit: null },
    ],
    generations: [
      { index: 0, epochMillis: Date.UTC(2026, 10, 22, 1, 0), bytes: 41e6 },
      { index: 3, epochMillis: Date.UTC(2026, 10, 22, 1, 20), bytes: 53.4e6 },
    ],
    notes: ['source maps are still being read'],
  };

  it('has the level, the kinds, the findings with their stacks, how to compare the generations, and the notes', () => {
    const page = leaksText(verdict, 'http://127.0.0.1:9464');
    expect(page).toMatch(/^Leaks: leak\.\n\nkind       level     now       rises by   V8's limit in +memory limit in\n/);
    expect(page).toContain('heap       leak      412.0 MB  38.2 MB/h  3 h 50 min (2 h 10 min to 6 h)  more than a year\n');
    expect(page).toContain('resources  watching  14        -          -                               -\n');
    expect(page).toContain('\n1. leak of heap: rememberSession');
    expect(page).toContain('   gained 12.3 MB since 2026-11-22T01:00:00Z; leak since 2026-11-22T01:20:00Z\n');
    expect(page).toContain('      62 %  Session (services/session.cjs:7)\n');
    expect(page).toContain('     onLogin (services/gateway.cjs:90)');
    expect(page).toContain('\n2. leak of native memory: it gains 38.2 MB an hour; no line is named: nothing');
    expect(page).toContain('3           2026-11-22T01:20:00Z  53.4 MB\n');
    expect(page).toContain(
      "go tool pprof -diff_base 'http://127.0.0.1:9464/debug/leaks/heap?generation=first' 'http://127.0.0.1:9464/debug/leaks/heap?generation=last'",
    );
    expect(page).toContain('Notes:\n  source maps are still being read');
  });

  it('fits 120 columns, but for commands and paths, which are copied', () => {
    const lines = leaksText(verdict, 'http://127.0.0.1:9464').split('\n');
    expect(lines.filter((line) => line.length > 120)).toEqual([expect.stringContaining('go tool pprof')]);
  });

  it('says that nothing grows, and nothing more, where nothing does', () => {
    expect(leaksText({ level: 'watching', findings: [], kinds: [], generations: [], notes: [] }, '')).toBe(
      'Leaks: watching. Nothing is found to grow.',
    );
  });
});

describe('quantities', () => {
  it.each([
    [0, '0 s'],
    [89, '89 s'],
    [90, '2 min'],
    [3000, '50 min'],
    [3599, '60 min'],
    [3600, '1 h'],
    [7199, '2 h'],
    [13_800, '3 h 50 min'],
    [172_799, '48 h'],
    [172_800, '2 d'],
    [190_800, '2 d 5 h'],
    [365 * 86_400 - 1, '365 d'],
    [365 * 86_400, 'more than a year'],
  ])('%i seconds are %s', (seconds, expected) => {
    expect(durationText(seconds)).toBe(expected);
  });

  it.each([
    [0, '0 kB'],
    [99_949, '100 kB'],
    [99_950, '0.1 MB'],
    [38.2e6, '38.2 MB'],
    [999.94e6, '999.9 MB'],
    [999.95e6, '1.00 GB'],
    [-2.5e6, '-2.5 MB'],
  ])('%d bytes are %s', (bytes, expected) => {
    expect(bytesText(bytes)).toBe(expected);
  });
});
