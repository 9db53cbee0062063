import { setImmediate as immediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import {
  activeContext,
  activeIds,
  activeSpan,
  activeValue,
  attach,
  BAGGAGE_KEY,
  enter,
  isSuppressed,
  ROOT,
  runSuppressed,
  runWith,
  SPAN_KEY,
  type StoredSpan,
} from '../../../src/core/context.ts';

const KEY = Symbol('key');

function storedSpan(spanId = '2'.repeat(16)): StoredSpan {
  const span: StoredSpan = {
    isSpan: true,
    traceId: '1'.repeat(32),
    spanId,
    traceFlags: 1,
    contextValue: (key) => (key === SPAN_KEY ? span : key === BAGGAGE_KEY ? 'baggage' : undefined),
  };
  return span;
}

/** Runs in an asynchronous execution of its own, so that what it enters ends with it. */
async function isolated(fn: () => unknown): Promise<void> {
  await immediate();
  await Promise.resolve().then(fn);
  await immediate();
}

describe('outside of everything', () => {
  it('nothing is active', () => {
    expect([activeContext(), activeSpan(), activeIds(), activeValue(KEY), isSuppressed()]).toEqual([
      ROOT,
      undefined,
      undefined,
      undefined,
      false,
    ]);
  });
});

describe('a span that was entered', () => {
  it('is active, with its ids and what came with it, here and after a wait', () =>
    isolated(async () => {
      const span = storedSpan();
      enter(span);
      for (let i = 0; i < 2; i++) {
        expect(activeSpan()).toBe(span);
        expect(activeIds()).toBe(span);
        expect(activeContext().getValue(SPAN_KEY)).toBe(span);
        expect([activeValue(BAGGAGE_KEY), activeContext().getValue(BAGGAGE_KEY), activeValue(KEY)]).toEqual([
          'baggage',
          'baggage',
          undefined,
        ]);
        await immediate();
      }
    }));

  it('is the same span again when its context is run', () =>
    isolated(() => {
      const span = storedSpan();
      enter(span);
      const context = activeContext();
      runWith(ROOT, () => {
        expect(activeSpan()).toBeUndefined();
        expect(runWith(context, activeSpan)).toBe(span);
      });
    }));
});

describe('a context', () => {
  it('adds, replaces and hides values and changes nothing below', () => {
    const one = ROOT.setValue(KEY, 1);
    const two = one.setValue(KEY, 2);
    const gone = two.deleteValue(KEY);
    expect([ROOT, one, two, gone].map((context) => context.getValue(KEY))).toEqual([undefined, 1, 2, undefined]);
    expect(gone.setValue(KEY, 3).getValue(KEY)).toBe(3);
    expect(ROOT.deleteValue(KEY)).toBe(ROOT);
  });

  it('on top of a span keeps the span, unless it hides it', () =>
    isolated(() => {
      const span = storedSpan();
      enter(span);
      const context = activeContext().setValue(KEY, 'v');
      runWith(context, () => expect([activeSpan(), activeValue(KEY)]).toEqual([span, 'v']));
      runWith(context.deleteValue(SPAN_KEY), () =>
        expect([activeSpan(), activeIds(), activeValue(KEY)]).toEqual([undefined, undefined, 'v']),
      );
      runWith(activeContext().deleteValue(SPAN_KEY), () =>
        expect([activeSpan(), activeValue(BAGGAGE_KEY)]).toEqual([undefined, 'baggage']),
      );
    }));

  it('with a span of somebody else has the ids of that', () => {
    const ids = { traceId: '3'.repeat(32), spanId: '4'.repeat(16), traceFlags: 0 };
    runWith(ROOT.setValue(SPAN_KEY, { spanContext: () => ids }), () => expect(activeIds()).toEqual(ids));
  });

  it('gives back what the function returned or threw, and ends with it', () => {
    expect(runWith(ROOT.setValue(KEY, 1), () => activeValue(KEY))).toBe(1);
    const error = new Error('mine');
    expect(() =>
      runWith(ROOT.setValue(KEY, 1), () => {
        throw error;
      }),
    ).toThrow(error);
    expect(activeValue(KEY)).toBeUndefined();
  });

  it('can be attached until it is taken back', () =>
    isolated(() => {
      const span = storedSpan();
      enter(span);
      const detach = attach(ROOT.setValue(KEY, 1));
      expect([activeValue(KEY), activeSpan()]).toEqual([1, undefined]);
      detach();
      expect([activeValue(KEY), activeSpan()]).toEqual([undefined, span]);
    }));
});

describe('suppression', () => {
  it('is seen in the function and after its waits, and by nobody else', async () => {
    const pending = runSuppressed(async () => {
      await immediate();
      return isSuppressed();
    });
    expect(isSuppressed()).toBe(false);
    expect(await pending).toBe(true);
  });

  it("is the SDK's: what its key suppresses is suppressed", () => {
    const key = Symbol.for('OpenTelemetry SDK Context Key SUPPRESS_TRACING');
    expect(runWith(ROOT.setValue(key, true), isSuppressed)).toBe(true);
    expect(runWith(ROOT.setValue(key, false), isSuppressed)).toBe(false);
  });
});
