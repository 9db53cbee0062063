// Trace ids in bunyan's records, versions 1 and 2. Patches the one method through which every record goes to the
// streams, for loggers made before us too. Called by the module hook.
import type { Guard } from '../core/guard.ts';
import { type ActiveIds, traceFields, validIds } from './fields.ts';

type LogRecord = Record<string, unknown>;
type Emit = (this: unknown, record: LogRecord, ...rest: unknown[]) => unknown;

interface Bunyan {
  readonly prototype: { _emit: Emit };
}

/**
 * Adds the ids to each record that has no `trace_id` of its own, before raw streams and the JSON text are given it.
 * Throws when this bunyan is built otherwise than we know.
 */
export function correlateBunyan(exports: unknown, activeIds: ActiveIds, guard: Guard): void {
  const { prototype } = exports as Bunyan;
  const emit = prototype._emit;
  if (typeof emit !== 'function') throw new Error('this bunyan has no Logger.prototype._emit');
  const correlate = guard.wrap('logs.bunyan', (record: LogRecord) => {
    const ids = validIds(activeIds);
    // bunyan makes a new record for each line, so nobody else sees what is written to it here.
    if (ids !== undefined && record['trace_id'] === undefined) Object.assign(record, traceFields(ids));
  });
  prototype._emit = function (record, ...rest) {
    correlate(record);
    return emit.call(this, record, ...rest);
  };
}
