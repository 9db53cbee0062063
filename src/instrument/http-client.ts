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

/** `res` is set by Node when a response arrives. */
type RecordedRequest = ClientRequest & { [RECORD]?: ClientRecord; [ERROR]?: unknown; readonly res?: IncomingMessage };
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

  let active = true;
  const patched = (original: Request, scheme: string): Request =>
    function request(this: unknown, ...args: unknown[]): ClientRequest {
      const begun = !active || isSuppressed() ? undefined : begin(args, scheme);
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

  const undo = [
    patchModule(http as unknown as PatchedModule, 'http', patched),
    patchModule(https as unknown as PatchedModule, 'https', patched),
  ];
  const stop = subscribeResponses(guard);
  syncBuiltinESMExports();
  return () => {
    active = false;
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
  const { request: originalRequest, get: originalGet } = module;
  const request = patched(originalRequest, scheme);
  // Node's own get calls its module's request by closure, so it is written again over the patched one.
  const get: Request = function get(this: unknown, ...args: unknown[]): ClientRequest {
    const req = request.apply(this, args);
    req.end();
    return req;
  };
  Object.assign(module, { request: disguised(request, originalRequest), get: disguised(get, originalGet) });
  return () => {
    // Somebody may have wrapped ours since; then it stays and only passes on.
    if (module.request === request) module.request = originalRequest;
    if (module.get === get) module.get = originalGet;
  };
}

/** Gives a function the name and the number of parameters of the one it stands for; bundlers rename functions. */
function disguised(fn: Request, { name, length }: Request): Request {
  return Object.defineProperties(fn, { name: { value: name, configurable: true }, length: { value: length, configurable: true } });
}

function subscribeResponses(guard: Guard): () => void {
  const onResponse = guard.wrap('http-client', (message: unknown) => {
    const { request, response } = message as { request: RecordedRequest; response: IncomingMessage };
    if (request[RECORD] !== undefined) noteResponse(request[RECORD], response);
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

function noteResponse({ facts }: ClientRecord, response: IncomingMessage): void {
  facts.statusCode = response.statusCode ?? 0;
  facts.protocolVersion = response.httpVersion;
  // The socket may be gone when the span is read.
  facts.peerAddress = response.socket.remoteAddress;
  facts.peerPort = response.socket.remotePort;
}

/** Undefined for arguments that Node is about to refuse: the application gets Node's own error, and it is no failure of ours. */
function beginRequest(clients: ClientRequests, args: unknown[], scheme: string): { args: unknown[]; injection: Injection } | undefined {
  const target = targetOf(args, scheme);
  const at = optionsIndex(args);
  const options = at === -1 ? undefined : (args[at] as RequestOptions);
  if (target === undefined || isOddList(options?.headers)) return undefined;
  const record = clients.begin(target);
  const headers: [string, string][] = [];
  clients.inject(record, (name, value) => headers.push([name, value]));
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

/** What stopped a request: its error, or that it closed before its response was complete. */
function failureOf(request: RecordedRequest): unknown {
  const { [RECORD]: record, [ERROR]: error, res } = request;
  if (error !== undefined) return error;
  if (res === undefined) return new RequestAborted('the request was closed before a response arrived');
  // The channel tells of no response that becomes an upgrade or a tunnel.
  if (record!.facts.statusCode === 0) noteResponse(record!, res);
  else if (!res.complete) return new RequestAborted('the response was closed before its end');
  return undefined;
}

/** A request that one of its sides gave up. */
class RequestAborted extends Error {
  readonly code = 'aborted';

  constructor(message: string) {
    super(message);
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

/** A flat list of names and values in which one is missing; Node refuses it and says what it holds. */
function isOddList(headers: RequestOptions['headers']): boolean {
  return Array.isArray(headers) && !Array.isArray(headers[0]) && headers.length % 2 !== 0;
}

/** The headers with ours, which replace those of the same name. */
function withHeaders(headers: OutgoingHttpHeaders | readonly string[], added: readonly [string, string][]): OutgoingHttpHeaders | string[] {
  const isOurs = (name: unknown): boolean => added.some(([own]) => own === String(name).toLowerCase());
  if (!Array.isArray(headers)) {
    const kept = Object.entries(headers as OutgoingHttpHeaders).filter(([name]) => !isOurs(name));
    return Object.fromEntries([...kept, ...added]);
  }
  const list = headers as readonly (string | readonly string[])[];
  if (Array.isArray(list[0])) return [...list.filter(([name]) => !isOurs(name)), ...added] as unknown as string[];
  return [...list.filter((_, i) => !isOurs(list[i - (i % 2)])), ...added.flat()] as string[];
}

/** The request as Node will make it: options win over the URL, as in `http.request(url, options)`. */
function targetOf(args: readonly unknown[], scheme: string): ClientTarget | undefined {
  const at = optionsIndex(args);
  const options = (at === -1 ? {} : args[at]) as RequestOptions & { protocol?: string };
  const url = typeof args[0] === 'string' ? parseUrl(args[0]) : args[0] instanceof URL ? args[0] : undefined;
  if (url === undefined && typeof args[0] === 'string') return undefined;
  const method: unknown = options.method ?? 'GET';
  const protocol: unknown = options.protocol || url?.protocol || `${scheme}:`;
  const hostname: unknown = (options.hostname ?? url?.hostname) || options.host || 'localhost';
  if (typeof method !== 'string' || typeof protocol !== 'string' || typeof hostname !== 'string') return undefined;
  const address = hostname.replace(/^\[|\]$/g, '');
  const defaultPort = protocol === 'https:' ? 443 : 80;
  const port = Number(String(options.port || url?.port || options.defaultPort || defaultPort));
  const path: unknown = options.path ?? (url === undefined ? '/' : url.pathname + url.search);
  const authority = (address.includes(':') ? `[${address}]` : address) + (port === defaultPort ? '' : `:${port}`);
  const name = protocol.replace(/:$/, '');
  return { method: method.toUpperCase(), url: `${name}://${authority}${String(path)}`, scheme: name, address, port };
}

function parseUrl(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    // Node parses it again and throws the application's error.
    return undefined;
  }
}
