// Where the routers and applications of Express are mounted, and which template a request's mounted path
// (`req.baseUrl`, the values of parameters in the letters of the client) was made from. express.ts tells it of each
// `use` and asks it for each route. It follows the application's own stacks and holds nothing of a request.
// Not followed: a router that a middleware calls by hand; its template is put together of all mount paths known.

export type Path = string | RegExp | readonly unknown[];

/** What the template needs of a request while a route has it. */
export interface MountedRequest {
  readonly baseUrl?: string;
  readonly app?: Application;
}

export interface Route {
  readonly path: Path;
  readonly stack: readonly unknown[];
}

export interface Layer {
  readonly route?: Route | undefined;
  readonly handle?: { readonly length: number; readonly stack?: unknown };
  /** Text matched, in Express 4 and router before 2.3, which answer true. */
  readonly path?: string;
  match(path: string): boolean | { readonly path: string };
}

/** A router is known by its stack: what a library puts around a router has the same one. */
export type Stack = readonly Layer[];

export interface Router {
  readonly stack: Stack;
}

export interface Application {
  readonly _router?: Router;
  readonly router?: Router;
}

interface Mount {
  readonly layer: Layer;
  readonly path: Path;
  readonly parent: Stack;
}

interface Known {
  readonly version: number;
  /** The router that has the route; undefined when no stack leads to it. */
  readonly stack: Stack | undefined;
  /** Templates by `baseUrl`. */
  readonly templates: Map<string, string>;
}

/** Mounts kept of one router or application; an application that mounts a shared one per request stays bounded. */
const MOUNTS_MAX = 16;
/** Ways that lead to one router: when that many are found, no more are looked for. */
const CHAINS_MAX = 32;
/** Routers within routers of one way, and segments put together for one called by hand. Deeper ones may be a circle. */
const DEPTH_MAX = 12;
/** Different mount paths known to the process. All are tried for a router called by hand: 20 to 30 us a segment. */
const PATHS_MAX = 100;
/** Mounted paths remembered per route. Those of parameters have no end; without them a template costs 1 us and more. */
const TEMPLATES_MAX = 100;
/** For a mounted path that no `use` explains: its text would be a value, and values have no end. */
const UNKNOWN = '/*';

export class ExpressMounts {
  /** By the stack of what is mounted, or by the application. */
  readonly #mounts = new WeakMap<object, Mount[]>();
  readonly #applications = new WeakMap<Stack, Application>();
  readonly #paths = new Map<string, Mount>();
  readonly #routes = new WeakMap<Route, Known>();
  #version = 0;

  /** Notes what `router.use(...args)` has mounted; after it has. */
  used(router: Router, args: ArrayLike<unknown>): void {
    const items = Array.from(args);
    const path = hasPath(items[0]) ? (items.shift() as Path) : '/';
    const handlers = items.flat(Infinity);
    // Express makes one layer of each handler.
    const layers = router.stack.slice(-handlers.length);
    this.#version += 1;
    for (const [i, layer] of layers.entries()) this.#mounted(handlers[i], { layer, path, parent: router.stack });
  }

  /** Notes what `app.use(...args)` has mounted: the layer of an application holds a closure of Express's instead of it. */
  usedByApplication(app: Application, args: ArrayLike<unknown>): void {
    const router = routerOf(app);
    if (router === undefined) return;
    this.#applications.set(router.stack, app);
    this.used(router, args);
  }

