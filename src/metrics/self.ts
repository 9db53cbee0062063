// What Sonde reports of itself and of its verdicts, in names of its own because no convention has them. Reads plain
// numbers that sdk.ts gathers; measures nothing.
import type { Family, NumberPoint } from './family.ts';

/** A site that makes memory grow, as far as a metric tells it. */
interface LeakReading {
  readonly function: string;
  readonly file: string;
  readonly line: number;
  /** `suspect` or `leak`. */
  readonly level: string;
  readonly grownBytes: number;
  readonly bytesPerHour: number;
}

export interface SelfReading {
  /** Failures of Sonde's own code, by part. */
  readonly failures: ReadonlyMap<string, number>;
  /** What was not kept or sent, by reason. */
  readonly dropped: ReadonlyMap<string, number>;
  /** Undefined where leaks are not watched. */
  readonly leaks: { readonly level: string; readonly sites: readonly LeakReading[] } | undefined;
}

/** Levels of the leak verdict as numbers, in rising order. */
const LEVELS = ['watching', 'gone', 'suspect', 'leak'] as const;

/** `sonde_internal_errors_total`, `sonde_dropped_total`, `sonde_leak_*`. */
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
  return reading.leaks === undefined ? families : [...families, ...leakFamilies(reading.leaks)];
}

function pointsBy(label: string, counts: ReadonlyMap<string, number>): NumberPoint[] {
  return [...counts].map(([name, value]) => ({ labels: { [label]: name }, value }));
}

function leakFamilies({ level, sites }: NonNullable<SelfReading['leaks']>): Family[] {
  const points = (read: (site: LeakReading) => number): NumberPoint[] =>
    sites.map((site) => ({
      labels: {
        'code.function.name': site.function,
        'code.file.path': site.file,
        'code.line.number': String(site.line),
        level: site.level,
      },
      value: read(site),
    }));
  return [
    {
      type: 'gauge',
      name: 'sonde.leak.level',
      unit: '',
      description: 'Verdict on memory leaks: 0 watching, 1 gone, 2 suspect, 3 leak.',
      points: [{ labels: {}, value: Math.max(0, LEVELS.indexOf(level as (typeof LEVELS)[number])) }],
    },
    {
      type: 'gauge',
      name: 'sonde.leak.growth',
      unit: 'By',
      description: 'Live memory that an allocation site has gained since it is watched.',
      points: points((site) => site.grownBytes),
    },
    {
      type: 'gauge',
      name: 'sonde.leak.growth_per_hour',
      unit: 'By',
      description: 'Live memory that an allocation site gains in an hour at its present rate.',
      points: points((site) => site.bytesPerHour),
    },
  ];
}
