// What an application may pass to `start()`, and how it is told what is wrong with it. Part of the public types: imports
// nothing whose declarations need a package that an installed Sonde does not bring.
import type { ConsoleMode } from './logs/console.ts';
import type { SamplerName } from './trace/sampling.ts';

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
  readonly serviceName?: string;
  readonly resourceAttributes?: Readonly<Record<string, string>>;
  readonly host?: string;
  /** 0 to 65535; 0 picks a free one. */
  readonly port?: number;
  readonly token?: string;
  readonly sampler?: SamplerName;
  /** 0 to 1. */
  readonly samplerRatio?: number;
  readonly seriesLimit?: number;
  readonly promClientMetrics?: boolean;
  readonly console?: ConsoleMode;
  readonly otlp?: {
    /** Base URL; `/v1/traces` and `/v1/metrics` are appended. */
    readonly endpoint?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly protocol?: 'http/protobuf' | 'http/json';
    readonly compression?: 'none' | 'gzip';
    readonly timeoutMillis?: number;
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
