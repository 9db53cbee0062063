import { describe, expect, it } from 'vitest';
import { TraceRing } from '../../../src/trace/ring.ts';
import { Harness } from '../../helpers/harness.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';

/** A ring and a way to offer it traces of one span each. */
function ringed(clock = new ManualClock()): {
  ring: TraceRing;
  clock: ManualClock;
  offer(options?: { traceId?: string; millis?: number; failed?: boolean }): void;
} {
  const ring = new TraceRing();
  const harness = new Harness({ clock });
  return {
    ring,
    clock,
    offer({ traceId, millis = 1, failed = false } = {}): void {
      const traceparent = traceId === undefined ? undefined : `00-${traceId}-b7ad6b7169203331-01`;
      const span = harness.tracing.startServer({ traceparent, tracestate: undefined, baggage: undefined });
      clock.advance(millis);
      if (failed) span.setStatus({ code: 2 });
      span.end();
      ring.offer(span);
    },
  };
}

const id = (low: string): string => `0af7651916cd43dd8448eb21${low.padStart(8, '0')}`;

describe('TraceRing', () => {
  it('takes every trace of a quiet service, newest first', () => {
    const { ring, offer } = ringed();
    for (const low of ['1', '2', '3']) offer({ traceId: id(low) });
    expect(ring.list().map(({ traceId }) => traceId)).toEqual([id('3'), id('2'), id('1')]);
  });

  it('takes ten ordinary traces of a second and not the eleventh', () => {
    const { ring, offer } = ringed();
    for (let i = 0; i < 20; i++) offer({ traceId: id(i.toString(16)) });
    expect(ring.list()).toHaveLength(10);
  });

  it('goes on taking failed and slow traces, ten more a second', () => {
    const { ring, offer } = ringed();
    for (let i = 0; i < 20; i++) offer();
    for (let i = 0; i < 20; i++) offer({ failed: true });
    const failed = ring.list().filter(({ error }) => error);
    expect(failed).toHaveLength(10);
  });

  it('takes a trace of a second and leaves one of 999 ms', () => {
    const { ring, clock, offer } = ringed();
    for (let i = 0; i < 11; i++) offer({ millis: 0 });
    const before = ring.list().length;
    clock.advance(0);
    offer({ millis: 999 - (clock.monotonicMillis() % 1000) });
    expect(ring.list()).toHaveLength(before);
  });

  it('takes, after a busy second, only ids whose low bits are zero, so that busy services keep the same traces', () => {
    const busy = ringed();
    const quieter = ringed();
    for (let i = 0; i < 80; i++) busy.offer({ millis: 10 });
    for (let i = 0; i < 20; i++) quieter.offer({ millis: 10 });
    busy.clock.advance(1000);
    quieter.clock.advance(1000);
    for (const { offer } of [busy, quieter]) for (let i = 0; i < 32; i++) offer({ traceId: id(i.toString(16)), millis: 0 });
    const kept = ({ ring }: { ring: TraceRing }): string[] =>
      ring
        .list()
        .map(({ traceId }) => traceId)
        .filter((traceId) => traceId.startsWith('0af7651916'));
    const inBoth = kept(busy).filter((traceId) => kept(quieter).includes(traceId));
    expect(kept(busy).length).toBeGreaterThan(1);
    expect(inBoth).toEqual(kept(busy));
  });

  it('shows what one trace left in several pieces as one entry, in order of start', () => {
    const { ring, offer } = ringed();
    offer({ traceId: id('1') });
    offer({ traceId: id('1') });
    const [entry, ...others] = ring.list();
    expect(others).toEqual([]);
    expect(entry!.spans).toHaveLength(2);
    expect(entry!.spans[0]!.startEpochMillis).toBeLessThan(entry!.spans[1]!.startEpochMillis);
  });

  it('holds 200 traces and forgets the oldest', () => {
    const { ring, clock, offer } = ringed();
    for (let i = 0; i < 201; i++) {
      offer({ traceId: id(i.toString(16)) });
      clock.advance(1000);
    }
    const ids = ring.list().map(({ traceId }) => traceId);
    expect(ids).toHaveLength(200);
    expect(ids).not.toContain(id('0'));
  });
});
