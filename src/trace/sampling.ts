// Head sampling: whether a trace is recorded, decided from its id and its parent before anything is built.
// The names and rules are OTEL_TRACES_SAMPLER's; the SDK's own samplers are the oracle in the tests.
import { SAMPLED } from '../core/context.ts';
import { hexDigit } from '../core/ids.ts';

/** The samplers of the OpenTelemetry environment variable specification that Sonde knows. */
export const SAMPLER_NAMES = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;

export type SamplerName = (typeof SAMPLER_NAMES)[number];

/** Answers whether to record, given who has the trace id, asked for it only when it decides, and the flags of the parent (undefined for a new trace). */
export type Sampler = (span: { readonly traceId: string }, parentFlags: number | undefined) => boolean;

/** Makes the sampler of a name; `ratio` in [0, 1] is used by the two ratio samplers. */
export function createSampler(name: SamplerName, ratio: number): Sampler {
  const root = rootSampler(name, ratio);
  if (!name.startsWith('parentbased_')) return root;
  return (span, parentFlags) => (parentFlags === undefined ? root(span, undefined) : (parentFlags & SAMPLED) !== 0);
}

function rootSampler(name: SamplerName, ratio: number): Sampler {
  if (name.endsWith('always_on')) return () => true;
  if (name.endsWith('always_off')) return () => false;
  const bound = ratio === 1 ? 2 ** 32 : Math.floor(ratio * 0xffffffff);
  return ({ traceId }) => foldTraceId(traceId) < bound;
}

/** The four 32-bit words of a trace id, folded: OpenTelemetry JS's rule, so that mixed fleets keep the same traces. */
function foldTraceId(traceId: string): number {
  let folded = 0;
  for (let i = 0; i < 32; i += 8) {
    let word = 0;
    for (let j = i; j < i + 8; j++) word = (word << 4) | hexDigit(traceId.charCodeAt(j));
    folded ^= word;
  }
  return folded >>> 0;
}
