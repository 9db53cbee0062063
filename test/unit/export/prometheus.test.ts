import { expect, test } from 'vitest';
import { write, type PrometheusFormat, type WriteOptions } from '../../../src/export/prometheus.ts';
import type { Family, HistogramPoint } from '../../../src/metrics/family.ts';

const TEXT: PrometheusFormat = 'text/0.0.4';
const OPENMETRICS: PrometheusFormat = 'openmetrics/1.0.0';

function gauge(name: string, points: { labels: Record<string, string>; value: number }[], description = ''): Family {
  return { type: 'gauge', name, unit: '', description, points };
}

function counter(name: string, value: number): Family {
  return { type: 'counter', name, unit: '', description: '', points: [{ labels: {}, value }] };
}

function histogram(point: Partial<HistogramPoint>): Family {
  const full = { labels: {}, bounds: [0.5, 1, 2.5], counts: [1, 0, 2, 3], sum: 12.5, ...point };
  return { type: 'histogram', name: 'h', unit: 's', description: '', points: [full] };
}

/** What was left out for a collision, by name, while writing. */
function dropped(families: Family[], format: PrometheusFormat): string[] {
  const names: string[] = [];
  write(families, format, { onDropped: (name) => names.push(name) });
  return names;
}

test('text has help, type and samples', () => {
  const family: Family = { ...counter('requests', 3), description: 'Requests served.' };
  expect(write([family], TEXT)).toBe('# HELP requests_total Requests served.\n# TYPE requests_total counter\nrequests_total 3\n');
});

test('OpenMetrics names a counter without _total in metadata and with it in samples, and ends with EOF', () => {
  const family: Family = { ...counter('cpu.time', 1.5), unit: 's', description: 'CPU time.' };
  expect(write([family], OPENMETRICS)).toBe(
    '# HELP cpu_time_seconds CPU time.\n# TYPE cpu_time_seconds counter\n# UNIT cpu_time_seconds seconds\ncpu_time_seconds_total 1.5\n# EOF\n',
  );
});

test("an application's counter without _total keeps its name in text and gets the ending in OpenMetrics", () => {
  const family: Family = { ...counter('jobs', 1), naming: 'prometheus' };
  expect(write([family], TEXT)).toBe('# TYPE jobs counter\njobs 1\n');
  expect(write([family], OPENMETRICS)).toBe('# TYPE jobs counter\njobs_total 1\n# EOF\n');
});

test('buckets are cumulative and followed by sum and count', () => {
  expect(write([histogram({ labels: { a: 'b' } })], TEXT)).toBe(
    [
      '# TYPE h_seconds histogram',
      'h_seconds_bucket{a="b",le="0.5"} 1',
      'h_seconds_bucket{a="b",le="1"} 1',
      'h_seconds_bucket{a="b",le="2.5"} 3',
      'h_seconds_bucket{a="b",le="+Inf"} 6',
      'h_seconds_sum{a="b"} 12.5',
      'h_seconds_count{a="b"} 6',
      '',
    ].join('\n'),
  );
});

test.each([
  [0, '0.0'],
  [1, '1.0'],
  [0.005, '0.005'],
  [0.0001, '0.0001'],
  [0.00005, '5e-05'],
  [100_000, '100000.0'],
  [1_000_000, '1e+06'],
  [1_500_000, '1.5e+06'],
  [1e12, '1e+12'],
])('OpenMetrics writes the bound %d as %s', (bound, text) => {
  expect(write([histogram({ bounds: [bound], counts: [0, 0] })], OPENMETRICS)).toContain(`{le="${text}"}`);
});

test('OpenMetrics leaves sum and count out where a bound is negative', () => {
  const family = histogram({ bounds: [-1, 0], counts: [0, 1, 0] });
  expect(write([family], OPENMETRICS)).not.toMatch(/_sum|_count/);
  expect(write([family], TEXT)).toMatch(/_sum 12.5\nh_seconds_count 1\n/);
});

const exemplar = { value: 0.043, traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), epochMillis: 1_700_000_000_123 };

test('an exemplar stands on its bucket in OpenMetrics and nowhere in text', () => {
  const family = histogram({ exemplars: [exemplar, undefined, undefined, undefined] });
  expect(write([family], OPENMETRICS)).toContain(
    `h_seconds_bucket{le="0.5"} 1 # {trace_id="${'a'.repeat(32)}",span_id="${'b'.repeat(16)}"} 0.043 1700000000.123\n` +
      'h_seconds_bucket{le="1.0"} 1\n',
  );
  expect(write([family], TEXT)).not.toContain('trace_id');
});

test('exemplar labels of 128 characters are written and of 129 are not', () => {
  const withTraceId = (length: number): string =>
    write([histogram({ exemplars: [{ ...exemplar, traceId: 'a'.repeat(length) }] })], OPENMETRICS);
  expect(withTraceId(128 - 'trace_idspan_id'.length - 16)).toContain('# {');
  expect(withTraceId(129 - 'trace_idspan_id'.length - 16)).not.toContain('# {');
});

