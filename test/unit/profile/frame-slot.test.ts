// Labels where AsyncContextFrame is active: who gets a native holder of its own, who that of its route, and what the sampler
// finds in the frame of the moment. The store is a real AsyncLocalStorage, so that this runs on any Node.
import { AsyncLocalStorage } from 'node:async_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { attach, followContext, ROOT, runSuppressed, runWith, SPAN_KEY } from '../../../src/core/context.ts';
import type { SampleLabels } from '../../../src/profile/labels.ts';
import type { LabelSet } from '../../../src/profile/profile.ts';
import { createLabels, Sampler, spanOf, type TestSpan } from './sampler.ts';

/** Holders of their own that requests may have at once. */
const BURST = 50;

const lines: string[] = [];
let millis = 1_000_000;
let store: AsyncLocalStorage<object | undefined>;
let labels: SampleLabels;
let sampler: Sampler;

beforeEach(() => {
  store = new AsyncLocalStorage();
  sampler = new Sampler(store);
  labels = createLabels(lines, { monotonicMillis: () => millis });
  labels.start(sampler.native, store);
  followContext({ entering: (active) => labels.entering(active), left: (active, before) => labels.left(active, before) });
});

afterEach(() => {
  followContext(undefined);
  labels.stop();
  store.disable();
  expect(lines.splice(0)).toEqual([]);
});

const request = (route = '', traceFlags = 1): TestSpan => spanOf(route, { traceFlags, startMonotonicMillis: millis });

/** What a request does, in a frame of its own. */
const inFrame = <T>(fn: () => T): T => store.run(undefined, fn);

/** What a sample taken now would say. */
function labelsNow(): LabelSet {
  const context = sampler.sample();
  return context === undefined ? {} : labels.labelsOf(context);
}

/** What a request's samples say after it has begun, and after a router has named it. */
function serve(span: TestSpan, route = '/r'): [begun: LabelSet, routed: LabelSet] {
  return inFrame(() => {
    labels.begun(span);
    const begun = labelsNow();
    span.route = route;
    labels.routed(route);
    return [begun, labelsNow()];
  });
}

/** Leaves nothing of the allowance. */
function exhaust(): void {
  for (let i = 0; i < BURST; i++) serve(request());
}

const withSpan = (span: TestSpan): ReturnType<typeof ROOT.setValue> => ROOT.setValue(SPAN_KEY, span);

const ids = ({ traceId, spanId }: TestSpan): LabelSet => ({ trace_id: traceId, span_id: spanId });

describe('a request', () => {
  test('is told by trace, span and route from its first sample on, if it is one of the first fifty at once', () => {
    for (let i = 1; i <= BURST; i++) {
      const span = request();
      expect(serve(span)).toEqual([ids(span), { ...ids(span), 'http.route': '/r' }]);
    }
    expect(sampler.holders).toBe(BURST);
    expect(serve(request())).toEqual([{}, { 'http.route': '/r' }]);
    expect(sampler.holders).toBe(BURST + 1);
  });

  test('beyond them one in a millisecond is, and not before that is over', () => {
    exhaust();
    millis += 0.999;
    expect(serve(request())[0]).toEqual({});
    millis += 0.001;
    const span = request();
    expect(serve(span)[0]).toEqual(ids(span));
    expect(serve(request())[0]).toEqual({});
  });

  test('fifty at once are, however long the pause before was', () => {
    exhaust();
    millis += 1e6;
    exhaust();
    expect(serve(request())[0]).toEqual({});
  });

  test('that shares the holder of its route shares it with all of them', () => {
    exhaust();
    const before = sampler.holders;
    for (let i = 0; i < 100; i++) serve(request(), i % 2 === 0 ? '/a' : '/b');
    expect(sampler.holders - before).toBe(2);
  });

  test('that is not sampled has its route only, and takes no holder from the others', () => {
    for (let i = 0; i < BURST; i++) expect(serve(request('', 0))).toEqual([{}, { 'http.route': '/r' }]);
    expect(sampler.holders).toBe(1);
    for (let i = 0; i < BURST; i++) expect(serve(request())[0]).toHaveProperty('trace_id');
  });

  test('that is pipelined inherits nothing of the one before it in its frame', () => {
    inFrame(() => {
      const first = request();
      labels.begun(first);
      labels.begun(request('', 0));
      expect(labelsNow()).toEqual({});
      labels.begun(request());
      for (let i = 2; i < BURST; i++) labels.begun(request());
      expect(labelsNow()).toHaveProperty('trace_id');
      labels.begun(request());
      expect(labelsNow()).toEqual({});
      labels.routed('/r');
      labels.begun(request('', 0));
      expect(labelsNow()).toEqual({});
    });
  });

  test('has the route that it is given last, without another holder, if it has one of its own', () => {
    inFrame(() => {
      const span = request();
      labels.begun(span);
      const context = sampler.sample()!;
      for (const route of ['/a', '/b']) labels.routed((span.route = route));
      expect(labels.labelsOf(context)).toEqual({ ...ids(span), 'http.route': '/b' });
    });
    expect(sampler.holders).toBe(1);
  });

  test('is what samples are about for stalls too, where it is known', () => {
    const span = request();
    const [own, shared] = [
      inFrame(() => (labels.begun(span), sampler.sample()!)),
      inFrame(() => (labels.begun(request('', 0)), labels.routed('/r'), sampler.sample()!)),
    ];
    expect(labels.activeOf(own)).toBe(span);
    expect(labels.activeOf(shared)).toBeUndefined();
  });
});

