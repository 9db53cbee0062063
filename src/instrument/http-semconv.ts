// HTTP spans in the words of the stable semantic conventions (HTTP spans, v1.40 and later): which attributes a server
// and a client span have and how they are read from Node's objects. Asked only for spans that somebody reads.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Attributes } from '@opentelemetry/api';
import type { ClientRequestFacts } from '../client-request.ts';
import type { Span, SpanDescriber } from '../trace/span.ts';

/** Query parameters whose values are secrets (semantic conventions, `url.full` and `url.query`). */
const SECRET_PARAMETERS = /([?&](?:AWSAccessKeyId|Signature|sig|X-Goog-Signature)=)[^&#]*/g;

/** What the conventions need to know besides the span. */
export interface HttpDescriberOptions {
  /** Methods that keep their name; others are `_OTHER` with the original beside it. */
  readonly knownMethods: readonly string[];
}

/** What server spans say besides. */
export interface ServerDescriberOptions extends HttpDescriberOptions {
  /** Pyroscope is given profiles whose samples have the ids of spans: Grafana links spans that say so to theirs. */
  readonly isProfiled?: boolean;
}

/** Describes a span whose `subject` is the response of an incoming request. */
export function describeServer({ knownMethods, isProfiled = false }: ServerDescriberOptions): SpanDescriber {
  const known = new Set(knownMethods);
  return {
    name: (span) => spanName(known.has(span.method) ? span.method : 'HTTP', span.route),
    attributes: (span) => {
      const attributes = serverAttributes(span, known);
      if (isProfiled) attributes['pyroscope.profile.id'] = span.spanId;
      return attributes;
    },
  };
}

function spanName(method: string, target: string): string {
  return target === '' ? method : `${method} ${target}`;
}

function serverAttributes(span: Span, known: ReadonlySet<string>): Attributes {
  const res = span.subject as (ServerResponse & { req: IncomingMessage }) | undefined;
  if (res === undefined) return {};
  const { req } = res;
  const { socket } = req;
  const headers = describingHeaders(req.rawHeaders);
  const { target, method, route } = span;
  const scheme = forwardedScheme(headers) ?? ((socket as { encrypted?: boolean }).encrypted === true ? 'https' : 'http');
  const query = target.indexOf('?');
  const attributes: Attributes = {
    'http.request.method': methodOf(method, known),
    'url.scheme': scheme,
    'network.protocol.version': req.httpVersion,
    'url.path': (query === -1 ? target : target.slice(0, query)) || '/',
  };
  if (!known.has(method)) attributes['http.request.method_original'] = method;
  if (query !== -1 && query + 1 < target.length) attributes['url.query'] = redact(target.slice(query)).slice(1);
  if (route !== '') attributes['http.route'] = route;
  const host = forwarded(headers.forwarded, 'host') ?? firstOf(headers.forwardedHost) ?? headers.host;
  if (host !== undefined) {
    const { address, port } = hostParts(host);
    const number = port === undefined ? (scheme === 'https' ? 443 : 80) : Number(port);
    attributes['server.address'] = address;
    if (Number.isInteger(number)) attributes['server.port'] = number;
  }
  if (headers.userAgent !== undefined) attributes['user_agent.original'] = headers.userAgent;
  const { remoteAddress, remotePort } = socket;
  if (remoteAddress !== undefined) attributes['network.peer.address'] = remoteAddress;
  if (remotePort !== undefined) attributes['network.peer.port'] = remotePort;
  const client = forwarded(headers.forwarded, 'for') ?? firstOf(headers.forwardedFor);
  const address = client === undefined ? remoteAddress : splitPort(client).address;
  if (address !== undefined) attributes['client.address'] = address;
  if (res.headersSent) attributes['http.response.status_code'] = res.statusCode;
  if (span.errorType !== '') attributes['error.type'] = span.errorType;
  return attributes;
}

/** Describes a span whose `subject` is a `ClientRequestFacts` and whose `target` is the full URL. */
export function describeClient(options: HttpDescriberOptions): SpanDescriber {
  const known = new Set(options.knownMethods);
  return {
    name: (span) => (known.has(span.method) ? span.method : 'HTTP'),
    attributes: (span) => clientAttributes(span, known),
  };
}

function clientAttributes(span: Span, known: ReadonlySet<string>): Attributes {
  const facts = span.subject as ClientRequestFacts | undefined;
  if (facts === undefined) return {};
  const attributes: Attributes = {
    'http.request.method': methodOf(span.method, known),
    'server.address': facts.serverAddress,
    'server.port': facts.serverPort,
    'url.full': redactUrl(span.target),
  };
  if (!known.has(span.method)) attributes['http.request.method_original'] = span.method;
  if (facts.protocolVersion !== '') attributes['network.protocol.version'] = facts.protocolVersion;
  if (facts.peerAddress !== undefined) attributes['network.peer.address'] = facts.peerAddress;
  if (facts.peerPort !== undefined) attributes['network.peer.port'] = facts.peerPort;
  if (facts.statusCode !== 0) attributes['http.response.status_code'] = facts.statusCode;
  if (span.errorType !== '') attributes['error.type'] = span.errorType;
  return attributes;
}

/** Node sends and receives methods as they are; a known one in other letters is that method (conventions, `http.request.method_original`). */
function methodOf(method: string, known: ReadonlySet<string>): string {
  if (known.has(method)) return method;
  const upper = method.toUpperCase();
  return known.has(upper) ? upper : '_OTHER';
}

/** The headers that a server span is described by, each as it came first. */
interface DescribingHeaders {
  host: string | undefined;
  userAgent: string | undefined;
  forwarded: string | undefined;
  forwardedFor: string | undefined;
  forwardedHost: string | undefined;
  forwardedProto: string | undefined;
}

/** From the raw list: `req.headers` builds an object of them all, 0.7 us that the application may never spend. */
function describingHeaders(raw: readonly string[]): DescribingHeaders {
  const found: DescribingHeaders = {
    host: undefined,
    userAgent: undefined,
    forwarded: undefined,
    forwardedFor: undefined,
    forwardedHost: undefined,
    forwardedProto: undefined,
  };
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!;
    // Each of them has a length of its own, so that the others are passed over by their length.
    if (name.length === 4 && isNamed(name, 'host')) found.host ??= raw[i + 1];
    else if (name.length === 10 && isNamed(name, 'user-agent')) found.userAgent ??= raw[i + 1];
    else if (name.length === 9 && isNamed(name, 'forwarded')) found.forwarded ??= raw[i + 1];
    else if (name.length === 15 && isNamed(name, 'x-forwarded-for')) found.forwardedFor ??= raw[i + 1];
    else if (name.length === 16 && isNamed(name, 'x-forwarded-host')) found.forwardedHost ??= raw[i + 1];
    else if (name.length === 17 && isNamed(name, 'x-forwarded-proto')) found.forwardedProto ??= raw[i + 1];
  }
  return found;
}

