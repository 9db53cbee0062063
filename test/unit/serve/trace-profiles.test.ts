import { expect, test } from 'vitest';
import { withProfiles } from '../../../src/serve/trace-profiles.ts';
import type { SpanEntry, TraceEntry } from '../../../src/trace/trace-entry.ts';

const NOW = 1_000_000;

function traceAt(...startEpochMillis: number[]): TraceEntry {
  const spans = startEpochMillis.map((start, i) => ({ spanId: String(i).repeat(16), startEpochMillis: start }) as SpanEntry);
  return { traceId: 'a'.repeat(32), name: 'GET /', startEpochMillis: startEpochMillis[0]!, durationMillis: 1, error: false, spans };
}

test('a trace and each span say where the samples of their time are, as far back as they began', () => {
  const { profile, spans } = withProfiles(traceAt(NOW - 61_000, NOW - 60_001), { nowEpochMillis: NOW, seconds: 900 });
  expect(profile).toBe(`pprof/profile?last=61&trace_id=${'a'.repeat(32)}`);
  expect(spans.map((span) => span.profile)).toEqual([
    `pprof/profile?last=61&span_id=${'0'.repeat(16)}`,
    `pprof/profile?last=61&span_id=${'1'.repeat(16)}`,
  ]);
});

test('the last second that is remembered has a link, the next has none, and what has just begun has one', () => {
  const history = { nowEpochMillis: NOW, seconds: 12.4 };
  const links = [NOW, NOW - 12_000, NOW - 12_001].map((start) => withProfiles(traceAt(start), history).profile?.replace(/&.*/, ''));
  expect(links).toEqual(['pprof/profile?last=1', 'pprof/profile?last=12', undefined]);
  expect(withProfiles(traceAt(NOW), { nowEpochMillis: NOW, seconds: 0 })).not.toHaveProperty('profile');
});