  /** Template of the route that has the request: where its router is mounted, and its own path. */
  template(route: Route, req: MountedRequest): string {
    const { baseUrl = '', app } = req;
    let known = this.#routes.get(route);
    if (known?.version !== this.#version) {
      const outer = app === undefined ? undefined : routerOf(app);
      const stack = outer === undefined ? undefined : findStack(outer.stack, route);
      known = { version: this.#version, stack, templates: new Map() };
      this.#routes.set(route, known);
    }
    const found = known.templates.get(baseUrl);
    if (found !== undefined) return found;
    const template = join(this.#prefix(known.stack, app, baseUrl), textOf(route.path));
    if (known.templates.size >= TEMPLATES_MAX) known.templates.clear();
    known.templates.set(baseUrl, template);
    return template;
  }

  #mounted(handler: unknown, mount: Mount): void {
    const key = textOf(mount.path);
    if (isTelling(mount.path) && this.#paths.size < PATHS_MAX && !this.#paths.has(key)) this.#paths.set(key, mount);
    const node = nodeOf(handler);
    if (node === undefined) return;
    const mounts = this.#mounts.get(node) ?? [];
    this.#mounts.set(node, mounts);
    if (mounts.length < MOUNTS_MAX && mounts.every(({ layer }) => layer !== mount.layer)) mounts.push(mount);
  }

  #prefix(stack: Stack | undefined, app: Application | undefined, baseUrl: string): string {
    for (const chain of this.#chains(stack, app, 0)) {
      const prefix = matchChain(chain, baseUrl);
      if (prefix !== undefined) return prefix;
    }
    return this.#guess(baseUrl);
  }

  /** The ways from the outermost router to this one. The application is the one that is running, to whom the innermost belongs. */
  #chains(stack: Stack | undefined, app: Application | undefined, depth: number): Mount[][] {
    const own = stack === undefined ? undefined : this.#mounts.get(stack);
    const owner = own === undefined ? ((stack && this.#applications.get(stack)) ?? app) : undefined;
    const mounts = own ?? (owner && this.#mounts.get(owner));
    if (mounts === undefined || depth >= DEPTH_MAX) return [[]];
    const outerApp = owner === undefined ? app : undefined;
    const chains: Mount[][] = [];
    for (const mount of mounts) {
      for (const outer of this.#chains(mount.parent, outerApp, depth + 1)) chains.push([...outer, mount]);
      if (chains.length >= CHAINS_MAX) break;
    }
    return chains;
  }

  /** The mount paths that make up the text, the longest first, and literal ones before patterns. */
  #guess(baseUrl: string): string {
    let prefix = '';
    let rest = baseUrl;
    for (let depth = 0; rest !== '' && depth < DEPTH_MAX; depth += 1) {
      let best = { text: '', segment: UNKNOWN };
      for (const { layer, path } of this.#paths.values()) {
        const text = matchedText(layer, rest) ?? '';
        const segment = text === '' ? '' : segmentOf(path, text);
        if (text.length > best.text.length || (text !== '' && text.length === best.text.length && isSame(segment, text))) {
          best = { text, segment };
        }
      }
      prefix += best.segment;
      if (best.text === '') return prefix;
      rest = rest.slice(best.text.length);
    }
    return rest === '' ? prefix : prefix + UNKNOWN;
  }
}

/** As Express decides it: by the first item of whatever lists there are. */
function hasPath(first: unknown): boolean {
  let item = first;
  while (Array.isArray(item) && item.length > 0) item = item[0] as unknown;
  return typeof item !== 'function';
}

/** Whether a mount path says something where it matches: the root and a wildcard match everywhere. */
function isTelling(path: Path): boolean {
  return typeof path === 'string' && path !== '' && path !== '/' && !path.includes('*');
}

/** Under what a mounted thing is known; undefined for plain middleware. */
function nodeOf(handler: unknown): object | undefined {
  if (typeof handler !== 'function') return undefined;
  const { stack, handle, set } = handler as { stack?: unknown; handle?: unknown; set?: unknown };
  if (Array.isArray(stack)) return stack;
  return typeof handle === 'function' && typeof set === 'function' ? handler : undefined;
}

/** Only of an application that has been used or runs: in 5 the first look makes the router, in 4 `router` throws. */
function routerOf(app: Application): Router | undefined {
  return 'lazyrouter' in app ? app._router : app.router;
}

/** The stack of the router that has the route, among those that the outermost one leads to. */
function findStack(outermost: Stack, route: Route): Stack | undefined {
  const stacks = new Set([outermost]);
  // A set hands out what is added while it is gone through, and nothing twice.
  for (const stack of stacks) {
    for (const layer of stack) {
      if (layer.route === route) return stack;
      const inner = layer.handle?.stack;
      if (Array.isArray(inner)) stacks.add(inner as Stack);
    }
  }
  return undefined;
}

/** Template of the chain, when it is what the text comes from. */
function matchChain(chain: readonly Mount[], baseUrl: string): string | undefined {
  let prefix = '';
  let rest = baseUrl;
  for (const { layer, path } of chain) {
    const text = matchedText(layer, rest);
    if (text === undefined) return undefined;
    prefix += segmentOf(path, text);
    rest = rest.slice(text.length);
  }
  return rest === '' ? prefix : undefined;
}

/** What the layer takes off the front of the path, without a slash at its end. */
function matchedText(layer: Layer, path: string): string | undefined {
  // Express 4 leaves what it has matched on the layer, where a request may be in the middle of reading it.
  const probe = Object.create(layer) as Layer;
  let result: ReturnType<Layer['match']>;
  try {
    result = probe.match(path === '' ? '/' : path);
  } catch (error) {
    // A layer that this request has not been through may find characters in a parameter that it cannot decode.
    if (error instanceof URIError) return undefined;
    throw error;
  }
  if (result === false) return undefined;
  const text = (typeof result === 'object' ? result.path : probe.path) ?? '';
  return text.endsWith('/') ? text.slice(0, -1) : text;
}

/** What a mount adds to the template where it has matched `text`; of several paths the literal one that it is. */
function segmentOf(path: Path, text: string): string {
  if (Array.isArray(path)) {
    const literal = path.flat(Infinity).find((item) => typeof item === 'string' && isSame(withoutSlash(item), text));
    if (literal !== undefined) return withoutSlash(literal as string);
  }
  return path instanceof RegExp ? String(path) : withoutSlash(textOf(path));
}

function isSame(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

function withoutSlash(path: string): string {
  return path.endsWith('/') ? path.slice(0, -1) : path;
}

function textOf(path: Path): string {
  return Array.isArray(path) ? path.flat(Infinity).map(String).join(',') : String(path);
}

function join(prefix: string, path: string): string {
  if (prefix === '') return path;
  return path === '/' || path === '' ? prefix : prefix + path;
}