describe('a span inside a request', () => {
  test('has its own samples over its awaits, while the request has those between', async () => {
    const outer = request('/r');
    const inner = request('/r');
    await inFrame(async () => {
      labels.begun(outer);
      const done = runWith(withSpan(inner), async () => {
        const first = labelsNow();
        await nextTurn();
        return [first, labelsNow()];
      });
      expect(labelsNow()).toMatchObject(ids(outer));
      await nextTurn();
      expect(labelsNow()).toMatchObject(ids(outer));
      for (const found of await done) expect(found).toEqual({ ...ids(inner), 'http.route': '/r' });
      expect(labelsNow()).toMatchObject(ids(outer));
    });
  });

  test('gives the samples back when it throws', () => {
    inFrame(() => {
      const outer = request();
      labels.begun(outer);
      const fails = (): never =>
        runWith(withSpan(request()), () => {
          throw new Error('of the application');
        });
      expect(fails).toThrow('of the application');
      expect(labelsNow()).toEqual(ids(outer));
    });
  });

  test('that is active already, is not sampled, or comes beyond the allowance leaves them with the request', () => {
    inFrame(() => {
      const outer = request();
      labels.begun(outer);
      const inside = (span: TestSpan): LabelSet => runWith(withSpan(span), labelsNow);
      expect(inside(outer)).toEqual(ids(outer));
      expect(inside(request('', 0))).toEqual(ids(outer));
      expect(sampler.holders).toBe(1);
      for (let i = 1; i < BURST; i++) inside(request());
      expect(inside(request())).toEqual(ids(outer));
      expect(sampler.holders).toBe(BURST);
    });
  });

  test('that is attached has them until it is detached', () => {
    inFrame(() => {
      const [outer, inner] = [request(), request()];
      labels.begun(outer);
      const detach = attach(withSpan(inner));
      expect(labelsNow()).toEqual(ids(inner));
      detach();
      expect(labelsNow()).toEqual(ids(outer));
    });
  });

  test('of the root context, and what is suppressed, has no labels, nor has what they start', async () => {
    const outer = request('/r');
    await inFrame(async () => {
      labels.begun(outer);
      for (const run of [runSuppressed, (fn: () => Promise<LabelSet[]>) => runWith(ROOT, fn)]) {
        const later = run(async () => {
          const first = labelsNow();
          await nextTurn();
          return [first, labelsNow()];
        });
        expect(labelsNow()).toMatchObject(ids(outer));
        expect(await later).toEqual([{}, {}]);
        expect(labelsNow()).toMatchObject(ids(outer));
      }
    });
  });
});

