import { describe, expect, it } from 'vitest';
import { describeDeath, evidenceText, headline, parseEvidence } from '../../../src/leak/evidence.ts';
import { evidenceOf, MIB } from './evidence.ts';
import { findingOf } from './finding.ts';

describe('the text', () => {
  it('says what is near, what holds memory, and which requests are in flight', () => {
    expect(evidenceText(evidenceOf(), '/dump/a.json').split('\n')).toEqual([
      "the heap is near V8's limit: 75 % of 128 MiB, shop (pid 4194999)",
      '  old generation 96 MiB of 128 MiB, rss 200 MiB, external 2.0 MiB, up for 61 s',
      '  live: 90 MiB allocated by leakHere (/app/shop.js:12)',
      `  in flight for 250 ms: GET /cart/:id trace ${'a'.repeat(32)}`,
      '  evidence: /dump/a.json',
    ]);
  });

  it('says what grows, and has a name', () => {
    const text = evidenceText(
      evidenceOf({ verdict: { level: 'leak', findings: [findingOf({ site: null }), findingOf({ grownBytes: 70 * MIB })] } }),
      undefined,
    );
    expect(text.split('\n').filter((line) => line.includes('has gained'))).toEqual([
      '  leak: remember (/app/store.js:20) has gained 70 MiB',
    ]);
  });

  it('says how old the sizes are where the end came by surprise', () => {
    const evidence = evidenceOf({ reason: 'v8-out-of-memory', measuredEpochMillis: 1_700_000_000_000 - 4200 });
    expect(evidenceText(evidence, undefined).split('\n')[1]).toBe(
      '  4 s before: old generation 96 MiB of 128 MiB, rss 200 MiB, external 2.0 MiB, up for 57 s',
    );
  });

  it('has a dozen lines at most', () => {
    const { heap, requests } = evidenceOf();
    const many = evidenceOf({ heap: Array.from({ length: 10 }, () => heap[0]!), requests: Array.from({ length: 50 }, () => requests[0]!) });
    const lines = evidenceText(many, '/dump/a.json').split('\n');
    expect(lines.length).toBeLessThanOrEqual(12);
    expect(lines).toContain('  and 47 more requests');
  });

  it('begins with the limit that is near', () => {
    const container = { usedBytes: 230 * MIB, limitBytes: 256 * MIB };
    expect(headline(evidenceOf({ reason: 'container-limit', container }))).toContain("near the container's limit: 90 % of 256 MiB");
    expect(headline(evidenceOf({ reason: 'container-limit', container, forecastSeconds: 7.4 }))).toContain(
      "the container's limit is met in 7 s at this rate: 90 % of 256 MiB",
    );
    expect(headline(evidenceOf({ reason: 'v8-out-of-memory' }))).toContain('its limit is 128 MiB');
  });
});

it('a death is told in one line', () => {
  const line = describeDeath(evidenceOf({ reason: 'v8-out-of-memory' }), '/dump/a.reported.json');
  expect(line).toBe(
    'process 4194999 ended because V8 ran out of memory, last seen 2023-11-14T22:13:20.000Z; ' +
      'most of its memory was allocated by leakHere (/app/shop.js:12); evidence: /dump/a.reported.json',
  );
});

it.each([
  ['a leak that has a name', [findingOf({ site: null }), findingOf()], 'remember (/app/store.js:20)'],
  ['what holds most of the heap where a leak has none', [findingOf({ site: null })], 'leakHere (/app/shop.js:12)'],
  ['what holds most of the heap where a leak is gone', [findingOf({ level: 'gone' })], 'leakHere (/app/shop.js:12)'],
])('a death is told with %s', (_what, findings, place) => {
  expect(describeDeath(evidenceOf({ verdict: { level: 'leak', findings } }), '')).toContain(
    `; most of its memory was allocated by ${place}; `,
  );
});

describe('what is read again', () => {
  it('is what was written', () => {
    expect(parseEvidence(JSON.stringify(evidenceOf()))).toEqual(evidenceOf());
  });

  it.each(['', '{', 'null', '[]', '{"pid":1}', JSON.stringify(evidenceOf()).slice(0, -1)])('is nothing of %s', (text) => {
    expect(parseEvidence(text)).toBeUndefined();
  });
});
