// Incoming requests of node:http and node:https, by the channel that Node publishes for each of them.
// No patch: enterWith inside the channel's subscriber reaches the handler, its timers and its streams on Node 20 to 26.
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Guard } from '../core/guard.ts';
import { OWN_SERVER, type ServerRequests } from '../request.ts';

const START = 'http.server.request.start';

interface StartMessage {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly server: Server & { readonly [OWN_SERVER]?: true };
}

/** Records every request of the process but those to Sonde's own server; returns how to stop. */
export function instrumentHttpServer(requests: ServerRequests, guard: Guard): () => void {
  const onStart = guard.wrap('http-server', (message: unknown) => {
    const { request, response, server } = message as StartMessage;
    if (server[OWN_SERVER] !== true) requests.begin(request, response);
  });
  subscribe(START, onStart);
  return () => {
    unsubscribe(START, onStart);
  };
}
