// Who may read what. On a server bound to loopback everything is open, to requests that name it as a loopback server
// does (DNS rebinding) and that no proxy has forwarded. Everywhere else the metrics and the probes are open, and
// every other path needs the token. Called by endpoints.ts for each request, on the admin server and when mounted.
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Whether a request may be answered. */
export type Decision =
  | { readonly kind: 'open' }
  /** The token came in the query: leave it in a cookie and send the client to the address without it. */
  | { readonly kind: 'signed-in'; readonly cookie: string }
  | { readonly kind: 'refused'; readonly status: 401 | 403; readonly message: string };

/** What is asked for. */
export interface Asked {
  /** Readable by anyone who reaches the server: the metrics and the probes. */
  readonly isPublic: boolean;
  /** The value of `?token=`. */
  readonly token: string | undefined;
  /** Prefix below which the endpoints hang, without its last slash; empty on the admin server. */
  readonly prefix: string;
}

export interface AccessOptions {
  /** `SONDE_TOKEN`. */
  readonly token: string | undefined;
  /** `SONDE_HOST`: a name of the reader's own for a loopback address. */
  readonly host: string;
}

const COOKIE = 'sonde_token';

/** Headers that only a proxy sends, besides `x-forwarded-*`. */
const PROXY_HEADERS: readonly string[] = ['forwarded', 'via', 'x-real-ip'];

const OPEN: Decision = { kind: 'open' };

const FOREIGN_HOST: Decision = {
  kind: 'refused',
  status: 403,
  message:
    'The Host header does not name a loopback address. This server listens on loopback only, and a page on another\n' +
    'site may have pointed its own name here (DNS rebinding). Use http://127.0.0.1 or http://localhost, set SONDE_HOST\n' +
    'to the name you use, or send the token of SONDE_TOKEN as `Authorization: Bearer`.',
};

const NO_TOKEN_SET: Decision = {
  kind: 'refused',
  status: 403,
  message:
    'This path is open on loopback addresses only, and this server can be reached from other machines or through a\n' +
    'proxy. Set SONDE_TOKEN to a secret of your choice and send it as `Authorization: Bearer <token>` or, in a browser,\n' +
    'once as ?token=<token>. The metrics and the probes need no token.',
};

const TOKEN_NEEDED: Decision = {
  kind: 'refused',
  status: 401,
  message:
    'This path needs the token that SONDE_TOKEN is set to: `Authorization: Bearer <token>`, http://any:<token>@host for\n' +
    'go tool pprof or, in a browser, once ?token=<token>.',
};

/** The access rules of one process. */
export class Access {
  readonly #host: string;
  /** Hashed, so that comparing takes the same time whatever was sent. */
  readonly #token: Buffer | undefined;
  /** The cookie carries a hash: a token may hold what a cookie cannot. */
  readonly #cookie: string;

  constructor(options: AccessOptions) {
    const isSet = options.token !== undefined && options.token !== '';
    this.#host = options.host.toLowerCase();
    this.#token = isSet ? sha256(options.token) : undefined;
    this.#cookie = isSet ? sha256(`${COOKIE}:${options.token}`).toString('hex') : '';
  }

  /** Decides about one request. */
  decide(req: IncomingMessage, asked: Asked): Decision {
    if (this.#isToken(asked.token)) return { kind: 'signed-in', cookie: this.#setCookie(req, asked.prefix) };
    if (this.#isToken(authorization(req.headers.authorization)) || this.#hasCookie(req.headers.cookie)) return OPEN;
    if (isBoundToLoopback(req)) {
      // Before all else: a page that rebinds a name can forge the headers of a proxy, but not Host.
      if (!this.#isOwnName(req.headers.host)) return FOREIGN_HOST;
      if (!isForwarded(req)) return OPEN;
    }
    if (asked.isPublic) return OPEN;
    return this.#token === undefined ? NO_TOKEN_SET : TOKEN_NEEDED;
  }

  #isToken(sent: string | undefined): boolean {
    return this.#token !== undefined && sent !== undefined && timingSafeEqual(sha256(sent), this.#token);
  }

  #hasCookie(header: string | undefined): boolean {
    if (this.#token === undefined || header === undefined) return false;
    const pairs = header.split(';').map((pair) => pair.trim());
    return pairs.some(
      (pair) => pair.startsWith(`${COOKIE}=`) && timingSafeEqual(sha256(pair.slice(COOKIE.length + 1)), sha256(this.#cookie)),
    );
  }

  #setCookie(req: IncomingMessage, prefix: string): string {
    const secure = (req.socket as { encrypted?: boolean }).encrypted === true ? '; Secure' : '';
    return `${COOKIE}=${this.#cookie}; Path=${prefix}/; HttpOnly; SameSite=Strict${secure}`;
  }

  /** HTTP/1.0 clients may send no Host; no browser is one. */
  #isOwnName(header: string | undefined): boolean {
    if (header === undefined) return true;
    const name = header.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '');
    return name === this.#host || name === 'localhost' || name.endsWith('.localhost') || isLoopback(name.replace(/^\[(.*)\]$/, '$1'));
  }
}

/** The secret of a Bearer header, or the password of a Basic one: `go tool pprof` can send no other. */
function authorization(header: string | undefined): string | undefined {
  const [, scheme = '', value = ''] = /^(bearer|basic) +(.+)$/i.exec(header ?? '') ?? [];
  if (scheme.toLowerCase() === 'bearer') return value;
  const credentials = Buffer.from(value, 'base64').toString();
  const colon = credentials.indexOf(':');
  return colon === -1 ? undefined : credentials.slice(colon + 1);
}

/**
 * Whether the server that took this connection listens on loopback alone. Its own address decides and not the
 * connection's: through a server on all addresses a proxy on the same machine comes from loopback too.
 */
function isBoundToLoopback(req: IncomingMessage): boolean {
  const { server } = req.socket as { server?: { address?(): AddressInfo | string | null } };
  const address = server?.address?.();
  return typeof address === 'object' && address !== null && isLoopback(address.address);
}

function isLoopback(address: string): boolean {
  return address === '::1' || /^(?:::ffff:)?127(?:\.\d{1,3}){3}$/.test(address);
}

function isForwarded(req: IncomingMessage): boolean {
  return Object.keys(req.headers).some((name) => name.startsWith('x-forwarded-') || PROXY_HEADERS.includes(name));
}

function sha256(value: string): Buffer {
  return createHash('sha256').update(value).digest();
}
