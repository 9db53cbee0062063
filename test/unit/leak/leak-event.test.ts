import { describe, expect, it } from 'vitest';
import type { LeakFinding } from '../../../src/leak/finding.ts';
import { leakEvent } from '../../../src/leak/leak-event.ts';
import { leakSentence } from '../../../src/leak/leak-text.ts';
import { findingOf } from './finding.ts';

const SITE = { function: 'rememberSession', file: 'services/gateway.cjs', line: 41, column: 3 };

const finding = (more: Partial<LeakFinding> = {}): LeakFinding =>
  findingOf({
    site: SITE,
    stack: [SITE, { function: 'onLogin', file: 'services/gateway.cjs', line: 90, column: 1 }],
    className: 'Session',
    route: 'POST /login',
    grownBytes: 12e6,
    bytesPerHour: 38e6,
    share: 0.84,
    heapLimit: { seconds: 13_800, lowSeconds: 7800, highSeconds: null },
    ...more,
  });

describe('a finding as an event', () => {
  it('has the sentence, the time of the level and all that is known as attributes', () => {
    expect(leakEvent(finding())).toEqual({
      name: 'sonde.leak',
      severityNumber: 17,
      body: leakSentence(finding()),
      epochMillis: 2000,
      attributes: {
        'sonde.leak.kind': 'heap',
        'sonde.leak.level': 'leak',
        'sonde.leak.growth': 12e6,
        'sonde.leak.growth_per_hour': 38e6,
        'sonde.leak.share': 0.84,
        'sonde.leak.class': 'Session',
        'sonde.leak.forecast.heap': 13_800,
        'code.function.name': 'rememberSession',
        'code.file.path': 'services/gateway.cjs',
        'code.line.number': 41,
        'code.stacktrace': '    at rememberSession (services/gateway.cjs:41)\n    at onLogin (services/gateway.cjs:90)',
        'http.request.method': 'POST',
        'http.route': '/login',
      },
    });
  });

  it.each([
    ['growing', 9],
    ['gone', 9],
    ['suspect', 13],
    ['leak', 17],
  ] as const)('that is %s has the severity %i', (level, severityNumber) => {
    expect(leakEvent(finding({ level })).severityNumber).toBe(severityNumber);
  });

  it('counts resources, and leaves out what is not known', () => {
    const resources = { kind: 'resources', resourceType: 'Timeout', grownCount: 40, countPerHour: 120 } as const;
    const unknown = { site: null, stack: [], className: null, route: null, heapLimit: null, note: 'made before the start' };
    expect(leakEvent(finding({ ...resources, ...unknown })).attributes).toEqual({
      'sonde.leak.kind': 'resources',
      'sonde.leak.level': 'leak',
      'sonde.leak.growth': 40,
      'sonde.leak.growth_per_hour': 120,
      'sonde.leak.share': 0.84,
      'sonde.leak.resource.type': 'Timeout',
      'sonde.leak.note': 'made before the start',
    });
  });

  it('takes a template without a method as it is', () => {
    expect(leakEvent(finding({ route: '/orders/:id' })).attributes).toMatchObject({ 'http.route': '/orders/:id' });
  });
});
