// Requests and their responses as node:http makes them, on a real connection whose writes go nowhere: what the data
// plane reads of them (headers, peer address, status, whether all was written) is Node's own.
import { once } from 'node:events';
import { createServer, IncomingMessage, ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { inTurn } from './operation.ts';

export interface Exchange {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
}

/** Different requests that are repeated in turn. */
const VARIANTS = 64;
const METHODS = ['GET', 'GET', 'POST', 'GET'];
const STATUSES = [200, 200, 200, 201, 200, 200, 200, 404];

export const ROUTES: readonly string[] = [
  '/items/:id',
  '/items',
  '/users/:id',
  '/users/:id/orders',
  '/orders/:id',
  '/orders',
  '/search',
  '/carts/:id/lines/:line',
];

/** Where values stand among a request's raw headers; the last one when it has one. */
export const HOST_AT = 1;
export const USER_AGENT_AT = 3;
export const TRACEPARENT_AT = 15;

interface Variant {
  readonly method: string;
  readonly url: string;
  readonly status: number;
  readonly headers: string[];
}

export class Exchanges {
  readonly #socket: Socket;
  readonly #plain = inTurn(Array.from({ length: VARIANTS }, (_, index) => variant(index, false)));
  readonly #traced = inTurn(Array.from({ length: VARIANTS }, (_, index) => variant(index, true)));

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Opens the connection, which stays open for the life of the process. */
  static async open(): Promise<Exchanges> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const connected = once(server, 'connection') as Promise<[Socket]>;
    connect((server.address() as AddressInfo).port, '127.0.0.1');
    const [socket] = await connected;
    socket.write = (_bytes: unknown, _encoding: unknown, done?: () => void) => {
      done?.();
      return true;
    };
    return new Exchanges(socket);
  }

  /** A request that has just come in, as at `http.server.request.start`. */
  received(isTraced = false): Exchange {
    return this.#make(isTraced ? this.#traced() : this.#plain());
  }

  /** Sends the response. */
  answer({ res }: Exchange): void {
    res.assignSocket(this.#socket);
    res.end('{}');
    res.detachSocket(this.#socket);
  }

  #make({ method, url, status, headers }: Variant): Exchange {
    const req = new IncomingMessage(this.#socket);
    // As Node's parser does; the public fields alone leave `headers` empty.
    (req as unknown as { _addHeaderLines(lines: string[], count: number): void })._addHeaderLines(headers, headers.length);
    req.httpVersionMajor = 1;
    req.httpVersionMinor = 1;
    req.httpVersion = '1.1';
    req.method = method;
    req.url = url;
    const res = new ServerResponse(req);
    res.statusCode = status;
    return { req, res };
  }
}

function variant(index: number, isTraced: boolean): Variant {
  const headers = [
    ['Host', `127.0.0.1:${3000 + (index % 8)}`],
    ['User-Agent', `loadtest/1.${index % 16} (bench)`],
    ['Accept', '*/*'],
    ['Accept-Encoding', 'gzip, deflate, br'],
    ['Connection', 'keep-alive'],
    ['Content-Type', 'application/json'],
    ['X-Request-Id', `r-${index * 7919}`],
  ];
  if (isTraced) headers.push(['traceparent', traceparentOf(index)]);
  return {
    method: METHODS[index % METHODS.length]!,
    url: `/items/${index * 31}?page=${index}&sort=name`,
    status: STATUSES[index % STATUSES.length]!,
    // Out of a buffer, as the parser's strings are: those of a source file are interned and compare faster.
    headers: headers.flat().map((text) => Buffer.from(text).toString('latin1')),
  };
}

export function traceparentOf(index: number): string {
  const hex = (digits: number, seed: number): string => ((index + 1) * seed).toString(16).padStart(digits, 'c');
  return `00-${hex(32, 7_919_777)}-${hex(16, 104_729)}-01`;
}