test('a summary has a line per quantile', () => {
  const family: Family = {
    type: 'summary',
    name: 's',
    unit: '',
    description: '',
    points: [
      {
        labels: { a: 'b' },
        quantiles: [
          { quantile: 0.5, value: 2 },
          { quantile: 1, value: 3 },
        ],
        sum: 5,
        count: 2,
      },
    ],
  };
  expect(write([family], TEXT)).toBe(
    '# TYPE s summary\ns{a="b",quantile="0.5"} 2\ns{a="b",quantile="1"} 3\ns_sum{a="b"} 5\ns_count{a="b"} 2\n',
  );
  expect(write([family], OPENMETRICS)).toContain('quantile="1.0"');
});

test.each([
  [Number.NaN, 'NaN'],
  [Infinity, '+Inf'],
  [-Infinity, '-Inf'],
  [0.1, '0.1'],
  [1e21, '1e+21'],
  [-3, '-3'],
])('the value %d is written %s', (value, text) => {
  expect(write([gauge('g', [{ labels: {}, value }])], TEXT)).toContain(`\ng ${text}\n`);
});

test('help escapes backslash and line feed, and the double quote in OpenMetrics only', () => {
  const family = gauge('g', [{ labels: {}, value: 1 }], 'a\\b\nc"d');
  expect(write([family], TEXT)).toContain('# HELP g a\\\\b\\nc"d\n');
  expect(write([family], OPENMETRICS)).toContain('# HELP g a\\\\b\\nc\\"d\n');
});

test('the resource is target_info, first on the page', () => {
  const options: WriteOptions = { resource: { 'service.name': 'shop', 'service.version': '1.0' } };
  expect(write([], TEXT, options)).toBe(
    '# HELP target_info Target metadata\n# TYPE target_info gauge\ntarget_info{service_name="shop",service_version="1.0"} 1\n',
  );
  expect(write([], OPENMETRICS, options)).toBe(
    '# HELP target Target metadata\n# TYPE target info\ntarget_info{service_name="shop",service_version="1.0"} 1\n# EOF\n',
  );
  expect(write([], TEXT, { resource: {} })).toBe('');
});

test('families of one name are written as one, with the help of the first', () => {
  const families = [
    gauge('a.b', [{ labels: { x: '1' }, value: 1 }], 'First.'),
    gauge('a_b', [{ labels: { x: '2' }, value: 2 }], 'Second.'),
  ];
  expect(write(families, TEXT)).toBe('# HELP a_b First.\n# TYPE a_b gauge\na_b{x="1"} 1\na_b{x="2"} 2\n');
  expect(dropped(families, TEXT)).toEqual([]);
});

test('of a series that comes twice the first is kept and the other told', () => {
  const families = [gauge('g', [{ labels: { a: '1', b: '2' }, value: 1 }]), gauge('g', [{ labels: { b: '2', a: '1' }, value: 9 }])];
  expect(write(families, TEXT)).toBe('# TYPE g gauge\ng{a="1",b="2"} 1\n');
  expect(dropped(families, TEXT)).toEqual(['g']);
});

test('of two types under one name the first is kept and the other told', () => {
  const families = [gauge('a.b', [{ labels: {}, value: 1 }]), { ...histogram({}), name: 'a_b', unit: '' } as Family];
  expect(write(families, TEXT)).toBe('# TYPE a_b gauge\na_b 1\n');
  expect(dropped(families, TEXT)).toEqual(['a_b']);
});

test('a family may not take the name of another one’s samples', () => {
  const point = [{ labels: {}, value: 1 }];
  expect(dropped([histogram({}), gauge('h_seconds_count', point)], TEXT)).toEqual(['h_seconds_count']);
  expect(dropped([gauge('target_info', point)], TEXT)).toEqual(['target_info']);
  // A counter takes the bare name only in OpenMetrics.
  expect(dropped([counter('jobs', 1), gauge('jobs', point)], TEXT)).toEqual([]);
  expect(dropped([counter('jobs', 1), gauge('jobs', point)], OPENMETRICS)).toEqual(['jobs']);
});

test('a label that a histogram or summary writes itself is moved out of its way', () => {
  expect(write([histogram({ labels: { le: 'x' } })], TEXT)).toContain('h_seconds_bucket{exported_le="x",le="0.5"} 1');
});

test('a gauge with the ending of another type is written without a type', () => {
  const family = gauge('handles_total', [{ labels: {}, value: 1 }]);
  expect(write([family], TEXT)).toBe('# TYPE handles_total untyped\nhandles_total 1\n');
  expect(write([family], OPENMETRICS)).toBe('# TYPE handles_total unknown\nhandles_total 1\n# EOF\n');
});

test('a family without series leaves no line', () => {
  expect(write([gauge('g', [], 'Help.')], TEXT)).toBe('');
});
