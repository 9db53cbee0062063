// One HTTP exchange with a receiver of what is exported. Called by delivery.ts, which loads it when the first request is
// due. It is ours because the transport of otlp-exporter-base keeps the process alive: its retry timers and sockets hold
// a reference. A hanging DNS lookup still does, libuv has no way to let go of one.
import { readFile } from 'node:fs/promises';
import { Agent as HttpAgent, request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Guard } from '../core/guard.ts';

/** Largest answer read, in bytes; the OTLP specification asks clients for a limit and names this one. */
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;

/** Of what a receiver says about a refusal; more is not shown. */
const WORDS_BYTES_MAX = 200;

/** Failures of the network that pass by themselves; others (a bad certificate, no HTTP at all) do not. */
const RETRYABLE_CODES: ReadonlySet<string> = new Set([
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
]);

/** Where messages go, and what travels with each. */
export interface TransportOptions {
  /** `http:` or `https:`. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly compression: 'none' | 'gzip';
  /** Paths of PEM files: who signed the receiver, and who we are. */
  readonly certificate?: string | undefined;
  readonly clientKey?: string | undefined;
  readonly clientCertificate?: string | undefined;
}

/** What differs between kinds of receivers. */
export interface Dialect {
  readonly contentType: string;
  /** Answers after which the same request may be sent again. */
  readonly retryableStatuses: ReadonlySet<number>;
  /**
   * What to tell the user to do, by status or error code; by `headers` when HTTP does not allow one, and by `HPE` when the
   * receiver does not speak HTTP/1.1.
   */
  readonly advice: Readonly<Record<string, string>>;
}

/** A packed message, and what is added to the address for it alone. */
export interface Parcel {
  readonly body: Uint8Array;
  /** `name=value` pairs, encoded. */
  readonly query?: string | undefined;
}

const CLOSED = 'the connection was closed without an answer';

/** What became of one exchange. A refusal names its reason for people. */
export type PostResult =
  | { readonly kind: 'accepted'; readonly answer: Buffer }
  | {
      readonly kind: 'refused';
      readonly reason: string;
      readonly retryable: boolean;
      /** How long the receiver asked to be left alone. */
      readonly retryAfterMillis?: number | undefined;
    };

/** `Retry-After` in milliseconds, from delay seconds or an HTTP date (RFC 9110, 10.2.3); undefined when it is neither. */
export function parseRetryAfterMillis(header: string | undefined, nowEpochMillis: number): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d+$/.test(header)) return Number(header) * 1000;
  const epochMillis = Date.parse(header);
  return Number.isNaN(epochMillis) ? undefined : Math.max(epochMillis - nowEpochMillis, 0);
}

export interface TransportDeps {
  readonly guard: Guard;
  /** Name that failures of ours are counted by. */
  readonly part: string;
  /** Wall-clock time, to read a `Retry-After` that is a date. */
  readonly nowEpochMillis: () => number;
}

/** A connection to one receiver, kept between requests; it holds nothing alive unless it is asked to. */
export class Transport {
  readonly #url: URL;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #compress: boolean;
  readonly #options: TransportOptions;
  readonly #dialect: Dialect;
  readonly #deps: TransportDeps;
  #agent: HttpAgent | HttpsAgent | undefined;
  #request: ClientRequest | undefined;
  #held = false;

  /** Throws when `options.url` is not a URL. */
  constructor(options: TransportOptions, dialect: Dialect, deps: TransportDeps) {
    this.#url = new URL(options.url);
    this.#compress = options.compression === 'gzip';
    this.#headers = {
      'User-Agent': 'sonde',
      ...options.headers,
      'Content-Type': dialect.contentType,
      ...(this.#compress ? { 'Content-Encoding': 'gzip' } : {}),
    };
    this.#options = options;
    this.#dialect = dialect;
    this.#deps = deps;
  }

  /** The bytes to post for a message: compressed off the event loop where that was asked for. */
  async pack(message: Uint8Array): Promise<Uint8Array> {
    return this.#compress ? promisify(gzip)(message) : message;
  }

