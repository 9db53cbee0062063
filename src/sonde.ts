// The running Sonde as the application sees it. Part of the public types, like options.ts.
import type { Span as ApiSpan } from '@opentelemetry/api';
import type { LeakVerdict } from './leak/finding.ts';
import type { Family } from './metrics/family.ts';
import type { StallEntry } from './profile/stall-entry.ts';
import type { OwnLabels } from './profile/labels.ts';
import type { ProfileReads } from './serve/pprof.ts';
import type { TraceEntry } from './trace/trace-entry.ts';

/** The running Sonde. */
export interface Sonde {
  /** Base URL of the admin server; undefined until it listens, or when it cannot. */
  readonly url: string | undefined;
  /** Reads every metric, as a scrape would. */
  readonly metrics: { collect(): Promise<readonly Family[]> };
  /** The profiles that are taken all the time. When profiling is off, reads reject and `label` runs what it is given. */
  readonly profile: ProfileReads & {
    /**
     * Runs `fn` with labels on its CPU samples, and on those of everything it starts, besides the labels of the scope around
     * it; answers what `fn` answers. Names with text, numbers or booleans, 16 at most.
     */
    label<R>(labels: OwnLabels, fn: () => R): R;
  };
  /** The verdict on memory leaks; undefined when leaks are not watched. */
  readonly leaks: { verdict(): LeakVerdict } | undefined;
  /** The last hundred blocks of the event loop, newest first; undefined when profiling is off. */
  readonly stalls: { list(): readonly StallEntry[] } | undefined;
  /** The last traces of this process, newest first. */
  readonly traces: { list(): readonly TraceEntry[] };
  /**
   * Runs `fn` in a span of that name under the active one and returns what it returns. A throw or a rejection is
   * recorded on the span and passed on unchanged.
   */
  trace<R>(name: string, fn: (span: ApiSpan) => R): R;
  /** Sends what is queued; resolves when it is sent or after `timeoutMillis`. Never rejects. */
  flush(timeoutMillis?: number): Promise<void>;
  /** Flushes, then takes Sonde out of the process. Never rejects. */
  shutdown(timeoutMillis?: number): Promise<void>;
}
