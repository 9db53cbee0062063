// Who watches for slow spans is told while the span still records.
import { describe, expect, test } from 'vitest';
import type { Span } from '../../../src/trace/span.ts';
import { Harness } from '../../helpers/harness.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';

const clock = new ManualClock();

function endAfter(millis: number, onSlow: (span: Span) => void, slowMillis = 100): Span {
  const { tracing } = new Harness({ clock });
  const span = tracing.startServer({ traceparent: undefined, tracestate: undefined, baggage: undefined });
  tracing.watchSlow(slowMillis, () => onSlow(span));
  clock.advance(millis);
  span.end();
  return span;
}

describe('a span that ends', () => {
  test.each([
    [99.9, 0],
    [100, 1],
    [5000, 1],
  ])('after %d ms is told of %d times', (millis, count) => {
    let told = 0;
    endAfter(millis, () => (told += 1));
    expect(told).toBe(count);
  });

  test('takes an event then, and keeps its end', () => {
    const span = endAfter(150, (slow) => {
      slow.addEvent('sonde.eventloop.stall');
      clock.advance(7);
    });
    expect(span.events.map(({ name }) => name)).toEqual(['sonde.eventloop.stall']);
    expect(span.durationMillis).toBe(150);
  });

  test('is told of to nobody where nobody watches', () => {
    const { tracing } = new Harness({ clock });
    const span = tracing.startServer({ traceparent: undefined, tracestate: undefined, baggage: undefined });
    clock.advance(1e9);
    expect(() => span.end()).not.toThrow();
    expect(span.ended).toBe(true);
  });
});