describe("the application's labels", () => {
  test('are on the samples of their scope, nested ones besides, the inner value first, over awaits', async () => {
    const found = await labels.label({ tenant: 'a', shard: 1 }, async () => {
      const first = labelsNow();
      await nextTurn();
      const inner = labels.label({ tenant: 'b', isTrial: true }, async () => {
        await nextTurn();
        return labelsNow();
      });
      return [first, await inner, labelsNow()];
    });
    expect(found).toEqual([
      { tenant: 'a', shard: '1' },
      { tenant: 'b', shard: '1', isTrial: 'true' },
      { tenant: 'a', shard: '1' },
    ]);
    expect(labelsNow()).toEqual({});
  });

  test('join those of the request, whether it is told by span or by route', () => {
    const span = request('/r');
    inFrame(() => {
      labels.begun(span);
      expect(labels.label({ tenant: 'a' }, labelsNow)).toEqual({ ...ids(span), 'http.route': '/r', tenant: 'a' });
      expect(labelsNow()).toEqual({ ...ids(span), 'http.route': '/r' });
    });
    inFrame(() => {
      labels.begun(request('', 0));
      labels.routed('/r');
      expect(labels.label({ tenant: 'a' }, labelsNow)).toEqual({ 'http.route': '/r', tenant: 'a' });
      expect(labelsNow()).toEqual({ 'http.route': '/r' });
    });
  });

  test('stay when a router names the request inside their scope, and when a span becomes active there', () => {
    inFrame(() => {
      labels.begun(request('', 0));
      labels.label({ tenant: 'a' }, () => {
        labels.routed('/r');
        expect(labelsNow()).toEqual({ 'http.route': '/r', tenant: 'a' });
        labels.routed('/other');
        expect(labelsNow()).toEqual({ 'http.route': '/other', tenant: 'a' });
        labels.routed('');
        expect(labelsNow()).toEqual({ tenant: 'a' });
        const span = request('/r');
        expect(runWith(withSpan(span), labelsNow)).toEqual({ ...ids(span), 'http.route': '/r', tenant: 'a' });
      });
    });
  });

  test('beyond the allowance share a holder with the same route and labels', () => {
    exhaust();
    const before = sampler.holders;
    for (let i = 0; i < 30; i++) {
      const found = inFrame(() => {
        labels.routed(i % 2 === 0 ? '/a' : '/b');
        return labels.label({ tenant: String(i % 3) }, labelsNow);
      });
      expect(found).toEqual({ 'http.route': i % 2 === 0 ? '/a' : '/b', tenant: String(i % 3) });
    }
    expect(sampler.holders - before).toBe(2 + 6);
  });

  test('of the two-thousandth set are shared, those of the next get lost and are counted, and the route stays', () => {
    exhaust();
    const found = (tenant: number): LabelSet => inFrame(() => (labels.routed('/r'), labels.label({ tenant }, labelsNow)));
    for (let i = 1; i < 2000; i++) found(i);
    expect(found(2000)).toEqual({ 'http.route': '/r', tenant: '2000' });
    expect(labels.overflowed).toBe(0);
    expect(found(2001)).toEqual({ 'http.route': '/r' });
    expect(labels.overflowed).toBe(1);
    expect(found(1)).toEqual({ 'http.route': '/r', tenant: '1' });
  });

  test('pass on what the scope answers and what it throws', () => {
    const answer = {};
    expect(labels.label({ tenant: 'a' }, () => answer)).toBe(answer);
    const error = new Error('of the application');
    expect(() =>
      labels.label({ tenant: 'a' }, () => {
        throw error;
      }),
    ).toThrow(error);
    expect(labelsNow()).toEqual({});
  });
});

test('the two-thousandth route has a holder, the next has none and is counted', () => {
  for (let i = 1; i <= 2000; i++) inFrame(() => labels.routed(`/${i}`));
  expect([sampler.holders, labels.overflowed]).toEqual([2000, 0]);
  expect(inFrame(() => (labels.routed('/2001'), sampler.sample()))).toBeUndefined();
  expect([sampler.holders, labels.overflowed]).toEqual([2000, 1]);
});
