// What an application may pass to `start()`, and how it is told what is wrong with it. Part of the public types: imports
// nothing whose declarations need a package that an installed Sonde does not bring.
import type { LeakFinding } from './leak/finding.ts';
import type { ConsoleMode } from './logs/console.ts';
import type { SamplerName } from './trace/sampling.ts';

/** Told what leaks. What it throws or rejects with is said once and changes nothing. */
export type LeakListener = (finding: LeakFinding) => void | Promise<void>;

/** What `start()` takes; everything left out comes from the environment. */
export interface Options {
  readonly enabled?: boolean;
  readonly metrics?: boolean;
  readonly traces?: boolean;
  readonly logs?: boolean;
  readonly profiling?: boolean;
  /** Whether profiles name the sources that code was compiled from, by its source maps. */
  readonly sourceMaps?: boolean;
  readonly leaks?: boolean;
  /** Serve /debug/heapsnapshot; off, because a snapshot holds every string of the process, secrets included. */
  readonly heapSnapshot?: boolean;
  readonly serviceName?: string;
  readonly resourceAttributes?: Readonly<Record<string, string>>;
  readonly host?: string;
  /** 0 to 65535; 0 picks a free one. */
  readonly port?: number;
  readonly token?: string;
  readonly profile?: {
    /** CPU samples a second, 10 to 500; 49. */
    readonly hz?: number;
    /** Mean bytes that are allocated between two samples of the heap; 1 MiB. */
    readonly heapIntervalBytes?: number;
    /** Bytes that profiles of the past may take; 8 MiB. */
    readonly historyBytes?: number;
    /** A block of the event loop this long is a stall; 100. */
    readonly stallMillis?: number;
  };
  readonly leak?: {
    /** Called at each change of a finding's level, `gone` included. */
    readonly onLeak?: LeakListener;
    /** Whether a collection may be forced while the heap grows and V8 does not collect; true. */
    readonly collectGarbage?: boolean;
    /** Where evidence of a process that runs out of memory is written; nowhere by default. */
    readonly dumpDirectory?: string;
  };
  readonly overhead?: {
    /** CPU that Sonde may use before it samples less, in percent of a core; 2. */
    readonly cpuPercent?: number;
    /** Memory that it may hold; 32 MiB. */
    readonly memoryBytes?: number;
  };
  readonly sampler?: SamplerName;
  /** 0 to 1. */
  readonly samplerRatio?: number;
  readonly seriesLimit?: number;
  readonly promClientMetrics?: boolean;
  readonly console?: ConsoleMode;
  readonly otlp?: {
    /** Base URL; `/v1/traces`, `/v1/metrics` and `/v1/logs` are appended. */
    readonly endpoint?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly protocol?: 'http/protobuf' | 'http/json';
    readonly compression?: 'none' | 'gzip';
    readonly timeoutMillis?: number;
    /** Push profiles too, to `/v1development/profiles`; experimental. */
    readonly profiles?: boolean;
  };
  readonly pyroscope?: {
    /** Base URL; `/ingest` is appended. */
    readonly serverAddress?: string;
    /** Letters, digits and `_-./`; the service's name by default. */
    readonly applicationName?: string;
    /** 1,000 to 900,000. */
    readonly flushIntervalMillis?: number;
    readonly authToken?: string;
    readonly basicAuthUser?: string;
    readonly basicAuthPassword?: string;
    readonly tenantId?: string;
    readonly headers?: Readonly<Record<string, string>>;
    /** Of every profile. */
    readonly labels?: Readonly<Record<string, string>>;
    /** Whether samples carry `trace_id`; a Pyroscope before June 2026 makes a series of each. */
    readonly traceIds?: boolean;
  };
}

/** One setting that cannot be used, and what would be accepted. */
export interface ConfigProblem {
  readonly name: string;
  readonly value: string;
  readonly accepted: string;
}

/** All settings of one `start()` that cannot be used. */
export class ConfigError extends Error {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(`invalid configuration: ${problems.map(describeProblem).join('; ')}`);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** One problem as a sentence. */
export function describeProblem({ name, value, accepted }: ConfigProblem): string {
  return `${name}=${JSON.stringify(value)} is not ${accepted}`;
}
