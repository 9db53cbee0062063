// When the application begins to serve HTTP. That is what makes a process a service: before it nothing is printed,
// no port is taken and no profiler runs, so npm, npx, test runners and one-off children that inherit NODE_OPTIONS
// are left alone. `listen` is shadowed on the two HTTP server prototypes; plain TCP servers are not touched.
import http from 'node:http';
import https from 'node:https';
import type { Server } from 'node:http';
import type { Guard } from '../core/guard.ts';
import { OWN_SERVER } from '../request.ts';

type Listen = (this: ListeningServer, ...args: unknown[]) => unknown;
type ListeningServer = Server & { readonly [OWN_SERVER]?: true };

/** Calls `onListening` whenever an HTTP server of the application's listens; returns how to stop. */
export function observeListening(onListening: () => void, guard: Guard): () => void {
  const listening = guard.wrap('listen', onListening);
  const undo = [http.Server.prototype, https.Server.prototype].map((prototype) =>
    shadow(prototype as unknown as { listen: Listen }, listening, guard),
  );
  return () => {
    for (const restore of undo) restore();
  };
}

function shadow(prototype: { listen: Listen }, listening: () => void, guard: Guard): () => void {
  const original = prototype.listen;
  const observe = guard.wrap('listen', (server: ListeningServer) => {
    if (server[OWN_SERVER] !== true) server.once('listening', listening);
  });
  function listen(this: ListeningServer, ...args: unknown[]): unknown {
    observe(this);
    return original.apply(this, args);
  }
  Object.defineProperty(prototype, 'listen', { value: listen, configurable: true, writable: true, enumerable: false });
  return () => {
    // Somebody may have wrapped ours since; then it stays and only passes on.
    if (prototype.listen === listen) delete (prototype as { listen?: Listen }).listen;
  };
}
