// Fastify 4 and 5: the route template of a request and the errors of its handlers, by two hooks on each instance. Fastify
// publishes new instances on a channel, so the hooks stand before any of the application's, and a request that is
// answered in the application's own first hook has its route too.
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { ServerResponse } from 'node:http';
import type { Guard } from '../core/guard.ts';
import type { ServerRequests } from '../request.ts';

const INITIALIZATION = 'fastify.initialization';
const OBSERVED: unique symbol = Symbol('sonde.observed');

/** Under a symbol of this description a request keeps what its route is made of, which `routeOptions` copies for each who asks. */
const CONTEXT = 'fastify.context';

interface RouteContext {
  readonly config?: { readonly url?: string | undefined };
}

interface FastifyRequest {
  readonly routeOptions?: { readonly url?: string | undefined };
  readonly [context: symbol]: RouteContext | undefined;
}

interface FastifyReply {
  readonly raw: ServerResponse;
}

interface FastifyInstance {
  addHook(name: 'onRequest', hook: (request: FastifyRequest, reply: FastifyReply) => unknown): unknown;
  addHook(name: 'onError', hook: (request: FastifyRequest, reply: FastifyReply, error: unknown, done: () => void) => void): unknown;
  [OBSERVED]?: true;
}

/**
 * What a hook returns so that Fastify goes on at once, yet not from inside the hook: `then(resolve)` is resolve called
 * by a function of V8's, which leaves no frame. With a callback our frame would be in the stack of every handler.
 */
// oxlint-disable-next-line unicorn/no-thenable -- being one is its purpose
const GO_ON = { then: Function.prototype.call.bind(Function.prototype.call) as (resolve: () => void) => void };

/** Makes a function that observes an instance, once, from its next request on. */
export function fastifyObserver(requests: ServerRequests, guard: Guard): (fastify: unknown) => void {
  const failed = guard.wrap('fastify', (reply: FastifyReply, error: unknown) => requests.failed(reply.raw, error));
  return guard.wrap('fastify', (instance: unknown) => {
    const fastify = instance as FastifyInstance;
    if (fastify[OBSERVED] === true) return;
    fastify[OBSERVED] = true;
    let context: symbol | undefined;
    const matched = guard.wrap('fastify', (request: FastifyRequest, reply: FastifyReply) => {
      context ??= Object.getOwnPropertySymbols(request).find(({ description }) => description === CONTEXT);
      const route = context === undefined ? undefined : request[context];
      const template = route === undefined ? request.routeOptions?.url : route.config?.url;
      // Undefined for what no route matched.
      requests.named(reply.raw, template ?? '');
    });
    fastify.addHook('onRequest', (request, reply) => {
      matched(request, reply);
      return GO_ON;
    });
    fastify.addHook('onError', (_request, reply, error, done) => {
      failed(reply, error);
      done();
    });
  });
}

/** Observes every instance made from now on; returns how to stop. */
export function instrumentFastify(observe: (fastify: unknown) => void): () => void {
  const onInstance = (message: unknown): void => observe((message as { fastify: unknown }).fastify);
  subscribe(INITIALIZATION, onInstance);
  return () => {
    unsubscribe(INITIALIZATION, onInstance);
  };
}
