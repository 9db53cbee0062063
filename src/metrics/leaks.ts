// What the leak detector says, as metrics: the verdict, each kind of memory, the sites that grow, and how often a level
// has changed. Told by sdk.ts; the words are the detector's and the shapes are repeated here, because metrics/ knows no
// other part. At most 16 findings, 4 kinds and 5 levels, so at most some 100 series.
import type { Family, Labels, NumberPoint } from './family.ts';

interface SiteReading {
  readonly function: string;
  readonly file: string;
  readonly line: number;
}

interface LimitReading {
  readonly seconds: number;
}

/** Something that grows, as far as a metric tells it. */
interface FindingReading {
  readonly kind: string;
  readonly level: string;
  readonly resourceType: string | null;
  readonly site: SiteReading | null;
  readonly grownBytes: number;
  readonly bytesPerHour: number;
  readonly grownCount: number;
  readonly countPerHour: number;
}

/** One kind of memory; of `resources`, numbers instead of bytes. */
interface KindReading {
  readonly kind: string;
  readonly level: string;
  readonly current: number;
  readonly perMinute: number;
  readonly heapLimit: LimitReading | null;
  readonly containerLimit: LimitReading | null;
}

/** A verdict, as /debug/leaks answers it. */
export interface LeakReading {
  readonly level: string;
  readonly findings: readonly FindingReading[];
  readonly kinds: readonly KindReading[];
}

const RESOURCES = 'resources';

export class LeakMetrics {
  readonly #levels: readonly string[];
  readonly #changes = new Map<string, { readonly labels: Labels; value: number }>();

  /** `kinds` are counted from the start, so that a rate over the first change is not lost; `levels` are from harmless to bad. */
  constructor(kinds: readonly string[], levels: readonly string[]) {
    this.#levels = levels;
    for (const kind of kinds) for (const level of levels) if (level !== 'watching') this.#changesTo(kind, level);
  }

  /** Counts that a finding has reached another level. */
  changed({ kind, level }: { readonly kind: string; readonly level: string }): void {
    this.#changesTo(kind, level).value += 1;
  }

