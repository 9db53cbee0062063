// The api's forms of time, in and out. Inside, a time is epoch milliseconds in one number, exact to the microsecond.
import type { HrTime, TimeInput } from '@opentelemetry/api';
import type { Clock } from '../core/clock.ts';

/** Whether a value is one of the api's forms of time and names a time. */
export function isTimeInput(value: unknown): value is TimeInput {
  if (typeof value === 'number') return Number.isFinite(value);
  if (value instanceof Date) return Number.isFinite(value.getTime());
  return Array.isArray(value) && value.length === 2 && Number.isFinite(value[0]) && Number.isFinite(value[1]);
}

/** Epoch milliseconds of a time; a number up to now on the clock of `performance.now()` is a reading of that. Undefined for what is no time. */
export function timeInputEpochMillis(time: unknown, clock: Clock): number | undefined {
  if (!isTimeInput(time)) return undefined;
  if (typeof time === 'number') return time <= clock.monotonicMillis() ? clock.epochMillis(time) : time;
  if (time instanceof Date) return time.getTime();
  return time[0] * 1e3 + time[1] / 1e6;
}

/** Seconds and nanoseconds of milliseconds, which may be a time or a duration. */
export function toHrTime(millis: number): HrTime {
  const seconds = Math.trunc(millis / 1000);
  const nanos = Math.round((millis - seconds * 1000) * 1e6);
  return nanos === 1e9 ? [seconds + 1, 0] : [seconds, nanos];
}
