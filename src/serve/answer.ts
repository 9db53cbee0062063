// What an endpoint answers and how it reaches the client: status, headers, compression, HEAD. Handlers compute an
// Answer, only `send` touches the response. Called by endpoints.ts; the response may be an application's own, so
// nothing is assumed about the headers that are already on it.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Guard } from '../core/guard.ts';
import { sendPieces, type Pieces } from './pieces.ts';

/** Finished, or in pieces that are made while they are sent. */
export type Body = string | Uint8Array | Pieces;

/** What a client is answered. */
export interface Answer {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Body;
}

/** Below this many characters gzip saves less than the packet it fits in. */
const GZIP_CHARACTERS_MIN = 1024;

/** A page of 1.9 MB becomes 4.5 % of it in 5 ms on this level, 3.8 % in 13 ms on the default one. */
const GZIP_LEVEL = 1;

const HTML_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** Plain text, one line or more; the line end is added. */
export function text(status: number, message: string, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, headers: { 'content-type': 'text/plain; charset=utf-8', ...headers }, body: `${message}\n` };
}

/** A value as indented JSON. */
export function json(value: unknown): Answer {
  return { status: 200, headers: { 'content-type': 'application/json; charset=utf-8' }, body: `${JSON.stringify(value, undefined, 2)}\n` };
}

/** A page that runs no script and loads nothing. */
export function html(body: string): Answer {
  return { status: 200, headers: { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': HTML_POLICY }, body };
}

/** Sends the client to a reference relative to the address it asked for, which holds behind any prefix or proxy. */
export function redirect(location: string, headers: Readonly<Record<string, string>> = {}): Answer {
  return text(303, `see ${location}`, { location, ...headers });
}

/**
 * Writes an answer; texts and pieces are compressed when the client takes gzip. Does nothing when the response has gone.
 * Rejects with what pieces reject with.
 */
export async function send(req: IncomingMessage, res: ServerResponse, answer: Answer, guard: Guard): Promise<void> {
  const isText = typeof answer.body === 'string' && answer.body.length > GZIP_CHARACTERS_MIN;
  const compressed = (isText || isPieces(answer.body)) && takesGzip(req.headers['accept-encoding']);
  const body = compressed && typeof answer.body === 'string' ? await gzip(answer.body) : answer.body;
  // Up to the end nothing is awaited: writing to a response that was destroyed meanwhile emits an error event.
  if (res.headersSent || res.destroyed) return;
  setHeaders(res, answer, compressed);
  if (isPieces(body)) {
    await sendPieces(req, res, { pieces: body, gzipLevel: compressed ? GZIP_LEVEL : undefined, guard });
    return;
  }
  // Node leaves it out for HEAD. An empty body is that of a profile which HEAD has not recorded: its length is unknown.
  if (body.length > 0) res.setHeader('content-length', Buffer.byteLength(body));
  res.end(body);
}

function setHeaders(res: ServerResponse, answer: Answer, compressed: boolean): void {
  // A cors() of the application allows other origins to read its own answers, not a heap profile.
  for (const name of res.getHeaderNames()) if (name.startsWith('access-control-')) res.removeHeader(name);
  res.statusCode = answer.status;
  res.setHeader('x-content-type-options', 'nosniff');
  res.setHeader('cache-control', 'no-store');
  res.setHeader('referrer-policy', 'no-referrer');
  if (compressed) res.setHeader('content-encoding', 'gzip');
  for (const [name, value] of Object.entries(answer.headers)) res.setHeader(name, value);
}

function isPieces(body: Body): body is Pieces {
  return typeof body !== 'string' && !(body instanceof Uint8Array);
}

function takesGzip(acceptEncoding: string | string[] | undefined): boolean {
  const accepted = /(?:^|,)\s*(?:gzip|\*)\s*(?:;\s*q=([\d.]+))?\s*(?:,|$)/i.exec(String(acceptEncoding ?? ''));
  return accepted !== null && accepted[1] !== '0' && !/^0\.0*$/.test(accepted[1] ?? '1');
}

async function gzip(body: string): Promise<Uint8Array> {
  // Loaded for the first answer that needs it: node:zlib is 3 ms of a start-up that may never be scraped.
  const zlib = await import('node:zlib');
  return new Promise((resolve, reject) => {
    zlib.gzip(body, { level: GZIP_LEVEL }, (error, result) => (error === null ? resolve(result) : reject(error)));
  });
}
