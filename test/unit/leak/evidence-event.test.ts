import { describe, expect, it } from 'vitest';
import { headline } from '../../../src/leak/evidence.ts';
import { evidenceEvent } from '../../../src/leak/evidence-event.ts';
import type { LeakFinding } from '../../../src/leak/finding.ts';
import { evidenceOf, MIB } from './evidence.ts';
import { findingOf } from './finding.ts';

const HEAP_SITE = { 'code.function.name': 'leakHere', 'code.file.path': '/app/shop.js', 'code.line.number': 12 };

const siteOf = (findings: readonly LeakFinding[]): unknown =>
  evidenceEvent('sonde.out_of_memory', evidenceOf({ verdict: { level: 'leak', findings } })).attributes['code.function.name'];

describe('evidence as an event', () => {
  it('has the headline, the time, and what is known of the process as attributes', () => {
    expect(evidenceEvent('sonde.memory_limit_near', evidenceOf())).toEqual({
      name: 'sonde.memory_limit_near',
      severityNumber: 17,
      body: headline(evidenceOf()),
      epochMillis: 1_700_000_000_000,
      attributes: {
        'sonde.evidence.reason': 'heap-limit',
        'sonde.evidence.heap.used': 96 * MIB,
        'sonde.evidence.heap.limit': 128 * MIB,
        'sonde.evidence.process.pid': 4_194_999,
        'sonde.evidence.host.name': 'here',
        'sonde.leak.level': 'watching',
        ...HEAP_SITE,
      },
    });
  });

  it('has the seconds to the limit where that is only forecast', () => {
    const { attributes, body } = evidenceEvent('sonde.memory_limit_near', evidenceOf({ forecastSeconds: 42 }));
    expect(attributes['sonde.evidence.forecast']).toBe(42);
    expect(body).toContain('is met in 42 s');
  });

  it('is fatal where V8 has run out of memory, and an error where a limit is near', () => {
    expect(evidenceEvent('sonde.out_of_memory', evidenceOf())).toMatchObject({ name: 'sonde.out_of_memory', severityNumber: 21 });
    expect(evidenceEvent('sonde.memory_limit_near', evidenceOf()).severityNumber).toBe(17);
  });

  it("has the container's memory where there is a container", () => {
    const container = { usedBytes: 230 * MIB, limitBytes: 256 * MIB };
    const { attributes, body } = evidenceEvent('sonde.memory_limit_near', evidenceOf({ reason: 'container-limit', container }));
    expect(attributes).toMatchObject({ 'sonde.evidence.container.used': 230 * MIB, 'sonde.evidence.container.limit': 256 * MIB });
    expect(body).toContain("near the container's limit");
  });

  it('leaves out what is not known', () => {
    const { attributes } = evidenceEvent('sonde.out_of_memory', evidenceOf({ verdict: null, heap: [] }));
    expect(Object.keys(attributes).filter((name) => !name.startsWith('sonde.evidence.'))).toEqual([]);
  });

  it('names the first that grows and has a name, else what holds most of the heap', () => {
    const [unnamed, gone, named] = [findingOf({ site: null }), findingOf({ level: 'gone' }), findingOf()];
    expect(siteOf([named])).toBe('remember');
    expect(siteOf([unnamed, named])).toBe('remember');
    expect(siteOf([unnamed])).toBe('leakHere');
    expect(siteOf([gone])).toBe('leakHere');
    expect(siteOf([])).toBe('leakHere');
  });
});
