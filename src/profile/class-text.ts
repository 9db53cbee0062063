// A histogram of classes as text for a terminal. Pure. Called by serve/classes.ts.
import type { ClassHistogram, HistogramEstimate } from './class-histogram.ts';
import { size } from './snapshot-cost.ts';

const COUNT_WIDTH = 10;

/** What one would cost, and how to have it all the same. */
export function costText({ heapUsedBytes, seconds, memoryBytes, nodeMajor }: HistogramEstimate, command: string): string {
  return [
    'A histogram of classes was not taken, because the process stands still meanwhile: it answers no request.',
    `For this heap of ${size(heapUsedBytes)} that takes about ${seconds} s and up to ${size(memoryBytes)} of memory more.`,
    `Estimated from measurements on Node ${nodeMajor} by how many objects a heap of this size holds; a busy or slower machine takes longer.`,
    'To take it:',
    `  ${command}`,
  ].join('\n');
}

export function classText(histogram: ClassHistogram): string {
  const { objects, classes, otherClasses, otherObjects, emitters, collections, tookSeconds } = histogram;
  const rest = otherClasses === 0 ? [] : [row(otherObjects, `objects of ${otherClasses} other classes`)];
  return [
    `${objects} objects, counted in ${tookSeconds} s. Not among them: those without a prototype, and those of other contexts (node:vm).`,
    ['Objects by class:', ...classes.map(({ className, count }) => row(count, className)), ...rest].join('\n'),
    section('EventEmitters and EventTargets with most listeners of one event:', emitters, ({ listeners, className, event, names }) =>
      row(listeners, `${className} on ${event}${names.length === 0 ? '' : `: ${names.join(', ')}`}`),
    ),
    section('Largest collections:', collections, ({ kind, className, size: entries, keyType, valueType }) => {
      const own = className === kind ? kind : `${kind} (${className})`;
      return row(entries, `${own} of ${kind === 'Map' || kind === 'Object' ? `${keyType} to ${valueType}` : valueType}`);
    }),
  ].join('\n\n');
}

function section<T>(title: string, items: readonly T[], line: (item: T) => string): string {
  return items.length === 0 ? `${title} none.` : [title, ...items.map(line)].join('\n');
}

function row(count: number, text: string): string {
  return `${String(count).padStart(COUNT_WIDTH)}  ${text}`;
}
