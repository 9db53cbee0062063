// Express 4 and 5 (and the `router` package under 5): which route template serves a request, and the errors that pass
// through its pipeline. Two prototypes are wrapped when the package loads. The channel that router 2.3 publishes is not
// used: it costs an object and two publishes per layer, and Express 4 and router 2.2 do not have it.
//
// A request's template is the template of where its router is mounted plus the route's own path. `req.baseUrl` is not
// that template: it holds the values of parameters, and the letters as the client wrote them. So every layer that is
// mounted below a path leaves its template on the request while the request is inside of it.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Guard } from '../core/guard.ts';
import type { ServerRequests } from '../request.ts';

/** Template of the mount that the request is inside of. */
const MOUNT: unique symbol = Symbol('sonde.mount');
/** On a request that a router has taken: routers below it are not the outermost. */
const ROUTED: unique symbol = Symbol('sonde.routed');
const PATCHED: unique symbol = Symbol('sonde.patched');

type Path = string | RegExp | readonly (string | RegExp)[];
type Next = (error?: unknown) => void;
type Handler = (req: ExpressRequest, res: ServerResponse, next: Next) => unknown;
type ErrorHandler = (error: unknown, req: ExpressRequest, res: ServerResponse, next: Next) => unknown;

interface ExpressRequest extends IncomingMessage {
  readonly baseUrl?: string;
  readonly route?: Route;
  [MOUNT]?: string | undefined;
  [ROUTED]?: true;
}

interface Route {
  readonly path: Path;
}

/** Express 4 writes its layers' methods with underscores. */
interface Layer {
  readonly handle: { readonly length: number };
  handle_request?: Handler;
  handleRequest?: Handler;
}

interface RouterPrototype {
  handle(req: ExpressRequest, res: ServerResponse, out: Next): unknown;
  use(this: { stack: Layer[] }, ...args: unknown[]): unknown;
  param(name: unknown, fn: unknown): unknown;
}

interface RoutePrototype {
  dispatch(this: Route, req: ExpressRequest, res: ServerResponse, done: Next): void;
  [PATCHED]?: true;
}

interface LayerPrototype {
  handle_error?: ErrorHandler;
  handleError?: ErrorHandler;
  [PATCHED]?: true;
}

/** Wraps the exports of `express` 4 (`{ Router, Route }`) or `router` 2 (the Router itself); throws on anything else. */
export function instrumentExpress(exports: unknown, requests: ServerRequests, guard: Guard): void {
  const { Router, Route } = exports as { Router?: unknown; Route?: { prototype: RoutePrototype } };
  const router = (typeof Router === 'function' ? Router : exports) as { prototype?: unknown; Route?: { prototype: RoutePrototype } };
  const route = (Route ?? router.Route)?.prototype;
  // Express 4 keeps the methods on the Router function itself, router 2 on its prototype.
  const prototype = (hasUse(router) ? router : router.prototype) as RouterPrototype;
  if (route === undefined || typeof route.dispatch !== 'function' || !hasUse(prototype)) {
    throw new Error('this version of Express has no Router.use and Route.dispatch to observe; routes are not named');
  }
  if (route[PATCHED] === true) return;
  route[PATCHED] = true;
  patchDispatch(route, requests, guard);
  patchUse(prototype, requests, guard);
  patchParam(prototype, requests, guard);
  patchHandle(prototype, requests, guard);
}

function hasUse(value: unknown): boolean {
  return typeof (value as { use?: unknown } | undefined)?.use === 'function';
}

/** Names the route while it has the request; an error that it passes on leaves the name, the request failed there. */
function patchDispatch(route: RoutePrototype, requests: ServerRequests, guard: Guard): void {
  const { dispatch: original } = route;
  const entered = guard.wrap('express', (self: Route, req: ExpressRequest, res: ServerResponse) =>
    requests.named(res, templateOf(req, self.path)),
  );
  const left = leaving(requests, guard);
  route.dispatch = function dispatch(req, res, done): void {
    entered(this, req, res);
    original.call(this, req, res, (error?: unknown) => {
      left(res, error);
      done(error);
    });
  };
}

/** A parameter callback can end the request before its route is dispatched; the route is known by then. */
function patchParam(prototype: RouterPrototype, requests: ServerRequests, guard: Guard): void {
  const { param: original } = prototype;
  const entered = guard.wrap('express', (req: ExpressRequest, res: ServerResponse) => {
    if (req.route !== undefined) requests.named(res, templateOf(req, req.route.path));
  });
  const left = leaving(requests, guard);
  prototype.param = function param(name, fn): unknown {
    if (typeof name !== 'string' || typeof fn !== 'function') return original.call(this, name, fn);
    return original.call(this, name, function sondeParam(this: unknown, ...args: unknown[]): unknown {
      const [req, res, next] = args as [ExpressRequest, ServerResponse, Next];
      entered(req, res);
      args[2] = (error?: unknown): void => {
        left(res, error);
        next(error);
      };
      return fn.apply(this, args) as unknown;
    });
  };
}

