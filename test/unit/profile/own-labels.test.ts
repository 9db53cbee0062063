// Which labels of the application are taken and how refusals are said, however samples come by their labels.
import { AsyncLocalStorage } from 'node:async_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { OwnLabels, SampleLabels } from '../../../src/profile/labels.ts';
import type { LabelSet } from '../../../src/profile/profile.ts';
import { createLabels, Sampler } from './sampler.ts';

const lines: string[] = [];
let labels: SampleLabels;

beforeEach(() => {
  lines.length = 0;
  labels = createLabels(lines, { active: () => undefined, monotonicMillis: () => 1000 });
});

describe.each(['with', 'without'])('%s AsyncContextFrame', (which) => {
  let store: AsyncLocalStorage<object | undefined>;
  let sampler: Sampler;

  beforeEach(() => {
    store = new AsyncLocalStorage();
    sampler = new Sampler(which === 'with' ? store : undefined);
    labels.start(sampler.native, which === 'with' ? store : undefined);
  });

  afterEach(() => {
    labels.stop();
    store.disable();
  });

  /** What a sample in a scope with these labels says. */
  async function scoped(own: OwnLabels): Promise<LabelSet> {
    const context = labels.label(own, () => sampler.sample());
    await nextTurn();
    return context === undefined ? {} : labels.labelsOf(context);
  }

  test('texts, numbers and booleans are taken, as text', async () => {
    expect(await scoped({ text: 'a', empty: '', number: 1.5, boolean: false })).toEqual({
      text: 'a',
      empty: '',
      number: '1.5',
      boolean: 'false',
    });
    expect(lines).toEqual([]);
  });

  test('the sixteenth label is taken, the seventeenth is left out and said once', async () => {
    const numbered = (count: number): OwnLabels => Object.fromEntries(Array.from({ length: count }, (_, i) => [`label${i + 1}`, i]));
    expect(Object.keys(await scoped(numbered(16)))).toHaveLength(16);
    expect(lines).toEqual([]);
    for (let i = 0; i < 2; i++) expect(Object.keys(await scoped(numbered(17)))).toEqual(Object.keys(numbered(16)));
    expect(lines).toEqual([expect.stringContaining('the profile label "label17" is left out')]);
  });

  test('a name of 128 characters is taken, one of 129 and the empty one are not', async () => {
    expect(await scoped({ ['n'.repeat(128)]: 1 })).toEqual({ ['n'.repeat(128)]: '1' });
    expect(lines).toEqual([]);
    expect(await scoped({ ['n'.repeat(129)]: 1, '': 2, kept: 3 })).toEqual({ kept: '3' });
    expect(lines).toHaveLength(2);
  });

  test('a value is cut after 256 characters', async () => {
    expect(await scoped({ a: 'v'.repeat(256), b: `${'v'.repeat(256)}w` })).toEqual({ a: 'v'.repeat(256), b: 'v'.repeat(256) });
  });

  test('names that are known to Sonde are refused, each said once, and the others taken', async () => {
    const reserved = { 'http.route': '/x', trace_id: 'x', span_id: 'x', thread: 'x' };
    for (let i = 0; i < 2; i++) expect(await scoped({ ...reserved, tenant: 'a' })).toEqual({ tenant: 'a' });
    expect(lines.map((line) => /label "(.*)" is/.exec(line)?.[1])).toEqual(Object.keys(reserved));
  });

  test('what is no text, number or boolean is refused', async () => {
    const wrong = { object: {}, nothing: undefined, null: null, big: 1n, fn: () => 1, symbol: Symbol('s') } as unknown as OwnLabels;
    expect(await scoped({ ...wrong, tenant: 'a' })).toEqual({ tenant: 'a' });
    expect(lines).toHaveLength(6);
  });

  test('no labels at all, and labels that fail when they are read, are no reason not to run the scope', async () => {
    expect(await scoped(undefined as unknown as OwnLabels)).toEqual({});
    const failing = Object.defineProperty({}, 'x', {
      enumerable: true,
      get: () => {
        throw new Error('of the application');
      },
    }) as OwnLabels;
    expect(labels.label(failing, () => 'ran')).toBe('ran');
    expect(lines).toEqual([expect.stringContaining('profile labels failed')]);
  });
});

test('without a profiler the scope runs and its labels are not looked at', () => {
  expect(labels.label({ 'http.route': '/x' }, () => 'ran')).toBe('ran');
  expect(lines).toEqual([]);
});
