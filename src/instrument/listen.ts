// When the application begins to serve HTTP. That is what makes a process a service: before it nothing is printed,
// no port is taken and no profiler runs, so npm, npx, test runners and one-off children that inherit NODE_OPTIONS
// are left alone. Node publishes it on a channel for every server; plain TCP servers and Sonde's own do not count.
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import http from 'node:http';
import https from 'node:https';
import type { Guard } from '../core/guard.ts';
import { OWN_SERVER } from '../request.ts';

const LISTENING = 'tracing:net.server.listen:asyncEnd';

/** Calls `onListening` whenever an HTTP server of the application's listens; returns how to stop. */
export function observeListening(onListening: () => void, guard: Guard): () => void {
  const observe = guard.wrap('listen', (message: unknown) => {
    const { server } = message as { server: { readonly [OWN_SERVER]?: true } };
    if ((server instanceof http.Server || server instanceof https.Server) && server[OWN_SERVER] !== true) onListening();
  });
  subscribe(LISTENING, observe);
  return () => {
    unsubscribe(LISTENING, observe);
  };
}
