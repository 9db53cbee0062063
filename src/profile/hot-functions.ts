// The functions that a profile's CPU time was spent in, for the local report. Pure.
import type { Frame } from './frame.ts';
import type { Profile } from './profile.ts';

/** One function with the CPU time spent in itself, its callees not included. */
export interface HotFunction {
  readonly name: string;
  readonly file: string;
  /** Where the function starts. */
  readonly line: number;
  readonly selfMillis: number;
  /** Of the CPU time of the JavaScript thread, 0 to 1. */
  readonly share: number;
}

/** Not functions of the thread: waiting, and other threads' work. */
const LEFT_OUT = new Set(['(idle)', '(non-JS threads)']);

/** The `limit` hottest functions of profiles with a `cpu` column, hottest first. */
export function hotFunctions(profiles: readonly Profile[], limit: number): HotFunction[] {
  const selfNanos = new Map<string, { frame: Frame; nanos: number }>();
  let totalNanos = 0;
  for (const profile of profiles) {
    const columns = profile.sampleTypes.length;
    const cpu = profile.sampleTypes.findIndex(({ type }) => type === 'cpu');
    for (let i = 0; i < profile.sampleNodes.length; i++) {
      const frame = profile.frames[profile.nodeFrames[profile.sampleNodes[i] as number] as number] as Frame;
      if (LEFT_OUT.has(frame.name)) continue;
      const nanos = profile.values[i * columns + cpu] as number;
      const key = `${frame.line}\n${frame.name}\n${frame.file}`;
      const known = selfNanos.get(key);
      if (known === undefined) selfNanos.set(key, { frame, nanos });
      else known.nanos += nanos;
      totalNanos += nanos;
    }
  }
  return [...selfNanos.values()]
    .filter(({ nanos }) => nanos > 0)
    .toSorted((a, b) => b.nanos - a.nanos)
    .slice(0, limit)
    .map(({ frame: { name, file, line }, nanos }) => ({ name, file, line, selfMillis: nanos / 1e6, share: nanos / totalNanos }));
}
