// The head samplers against the SDK's own, on ids and parents of every kind.
import { ROOT_CONTEXT, SamplingDecision, SpanKind, trace } from '@opentelemetry/api';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  type Sampler as SdkSampler,
} from '@opentelemetry/sdk-trace-node';
import { describe, expect, it } from 'vitest';
import { newSpanId, newTraceId } from '../../../src/core/ids.ts';
import { createSampler, SAMPLER_NAMES, type SamplerName } from '../../../src/trace/sampling.ts';

function sdkSampler(name: SamplerName, ratio: number): SdkSampler {
  const root = name.endsWith('always_on')
    ? new AlwaysOnSampler()
    : name.endsWith('always_off')
      ? new AlwaysOffSampler()
      : new TraceIdRatioBasedSampler(ratio);
  return name.startsWith('parentbased_') ? new ParentBasedSampler({ root }) : root;
}

const EDGES = [
  '0'.repeat(31) + '1',
  'f'.repeat(32),
  '8' + '0'.repeat(31),
  '7fffffff'.repeat(4),
  `ffffffff${'0'.repeat(24)}`,
  `fffffffe${'0'.repeat(24)}`,
  `00000001${'0'.repeat(24)}`,
];
const IDS = [...EDGES, ...Array.from({ length: 2000 }, newTraceId)];
const PARENTS: readonly (number | undefined)[] = [undefined, 0, 1, 2, 3, 0xfe, 0xff];

describe.each([...SAMPLER_NAMES])('%s', (name) => {
  it.each([0, 0.0001, 0.25, 0.5, 0.999, 1])('decides as the SDK does at a ratio of %s', (ratio) => {
    const mine = createSampler(name, ratio);
    const theirs = sdkSampler(name, ratio);
    const different: string[] = [];
    for (const traceId of IDS) {
      for (const traceFlags of traceId === IDS.at(-1) || EDGES.includes(traceId) ? PARENTS : [undefined]) {
        const context =
          traceFlags === undefined
            ? ROOT_CONTEXT
            : trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId: newSpanId(), traceFlags, isRemote: true });
        const { decision } = theirs.shouldSample(context, traceId, 'span', SpanKind.SERVER, {}, []);
        if (mine({ traceId }, traceFlags) !== (decision === SamplingDecision.RECORD_AND_SAMPLED))
          different.push(`${traceId} ${traceFlags}`);
      }
    }
    expect(different).toEqual([]);
  });
});

describe('ids', () => {
  it('are lower-case hexadecimal digits, never all zero, and never twice', () => {
    const traceIds = Array.from({ length: 10_000 }, newTraceId);
    const spanIds = Array.from({ length: 10_000 }, newSpanId);
    expect(traceIds.every((id) => /^(?!0{32})[0-9a-f]{32}$/.test(id))).toBe(true);
    expect(spanIds.every((id) => /^(?!0{16})[0-9a-f]{16}$/.test(id))).toBe(true);
    expect(new Set(traceIds).size).toBe(10_000);
    expect(new Set(spanIds).size).toBe(10_000);
  });
});
