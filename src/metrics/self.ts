// What Sonde reports of itself, in names of its own because no convention has them. Reads plain numbers that sdk.ts
// gathers; measures nothing. Its verdicts on leaks are in leaks.ts.
import type { Family, NumberPoint } from './family.ts';

/** What profiling knows and costs. */
export interface ProfileReading {
  /** Samples a second; 0 where CPU profiles are taken on request only. */
  readonly samplingHz: number;
  readonly historySeconds: number;
  /** By route; under the empty name what belongs to none. */
  readonly cpuSecondsByRoute: ReadonlyMap<string, number>;
  /** CPU that Sonde itself has used, by what for. */
  readonly ownCpuSeconds: ReadonlyMap<string, number>;
  /** Memory that Sonde itself holds, by what for. */
  readonly ownBytes: ReadonlyMap<string, number>;
  /** Profilers that had to be started again. */
  readonly restarts: ReadonlyMap<string, number>;
}

export interface SelfReading {
  /** Failures of Sonde's own code, by part. */
  readonly failures: ReadonlyMap<string, number>;
  /** What was not kept or sent, by reason. */
  readonly dropped: ReadonlyMap<string, number>;
  /** Undefined where nothing is profiled. */
  readonly profile: ProfileReading | undefined;
}

/** `sonde_internal_errors_total`, `sonde_dropped_total`, `sonde_cpu_seconds_total`, `sonde_overhead_*`, `sonde_profile_*`. */
export function selfFamilies(reading: SelfReading): Family[] {
  const families: Family[] = [
    {
      type: 'counter',
      name: 'sonde.internal_errors',
      unit: '{error}',
      description: 'Failures inside Sonde, by part; the application is not affected.',
      points: pointsBy('part', reading.failures),
    },
    {
      type: 'counter',
      name: 'sonde.dropped',
      unit: '{item}',
      description: 'Items that Sonde did not keep or send, by reason.',
      points: pointsBy('reason', reading.dropped),
    },
  ];
  if (reading.profile !== undefined) families.push(...profileFamilies(reading.profile));
  return families;
}

function profileFamilies(reading: ProfileReading): Family[] {
  const families: Family[] = [
    {
      type: 'counter',
      name: 'sonde.overhead.cpu',
      unit: 's',
      description: 'CPU time that Sonde itself has used, by what for, as its own profile shows it.',
      points: pointsBy('part', reading.ownCpuSeconds),
    },
    {
      type: 'gauge',
      name: 'sonde.overhead.memory',
      unit: 'By',
      description: 'Memory that Sonde itself holds, by what for, as far as it can be counted.',
      points: pointsBy('part', reading.ownBytes),
    },
    {
      type: 'counter',
      name: 'sonde.profile.restarts',
      unit: '{restart}',
      description: 'Profilers that were found stuck, or stopped by others, and were started again.',
      points: pointsBy('profiler', reading.restarts),
    },
    {
      type: 'gauge',
      name: 'sonde.profile.frequency',
      unit: 'Hz',
      description: 'Samples of the CPU profile a second; 0 where profiles are taken on request only.',
      points: [{ labels: {}, value: reading.samplingHz }],
    },
    {
      type: 'gauge',
      name: 'sonde.profile.history',
      unit: 's',
      description: 'How far back profiles can be asked for.',
      points: [{ labels: {}, value: reading.historySeconds }],
    },
  ];
  if (reading.samplingHz > 0) {
    families.push({
      type: 'counter',
      name: 'sonde.cpu',
      unit: 's',
      description:
        'CPU time by the route that used it, from the CPU profile; without a route what belongs to no request, all threads included.',
      points: pointsBy('http.route', reading.cpuSecondsByRoute),
    });
  }
  return families;
}

function pointsBy(label: string, counts: ReadonlyMap<string, number>): NumberPoint[] {
  return [...counts].map(([name, value]) => ({ labels: name === '' ? {} : { [label]: name }, value }));
}
