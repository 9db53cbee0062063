// The public API of `sonde`. The preload (`sonde/register`) needs none of it.
import type { Options } from './options.ts';
import { startRuntime } from './sdk.ts';
import type { Sonde } from './sonde.ts';

/**
 * Starts Sonde, or returns the one that runs already (the preload's, or another copy's); its options then stay.
 * Throws `ConfigError` with every option and variable of the environment that cannot be used.
 */
export function start(options: Options = {}): Sonde {
  return startRuntime(options);
}

export { ConfigError } from './options.ts';
export type { ConfigProblem, LeakListener, Options } from './options.ts';
export type { LeakFinding } from './leak/finding.ts';
export type { ConsoleMode } from './logs/console.ts';
export type { Sonde } from './sonde.ts';
