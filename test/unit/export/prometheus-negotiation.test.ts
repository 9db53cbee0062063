import { expect, test } from 'vitest';
import { contentType, negotiate } from '../../../src/export/prometheus.ts';

test.each([
  // What Prometheus really sends: 2.42, 2.42 with native histograms, 3.
  [
    'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1',
    'openmetrics/1.0.0',
  ],
  [
    'application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1',
    'openmetrics/1.0.0',
  ],
  [
    'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1',
    'openmetrics/1.0.0',
  ],
  ['application/openmetrics-text; version=0.0.1', 'openmetrics/0.0.1'],
  ['application/openmetrics-text', 'openmetrics/1.0.0'],
  ['Application/OpenMetrics-Text; Version="1.0.0"', 'openmetrics/1.0.0'],
  ['application/openmetrics-text;version=2.0.0', 'text/0.0.4'],
  ['text/plain;q=0.5, application/openmetrics-text;q=0.4', 'text/0.0.4'],
  ['text/plain;q=0.4, application/openmetrics-text;q=0.5', 'openmetrics/1.0.0'],
  ['text/plain, application/openmetrics-text', 'text/0.0.4'],
  ['application/openmetrics-text, text/plain', 'openmetrics/1.0.0'],
  ['text/html,application/xhtml+xml,*/*;q=0.8', 'text/0.0.4'],
  ['application/openmetrics-text;q=0', 'text/0.0.4'],
  ['application/openmetrics-text;q=0.001', 'openmetrics/1.0.0'],
  ['application/openmetrics-text;q=1.000', 'openmetrics/1.0.0'],
  ['application/openmetrics-text;q=1.001', 'text/0.0.4'],
  ['application/openmetrics-text;q=high', 'text/0.0.4'],
  ['application/openmetrics-text;q=', 'text/0.0.4'],
  ['application/json', 'text/0.0.4'],
  [';;;,,=,q=1', 'text/0.0.4'],
  ['', 'text/0.0.4'],
  [undefined, 'text/0.0.4'],
])('Accept: %s is answered with %s', (accept, format) => {
  expect(negotiate(accept)).toBe(format);
});

test('a header of 100 kB is answered with text, whatever comes after its first ranges', () => {
  expect(negotiate(`${'a/b,'.repeat(31)}application/openmetrics-text`)).toBe('openmetrics/1.0.0');
  expect(negotiate(`${'a/b,'.repeat(32)}application/openmetrics-text`)).toBe('text/0.0.4');
  expect(negotiate('a/b,'.repeat(25_000))).toBe('text/0.0.4');
});

test('content types carry version and charset', () => {
  expect(contentType('text/0.0.4')).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(contentType('openmetrics/1.0.0')).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8');
  expect(contentType('openmetrics/0.0.1')).toBe('application/openmetrics-text; version=0.0.1; charset=utf-8');
});
