// The requests that the application is serving right now, found without any cost to them: sockets among the handles that keep the
// event loop alive, whose `_httpMessage` is the response that is being made (undocumented; seen on Node 20 to 26). HTTP/2
// is not seen, nor what waits behind another on a pipelined connection. Some 1 us a handle; asked when memory runs out.
import type { ServerResponse } from 'node:http';
import type { ServerRequests } from '../request.ts';

/** Handles looked at. */
const HANDLES_MAX = 20_000;

/** A request that has begun and not ended. */
interface InFlight {
  readonly method: string;
  readonly route: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly durationMillis: number;
}

/** Longest first. */
export function inFlightRequests(requests: Pick<ServerRequests, 'recordOf'>, nowMonotonicMillis: number): InFlight[] {
  const handles = (process as { _getActiveHandles?: () => unknown[] })._getActiveHandles?.() ?? [];
  const found: InFlight[] = [];
  for (const handle of handles.slice(0, HANDLES_MAX)) {
    const res = (handle as { _httpMessage?: ServerResponse | null } | null)?._httpMessage;
    const span = res === null || res === undefined ? undefined : requests.recordOf(res);
    if (span === undefined) continue;
    const { method, route, traceId, spanId, startMonotonicMillis } = span;
    found.push({ method, route, traceId, spanId, durationMillis: Math.round(nowMonotonicMillis - startMonotonicMillis) });
  }
  return found.toSorted((a, b) => b.durationMillis - a.durationMillis);
}
