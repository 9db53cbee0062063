// Outgoing requests of fetch and undici, by the channels undici publishes (Node's built-in copy publishes the same).
// 'create' runs in the caller's context and its request still takes headers, so nothing is patched.
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { isSuppressed } from '../core/context.ts';
import type { Guard } from '../core/guard.ts';
import type { ClientRecord, ClientRequests } from '../client-request.ts';

const RECORD: unique symbol = Symbol('sonde.client-record');

/** Origins remembered with their parts, so that a request parses no URL. */
const ORIGINS_MAX = 256;

/** undici's request, as far as its channels promise it. */
interface UndiciRequest {
  readonly origin: string | URL;
  readonly path: string;
  readonly method: string;
  headers: string | (string | string[])[];
  addHeader(name: string, value: string): void;
  [RECORD]?: ClientRecord;
}

interface Message {
  readonly request: UndiciRequest;
  readonly response?: { readonly statusCode: number };
  readonly error?: unknown;
  readonly socket?: { readonly remoteAddress?: string; readonly remotePort?: number };
}

interface Origin {
  readonly scheme: string;
  readonly address: string;
  readonly port: number;
}

/** Subscribes to undici's channels; returns how to stop. */
export function instrumentUndici(clients: ClientRequests, guard: Guard): () => void {
  const origins = new Map<string, Origin>();
  const handlers: Record<string, (message: Message) => void> = {
    'undici:request:create': ({ request }) => {
      if (!isSuppressed()) begin(clients, request, origins);
    },
    'undici:client:sendHeaders': ({ request, socket }) => {
      const facts = request[RECORD]?.facts;
      if (facts === undefined) return;
      facts.peerAddress = socket?.remoteAddress;
      facts.peerPort = socket?.remotePort;
    },
    'undici:request:headers': ({ request, response }) => {
      const facts = request[RECORD]?.facts;
      if (facts === undefined || response === undefined) return;
      facts.statusCode = response.statusCode;
    },
    'undici:request:trailers': ({ request }) => end(clients, request, undefined),
    'undici:request:error': ({ request, error }) => end(clients, request, error ?? 'error'),
  };
  const subscribed = Object.entries(handlers).map(([channel, handler]) => {
    const guarded = guard.wrap('undici', (message: unknown) => handler(message as Message));
    subscribe(channel, guarded);
    return () => unsubscribe(channel, guarded);
  });
  return () => {
    for (const stop of subscribed) stop();
  };
}

function begin(clients: ClientRequests, request: UndiciRequest, origins: Map<string, Origin>): void {
  // A URL as text would end in the slash that the path begins with.
  const origin = typeof request.origin === 'string' ? request.origin : request.origin.origin;
  const record = clients.begin({ method: request.method, url: origin + request.path, ...originOf(origins, origin) });
  // undici speaks HTTP/1.1 unless an application allows HTTP/2, and its channels do not tell which.
  record.facts.protocolVersion = '1.1';
  request[RECORD] = record;
  clients.inject(record, (name, value) => setHeader(request, name, value));
}

function end(clients: ClientRequests, request: UndiciRequest, error: unknown): void {
  const record = request[RECORD];
  if (record !== undefined) clients.end(record, error);
}

/** Replaces a header that the application passed on by hand: two traceparents are none. */
function setHeader(request: UndiciRequest, name: string, value: string): void {
  const { headers } = request;
  if (Array.isArray(headers)) {
    for (let i = 0; i < headers.length; i += 2) {
      if (String(headers[i]).toLowerCase() !== name) continue;
      headers[i + 1] = value;
      return;
    }
  }
  request.addHeader(name, value);
}

function originOf(origins: Map<string, Origin>, text: string): Origin {
  let origin = origins.get(text);
  if (origin === undefined) {
    const url = new URL(text);
    const scheme = url.protocol.slice(0, -1);
    origin = { scheme, address: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port || (scheme === 'https' ? 443 : 80)) };
    if (origins.size < ORIGINS_MAX) origins.set(text, origin);
  }
  return origin;
}
