// A finding for tests.
import type { LeakFinding } from '../../../src/leak/finding.ts';

/** A leak of the heap of which nothing is known but its site. */
export function findingOf(over: Partial<LeakFinding> = {}): LeakFinding {
  return {
    kind: 'heap',
    level: 'leak',
    resourceType: null,
    site: { function: 'remember', file: '/app/store.js', line: 20, column: 1 },
    note: '',
    stack: [],
    leaves: [],
    className: null,
    route: null,
    grownBytes: 1000,
    bytesPerHour: 2000,
    grownCount: 0,
    countPerHour: 0,
    share: 1,
    sinceEpochMillis: 1000,
    levelEpochMillis: 2000,
    heapLimit: null,
    containerLimit: null,
    ...over,
  };
}
