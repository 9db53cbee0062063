import { expect, test } from 'vitest';
import { exposedName, LabelWriter } from '../../../src/export/translation.ts';
import type { Family } from '../../../src/metrics/family.ts';

function family(type: 'counter' | 'updowncounter' | 'gauge', name: string, unit: string): Family {
  return { type, name, unit, description: '', points: [] };
}

test.each([
  ['http.server.request.duration', 's', 'http_server_request_duration_seconds'],
  ['nodejs.eventloop.delay.p99', 's', 'nodejs_eventloop_delay_p99_seconds'],
  ['nodejs.eventloop.utilization', '1', 'nodejs_eventloop_utilization_ratio'],
  ['cpu.ratio', '1', 'cpu_ratio'],
  ['v8js.memory.heap.used', 'By', 'v8js_memory_heap_used_bytes'],
  ['v8js.resource.active', '{resource}', 'v8js_resource_active'],
  ['timeout', 'ms', 'timeout_milliseconds'],
  ['timeout.seconds', 's', 'timeout_seconds'],
  ['seconds', 's', 'seconds'],
  ['seconds.left', 's', 'seconds_left_seconds'],
  ['speed', 'm/s', 'speed_meters_per_second'],
  ['arrivals', '{request}/s', 'arrivals_per_second'],
  ['disk', 'GiBy', 'disk_gibibytes'],
  ['load', '%', 'load_percent'],
  ['flow', 'L/min', 'flow_L_per_minute'],
  ['price', '$', 'price'],
  ['bad  name--with___runs', '', 'bad_name_with_runs'],
  ['a:b', '', 'a:b'],
  ['2xx', '', '_2xx'],
  ['größe', '', 'gr_e'],
  ['', '', '_'],
])('a gauge %s of unit "%s" is %s', (name, unit, expected) => {
  expect(exposedName(family('gauge', name, unit)).name).toBe(expected);
});

test.each([
  ['process.cpu.time', 's', 'process_cpu_time_seconds', 'process_cpu_time_seconds_total'],
  ['requests', '{request}', 'requests', 'requests_total'],
  ['requests.total', '', 'requests', 'requests_total'],
  ['sent_total', 'By', 'sent_bytes', 'sent_bytes_total'],
  ['sent.bytes', 'By', 'sent_bytes', 'sent_bytes_total'],
  ['hits', '1', 'hits', 'hits_total'],
])('a counter %s of unit "%s" is the OpenMetrics family %s with samples %s', (name, unit, base, sample) => {
  expect(exposedName(family('counter', name, unit))).toMatchObject({ name: base, textName: sample, type: 'counter' });
});

test('a Prometheus name is kept as it is', () => {
  expect(exposedName({ ...family('gauge', 'a__b:c', 's'), naming: 'prometheus' })).toMatchObject({ name: 'a__b:c', unit: '' });
  expect(exposedName({ ...family('counter', 'jobs', ''), naming: 'prometheus' })).toMatchObject({ name: 'jobs', textName: 'jobs' });
});

test.each(['active_total', 'file.count', 'a_sum', 'a.bucket'])('a gauge %s has the ending of another type and gets none', (name) => {
  expect(exposedName(family('updowncounter', name, '')).type).toBe('unknown');
});

test('a gauge of unit 1 is a ratio, other types of unit 1 have no unit', () => {
  expect(exposedName(family('gauge', 'share', '1')).unit).toBe('ratio');
  expect(exposedName(family('updowncounter', 'share', '1'))).toMatchObject({ name: 'share', unit: '' });
});

test.each([
  ['http.route', 'http_route'],
  ['a--b..c', 'a_b_c'],
  ['__name__', '_name_'],
  ['1st', '_1st'],
  ['a:b', 'a_b'],
])('the attribute %s is the label %s', (attribute, label) => {
  expect(new LabelWriter().write({ [attribute]: 'v' }, family('gauge', 'x', ''))).toBe(`${label}="v"`);
});

test('attributes that come out as one label are joined in the order of their names', () => {
  const writer = new LabelWriter();
  expect(writer.write({ 'a.b': '1', a_b: '2', 'a-b': '3' }, family('gauge', 'x', ''))).toBe('a_b="3;1;2"');
});

test('equal sets are equal text, in whatever order their labels were set', () => {
  const writer = new LabelWriter();
  const gauge = family('gauge', 'x', '');
  expect(writer.write({ b: '1', a: '2' }, gauge)).toBe('a="2",b="1"');
  expect(writer.write({ a: '2', b: '1' }, gauge)).toBe('a="2",b="1"');
});

test('labels of a Prometheus family keep their names', () => {
  expect(new LabelWriter().write({ a__b: '1' }, { ...family('gauge', 'x', ''), naming: 'prometheus' })).toBe('a__b="1"');
});

test.each([
  ['a\\b', 'a\\\\b'],
  ['a"b', 'a\\"b'],
  ['a\nb', 'a\\nb'],
  ['\\n"\n', '\\\\n\\"\\n'],
  ['ü € 😀 \t', 'ü € 😀 \t'],
])('the label value %j is written %j', (value, written) => {
  expect(new LabelWriter().write({ a: value }, family('gauge', 'x', ''))).toBe(`a="${written}"`);
});
