// `sonde/fastify`: the endpoints as a plugin of a Fastify application. A thin adapter: it takes the routes and hands
// their requests to serve/endpoints.ts. Its types are structural, so that no version of Fastify is named.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { startRuntime } from './sdk.ts';

export interface SondeFastifyOptions {
  /** Path below which the endpoints are served: Fastify's own option of `register`. Left out: `/sonde`. */
  readonly prefix?: string;
}

/** What of Fastify's reply is used. */
interface Reply {
  readonly raw: ServerResponse;
  hijack(): unknown;
  callNotFound(): unknown;
}

/** What of Fastify's instance is used. */
interface Instance {
  /** All prefixes that lead here. */
  readonly prefix: string;
  route(options: {
    method: string[];
    url: string;
    logLevel: 'silent';
    handler: (request: { readonly raw: IncomingMessage }, reply: Reply) => void;
  }): unknown;
}

const PREFIX_DEFAULT = '/sonde';

/**
 * Serves Sonde's endpoints from a Fastify application: `fastify.register(sonde)` answers `/sonde/metrics`,
 * `fastify.register(sonde, { prefix: '/ops' })` answers `/ops/metrics`. Starts Sonde when the preload did not. The
 * requests it answers are not counted as the application's, and not logged. Who may read what follows the address
 * that the application's server listens on.
 */
export function sonde(instance: Instance, options: SondeFastifyOptions, done: (error?: Error) => void): void {
  const { endpoints, observeFastify } = startRuntime();
  observeFastify(rootOf(instance));
  // Fastify has put a prefix of the caller's before every route already.
  const own = options.prefix === undefined ? PREFIX_DEFAULT : '';
  const prefix = instance.prefix + own;
  const handler = ({ raw: req }: { readonly raw: IncomingMessage }, reply: Reply): void => {
    const address = req.url ?? '/';
    const target = address.slice(prefix.length);
    if (endpoints === undefined || !endpoints.owns(target)) {
      reply.callNotFound();
      return;
    }
    reply.hijack();
    void endpoints.handle(req, reply.raw, { prefix, target, address });
  };
  for (const url of own === '' ? ['/', '/*'] : [own, `${own}/*`]) {
    instance.route({ method: ['GET', 'HEAD'], url, logLevel: 'silent', handler });
  }
  done();
}

/** The application's own instance: a plugin gets one that inherits from it. */
function rootOf(instance: object): object {
  let root = instance;
  for (let above = Object.getPrototypeOf(root) as object; above !== Object.prototype; above = Object.getPrototypeOf(root) as object)
    root = above;
  return root;
}
