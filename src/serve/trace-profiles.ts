// Links from traces to their own CPU samples, for /debug/traces. Called by endpoints.ts.
import type { SpanEntry, TraceEntry } from '../trace/trace-entry.ts';

/** How far back samples go, and from when. */
export interface ProfileHistory {
  readonly nowEpochMillis: number;
  readonly seconds: number;
}

/** With a reference, relative to /debug/traces, to the CPU profile of that time with only its samples; none where that time is forgotten. */
type WithProfile<T> = T & { readonly profile?: string };

/** A trace whose spans, and which itself, say where their samples are. */
export function withProfiles(
  trace: TraceEntry,
  history: ProfileHistory,
): WithProfile<Omit<TraceEntry, 'spans'>> & { readonly spans: readonly WithProfile<SpanEntry>[] } {
  return {
    ...trace,
    ...linkTo(trace.startEpochMillis, `trace_id=${trace.traceId}`, history),
    spans: trace.spans.map((span) => ({ ...span, ...linkTo(span.startEpochMillis, `span_id=${span.spanId}`, history) })),
  };
}

function linkTo(startEpochMillis: number, wanted: string, { nowEpochMillis, seconds }: ProfileHistory): { profile?: string } {
  const last = Math.max(1, Math.ceil((nowEpochMillis - startEpochMillis) / 1000));
  return last > seconds ? {} : { profile: `pprof/profile?last=${last}&${wanted}` };
}
