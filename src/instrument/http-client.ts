// Outgoing requests of node:http and node:https: the one patch of Node's core. Channels cannot do it on every Node:
// on Node 20 the first one published comes when the headers are already sent. The patched functions return what
// Node's return; no listener is added but 'close', because one for 'response' would stop Node from draining
// responses nobody reads, and one for 'error' would hide a crash.
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import http from 'node:http';
import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders, RequestOptions } from 'node:http';
import https from 'node:https';
import { syncBuiltinESMExports } from 'node:module';
import { isSuppressed } from '../core/context.ts';
import type { Guard } from '../core/guard.ts';
import type { ClientRecord, ClientRequests, ClientTarget } from '../client-request.ts';

const RECORD: unique symbol = Symbol('sonde.client-record');
const ERROR: unique symbol = Symbol('sonde.client-error');

type RecordedRequest = ClientRequest & { [RECORD]?: ClientRecord; [ERROR]?: unknown };
type Request = (...args: unknown[]) => ClientRequest;

/** Headers that must be in the options already, because Node sends them in the constructor. */
interface Injection {
  readonly record: ClientRecord;
  readonly headers: [string, string][];
}

/** Patches request and get of both modules; returns how to undo it. */
export function instrumentHttpClient(clients: ClientRequests, guard: Guard): () => void {
  const begin = guard.wrap('http-client', (args: unknown[], scheme: string) => beginRequest(clients, args, scheme));
  const attach = guard.wrap('http-client', (request: ClientRequest, injection: Injection) => attachRequest(request, injection, onClose));
  const close = guard.wrap('http-client', (request: RecordedRequest) => clients.end(request[RECORD]!, failureOf(request)));
  const fail = guard.wrap('http-client', (record: ClientRecord, error: unknown) => clients.end(record, error));
  function onClose(this: ClientRequest): void {
    close(this);
  }

  const patched = (original: Request, scheme: string): Request =>
    function request(this: unknown, ...args: unknown[]): ClientRequest {
      const begun = isSuppressed() ? undefined : begin(args, scheme);
      if (begun === undefined) return original.apply(this, args);
      let request: ClientRequest;
      try {
        request = original.apply(this, begun.args);
      } catch (error) {
        fail(begun.injection.record, error);
        throw error;
      }
      attach(request, begun.injection);
      return request;
    };

  const undo = [patchModule(http as unknown as PatchedModule, 'http', patched), patchModule(https as unknown as PatchedModule, 'https', patched)];
  const stop = subscribeResponses(guard);
  syncBuiltinESMExports();
  return () => {
    for (const restore of undo) restore();
    stop();
    syncBuiltinESMExports();
  };
}

interface PatchedModule {
  request: Request;
  get: Request;
}

function patchModule(module: PatchedModule, scheme: string, patched: (original: Request, scheme: string) => Request): () => void {
  const { request, get } = module;
  const wrapped = patched(request, scheme);
  module.request = wrapped;
  // Node's own get calls its module's request by closure, so it is written again over the patched one.
  module.get = function get(this: unknown, ...args: unknown[]): ClientRequest {
    const req = wrapped.apply(this, args);
    req.end();
    return req;
  };
  return () => {
    module.request = request;
    module.get = get;
  };
}

function subscribeResponses(guard: Guard): () => void {
  const onResponse = guard.wrap('http-client', (message: unknown) => {
    const { request, response } = message as { request: RecordedRequest; response: IncomingMessage };
    const record = request[RECORD];
    if (record === undefined) return;
    record.facts.statusCode = response.statusCode ?? 0;
    record.facts.protocolVersion = response.httpVersion;
    // The socket may be gone when the span is read.
    record.facts.peerAddress = response.socket.remoteAddress;
    record.facts.peerPort = response.socket.remotePort;
  });
  const onError = guard.wrap('http-client', (message: unknown) => {
    const { request, error } = message as { request: RecordedRequest; error: unknown };
    if (request[RECORD] !== undefined) request[ERROR] = error;
  });
  subscribe('http.client.response.finish', onResponse);
  subscribe('http.client.request.error', onError);
  return () => {
    unsubscribe('http.client.response.finish', onResponse);
    unsubscribe('http.client.request.error', onError);
  };
}