/** Takes a route's name back when the route passed the request on without an error, because another shall serve it. */
function leaving(requests: ServerRequests, guard: Guard): (res: ServerResponse, error: unknown) => void {
  return guard.wrap('express', (res: ServerResponse, error: unknown) => {
    if (error === undefined || error === null || error === 'route' || error === 'router') requests.passed(res);
  });
}

function patchUse(prototype: RouterPrototype, requests: ServerRequests, guard: Guard): void {
  const { use: original } = prototype;
  const mounted = guard.wrap('express', (layers: Layer[], path: unknown) => {
    const last = layers.at(-1);
    if (last !== undefined) patchErrors(Object.getPrototypeOf(last) as LayerPrototype, requests, guard);
    if (isMountPath(path)) for (const layer of layers) trackMount(layer, path, guard);
  });
  prototype.use = function use(_handler): unknown {
    const before = this.stack?.length ?? 0;
    // Not by name: how many arguments there are is part of what Express is told.
    const args = arguments as unknown as unknown[];
    const result = original.apply(this, args);
    if (Array.isArray(this.stack)) mounted(this.stack.slice(before), args[0]);
    return result;
  };
}

/** Records an error that no error handler takes, on its way out of the outermost router to Express's last resort. */
function patchHandle(prototype: RouterPrototype, requests: ServerRequests, guard: Guard): void {
  const { handle: original } = prototype;
  const left = guard.wrap('express', (res: ServerResponse, error: unknown) => {
    if (error !== undefined && error !== null) requests.failed(res, error);
  });
  prototype.handle = function handle(req, res, out): unknown {
    if (req[ROUTED] === true || typeof out !== 'function') return original.call(this, req, res, out);
    req[ROUTED] = true;
    return original.call(this, req, res, (error?: unknown) => {
      left(res, error);
      out(error);
    });
  };
}

/** Records an error that passes through the layers after the one where it came up. */
function patchErrors(layer: LayerPrototype, requests: ServerRequests, guard: Guard): void {
  if (layer[PATCHED] === true) return;
  layer[PATCHED] = true;
  const failed = guard.wrap('express', (res: ServerResponse, error: unknown) => requests.failed(res, error));
  const name = typeof layer.handleError === 'function' ? 'handleError' : 'handle_error';
  const original = layer[name];
  if (original === undefined) return;
  layer[name] = function handleError(this: unknown, error, req, res, next): unknown {
    failed(res, error);
    return original.call(this, error, req, res, next);
  };
}

/** Shadows the layer's method and not its `handle`, which applications list and compare. */
function trackMount(layer: Layer, path: Path, guard: Guard): void {
  const name = typeof layer.handleRequest === 'function' ? 'handleRequest' : 'handle_request';
  const original = layer[name];
  // Four parameters make an error handler; it is never where a request is routed.
  if (original === undefined || layer.handle.length > 3) return;
  const enter = guard.wrap('express', (req: ExpressRequest, outer: string | undefined) => {
    req[MOUNT] = (outer ?? '') + mountSegment(path, req.baseUrl ?? '');
  });
  const value: Handler = function handleRequest(this: unknown, req, res, next): unknown {
    const outer = req[MOUNT];
    enter(req, outer);
    return original.call(this, req, res, (error?: unknown) => {
      req[MOUNT] = outer;
      next(error);
    });
  };
  Object.defineProperty(layer, name, { value, configurable: true, writable: true, enumerable: false });
}

/** The first argument of `use`, when it is a path that adds something to the template. */
function isMountPath(path: unknown): path is Path {
  if (typeof path === 'string') return path !== '' && path !== '/';
  if (path instanceof RegExp) return true;
  // A list of functions is middleware without a path; Express tells them apart by the first item.
  return Array.isArray(path) && path.every((item) => typeof item === 'string' || item instanceof RegExp);
}

/** What a mount path adds to the template; of several literal paths the one that `base` ends with. */
function mountSegment(path: Path, base: string): string {
  if (typeof path === 'string') return path.endsWith('/') ? path.slice(0, -1) : path;
  if (path instanceof RegExp) return String(path);
  const lower = base.toLowerCase();
  const literal = path.find((item) => typeof item === 'string' && lower.endsWith(item.toLowerCase()));
  return literal === undefined ? path.map(String).join(',') : mountSegment(literal, base);
}

function templateOf(req: ExpressRequest, path: Path): string {
  // An application that somebody else routes to has a base that no mount of ours has seen.
  const prefix = req[MOUNT] ?? req.baseUrl ?? '';
  const text = Array.isArray(path) ? path.map(String).join(',') : String(path);
  if (prefix === '') return text;
  return text === '/' || text === '' ? prefix : prefix + text;
}