  /** Posts a packed message and resolves, never later than its `timeoutMillis`, to what became of it. Never rejects. */
  async post(parcel: Parcel, timeoutMillis: number): Promise<PostResult> {
    const agent = this.#agent ?? (await this.#makeAgent());
    if ('kind' in agent) return agent;
    this.#agent = agent;
    let isExpired = false;
    const limit = this.#deps.guard.after('export:limit', timeoutMillis, () => {
      isExpired = true;
      this.#request?.destroy();
    });
    let result = await this.#exchange(agent, parcel);
    // A kept connection that the receiver closed while it was idle says nothing about the receiver.
    if (result === 'stale' && !isExpired) result = await this.#exchange(agent, parcel);
    limit.stop();
    if (result !== 'stale' && (result.kind === 'accepted' || !isExpired)) return result;
    return refused(isExpired ? `no answer within ${Math.round(timeoutMillis)} ms` : CLOSED, true);
  }

  /** Whether a request under way keeps the process alive: only while somebody waits for a flush. */
  hold(held: boolean): void {
    this.#held = held;
    const socket = this.#request?.socket;
    if (socket) setRef(socket, held);
  }

  /** Closes the connection, with the request under way. */
  close(): void {
    this.#request?.destroy();
    this.#agent?.destroy();
  }

  /** Reads the certificates when they are first needed, and again after a failure: a mounted secret may come late. */
  async #makeAgent(): Promise<HttpAgent | HttpsAgent | PostResult> {
    // An agent of our own: the application's global one may be limited, instrumented or replaced.
    const common = { keepAlive: true, maxSockets: 1 };
    if (this.#url.protocol !== 'https:') return new HttpAgent(common);
    const { certificate, clientKey, clientCertificate } = this.#options;
    try {
      const [ca, key, cert] = await Promise.all([readIfSet(certificate), readIfSet(clientKey), readIfSet(clientCertificate)]);
      return new HttpsAgent({ ...common, ...(ca && { ca }), ...(key && { key }), ...(cert && { cert }) });
    } catch (error) {
      return refused(`a certificate cannot be read: ${(error as Error).message}`, false);
    }
  }

  #exchange(agent: HttpAgent | HttpsAgent, parcel: Parcel): Promise<PostResult | 'stale'> {
    const { guard, part } = this.#deps;
    return new Promise((resolve) => {
      const request = guard.run(part, () => this.#open(agent, parcel));
      if (request === undefined) {
        resolve(refused(this.#withAdvice('the request could not be made', 'headers'), false));
        return;
      }
      this.#request = request;
      const onSocket = (socket: Socket): void => setRef(socket, this.#held);
      let isAnswered = false;
      const onResponse = (response: IncomingMessage): void => {
        isAnswered = true;
        this.#read(response, resolve);
      };
      const onError = (error: NodeJS.ErrnoException): void => {
        resolve(request.reusedSocket && error.code === 'ECONNRESET' ? 'stale' : this.#refusedByError(error));
      };
      // With an answer it may come before the answer has been read.
      const onClose = (): void => {
        if (!isAnswered) resolve(refused(CLOSED, true));
      };
      request.on('socket', guard.wrap(part, onSocket));
      request.on('response', guard.wrap(part, onResponse));
      request.on('error', guard.wrap(part, onError));
      request.on('close', guard.wrap(part, onClose));
      request.end(parcel.body);
    });
  }

  #open(agent: HttpAgent | HttpsAgent, { body, query }: Parcel): ClientRequest {
    const open = this.#url.protocol === 'https:' ? httpsRequest : httpRequest;
    const url = new URL(this.#url);
    // Behind what the configured address may have, as the key of a gateway.
    if (query !== undefined) url.search = url.search === '' ? query : `${url.search}&${query}`;
    return open(url, { method: 'POST', agent, headers: { ...this.#headers, 'Content-Length': body.length } });
  }

  #read(response: IncomingMessage, settle: (result: PostResult) => void): void {
    const { guard, part } = this.#deps;
    const chunks: Buffer[] = [];
    let bytes = 0;
    const onData = (chunk: Buffer): void => {
      bytes += chunk.length;
      chunks.push(chunk);
      if (bytes <= ANSWER_BYTES_MAX) return;
      settle(refused(`the answer is larger than ${ANSWER_BYTES_MAX} bytes`, false));
      response.destroy();
    };
    // An answer that breaks off still has its status, and with 2xx the receiver has the data.
    const onClose = (): void => settle(this.#verdict(response, Buffer.concat(chunks)));
    response.on('data', guard.wrap(part, onData));
    response.on('error', () => {});
    response.on('close', guard.wrap(part, onClose));
  }

  #verdict(response: IncomingMessage, answer: Buffer): PostResult {
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300) return { kind: 'accepted', answer };
    if (status >= 300 && status < 400) {
      return refused(`HTTP ${status}, redirects are not followed, set the endpoint to the final address`, false);
    }
    const retryable = this.#dialect.retryableStatuses.has(status);
    const retryAfterMillis = retryable ? parseRetryAfterMillis(response.headers['retry-after'], this.#deps.nowEpochMillis()) : undefined;
    const reason = this.#withAdvice(`HTTP ${status}`, String(status));
    return { ...refused(reason + foreignWords(response, answer), retryable), retryAfterMillis };
  }

  #refusedByError(error: NodeJS.ErrnoException): PostResult {
    const code = error.code ?? '';
    if (code.startsWith('HPE_')) {
      return refused(this.#withAdvice(`the receiver does not speak HTTP/1.1 (${code})`, 'HPE'), false);
    }
    // A refusal by every address of a host name is an AggregateError without a message.
    return refused(this.#withAdvice(error.message || code, code), RETRYABLE_CODES.has(code));
  }

  #withAdvice(reason: string, key: string): string {
    const advice = this.#dialect.advice[key];
    return advice === undefined ? reason : `${reason}, ${advice}`;
  }
}

function refused(reason: string, retryable: boolean): Extract<PostResult, { kind: 'refused' }> {
  return { kind: 'refused', reason, retryable };
}

/** What the receiver itself says, where it says it in words. */
function foreignWords({ headers }: IncomingMessage, answer: Buffer): string {
  if (answer.length === 0 || !/^(?:text\/plain|application\/json)\b/i.test(headers['content-type'] ?? '')) return '';
  return `: ${answer.toString('utf8', 0, WORDS_BYTES_MAX)}`;
}

async function readIfSet(path: string | undefined): Promise<Buffer | undefined> {
  return path === undefined ? undefined : readFile(path);
}

function setRef(socket: Socket, held: boolean): void {
  if (held) socket.ref();
  else socket.unref();
}
