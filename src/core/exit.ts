// The end of the process. Sonde listens without owning: what is queued is sent in a bounded time, then the process
// ends as it would have: with the same code, or by the same signal. Installed only when there is something to send.
import type { Guard } from './guard.ts';

/** Longest that an exit is held up for the last batch: a peer that answers needs milliseconds, one that hangs gets no more. */
const FLUSH_MILLIS = 1000;

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** Calls `flush` before the process ends by itself or by a signal; returns how to stop. */
export function onExit(flush: (timeoutMillis: number) => Promise<void>, guard: Guard): () => void {
  // Once: the flush itself is work, after which Node says beforeExit again.
  const onBeforeExit = (): void => void flushAwake(flush, guard);
  const listeners = SIGNALS.map((signal) => {
    const listener = (): void => {
      // Gone before any other listener looks: some (signal-exit) end the process only if no stranger is listening too.
      process.removeListener(signal, listener);
      const handledByOthers = process.listenerCount(signal) > 0;
      const flushed = flushAwake(flush, guard);
      // The default effect, which our listener took away, is due.
      if (!handledByOthers) void flushed.then(() => process.kill(process.pid, signal));
    };
    process.on(signal, listener);
    return () => process.removeListener(signal, listener);
  });
  process.once('beforeExit', onBeforeExit);
  return () => {
    process.removeListener('beforeExit', onBeforeExit);
    for (const stop of listeners) stop();
  };
}

/** Flushes while one timer holds the event loop: our sockets are unref'd, so nothing else would wait for them. */
async function flushAwake(flush: (timeoutMillis: number) => Promise<void>, guard: Guard): Promise<void> {
  const awake = setTimeout(() => {}, FLUSH_MILLIS);
  await guard.runAsync('exit', () => flush(FLUSH_MILLIS));
  clearTimeout(awake);
}