function beginRequest(clients: ClientRequests, args: unknown[], scheme: string): { args: unknown[]; injection: Injection } {
  const target = targetOf(args, scheme);
  const record = clients.begin(target);
  const headers: [string, string][] = [];
  clients.inject(record, (name, value) => headers.push([name, value]));
  const at = optionsIndex(args);
  const options = at === -1 ? undefined : (args[at] as RequestOptions);
  if (options === undefined || !sendsHeadersAtOnce(options.headers)) return { args, injection: { record, headers } };
  const injected = [...args];
  injected[at] = { ...options, headers: withHeaders(options.headers!, headers) };
  return { args: injected, injection: { record, headers: [] } };
}

function attachRequest(request: ClientRequest, { record, headers }: Injection, onClose: (this: ClientRequest) => void): void {
  (request as RecordedRequest)[RECORD] = record;
  request.on('close', onClose);
  if (request.headersSent) return;
  for (const [name, value] of headers) request.setHeader(name, value);
}

/** What stopped a request: its error, or that it closed without a response. */
function failureOf(request: RecordedRequest): unknown {
  if (request[ERROR] !== undefined) return request[ERROR];
  return request[RECORD]!.facts.statusCode === 0 ? new RequestAborted() : undefined;
}

/** A request that the application gave up before a response came. */
class RequestAborted extends Error {
  readonly code = 'aborted';

  constructor() {
    super('the request was closed before a response arrived');
    this.name = 'RequestAborted';
  }
}

/** Where the options object is among `(url, options?, callback?)` or `(options, callback?)`; -1 for none. */
function optionsIndex(args: readonly unknown[]): number {
  const at = typeof args[0] === 'string' || args[0] instanceof URL ? 1 : 0;
  return typeof args[at] === 'object' && args[at] !== null ? at : -1;
}

/** Node sends headers from the constructor when they are a list, or when the client waits for 100-continue. */
function sendsHeadersAtOnce(headers: RequestOptions['headers']): boolean {
  if (headers === undefined || headers === null) return false;
  return Array.isArray(headers) || Object.keys(headers).some((name) => name.toLowerCase() === 'expect');
}

function withHeaders(headers: OutgoingHttpHeaders | readonly string[], added: readonly [string, string][]): OutgoingHttpHeaders | string[] {
  if (!Array.isArray(headers)) return { ...(headers as OutgoingHttpHeaders), ...Object.fromEntries(added) };
  return Array.isArray(headers[0]) ? ([...headers, ...added]) : [...(headers as readonly string[]), ...added.flat()];
}

/** The request as Node will make it: options win over the URL, as in `http.request(url, options)`. */
function targetOf(args: readonly unknown[], scheme: string): ClientTarget {
  const at = optionsIndex(args);
  const options = (at === -1 ? {} : args[at]) as RequestOptions & { protocol?: string; pathname?: string; search?: string };
  const url = typeof args[0] === 'string' ? new URL(args[0]) : args[0] instanceof URL ? args[0] : undefined;
  const protocol = (options.protocol ?? url?.protocol ?? `${scheme}:`).replace(/:$/, '');
  const hostname = options.hostname ?? options.host ?? url?.hostname ?? 'localhost';
  const address = hostname.replace(/^\[|\]$/g, '');
  const defaultPort = protocol === 'https' ? 443 : 80;
  const port = Number(options.port || options.defaultPort || url?.port || defaultPort);
  const path = options.path ?? (url === undefined ? '/' : url.pathname + url.search);
  const authority = (address.includes(':') ? `[${address}]` : address) + (port === defaultPort ? '' : `:${port}`);
  return { method: (options.method ?? 'GET').toUpperCase(), url: `${protocol}://${authority}${path}`, scheme: protocol, address, port };
}
