// Ranks the functions of a CPU profile in pprof form by their own CPU time. Pure; called by observer.mjs.
import { gunzipSync } from 'node:zlib';
import { Profile } from 'pprof-format';

/**
 * The functions of a gzipped pprof profile, hottest first: `{ name, file, line, share }`, the share being that of the
 * function's own code in the CPU time of the process. V8's own entries, `(program)` and the like, are left out.
 */
export function hottestFunctions(gzipped) {
  const profile = Profile.decode(gunzipSync(gzipped));
  const { strings } = profile.stringTable;
  const cpu = profile.sampleType.findIndex(({ type }) => strings[Number(type)] === 'cpu');
  const functionIds = new Map(profile.location.map(({ id, line }) => [Number(id), Number(line[0].functionId)]));
  const nanosById = new Map();
  let totalNanos = 0;
  for (const { locationId, value } of profile.sample) {
    const id = functionIds.get(Number(locationId[0]));
    const nanos = Number(value[cpu]);
    nanosById.set(id, (nanosById.get(id) ?? 0) + nanos);
    totalNanos += nanos;
  }
  return profile.function
    .map(({ id, name, filename, startLine }) => ({
      name: strings[Number(name)],
      file: strings[Number(filename)],
      line: Number(startLine),
      share: (nanosById.get(Number(id)) ?? 0) / totalNanos,
    }))
    .filter(({ name, share }) => share > 0 && !name.startsWith('('))
    .toSorted((a, b) => b.share - a.share);
}