function isNamed(header: string, name: string): boolean {
  return (header.charCodeAt(0) | 32) === name.charCodeAt(0) && header.toLowerCase() === name;
}

function forwardedScheme(headers: DescribingHeaders): string | undefined {
  const proto = forwarded(headers.forwarded, 'proto') ?? firstOf(headers.forwardedProto);
  return proto === 'http' || proto === 'https' ? proto : undefined;
}

/** A parameter of the first element of a `Forwarded` header (RFC 7239), which is the one nearest to the client. */
function forwarded(header: string | undefined, name: string): string | undefined {
  if (header === undefined) return undefined;
  for (const pair of firstOf(header)?.split(';') ?? []) {
    const equals = pair.indexOf('=');
    if (equals === -1 || pair.slice(0, equals).trim().toLowerCase() !== name) continue;
    const value = pair
      .slice(equals + 1)
      .trim()
      .replace(/^"(.*)"$/, '$1');
    return value === '' ? undefined : value;
  }
  return undefined;
}

function firstOf(header: string | undefined): string | undefined {
  const value = header?.split(',', 1)[0]?.trim();
  return value === '' ? undefined : value;
}

interface HostParts {
  readonly address: string;
  readonly port: string | undefined;
}

let lastHost = '';
let lastParts: HostParts = { address: '', port: undefined };

/** `splitPort` of the host that a request names, which is mostly the one that the last request named. */
function hostParts(host: string): HostParts {
  if (host !== lastHost) {
    lastHost = host;
    lastParts = splitPort(host);
  }
  return lastParts;
}

/** `host`, `host:port`, `[v6]`, `[v6]:port`, or a bare IPv6 address, which has no port. */
function splitPort(text: string): HostParts {
  const colon = text.lastIndexOf(':');
  const hasPort = colon > text.lastIndexOf(']') && (text.startsWith('[') || text.indexOf(':') === colon);
  return { address: (hasPort ? text.slice(0, colon) : text).replace(/^\[|\]$/g, ''), port: hasPort ? text.slice(colon + 1) : undefined };
}

function redact(query: string): string {
  // To ask for what all of them have in common costs a third of a replacement that finds nothing.
  if (!query.includes('ig') && !query.includes('AWS')) return query;
  return query.replace(SECRET_PARAMETERS, '$1REDACTED');
}

/** A URL without its credentials and without the values of parameters known to be secrets. */
function redactUrl(url: string): string {
  const at = url.indexOf('@');
  const scheme = url.indexOf('://');
  const path = scheme === -1 ? -1 : url.indexOf('/', scheme + 3);
  const hasCredentials = scheme !== -1 && at > scheme && (path === -1 || at < path);
  return redact(hasCredentials ? `${url.slice(0, scheme + 3)}REDACTED:REDACTED${url.slice(at)}` : url);
}
