// The server that Sonde listens with: opens the port, keeps nothing alive, never surfaces an error. What it answers
// is in endpoints.ts. Started and closed by sdk.ts, which imports this file when it does: node:http alone is 6 ms of
// a process that may never serve.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { runSuppressed } from '../core/context.ts';
import type { Diag } from '../core/diag.ts';
import type { Guard } from '../core/guard.ts';
import { OWN_SERVER } from '../request.ts';
import { PROFILE_SECONDS_MAX, type Endpoints } from './endpoints.ts';

/** Ports tried from the default one on: ten processes of one developer's machine. */
const PORTS_TRIED = 10;

/** A scrape takes one connection; what opens a hundred is no reader. */
const CONNECTIONS_MAX = 100;

/** For a request to arrive in. */
const REQUEST_MILLIS = 10_000;

/**
 * For a client that has stopped reading its answer. A pending write keeps the event loop, and so the process, alive:
 * it ends at most twice this time later (measured on 20), because Node checks for progress once before it times out.
 */
const STALLED_MILLIS = 3000;

export interface AdminOptions {
  /** Address or name. */
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  /** The user has named this port: another one would not be found. */
  readonly portIsExplicit: boolean;
}

/** Where the server listens. */
export interface AdminAddress {
  readonly host: string;
  readonly port: number;
  /** `http://host:port`, without a slash at the end. */
  readonly url: string;
}

export class AdminServer {
  readonly #endpoints: Endpoints;
  readonly #options: AdminOptions;
  readonly #guard: Guard;
  readonly #diag: Diag;
  #server: Server | undefined;

  constructor(endpoints: Endpoints, options: AdminOptions, { guard, diag }: { guard: Guard; diag: Diag }) {
    this.#endpoints = endpoints;
    this.#options = options;
    this.#guard = guard;
    this.#diag = diag;
  }

  /** Opens the port; answers undefined, and has said why once, when it cannot. Never rejects. */
  async listen(): Promise<AdminAddress | undefined> {
    return this.#guard.runAsync('serve:listen', async () => {
      // Outside the application's context: a server hands the context it was made in to every request.
      const server = runSuppressed(() => this.#create());
      const { host, port, portIsExplicit } = this.#options;
      const last = portIsExplicit || port === 0 ? port : Math.min(port + PORTS_TRIED - 1, 65_535);
      for (let candidate = port; candidate <= last; candidate++) {
        const failure = await runSuppressed(() => bind(server, host, candidate));
        if (failure === undefined) return this.#opened(server);
        if (failure.code !== 'EADDRINUSE' || candidate === last) this.#diag.warn('admin-server', explain(failure, host, port, last));
        if (failure.code !== 'EADDRINUSE') break;
      }
      return undefined;
    });
  }

  /** Closes the port and every connection, whatever is under way on it. */
  close(): void {
    this.#server?.close();
    this.#server?.closeAllConnections();
    this.#server = undefined;
  }

  #create(): Server {
    const timeouts = { headersTimeout: REQUEST_MILLIS, requestTimeout: REQUEST_MILLIS };
    const server = createServer(timeouts, (req, res) => void this.#handle(req, res));
    Object.assign(server, { [OWN_SERVER]: true });
    server.maxConnections = CONNECTIONS_MAX;
    // Idle for longer than the longest profile: the client is gone without saying so.
    server.timeout = PROFILE_SECONDS_MAX * 1000 + REQUEST_MILLIS;
    server.on('connection', (socket) => socket.unref());
    server.on('error', (error) => this.#diag.debug(`admin server: ${error.message}`));
    return server.unref();
  }

  async #handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const target = req.url ?? '/';
    await this.#endpoints.handle(req, res, { prefix: '', target, address: target, stalledMillis: STALLED_MILLIS });
  }

  #opened(server: Server): AdminAddress {
    this.#server = server;
    const { address, port, family } = server.address() as AddressInfo;
    return { host: address, port, url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}` };
  }
}

/** Resolves to the error with which the address could not be taken. */
function bind(server: Server, host: string, port: number): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    const settle = (failure: NodeJS.ErrnoException | undefined): void => {
      server.off('error', settle).off('listening', onListening);
      resolve(failure);
    };
    const onListening = (): void => settle(undefined);
    server.once('error', settle).once('listening', onListening);
    // exclusive: the workers of a cluster would otherwise share the port, and a scrape reach any one of them.
    server.listen({ host, port, exclusive: true });
  });
}

function explain(failure: NodeJS.ErrnoException, host: string, port: number, last: number): string {
  const address = last === port ? `${host}:${port}` : `${host}:${port} to ${last}`;
  const remedy: Readonly<Record<string, string>> = {
    EADDRINUSE: 'the port is taken; set SONDE_PORT to another one, or to 0 for a free one',
    EACCES: 'this user may not open it; set SONDE_PORT to one above 1023',
    EADDRNOTAVAIL: 'this machine has no such address; set SONDE_HOST to one that it has, 127.0.0.1 or 0.0.0.0',
    ENOTFOUND: 'the name is not known; set SONDE_HOST to an address, 127.0.0.1 or 0.0.0.0',
  };
  const reason = remedy[failure.code ?? ''] ?? `${failure.message}; check SONDE_HOST and SONDE_PORT`;
  return `the endpoints are not served on ${address}: ${reason}. The application is not affected.`;
}
