// /debug/leaks/classes: live objects by class, EventEmitters with most listeners and the largest collections.
//
//   (nothing)            409 with what it would cost now, and the command that takes it
//   ?confirm=1           takes it: the process stands still for 0.2 s to several seconds
//   ?format=json|text    json unless the Accept header asks for text/plain and not for JSON
//
// It needs no switch of its own as /debug/heapsnapshot does: it has names of classes and numbers, never a key, a value or
// a text. What guards it is `confirm`, the check for room (503) and that a page of another site cannot ask for it (403).
import { classText, costText } from '../profile/class-text.ts';
import type { ClassHistogram, HistogramEstimate } from '../profile/class-histogram.ts';
import { ProfileError } from '../profile/profile-error.ts';
import { json, text, type Answer } from './answer.ts';
import { unknownParameter, type LeakRequest } from './leaks.ts';
import { preferredFormat } from './parameters.ts';

/** Both throw a ProfileError when there is no room for one or one is being taken. */
export interface ClassReads {
  estimate(): Promise<HistogramEstimate>;
  take(): Promise<ClassHistogram>;
}

const CONFLICT = 409;

export async function classHistogram(classes: ClassReads, request: LeakRequest & { readonly isForeignPage: boolean }): Promise<Answer> {
  const { query, accept, headersOnly, address, isForeignPage } = request;
  const unknown = unknownParameter(query, ['confirm', 'format']);
  if (unknown !== undefined) return text(400, unknown);
  const format = query.get('format') ?? preferredFormat(accept);
  if (format !== 'json' && format !== 'text') return text(400, 'invalid value for "format" - must be json or text');
  const confirm = query.get('confirm') ?? '0';
  if (confirm !== '0' && confirm !== '1') return text(400, 'invalid value for "confirm" - must be 1 to take it');
  try {
    const isTaken = confirm === '1' && !headersOnly;
    if (isTaken && isForeignPage) return text(403, 'a page of another site may not stop this process; open the address by itself');
    if (!isTaken) return costAnswer(await classes.estimate(), format, address);
    const histogram = await classes.take();
    return format === 'text' ? text(200, classText(histogram)) : json(histogram);
  } catch (error) {
    if (error instanceof ProfileError) return text(error.status, error.message);
    throw error;
  }
}

function costAnswer(estimate: HistogramEstimate, format: 'json' | 'text', address: string): Answer {
  const command = `curl '${address}/debug/leaks/classes?confirm=1&format=${format}'`;
  const headers = {
    'x-sonde-estimated-seconds': String(estimate.seconds),
    'x-sonde-estimated-memory-bytes': String(estimate.memoryBytes),
  };
  return text(CONFLICT, costText(estimate, command), headers);
}
