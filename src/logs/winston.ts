// Trace ids in winston's infos, version 3. Patches Logger.prototype, so that formats see the fields, loggers made
// before us have them, and child loggers too. Called by the module hook.
import type { Guard } from '../core/guard.ts';
import { type ActiveIds, type TraceFields, traceFields, validIds } from './fields.ts';
import { prototypeWith } from './prototype.ts';

type Info = Record<string, unknown>;
type Method = (this: unknown, info: unknown, ...rest: unknown[]) => unknown;

interface LoggerPrototype {
  write: Method;
  _transform: Method;
}

/**
 * Adds the ids to each info that has no `trace_id` of its own. The ids are those of the moment when it is written,
 * however long a slow transport holds it back.
 *
 * An info may be the application's own object, which it may log again elsewhere or send to a client, so a plain one is
 * copied. An Error or another instance cannot be copied (private fields, `instanceof`): it carries the fields only
 * while the logger's format runs.
 *
 * Throws when this winston is built otherwise than we know.
 */
export function correlateWinston(exports: unknown, activeIds: ActiveIds, guard: Guard): void {
  // Before 3.4 the exported Logger is a notice of deprecation without a prototype.
  const logger = (exports as { createLogger(options: object): object }).createLogger({ silent: true });
  const prototype = prototypeWith(logger, '_transform') as LoggerPrototype;
  const { write, _transform: transform } = prototype;
  const waiting = new WeakMap<object, TraceFields>();

  const correlated = guard.wrap('logs.winston', (info: unknown) => {
    const ids = validIds(activeIds);
    if (ids === undefined || !isInfo(info) || info['trace_id'] !== undefined) return undefined;
    // Not by spread: with winston's symbol keys V8 makes that a dictionary, and a line costs 7 us more.
    if (isPlain(info)) return Object.assign({}, info, traceFields(ids));
    if (Object.isExtensible(info)) waiting.set(info, traceFields(ids));
    return undefined;
  });
  prototype.write = function (info, ...rest) {
    return write.call(this, correlated(info) ?? info, ...rest);
  };

  const lend = guard.wrap('logs.winston', (info: unknown) => {
    const fields = isInfo(info) ? waiting.get(info) : undefined;
    if (fields === undefined) return false;
    waiting.delete(info as Info);
    Object.assign(info as Info, fields);
    return true;
  });
  const takeBack = guard.wrap('logs.winston', (info: Info) => {
    delete info['trace_id'];
    delete info['span_id'];
    delete info['trace_flags'];
  });
  prototype._transform = function (info, ...rest) {
    if (lend(info) !== true) return transform.call(this, info, ...rest);
    try {
      return transform.call(this, info, ...rest);
    } finally {
      // A format of the application may throw, and its Error object is still the application's.
      takeBack(info as Info);
    }
  };
}

function isInfo(value: unknown): value is Info {
  return typeof value === 'object' && value !== null;
}

function isPlain(info: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(info);
  return prototype === Object.prototype || prototype === null;
}
