// Fastify 4 and 5: the route template of a request and the errors of its handlers. Fastify publishes each new instance
// on a channel; two hooks are added there, before any of the application's, so that a request that is answered in
// the application's own first hook has its route too.
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { ServerResponse } from 'node:http';
import type { Guard } from '../core/guard.ts';
import type { ServerRequests } from '../request.ts';

const INITIALIZATION = 'fastify.initialization';

interface FastifyRequest {
  readonly routeOptions?: { readonly url?: string | undefined };
}

interface FastifyReply {
  readonly raw: ServerResponse;
}

interface FastifyInstance {
  addHook(name: 'onRequest', hook: (request: FastifyRequest, reply: FastifyReply, done: () => void) => void): unknown;
  addHook(name: 'onError', hook: (request: FastifyRequest, reply: FastifyReply, error: unknown, done: () => void) => void): unknown;
}

/** Observes every Fastify instance made from now on; returns how to stop observing new ones. */
export function instrumentFastify(requests: ServerRequests, guard: Guard): () => void {
  const matched = guard.wrap('fastify', (request: FastifyRequest, reply: FastifyReply) => {
    // Undefined for what no route matched.
    requests.named(reply.raw, request.routeOptions?.url ?? '');
  });
  const failed = guard.wrap('fastify', (reply: FastifyReply, error: unknown) => requests.failed(reply.raw, error));
  const onInstance = guard.wrap('fastify', (message: unknown) => {
    const { fastify } = message as { fastify: FastifyInstance };
    fastify.addHook('onRequest', (request, reply, done) => {
      matched(request, reply);
      done();
    });
    fastify.addHook('onError', (_request, reply, error, done) => {
      failed(reply, error);
      done();
    });
  });
  subscribe(INITIALIZATION, onInstance);
  return () => {
    unsubscribe(INITIALIZATION, onInstance);
  };
}
