// One HTTP exchange with an OTLP receiver (OTLP specification, OTLP/HTTP). Called by otlp-delivery.ts, which loads it
// when the first request is due. It is ours because the transport of otlp-exporter-base keeps the process alive: its
// retry timers and sockets hold a reference. A hanging DNS lookup still does, libuv has no way to let go of one.
import { readFile } from 'node:fs/promises';
import { Agent as HttpAgent, request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Guard } from '../core/guard.ts';
import type { OtlpOptions } from './otlp.ts';

/** Largest answer read, in bytes; the OTLP specification asks clients for a limit and names this one. */
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;

/** Answers after which the same request may be sent again (OTLP specification, retryable response codes). */
const RETRYABLE_STATUSES: ReadonlySet<number> = new Set([429, 502, 503, 504]);

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

/** What to tell the user to do, by status or error code. */
const ADVICE: Readonly<Record<string, string>> = {
  '401': 'check OTEL_EXPORTER_OTLP_HEADERS',
  '403': 'check OTEL_EXPORTER_OTLP_HEADERS',
  '404': 'check the path of the endpoint',
  '413': 'lower OTEL_BSP_MAX_EXPORT_BATCH_SIZE',
  '415': 'check OTEL_EXPORTER_OTLP_PROTOCOL',
  ECONNREFUSED: 'check that a collector is listening there',
  ENOTFOUND: 'check the host name of the endpoint',
};

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

export interface OtlpTransportDeps {
  readonly guard: Guard;
  /** Name that failures of ours are counted by. */
  readonly part: string;
  /** Wall-clock time, to read a `Retry-After` that is a date. */
  readonly nowEpochMillis: () => number;
}

/** A connection to one receiver, kept between requests; it holds nothing alive unless it is asked to. */
export class OtlpTransport {
  readonly #url: URL;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #compress: boolean;
  readonly #options: OtlpOptions;
  readonly #deps: OtlpTransportDeps;
  #agent: HttpAgent | HttpsAgent | undefined;
  #request: ClientRequest | undefined;
  #held = false;

  /** Throws when `options.url` is not a URL. */
  constructor(options: OtlpOptions, contentType: string, deps: OtlpTransportDeps) {
    this.#url = new URL(options.url);
    this.#compress = options.compression === 'gzip';
    this.#headers = {
      'User-Agent': 'sonde',
      ...options.headers,
      'Content-Type': contentType,
      ...(this.#compress ? { 'Content-Encoding': 'gzip' } : {}),
    };
    this.#options = options;
    this.#deps = deps;
  }

  /** The bytes to post for a message: compressed off the event loop where that was asked for. */
  async pack(message: Uint8Array): Promise<Uint8Array> {
    return this.#compress ? promisify(gzip)(message) : message;
  }

  /** Posts a packed message and resolves, never later than `timeoutMillis`, to what became of it. Never rejects. */
  async post(body: Uint8Array, timeoutMillis: number): Promise<PostResult> {
    const agent = this.#agent ?? (await this.#makeAgent());
    if ('kind' in agent) return agent;
    this.#agent = agent;
    let isExpired = false;
    const limit = this.#deps.guard.after('otlp:limit', timeoutMillis, () => {
      isExpired = true;
      this.#request?.destroy();
    });
    let result = await this.#exchange(agent, body);
    // A kept connection that the receiver closed while it was idle says nothing about the receiver.
    if (result === 'stale' && !isExpired) result = await this.#exchange(agent, body);
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

  #exchange(agent: HttpAgent | HttpsAgent, body: Uint8Array): Promise<PostResult | 'stale'> {
    const { guard, part } = this.#deps;
    return new Promise((resolve) => {
      const request = guard.run(part, () => this.#open(agent, body.length));
      if (request === undefined) {
        resolve(refused('the request could not be made, check OTEL_EXPORTER_OTLP_HEADERS', false));
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
        resolve(request.reusedSocket && error.code === 'ECONNRESET' ? 'stale' : refusedByError(error));
      };
      // With an answer it may come before the answer has been read.
      const onClose = (): void => {
        if (!isAnswered) resolve(refused(CLOSED, true));
      };
      request.on('socket', guard.wrap(part, onSocket));
      request.on('response', guard.wrap(part, onResponse));
      request.on('error', guard.wrap(part, onError));
      request.on('close', guard.wrap(part, onClose));
      request.end(body);
    });
  }

  #open(agent: HttpAgent | HttpsAgent, contentLength: number): ClientRequest {
    const open = this.#url.protocol === 'https:' ? httpsRequest : httpRequest;
    return open(this.#url, { method: 'POST', agent, headers: { ...this.#headers, 'Content-Length': contentLength } });
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
    const retryable = RETRYABLE_STATUSES.has(status);
    const retryAfterMillis = retryable ? parseRetryAfterMillis(response.headers['retry-after'], this.#deps.nowEpochMillis()) : undefined;
    return { ...refused(withAdvice(`HTTP ${status}`, String(status)), retryable), retryAfterMillis };
  }
}

function refused(reason: string, retryable: boolean): Extract<PostResult, { kind: 'refused' }> {
  return { kind: 'refused', reason, retryable };
}

function refusedByError(error: NodeJS.ErrnoException): PostResult {
  const code = error.code ?? '';
  if (code.startsWith('HPE_')) {
    return refused(`the receiver does not speak HTTP/1.1 (${code}), check that this is not the gRPC port; OTLP/HTTP has 4318`, false);
  }
  // A refusal by every address of a host name is an AggregateError without a message.
  return refused(withAdvice(error.message || code, code), RETRYABLE_CODES.has(code));
}

function withAdvice(reason: string, key: string): string {
  const advice = ADVICE[key];
  return advice === undefined ? reason : `${reason}, ${advice}`;
}

async function readIfSet(path: string | undefined): Promise<Buffer | undefined> {
  return path === undefined ? undefined : readFile(path);
}

function setRef(socket: Socket, held: boolean): void {
  if (held) socket.ref();
  else socket.unref();
}
