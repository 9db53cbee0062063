// What the tests of the loggers share: ids, a guard, and how to be inside of a request.
import { Writable } from 'node:stream';
import { ROOT, runWith, type SpanIds, SPAN_KEY } from '../../../src/core/context.ts';
import { StderrDiag } from '../../../src/core/diag.ts';
import { Guard } from '../../../src/core/guard.ts';

export const IDS: SpanIds = {
  traceId: '0af7651916cd43dd8448eb211c80319c',
  spanId: 'b7ad6b7169203331',
  traceFlags: 1,
};

export const FIELDS: { trace_id: string; span_id: string; trace_flags: string } = {
  trace_id: IDS.traceId,
  span_id: IDS.spanId,
  trace_flags: '01',
};

export function newGuard(): Guard {
  return new Guard(new StderrDiag('none'));
}

/** Runs `fn` as a request whose span has these ids. */
export function inRequest<R>(fn: () => R, ids: SpanIds = IDS): R {
  return runWith(ROOT.setValue(SPAN_KEY, { spanContext: () => ids }), fn);
}

/** A stream that keeps what is written to it. */
export class Sink extends Writable {
  text = '';

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.text += chunk.toString();
    callback();
  }

  /** The lines written since the last time, parsed. */
  take(): Record<string, unknown>[] {
    const lines = this.text.split('\n').filter((line) => line !== '');
    this.text = '';
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  }
}