  /** `sonde_leak_*`. */
  families(reading: LeakReading): Family[] {
    return [...this.#levelFamilies(reading), ...kindFamilies(reading.kinds), ...siteFamilies(reading.findings)];
  }

  #levelFamilies({ level, kinds }: LeakReading): Family[] {
    const numbers = this.#levels.map((name, number) => `${number} ${name}`).join(', ');
    return [
      {
        type: 'gauge',
        name: 'sonde.leak.level',
        unit: '',
        description: `Verdict on leaks, the worst of all kinds: ${numbers}.`,
        points: [{ labels: {}, value: this.#numberOf(level) }],
      },
      {
        type: 'gauge',
        name: 'sonde.leak.kind.level',
        unit: '',
        description: `Verdict on leaks by kind: ${numbers}.`,
        points: kinds.map(({ kind, level: of }) => ({ labels: { kind }, value: this.#numberOf(of) })),
      },
      {
        type: 'counter',
        name: 'sonde.leak.level_changes',
        unit: '{change}',
        description: 'Times that a finding has reached a level, by kind and the level reached.',
        points: Array.from(this.#changes.values(), ({ labels, value }) => ({ labels, value })),
      },
    ];
  }

  #numberOf(level: string): number {
    return Math.max(0, this.#levels.indexOf(level));
  }

  #changesTo(kind: string, level: string): { value: number } {
    const key = `${kind} ${level}`;
    let cell = this.#changes.get(key);
    if (cell === undefined) {
      cell = { labels: { kind, level }, value: 0 };
      this.#changes.set(key, cell);
    }
    return cell;
  }
}

function kindFamilies(kinds: readonly KindReading[]): Family[] {
  const memory = kinds.filter(({ kind }) => kind !== RESOURCES);
  const resources = kinds.filter(({ kind }) => kind === RESOURCES);
  const points = (of: readonly KindReading[], read: (kind: KindReading) => number): NumberPoint[] =>
    of.map((reading) => ({ labels: { kind: reading.kind }, value: read(reading) }));
  return [
    {
      type: 'gauge',
      name: 'sonde.leak.memory',
      unit: 'By',
      description: 'Memory as the leak detector watches it, after the last major collection, by kind.',
      points: points(memory, ({ current }) => current),
    },
    {
      type: 'gauge',
      name: 'sonde.leak.memory_per_hour',
      unit: 'By',
      description: 'What a kind of memory gains in an hour by its present trend; 0 where it does not rise.',
      points: points(memory, ({ perMinute }) => perMinute * 60),
    },
    {
      type: 'gauge',
      name: 'sonde.leak.resources',
      unit: '{resource}',
      description: 'Handles, timers and requests that keep the event loop alive, as the leak detector watches them.',
      points: resources.map(({ current }) => ({ labels: {}, value: current })),
    },
    {
      type: 'gauge',
      name: 'sonde.leak.resources_per_hour',
      unit: '{resource}',
      description: 'How many more of them there are in an hour by their present trend; 0 where they do not rise.',
      points: resources.map(({ perMinute }) => ({ labels: {}, value: perMinute * 60 })),
    },
    {
      type: 'gauge',
      name: 'sonde.leak.forecast',
      unit: 's',
      description: "Time until a limit is met at the present rate, V8's (heap) or the container's; absent where nothing rises.",
      points: kinds.flatMap(forecasts),
    },
  ];
}

function forecasts({ kind, heapLimit, containerLimit }: KindReading): NumberPoint[] {
  return [
    { limit: 'heap', forecast: heapLimit },
    { limit: 'container', forecast: containerLimit },
  ].flatMap(({ limit, forecast }) => (forecast === null ? [] : [{ labels: { kind, limit }, value: forecast.seconds }]));
}

function siteFamilies(findings: readonly FindingReading[]): Family[] {
  const memory = findings.filter(({ kind }) => kind !== RESOURCES);
  const resources = findings.filter(({ kind }) => kind === RESOURCES);
  return [
    {
      type: 'gauge',
      name: 'sonde.leak.growth',
      unit: 'By',
      description: 'Live memory that an allocation site has gained over the stretch that was judged; without a site where none is named.',
      points: bySite(memory, ({ grownBytes }) => grownBytes),
    },
    {
      type: 'gauge',
      name: 'sonde.leak.growth_per_hour',
      unit: 'By',
      description: 'Live memory that an allocation site gains in an hour at its present rate.',
      points: bySite(memory, ({ bytesPerHour }) => bytesPerHour),
    },
    {
      type: 'gauge',
      name: 'sonde.leak.resource_growth',
      unit: '{resource}',
      description: 'How many more resources of a type there are, by the function that creates them, over the stretch that was judged.',
      points: bySite(resources, ({ grownCount }) => grownCount),
    },
    {
      type: 'gauge',
      name: 'sonde.leak.resource_growth_per_hour',
      unit: '{resource}',
      description: 'How many more resources of a type there are in an hour at the present rate.',
      points: bySite(resources, ({ countPerHour }) => countPerHour),
    },
  ];
}

/** Findings that a metric cannot tell apart are one series: two of a kind may be without a site. */
function bySite(findings: readonly FindingReading[], read: (finding: FindingReading) => number): NumberPoint[] {
  const points = new Map<string, { readonly labels: Labels; value: number }>();
  for (const finding of findings) {
    const labels = labelsOf(finding);
    const key = JSON.stringify(labels);
    const point = points.get(key);
    if (point === undefined) points.set(key, { labels, value: read(finding) });
    else point.value += read(finding);
  }
  return [...points.values()];
}

function labelsOf({ kind, level, site, resourceType }: FindingReading): Labels {
  const where: Labels =
    site === null ? {} : { 'code.function.name': site.function, 'code.file.path': site.file, 'code.line.number': String(site.line) };
  return { kind, ...where, ...(resourceType === null ? {} : { 'resource.type': resourceType }), level };
}
