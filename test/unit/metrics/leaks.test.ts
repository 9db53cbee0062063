import { describe, expect, it } from 'vitest';
import { write } from '../../../src/export/prometheus.ts';
import { LEAK_KINDS, LEAK_LEVELS, type KindReading, type LeakFinding, type LeakVerdict } from '../../../src/leak/finding.ts';
import { LeakMetrics } from '../../../src/metrics/leaks.ts';
import { findingOf } from '../leak/finding.ts';

const SITE = { function: 'keep', file: '/app/store.js', line: 12, column: 3 };

const finding = (more: Partial<LeakFinding> = {}): LeakFinding => findingOf({ site: SITE, ...more });

const kind = (of: KindReading['kind'], more: Partial<KindReading> = {}): KindReading => ({
  kind: of,
  level: 'watching',
  current: 0,
  perMinute: 0,
  heapLimit: null,
  containerLimit: null,
  ...more,
});

const verdict = (more: Partial<LeakVerdict> = {}): LeakVerdict => ({
  level: 'watching',
  findings: [],
  kinds: LEAK_KINDS.map((of) => kind(of)),
  generations: [],
  notes: [],
  ...more,
});

/** The lines of the page without comments, and what was left out of it. */
function rows(metrics: LeakMetrics, reading: LeakVerdict): { lines: string[]; dropped: string[] } {
  const dropped: string[] = [];
  const page = write(metrics.families(reading), 'text/0.0.4', { resource: {}, onDropped: (name) => dropped.push(name) });
  return { lines: page.split('\n').filter((line) => line.startsWith('sonde_leak')), dropped };
}

const leakMetrics = (): LeakMetrics => new LeakMetrics(LEAK_KINDS, LEAK_LEVELS);

describe('metrics of leaks', () => {
  it.each([
    ['watching', 0],
    ['gone', 1],
    ['growing', 2],
    ['suspect', 3],
    ['leak', 4],
  ] as const)('tell the level %s as %i, overall and by kind', (level, number) => {
    const { lines } = rows(leakMetrics(), verdict({ level, kinds: [kind('native', { level })] }));
    expect(lines).toContain(`sonde_leak_level ${number}`);
    expect(lines).toContain(`sonde_leak_kind_level{kind="native"} ${number}`);
  });

  it('say in their description which number is which level', () => {
    const [family] = leakMetrics().families(verdict());
    expect(family?.description).toBe('Verdict on leaks, the worst of all kinds: 0 watching, 1 gone, 2 growing, 3 suspect, 4 leak.');
  });

  it('tell what each kind has and gains, and of resources numbers', () => {
    const kinds = [
      kind('heap', { current: 5e6, perMinute: 100, heapLimit: { seconds: 60, lowSeconds: 50, highSeconds: null } }),
      kind('external', { current: 7, containerLimit: { seconds: 90, lowSeconds: 80, highSeconds: 100 } }),
      kind('resources', { current: 12, perMinute: 0.5 }),
    ];
    const { lines, dropped } = rows(leakMetrics(), verdict({ kinds }));
    expect(lines.filter((line) => !/level/.test(line))).toEqual([
      'sonde_leak_memory_bytes{kind="heap"} 5000000',
      'sonde_leak_memory_bytes{kind="external"} 7',
      'sonde_leak_memory_per_hour_bytes{kind="heap"} 6000',
      'sonde_leak_memory_per_hour_bytes{kind="external"} 0',
      'sonde_leak_resources 12',
      'sonde_leak_resources_per_hour 30',
      'sonde_leak_forecast_seconds{kind="heap",limit="heap"} 60',
      'sonde_leak_forecast_seconds{kind="external",limit="container"} 90',
    ]);
    expect(dropped).toEqual([]);
  });

  it('tell each finding with its site, and without labels of one where none is named', () => {
    const findings = [
      finding(),
      finding({ kind: 'native', site: null, level: 'suspect', grownBytes: 7, bytesPerHour: 8 }),
      finding({
        kind: 'resources',
        resourceType: 'Timeout',
        level: 'growing',
        grownBytes: 0,
        bytesPerHour: 0,
        grownCount: 3,
        countPerHour: 9,
      }),
    ];
    const { lines } = rows(leakMetrics(), verdict({ findings, kinds: [] }));
    const site = 'code_file_path="/app/store.js",code_function_name="keep",code_line_number="12"';
    expect(lines.filter((line) => /growth/.test(line))).toEqual([
      `sonde_leak_growth_bytes{${site},kind="heap",level="leak"} 1000`,
      'sonde_leak_growth_bytes{kind="native",level="suspect"} 7',
      `sonde_leak_growth_per_hour_bytes{${site},kind="heap",level="leak"} 2000`,
      'sonde_leak_growth_per_hour_bytes{kind="native",level="suspect"} 8',
      `sonde_leak_resource_growth{${site},kind="resources",level="growing",resource_type="Timeout"} 3`,
      `sonde_leak_resource_growth_per_hour{${site},kind="resources",level="growing",resource_type="Timeout"} 9`,
    ]);
  });

  it('add up findings that they cannot tell apart, instead of losing one', () => {
    const { lines, dropped } = rows(leakMetrics(), verdict({ findings: [finding(), finding({ site: { ...SITE, column: 9 } })] }));
    expect(lines.find((line) => line.startsWith('sonde_leak_growth_bytes'))).toMatch(/ 2000$/);
    expect(dropped).toEqual([]);
  });

  it('count changes of level from zero', () => {
    const metrics = leakMetrics();
    metrics.changed(finding());
    metrics.changed(finding());
    metrics.changed(finding({ kind: 'native', level: 'gone' }));
    const { lines } = rows(metrics, verdict());
    const changes = lines.filter((line) => line.startsWith('sonde_leak_level_changes_total'));
    expect(changes).toHaveLength(4 * 4);
    expect(changes.filter((line) => !line.endsWith(' 0'))).toEqual([
      'sonde_leak_level_changes_total{kind="heap",level="leak"} 2',
      'sonde_leak_level_changes_total{kind="native",level="gone"} 1',
    ]);
  });
});
