// The end of the process. Sonde listens without owning: what is queued is sent in a bounded time, then the process
// ends as it would have: with the same code, or by the same signal. Installed only when there is something to send.
import type { Guard } from './guard.ts';

/** Longest that an exit is held up for the last batch: a peer that answers needs milliseconds, one that hangs gets no more. */
const FLUSH_MILLIS = 1000;

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** Calls `flush` before the process ends by itself or by a signal; returns how to stop. */
export function onExit(flush: (timeoutMillis: number) => Promise<void>, guard: Guard): () => void {
  const flushAwake = keptAwake(flush, guard);
  const stops: (() => void)[] = SIGNALS.map((signal) => {
    const listener = (): void => {
      // Gone before any other listener looks: some (signal-exit) end the process only if no stranger is listening too.
      process.removeListener(signal, listener);
      const handledByOthers = process.listenerCount(signal) > 0;
      const flushed = flushAwake();
      // The default effect, which our listener took away, is due.
      if (!handledByOthers) void flushed.then(() => process.kill(process.pid, signal));
    };
    // Before those of other preloads too, for the same reason.
    process.prependListener(signal, listener);
    return () => process.removeListener(signal, listener);
  });
  stops.push(holdBeforeExit(() => void flushAwake()));
  return () => {
    for (const stop of stops) stop();
  };
}

/**
 * Calls `flush` when Node first says beforeExit, and keeps that from the application: the flush is work, after which
 * Node says it again, and a listener of the application's would be called once more than without us.
 */
function holdBeforeExit(flush: () => void): () => void {
  const owner = process as { emit: (...args: unknown[]) => boolean };
  const original = owner.emit;
  const before = Object.getOwnPropertyDescriptor(owner, 'emit');
  let held = false;
  // No listener can stop the ones after it, so this stands before all of them, where Node looks it up.
  function emit(this: unknown, ...args: unknown[]): boolean {
    if (held || args[0] !== 'beforeExit') return original.apply(this, args);
    held = true;
    flush();
    // Where there was nothing to send the loop would end here, with nothing said to anybody.
    setImmediate(() => {});
    return true;
  }
  Object.defineProperty(owner, 'emit', { value: emit, configurable: true, writable: true, enumerable: false });
  return () => {
    held = true;
    // Somebody may have wrapped ours since; then it stays and only passes on.
    if (owner.emit !== emit) return;
    delete (owner as { emit?: unknown }).emit;
    if (before !== undefined) Object.defineProperty(owner, 'emit', before);
  };
}

/**
 * Flushes while one timer holds the event loop: our sockets are unref'd, so nothing else would wait for them. After a
 * flush that took all of its time there is none left: a signal and the end that follows it share the one second.
 */
function keptAwake(flush: (timeoutMillis: number) => Promise<void>, guard: Guard): () => Promise<void> {
  let spent = false;
  return async () => {
    if (spent) return;
    const timer = setTimeout(() => (spent = true), FLUSH_MILLIS);
    await guard.runAsync('exit', () => flush(FLUSH_MILLIS));
    clearTimeout(timer);
  };
}
