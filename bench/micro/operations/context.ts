// Operations of core/: what is active, and the guard around every call into Sonde.
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Context } from '@opentelemetry/api';
import { activeContext, activeIds, enter, SPAN_KEY, type SpanIds } from '../../../src/core/context.ts';
import type { Span } from '../../../src/trace/span.ts';
import { inTurn, keep, operation, subject, type Operation } from '../operation.ts';
import { wireParts } from '../parts.ts';

export function contextEnter(): Operation {
  const spans = inTurn(Array.from({ length: 16 }, openSpan));
  const storage = new AsyncLocalStorage<object>();
  let entered: object | undefined;
  return operation({
    ours: subject(
      () => {
        const span = spans();
        enter(span);
        entered = span;
        return span;
      },
      { isRight: (span) => activeIds() === span && span === entered },
    ),
    bound: subject(
      () => {
        const span = spans();
        storage.enterWith(span);
        entered = span;
        return span;
      },
      { isRight: (span) => storage.getStore() === span && span === entered },
    ),
    boundIs: 'a bare AsyncLocalStorage.enterWith',
  });
}

/** A span, and how to make it active both for Sonde and in a bare store to compare with. */
function entered(): { span: Span; storage: AsyncLocalStorage<Span>; enterBoth: () => void } {
  const span = openSpan();
  const storage = new AsyncLocalStorage<Span>();
  const enterBoth = (): void => {
    enter(span);
    storage.enterWith(span);
  };
  return { span, storage, enterBoth };
}

export function idsRead(): Operation {
  const { span, storage, enterBoth } = entered();
  return operation({
    enter: enterBoth,
    ours: subject(() => keep(activeIds()), { isRight: (ids) => (ids as SpanIds).traceId === span.traceId }),
    bound: subject(() => keep(storage.getStore()), { isRight: (store) => store === span }),
    boundIs: 'a bare AsyncLocalStorage.getStore',
  });
}

export function contextRead(): Operation {
  const { span, storage, enterBoth } = entered();
  return operation({
    enter: enterBoth,
    ours: subject(() => keep(activeContext()), { isRight: (context) => (context as Context).getValue(SPAN_KEY) === span }),
    bound: subject(() => keep({ span: storage.getStore() }), { isRight: (view) => (view as { span: unknown }).span === span }),
    boundIs: 'a bare AsyncLocalStorage.getStore, an object of one field',
  });
}

export function guardedCall(): Operation {
  const { guard } = wireParts();
  const numbers = inTurn([1, 2, 3, 4, 5, 6, 7, 8]);
  let calls = 0;
  const count = (by: unknown, message: string): number => {
    calls += 1;
    return (by as number) + message.length;
  };
  const guarded = guard.wrap('bench', count);
  const effects = (): number => calls;
  return operation({
    ours: subject(() => keep(guarded(numbers(), 'start')), { effects }),
    bound: subject(() => keep(count(numbers(), 'start')), { effects }),
    boundIs: 'the function called directly',
  });
}

function openSpan(): Span {
  return wireParts().tracing.startServer({ traceparent: undefined, tracestate: undefined, baggage: undefined });
}
