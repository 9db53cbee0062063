// Labels where AsyncContextFrame is not active: one holder in the sampler's one slot, which is told what was active when a
// continuation ends or something else becomes active inside it.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { attach, enter, followContext, ROOT, runSuppressed, runWith, SPAN_KEY } from '../../../src/core/context.ts';
import type { SampleLabels } from '../../../src/profile/labels.ts';
import type { LabelSet } from '../../../src/profile/profile.ts';
import { createLabels, Sampler, spanOf, type TestSpan } from './sampler.ts';

const lines: string[] = [];
let labels: SampleLabels;
let sampler: Sampler;

beforeEach(() => {
  sampler = new Sampler();
  labels = createLabels(lines);
  labels.start(sampler.native, undefined);
  followContext({ entering: (active) => labels.entering(active), left: (active, before) => labels.left(active, before) });
});

afterEach(() => {
  followContext(undefined);
  labels.stop();
  expect(lines.splice(0)).toEqual([]);
});

/** Runs `fn` in a turn of its own in which a request has begun, and waits until all that it started is over. */
async function inRequest<T>(span: TestSpan, fn: () => T | Promise<T>): Promise<T> {
  const answer = await new Promise<T>((resolve, reject) => {
    setImmediate(() => {
      enter(span);
      labels.begun(span);
      Promise.resolve().then(fn).then(resolve, reject);
    });
  });
  await nextTurn();
  return answer;
}

const read = (context: object | undefined): LabelSet => labels.labelsOf(context!);

const withSpan = (span: TestSpan): ReturnType<typeof ROOT.setValue> => ROOT.setValue(SPAN_KEY, span);

const ids = ({ traceId, spanId }: TestSpan): LabelSet => ({ trace_id: traceId, span_id: spanId });

describe('a span inside a request', () => {
  test('has the samples that are taken in it, over its awaits; the request has those before, between and after', async () => {
    const [outer, inner] = [spanOf('/r'), spanOf('/r')];
    const found = await inRequest(outer, async () => {
      const before = sampler.sample();
      let later: object | undefined;
      let first: object | undefined;
      const done = runWith(withSpan(inner), async () => {
        first = sampler.sample();
        await nextTurn();
        later = sampler.sample();
      });
      const between = sampler.sample();
      await done;
      return { before, first, between, later, after: sampler.sample() };
    });
    expect(Object.fromEntries(Object.entries(found).map(([name, context]) => [name, read(context)['span_id']]))).toEqual({
      before: outer.spanId,
      first: inner.spanId,
      between: outer.spanId,
      later: inner.spanId,
      after: outer.spanId,
    });
  });

  test('that is attached has them until it is detached', async () => {
    const [outer, inner] = [spanOf('/r'), spanOf('/r')];
    const found = await inRequest(outer, () => {
      const before = sampler.sample();
      const detach = attach(withSpan(inner));
      const attached = sampler.sample();
      detach();
      return [before, attached, sampler.sample()];
    });
    expect(found.map((context) => read(context)['span_id'])).toEqual([outer.spanId, inner.spanId, outer.spanId]);
  });

  test('of the root context, and what is suppressed, has no labels', async () => {
    const outer = spanOf('/r');
    const found = await inRequest(outer, () => {
      const before = sampler.sample();
      const suppressed = runSuppressed(() => sampler.sample());
      const between = sampler.sample();
      const inRoot = runWith(ROOT, () => sampler.sample());
      return [before, suppressed, between, inRoot, sampler.sample()];
    });
    const own = { ...ids(outer), 'http.route': '/r' };
    expect(found.map(read)).toEqual([own, {}, own, {}, own]);
  });

  test('makes no holder where no sample was taken', async () => {
    const holders = new Set<object | undefined>();
    await inRequest(spanOf('/r'), () => {
      for (let i = 0; i < 20; i++) runWith(withSpan(spanOf('/r')), () => holders.add(sampler.context));
    });
    expect(holders.size).toBe(1);
  });
});

test('a request that is not sampled has its route and no ids', async () => {
  const [found] = await inRequest(spanOf('/r', { traceFlags: 0 }), () => [sampler.sample()]);
  expect(read(found)).toEqual({ 'http.route': '/r' });
});

test('the span that was active is known for stalls', async () => {
  const span = spanOf('/r');
  const [found] = await inRequest(span, () => [sampler.sample()]);
  expect(labels.activeOf(found!)).toBe(span);
});

describe("the application's labels", () => {
  test('are on the samples of their scope, nested ones besides, the inner value first, over awaits', async () => {
    const found = await labels.label({ tenant: 'a', shard: 1 }, async () => {
      const first = sampler.sample();
      await nextTurn();
      const inner = await labels.label({ tenant: 'b', isTrial: true }, async () => {
        const before = sampler.sample();
        await nextTurn();
        return [before, sampler.sample()];
      });
      return [first, ...inner, sampler.sample()];
    });
    await nextTurn();
    const outside = sampler.sample();
    await nextTurn();
    expect([...found, outside].map(read)).toEqual([
      { tenant: 'a', shard: '1' },
      { tenant: 'b', shard: '1', isTrial: 'true' },
      { tenant: 'b', shard: '1', isTrial: 'true' },
      { tenant: 'a', shard: '1' },
      {},
    ]);
  });

  test('are not on the samples of the turn before their scope and after it', async () => {
    const found = await inRequest(spanOf('/r'), () => {
      const before = sampler.sample();
      const inside = labels.label({ tenant: 'a' }, () => sampler.sample());
      return [before, inside, sampler.sample()];
    });
    expect(found.map((context) => read(context)['tenant'])).toEqual([undefined, 'a', undefined]);
  });

  test('join those of the request, and of a span inside their scope', async () => {
    const [outer, inner] = [spanOf('/r'), spanOf('/r')];
    const found = await inRequest(outer, () =>
      labels.label({ tenant: 'a' }, () => {
        const first = sampler.sample();
        labels.routed('/r');
        return [first, runWith(withSpan(inner), () => sampler.sample())];
      }),
    );
    expect(found.map(read)).toEqual([outer, inner].map((span) => ({ ...ids(span), 'http.route': '/r', tenant: 'a' })));
  });

  test('pass on what the scope answers and what it throws', async () => {
    const answer = {};
    expect(labels.label({ tenant: 'a' }, () => answer)).toBe(answer);
    const error = new Error('of the application');
    let inside: object | undefined;
    expect(() =>
      labels.label({ tenant: 'a' }, () => {
        inside = sampler.sample();
        throw error;
      }),
    ).toThrow(error);
    await nextTurn();
    expect(read(inside)).toEqual({ tenant: 'a' });
  });
});
