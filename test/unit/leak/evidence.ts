// Evidence for tests.
import type { Evidence } from '../../../src/leak/evidence.ts';

export const MIB = 1_048_576;

export function evidenceOf(over: Partial<Evidence> = {}): Evidence {
  return {
    version: '1.2.3',
    service: 'shop',
    pid: 4_194_999,
    host: 'here',
    startTicks: 1,
    node: '20.0.0',
    reason: 'heap-limit',
    epochMillis: 1_700_000_000_000,
    time: '2023-11-14T22:13:20.000Z',
    measuredEpochMillis: 1_700_000_000_000,
    forecastSeconds: null,
    uptimeSeconds: 61,
    oldGeneration: { usedBytes: 96 * MIB, limitBytes: 128 * MIB },
    container: null,
    memoryUsage: { rss: 200 * MIB, heapTotal: 130 * MIB, heapUsed: 120 * MIB, external: 2 * MIB, arrayBuffers: MIB },
    verdict: { level: 'watching', findings: [] },
    heap: [{ function: 'leakHere', file: '/app/shop.js', line: 12, bytes: 90 * MIB }],
    requests: [{ method: 'GET', route: '/cart/:id', traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), durationMillis: 250 }],
    profile: null,
    ...over,
  };
}
