// Outgoing requests of node:http and node:https. Node tells of each by a channel when it has made it, from 22.12 on;
// on Node 20 the first channel comes when the headers are already sent, so request and get of both modules are
// wrapped there, only to tell the same. No listener is added but 'close', because one for 'response' would stop Node
// from draining responses nobody reads, and one for 'error' would hide a crash.
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import http from 'node:http';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { syncBuiltinESMExports } from 'node:module';
import { isSuppressed } from '../core/context.ts';
import type { Guard } from '../core/guard.ts';
import type { ClientRecord, ClientRequests } from '../client-request.ts';

const CREATED = 'http.client.request.created';

const RECORD: unique symbol = Symbol('sonde.client-record');
const ERROR: unique symbol = Symbol('sonde.client-error');

const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443 };

/** `_header` is what Node has written of the headers, `outputData` what waits for a connection, `res` the response. */
type RecordedRequest = ClientRequest & {
  [RECORD]?: ClientRecord;
  [ERROR]?: unknown;
  _header: string | null;
  readonly agent?: { readonly defaultPort?: number } | undefined;
  readonly outputData: { data: unknown }[];
  readonly res?: IncomingMessage | undefined;
};
type Request = (...args: unknown[]) => ClientRequest;

/** Measures and traces every request that either module makes from now on; returns how to stop. */
export function instrumentHttpClient(clients: ClientRequests, guard: Guard): () => void {
  const close = guard.wrap('http-client', (request: RecordedRequest) => endRequest(clients, request));
  function onClose(this: ClientRequest): void {
    close(this as RecordedRequest);
  }
  const created = guard.wrap('http-client', (request: RecordedRequest) => {
    if (!isSuppressed()) beginRequest(clients, request, onClose);
  });
  const stops = [
    tellsOfRequests() ? subscribeTo(CREATED, ({ request }) => created(request)) : patchModules(created),
    ...subscribeResponses(guard),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}

function tellsOfRequests(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  return major > 22 || (major === 22 && minor >= 12);
}

interface ChannelMessage {
  readonly request: RecordedRequest;
  readonly response: IncomingMessage;
  readonly error: unknown;
}

function subscribeTo(channel: string, listener: (message: ChannelMessage) => void): () => void {
  const onMessage = (message: unknown): void => listener(message as ChannelMessage);
  subscribe(channel, onMessage);
  return () => {
    unsubscribe(channel, onMessage);
  };
}

function subscribeResponses(guard: Guard): (() => void)[] {
  const responded = guard.wrap('http-client', ({ request, response }: ChannelMessage) => {
    if (request[RECORD] !== undefined) noteResponse(request[RECORD], response);
  });
  const failed = guard.wrap('http-client', ({ request, error }: ChannelMessage) => {
    if (request[RECORD] !== undefined) request[ERROR] = error;
  });
  return [subscribeTo('http.client.response.finish', responded), subscribeTo('http.client.request.error', failed)];
}

// ---- a request ------------------------------------------------------------------------------------------------------

function beginRequest(clients: ClientRequests, request: RecordedRequest, onClose: (this: ClientRequest) => void): void {
  const scheme = request.protocol === 'http:' ? 'http' : request.protocol.replace(':', '');
  const address = request.host.startsWith('[') ? request.host.slice(1, -1) : request.host;
  const port = portOf(request, scheme, address);
  const record = clients.begin({ method: request.method, url: urlOf(request, scheme, address, port), scheme, address, port });
  request[RECORD] = record;
  clients.inject(record, (name, value) => setHeader(request, name, value));
  request.on('close', onClose);
}

function endRequest(clients: ClientRequests, request: RecordedRequest): void {
  const record = request[RECORD]!;
  const failure = failureOf(record, request);
  const { facts, scheme, span } = record;
  if (facts.serverPort === 0) {
    facts.serverPort = facts.peerPort ?? (failure as { port?: number } | undefined)?.port ?? DEFAULT_PORTS[scheme] ?? 0;
    span.target = urlOf(request, scheme, facts.serverAddress, facts.serverPort);
  }
  clients.end(record, failure);
}

/** What stopped a request: its error, or that it closed before its response was complete. */
function failureOf(record: ClientRecord, request: RecordedRequest): unknown {
  const { [ERROR]: error, res } = request;
  if (error !== undefined) return error;
  if (res === undefined) return new RequestAborted('the request was closed before a response arrived');
  // The channel tells of no response that becomes an upgrade or a tunnel.
  if (record.facts.statusCode === 0) noteResponse(record, res);
  else if (!res.complete) return new RequestAborted('the response was closed before its end');
  return undefined;
}

function noteResponse({ facts }: ClientRecord, response: IncomingMessage): void {
  facts.statusCode = response.statusCode ?? 0;
  facts.protocolVersion = response.httpVersion;
  // The socket may be gone when the span is read.
  facts.peerAddress = response.socket.remoteAddress;
  facts.peerPort = response.socket.remotePort;
}

/** A request that one of its sides gave up. */
class RequestAborted extends Error {
  readonly code = 'aborted';

  constructor(message: string) {
    super(message);
    this.name = 'RequestAborted';
  }
}

// ---- where it goes --------------------------------------------------------------------------------------------------

/**
 * The port is not on the request, but Node writes it into `Host` unless it is the agent's default. 0 where the
 * application has written another host there: then only the connection knows it.
 */
function portOf(request: RecordedRequest, scheme: string, address: string): number {
  const header = request.getHeader('host') ?? writtenHeader(request._header, 'host');
  const host = hostOf(address);
  if (header === host) return request.agent?.defaultPort ?? DEFAULT_PORTS[scheme] ?? 0;
  const port = typeof header === 'string' && header.startsWith(`${host}:`) ? Number(header.slice(host.length + 1)) : 0;
  return Number.isInteger(port) ? port : 0;
}

function urlOf(request: RecordedRequest, scheme: string, address: string, port: number): string {
  const { path } = request;
  // Through a proxy the path is the whole URL already.
  if (!path.startsWith('/') && /^https?:/.test(path)) return path;
  const authority = port === 0 || port === DEFAULT_PORTS[scheme] ? hostOf(address) : `${hostOf(address)}:${port}`;
  return `${scheme}://${authority}${path}`;
}

function hostOf(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}

// ---- its headers ----------------------------------------------------------------------------------------------------

/**
 * Sets a header in place of the application's of that name. Node has written the headers already when they came as a
 * list or wait for 100-continue; the text is not on its way yet, as there is no connection before the next turn.
 */
function setHeader(request: RecordedRequest, name: string, value: string): void {
  const written = request._header;
  if (written === null) {
    request.setHeader(name, value);
    return;
  }
  const lines = written.split('\r\n').filter((line) => !isHeader(line, name));
  // Two empty ones are left of the end.
  lines.splice(-2, 0, `${name}: ${value}`);
  request._header = lines.join('\r\n');
  const waiting = request.outputData[0];
  if (waiting?.data === written) waiting.data = request._header;
}

function writtenHeader(text: string | null, name: string): string | undefined {
  const line = text?.split('\r\n').find((candidate) => isHeader(candidate, name));
  return line?.slice(name.length + 1).trim();
}

function isHeader(line: string, name: string): boolean {
  return line.charCodeAt(name.length) === 58 /* : */ && line.slice(0, name.length).toLowerCase() === name;
}

// ---- Node 20 --------------------------------------------------------------------------------------------------------

interface PatchedModule {
  request: Request;
  get: Request;
}

/** Calls `created` with every request that is made through either module; returns how to undo it. */
function patchModules(created: (request: RecordedRequest) => void): () => void {
  let active = true;
  const patched = (original: Request): Request =>
    function request(this: unknown, ...args: unknown[]): ClientRequest {
      const made = original.apply(this, args);
      if (active) created(made as RecordedRequest);
      return made;
    };
  // Not imported: on later Nodes it costs 9 MB and 6 ms, and nothing needs it there.
  const https = process.getBuiltinModule('node:https') as unknown as PatchedModule;
  const undo = [patchModule(http as unknown as PatchedModule, patched), patchModule(https, patched)];
  syncBuiltinESMExports();
  return () => {
    active = false;
    for (const restore of undo) restore();
    syncBuiltinESMExports();
  };
}

function patchModule(module: PatchedModule, patched: (original: Request) => Request): () => void {
  const { request: originalRequest, get: originalGet } = module;
  const request = patched(originalRequest);
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
