// Express 4 and 5 over loopback: which route a request is counted under, which errors its span holds, and that the
// application cannot tell that it is observed.
import http from 'node:http';
import { createRequire } from 'node:module';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StderrDiag } from '../../../src/core/diag.ts';
import { ExpressInstrumentation } from '../../../src/instrument/express.ts';
import { instrumentHttpServer } from '../../../src/instrument/http-server.ts';
import { ModuleHooks } from '../../../src/instrument/modules.ts';
import type { Span } from '../../../src/trace/span.ts';
import { Harness, RawConnection, request, Servers } from '../../helpers/harness.ts';

const require = createRequire(import.meta.url);

// What the tests use of either version of Express, which brings no types of its own.
type Request = http.IncomingMessage;
type Response = http.ServerResponse & { status(code: number): Response };
type Routed = Request & { baseUrl?: string; route?: unknown };
type NextFunction = (error?: unknown) => void;
type Handler = (req: Request, res: Response, next: NextFunction) => unknown;
type ErrorHandler = (error: unknown, req: Request, res: Response, next: NextFunction) => unknown;
type Path = string | RegExp | readonly (string | RegExp)[];
interface Router extends Handler {
  use(...args: (Path | Handler | ErrorHandler | readonly Handler[])[]): this;
  param(name: string, fn: (req: Request, res: Response, next: NextFunction, value: string, name: string) => unknown): this;
  get(path: Path, ...handlers: Handler[]): this;
  all(path: Path, ...handlers: Handler[]): this;
  route(path: Path): { get(handler: Handler): { post(handler: Handler): unknown } };
}
interface Express extends Router {
  (req: http.IncomingMessage, res: http.ServerResponse): void;
  set(name: string, value: unknown): void;
}
interface ExpressModule {
  (): Express;
  Router(options?: { mergeParams?: boolean }): Router;
  static(root: string): Handler;
}

const harness = new Harness();
const servers = new Servers();
const stop = instrumentHttpServer(harness.requests, harness.guard);

/** Copies that nobody observes, to compare with. */
const bare = { 4: require('express4') as ExpressModule, 5: require('express') as ExpressModule };
for (const filename of Object.keys(require.cache)) delete require.cache[filename];

const instrumentation = new ExpressInstrumentation(harness.requests, harness.guard);
const modules = new ModuleHooks(harness.guard, new StderrDiag('warn', (line) => harness.lines.push(line)));
for (const name of ['express', 'express4']) modules.onLoad(name, (exports) => instrumentation.express(exports));
modules.onLoad('finalhandler', (exports) => instrumentation.finalhandler(exports));
modules.install();
const express4 = require('express4') as ExpressModule;
const express5 = require('express') as ExpressModule;

afterAll(async () => {
  await servers.close();
  modules.uninstall();
  stop();
});

beforeEach(() => {
  harness.spans.length = 0;
});

afterEach(() => {
  expect(harness.lines).toEqual([]);
  expect(harness.active()).toBe(0);
});

function exceptions(span: Span): unknown[] {
  return span.events.filter(({ name }) => name === 'exception').map(({ attributes }) => attributes?.['exception.message']);
}

/** A server for the application that says nothing about its errors on stderr. */
function quiet(app: Express): Express {
  app.set('env', 'test');
  return app;
}

/** The outermost router of an application that has been used. */
function routerOf(app: Express): { readonly stack: { handle: unknown }[] } {
  type Routed = { readonly stack: { handle: unknown }[] };
  const { _router: router4 } = app as unknown as { readonly _router?: Routed };
  return router4 ?? (app as unknown as { readonly router: Routed }).router;
}

const ok = (_req: Request, res: Response): void => void res.end('ok');
const pass = (_req: Request, _res: Response, next: NextFunction): void => next();

describe.each([
  { version: 4, express: express4, star: '*', optional: '/opt/:id?', splat: '/files/*', splatTemplate: '/files/*' },
  { version: 5, express: express5, star: '/{*all}', optional: '/opt{/:id}', splat: '/files/*path', splatTemplate: '/files/*path' },
])('Express $version', ({ version, express, star, optional, splat, splatTemplate }) => {
  async function serve(
    configure: (app: Express) => void,
  ): Promise<(path: string, method?: string) => Promise<{ route: unknown; status: number; span: Span }>> {
    const app = quiet(express());
    configure(app);
    const url = await servers.listen(http.createServer(app));
    return async (path, method = 'GET') => {
      const { status } = await request(url + path, { method });
      const [span] = await harness.take(1);
      return { route: span!.attributes['http.route'], status, span: span! };
    };
  }

  describe('names the route of', () => {
    const router = (configure: (router: Router) => void): Router => {
      const made = express.Router();
      configure(made);
      return made;
    };

    it.each<[what: string, configure: (app: Express) => void, path: string, route: string | undefined]>([
      ['a literal path', (app) => app.get('/users', ok), '/users?page=2', '/users'],
      ['the root path', (app) => app.get('/', ok), '/', '/'],
      ['a path with a parameter', (app) => app.get('/users/:id', ok), '/users/42', '/users/:id'],
      ['a path with two parameters in one segment', (app) => app.get('/flights/:from-:to', ok), '/flights/LAX-SFO', '/flights/:from-:to'],
      ['an optional parameter that is there', (app) => app.get(optional, ok), '/opt/1', optional],
      ['an optional parameter that is not there', (app) => app.get(optional, ok), '/opt', optional],
      ['a wildcard', (app) => app.get(splat, ok), '/files/a/b/c', splatTemplate],
      ['a catch-all', (app) => app.get(star, ok), '/any/thing', star],
      ['a RegExp', (app) => app.get(/^\/item-(\d+)$/, ok), '/item-7', '/^\\/item-(\\d+)$/'],
      ['a list of paths', (app) => app.get(['/a', '/b/:id'], ok), '/b/1', '/a,/b/:id'],
      ['app.route()', (app) => app.route('/books/:id').get(ok).post(ok), '/books/1', '/books/:id'],
      ['app.all()', (app) => app.all('/any/:id', ok), '/any/1', '/any/:id'],
      ['a path asked for in other letters', (app) => app.get('/Users/:id', ok), '/uSERS/1', '/Users/:id'],
      ['a path asked for with a slash at its end', (app) => app.get('/users', ok), '/users/', '/users'],
      [
        'a router at a literal path',
        (app) =>
          app.use(
            '/api',
            router((r) => r.get('/users/:id', ok)),
          ),
        '/api/users/1',
        '/api/users/:id',
      ],
      [
        'the root of a router',
        (app) =>
          app.use(
            '/api',
            router((r) => r.get('/', ok)),
          ),
        '/api',
        '/api',
      ],
      [
        'the root of a router, asked for with a slash',
        (app) =>
          app.use(
            '/api',
            router((r) => r.get('/', ok)),
          ),
        '/api/',
        '/api',
      ],
      ['a router without a path', (app) => app.use(router((r) => r.get('/users/:id', ok))), '/users/1', '/users/:id'],
      [
        'a router at /',
        (app) =>
          app.use(
            '/',
            router((r) => r.get('/users/:id', ok)),
          ),
        '/users/1',
        '/users/:id',
      ],
      [
        'a router at a path that ends in a slash',
        (app) =>
          app.use(
            '/api/',
            router((r) => r.get('/users', ok)),
          ),
        '/api/users',
        '/api/users',
      ],
      [
        'a router at a path asked for in other letters',
        (app) =>
          app.use(
            '/api',
            router((r) => r.get('/users', ok)),
          ),
        '/API/users',
        '/api/users',
      ],
      [
        'a router behind middleware at the same path',
        (app) => app.use('/api', pass, [pass, router((r) => r.get('/users', ok))]),
        '/api/users',
        '/api/users',
      ],
      [
        'a router at one of two literal paths',
        (app) =>
          app.use(
            ['/a', '/b'],
            router((r) => r.get('/x', ok)),
          ),
        '/B/x',
        '/b/x',
      ],
      [
        'a router at a list with a parameter',
        (app) =>
          app.use(
            ['/a', '/b/:id'],
            router((r) => r.get('/x', ok)),
          ),
        '/b/7/x',
        '/a,/b/:id/x',
      ],
      [
        'a router at a RegExp',
        (app) =>
          app.use(
            /\/v\d+/,
            router((r) => r.get('/users', ok)),
          ),
        '/v12/users',
        '/\\/v\\d+//users',
      ],
      [
        'a router at a parameter',
        (app) =>
          app.use(
            '/:tenant',
            router((r) => r.get('/users/:id', ok)),
          ),
        '/acme/users/1',
        '/:tenant/users/:id',
      ],
      [
        'a router at a parameter that equals a mount path',
        (app) =>
          app.use(
            '/:tenant',
            router((r) => r.get('/x', ok)),
          ),
        '/acme/x',
        '/:tenant/x',
      ],
      [
        'three routers below one another',
        (app) =>
          app.use(
            '/api',
            router((a) =>
              a.use(
                '/v1',
                router((b) =>
                  b.use(
                    '/users',
                    router((c) => c.get('/:id', ok)),
                  ),
                ),
              ),
            ),
          ),
        '/api/v1/users/42',
        '/api/v1/users/:id',
      ],
      [
        'a parameter below a literal mount',
        (app) =>
          app.use(
            '/api',
            router((a) =>
              a.use(
                '/:tenant',
                router((b) => b.get('/users/:id', ok)),
              ),
            ),
          ),
        '/api/acme/users/1',
        '/api/:tenant/users/:id',
      ],
      [
        'literal and parameter mounts in turn',
        (app) =>
          app.use(
            '/:a',
            router((r) =>
              r.use(
                '/lit',
                router((s) =>
                  s.use(
                    '/:b',
                    router((t) => t.get('/end', ok)),
                  ),
                ),
              ),
            ),
          ),
        '/1/lit/2/end',
        '/:a/lit/:b/end',
      ],
      [
        'a literal mount after middleware at a parameter has passed',
        (app) => {
          app.use('/:tenant', pass);
          app.use(
            '/admin',
            router((r) => r.get('/users', ok)),
          );
        },
        '/admin/users',
        '/admin/users',
      ],
      [
        'a parameter mount after another one has passed',
        (app) => {
          app.use(
            '/:a',
            router((r) => r.get('/never', ok)),
          );
          app.use(
            '/:b',
            router((r) => r.get('/x', ok)),
          );
        },
        '/1/x',
        '/:b/x',
      ],
      [
        'a root route after a catch-all middleware',
        (app) => {
          app.use(star, pass);
          app.use(
            '/api',
            router((r) => r.get('/', ok)),
          );
        },
        '/api',
        '/api',
      ],
      [
        'a router mounted a second time',
        (app) => {
          const shared = router((r) => r.get('/x/:id', ok));
          app.use('/one', shared);
          app.use('/two/:id', shared);
        },
        '/two/5/x/1',
        '/two/:id/x/:id',
      ],
      [
        'a mounted application',
        (app) => {
          const sub = express();
          sub.get('/users/:id', ok);
          app.use('/sub', sub);
        },
        '/sub/users/1',
        '/sub/users/:id',
      ],
      [
        'an application mounted at a parameter in a router',
        (app) => {
          const sub = express();
          sub.use(
            '/deep',
            router((r) => r.get('/:id', ok)),
          );
          app.use(
            '/api',
            router((r) => r.use('/:tenant', sub)),
          );
        },
        '/api/acme/deep/1',
        '/api/:tenant/deep/:id',
      ],
      [
        'a router that middleware calls by hand',
        (app) => {
          const inner = router((r) => r.get('/users/:id', ok));
          app.use('/api', (req: Request, res: Response, next: NextFunction) => inner(req, res, next));
        },
        '/api/users/1',
        '/api/users/:id',
      ],
      [
        "the next route after next('route')",
        (app) => {
          app.get('/users/:id', (_req, _res, next) => next('route'));
          app.get('/users/:name', ok);
        },
        '/users/1',
        '/users/:name',
      ],
      [
        "the next router after next('router')",
        (app) => {
          app.use(
            '/a',
            router((r) => r.get('/:id', (_req, _res, next) => next('router'))),
          );
          app.get('/a/:other', ok);
        },
        '/a/1',
        '/a/:other',
      ],
      [
        'the route that found what a middleware after it writes',
        (app) => {
          app.get('/users/:id', pass);
          app.use(ok);
        },
        '/users/1',
        '/users/:id',
      ],
      [
        'the route that answers after others have passed',
        (app) => {
          app.all(star, pass);
          app.get('/users/:id', pass);
          app.get('/users/:user', ok);
        },
        '/users/1',
        '/users/:user',
      ],
      [
        'the route that answers and passes on as well',
        (app) =>
          app.get('/users/:id', (_req, res, next) => {
            res.end('ok');
            next();
          }),
        '/users/1',
        '/users/:id',
      ],
      [
        'a router of which a library has put another function into its layer',
        (app) => {
          const inner = router((r) => r.get('/users/:id', ok));
          app.use('/:tenant', inner);
          const { stack } = routerOf(app);
          const layer = stack.at(-1)!;
          layer.handle = Object.assign((req: Request, res: Response, next: NextFunction) => inner(req, res, next), inner);
        },
        '/acme/users/1',
        '/:tenant/users/:id',
      ],
      [
        'a router that middleware at a parameter chooses',
        (app) => {
          const inner = router((r) => r.get('/users/:id', ok));
          app.use('/api', pass);
          app.use('/:kind', pass);
          app.use('/api/:tenant', (req: Request, res: Response, next: NextFunction) => inner(req, res, next));
        },
        '/api/acme/users/1',
        '/api/:tenant/users/:id',
      ],
      [
        'an application mounted a second time',
        (app) => {
          const sub = express();
          sub.get('/x/:id', ok);
          app.use('/one', sub);
          app.use('/two/:id', sub);
        },
        '/two/5/x/1',
        '/two/:id/x/:id',
      ],
      [
        'an application in an application in a router',
        (app) => {
          const inner = express();
          inner.use(
            '/v1',
            router((r) => r.get('/x/:id', ok)),
          );
          const outer = express();
          outer.use('/:inner', inner);
          app.use(
            '/api',
            router((r) => r.use('/:outer', outer)),
          );
        },
        '/api/a/b/v1/x/1',
        '/api/:outer/:inner/v1/x/:id',
      ],
      [
        'an application of the other Express',
        (app) => {
          const sub = (version === 4 ? express5 : express4)();
          sub.use('/:a', (version === 4 ? express5 : express4).Router().get('/x/:id', ok));
          app.use('/sub/:tenant', sub);
        },
        '/sub/acme/1/x/1',
        '/sub/:tenant/:a/x/:id',
      ],
      [
        'a router mounted at a path that may be left out',
        (app) =>
          app.use(
            version === 4 ? '/:lang?' : '{/:lang}',
            router((r) => r.get('/x', ok)),
          ),
        '/de/x',
        version === 4 ? '/:lang?/x' : '{/:lang}/x',
      ],
    ])('%s', async (_what, configure, path, route) => {
      const get = await serve(configure);
      expect(await get(path)).toMatchObject({ route, status: 200 });
    });

    it('more tenants than are remembered', async () => {
      const get = await serve((app) =>
        app.use(
          '/:tenant',
          router((r) => r.get('/x', ok)),
        ),
      );
      const routes = new Set<unknown>();
      for (let i = 0; i < 150; i += 1) routes.add((await get(`/${i % 120}/x`)).route);
      expect([...routes]).toEqual(['/:tenant/x']);
    });

    it('a router that is mounted elsewhere after its first request', async () => {
      const app = quiet(express());
      const inner = router((r) => r.get('/x', ok));
      app.use('/one', inner);
      const url = await servers.listen(http.createServer(app));
      await request(`${url}/one/x`);
      app.use('/:two', inner);
      await request(`${url}/2/x`);
      const spans = await harness.take(2);
      expect(spans.map((span) => span.attributes['http.route'])).toEqual(['/one/x', '/:two/x']);
    });

    it('a request for HEAD and OPTIONS', async () => {
      const get = await serve((app) => app.get('/users/:id', ok));
      expect(await get('/users/1', 'HEAD')).toMatchObject({ route: '/users/:id', status: 200 });
      // Express answers OPTIONS itself, no route is dispatched.
      expect(await get('/users/1', 'OPTIONS')).toMatchObject({ route: undefined, status: 200 });
    });

    it('concurrent requests in one mounted router, whatever their parameters', async () => {
      const app = quiet(express());
      const r = express.Router();
      r.param('id', (_req, _res, next) => setImmediate(next));
      r.use(
        '/:id',
        express.Router().get('/x', (_req, res) => void setImmediate(() => res.end())),
      );
      app.use('/api', r);
      const url = await servers.listen(http.createServer(app));
      await Promise.all(['1', '22', '333', '4444'].map((id) => request(`${url}/api/${id}/x`)));
      const spans = await harness.take(4);
      expect(spans.map((span) => span.attributes['http.route'])).toEqual(Array(4).fill('/api/:id/x'));
    });
  });

  it("keeps the name of a route that passes to the application's own 404", async () => {
    const get = await serve((app) => {
      app.get('/users/:id', pass);
      app.use((_req: Request, res: Response) => void res.status(404).end());
    });
    expect(await get('/users/1')).toMatchObject({ route: '/users/:id', status: 404 });
    expect(await get('/nope')).toMatchObject({ route: undefined, status: 404 });
  });

  describe('names no route for', () => {
    it.each<[what: string, configure: (app: Express) => void, path: string]>([
      ['a path that nothing matches', (app) => app.get('/users/:id', ok), '/nope/1'],
      ['routes that all pass', (app) => app.get('/users/:id', pass), '/users/1'],
      [
        'a route that passes after a parameter callback',
        (app) => app.param('id', (_req, _res, next) => next()).get('/users/:id', pass),
        '/users/1',
      ],
      [
        'a parameter callback that passes by next(route)',
        (app) => app.param('id', (_req, _res, next) => next('route')).get('/users/:id', ok),
        '/users/1',
      ],
      ['a mounted router in which nothing matches', (app) => app.use('/:tenant', express.Router().get('/x', ok)), '/acme/nope'],
      ['a static file', (app) => app.use('/static', express.static(import.meta.dirname)), '/static/nope.txt'],
    ])('%s', async (_what, configure, path) => {
      const get = await serve(configure);
      expect(await get(path)).toMatchObject({ route: undefined, status: 404 });
    });

    it('a static file that is there', async () => {
      const get = await serve((app) => app.use('/static', express.static(import.meta.dirname)));
      expect(await get('/static/express.test.ts')).toMatchObject({ route: undefined, status: 200 });
    });
  });

  describe('records the error of', () => {
    class Broken extends Error {}
    const broken = (): never => {
      throw new Broken('it broke');
    };
    const answer418 = (_error: unknown, _req: Request, res: Response, _next: NextFunction): void => void res.status(418).end();

    it.each<[what: string, configure: (app: Express) => void, route: string | undefined]>([
      ['a handler that throws', (app) => app.get('/x/:id', broken), '/x/:id'],
      ['a handler that calls next(error)', (app) => app.get('/x/:id', (_req, _res, next) => next(new Broken('it broke'))), '/x/:id'],
      ['a handler that throws in a nested router', (app) => app.use('/x', express.Router().get('/:id', broken)), '/x/:id'],
      [
        'a parameter callback that calls next(error)',
        (app) => app.param('id', (_req, _res, next) => next(new Broken('it broke'))).get('/x/:id', ok),
        '/x/:id',
      ],
      ['a parameter callback that throws', (app) => app.param('id', broken).get('/x/:id', ok), '/x/:id'],
      [
        'middleware that throws before an error handler',
        (app) => app.use(broken).use((e: unknown, _q: Request, _s: Response, next: NextFunction) => next(e)),
        undefined,
      ],
      ['middleware that throws with no error handler', (app) => app.use(broken), undefined],
    ])('%s, once', async (_what, configure, route) => {
      const get = await serve((app) => {
        configure(app);
        app.use(pass);
        app.use(pass);
      });
      const { span, ...rest } = await get('/x/1');
      expect(rest).toEqual({ route, status: 500 });
      expect(exceptions(span)).toEqual(['it broke']);
      expect(span.status.code).toBe(2);
      expect(span.attributes['error.type']).toBe('Broken');
    });

    it('a handler whose error handler passes it to another', async () => {
      const get = await serve((app) => {
        app.get('/x/:id', broken);
        app.use((error: unknown, _req: Request, _res: Response, next: NextFunction) => next(error));
        app.use((_error: unknown, _req: Request, res: Response, _next: NextFunction) => void res.status(503).end());
      });
      const { span, route, status } = await get('/x/1');
      expect({ route, status, exceptions: exceptions(span), type: span.attributes['error.type'] }).toEqual({
        route: '/x/:id',
        status: 503,
        exceptions: ['it broke'],
        type: 'Broken',
      });
    });

    it('a handler that an error handler answers with less than 500, without failing the request', async () => {
      const get = await serve((app) => void app.get('/x/:id', broken).use(answer418));
      const { span, status } = await get('/x/1');
      expect(status).toBe(418);
      expect(exceptions(span)).toEqual(['it broke']);
      expect(span.status.code).toBe(0);
      expect(span.attributes).not.toHaveProperty('error.type');
    });

    it('a second, different error of one request too', async () => {
      const get = await serve((app) => {
        app.get('/x/:id', broken);
        app.use((_error: unknown, _req: Request, _res: Response, next: NextFunction) => next(new Broken('handler broke')));
        app.use(answer418);
      });
      expect(exceptions((await get('/x/1')).span)).toEqual(['it broke', 'handler broke']);
    });

    it('a string passed to next', async () => {
      const get = await serve((app) => app.get('/x/:id', (_req, _res, next) => next('just text')));
      const { span } = await get('/x/1');
      expect(exceptions(span)).toEqual(['just text']);
      expect(span.attributes['error.type']).toBe('_OTHER');
    });

    it('a path that cannot be decoded, as the 400 it is', async () => {
      const get = await serve((app) => app.get('/x/:id', ok));
      const { status, span } = await get('/x/%zz');
      expect(status).toBe(400);
      expect(span.status.code).toBe(0);
    });
  });

  it('names the route of a parameter callback that answers itself', async () => {
    const get = await serve((app) => app.param('id', (_req, res) => void res.status(403).end()).get('/users/:id', ok));
    expect(await get('/users/1')).toMatchObject({ route: '/users/:id', status: 403 });
  });

  it('names the route of a request that the client aborts', async () => {
    const app = quiet(express());
    const entered = new Promise<void>((resolve) => app.get('/slow/:id', () => resolve()));
    const connection = await RawConnection.open(await servers.listen(http.createServer(app)));
    connection.write('GET /slow/1 HTTP/1.1\r\nHost: x\r\n\r\n');
    await entered;
    connection.socket.destroy();
    const [span] = await harness.take(1);
    expect(span!.attributes).toMatchObject({ 'http.route': '/slow/:id', 'error.type': 'aborted' });
  });

  describe('is not on the stack of', () => {
    type Trace = () => void;
    const child = (copy: ExpressModule, path: string, handler: Handler): Router => copy.Router().get(path, handler);

    it.each<[what: string, configure: (app: Express, copy: ExpressModule, trace: Trace) => void, path: string]>([
      ['a handler', (app, _copy, trace) => app.get('/x/:id', trace), '/x/1'],
      ['the second handler of a route', (app, _copy, trace) => app.get('/x/:id', pass, trace), '/x/1'],
      ['a middleware', (app, _copy, trace) => app.use(pass, trace), '/x/1'],
      ['a middleware at a path', (app, _copy, trace) => app.use('/:a', pass).use('/x', trace), '/x/1'],
      [
        'a handler below three routers',
        (app, copy, trace) => app.use('/a', copy.Router().use('/b', copy.Router().use('/c', copy.Router().get('/x/:id', trace)))),
        '/a/b/c/x/1',
      ],
      [
        'a handler below mounts with parameters',
        (app, copy, trace) => app.use('/:a', copy.Router().use(/\/b+/, child(copy, '/x', trace))),
        '/1/bb/x',
      ],
      ['a handler of a mounted application', (app, copy, trace) => app.use('/:a', copy().get('/x', trace)), '/1/x'],
      ['a parameter callback', (app, _copy, trace) => app.param('id', trace).get('/x/:id', ok), '/x/1'],
      [
        'a handler after a parameter callback',
        (app, _copy, trace) => app.param('id', (_q, _s, next) => next()).get('/x/:id', trace),
        '/x/1',
      ],
      ['a handler that is asynchronous', (app, _copy, trace) => app.get('/x/:id', async () => trace()), '/x/1'],
      [
        'a handler that has waited',
        (app, _copy, trace) =>
          app.get('/x/:id', async () => {
            await Promise.resolve();
            trace();
          }),
        '/x/1',
      ],
      ['a handler after another route has passed', (app, _copy, trace) => app.get('/x/:id', pass).get('/x/:other', trace), '/x/1'],
    ])('%s', async (_what, configure, path) => {
      const limit = Error.stackTraceLimit;
      Error.stackTraceLimit = 100;
      const stacks: string[] = [];
      for (const copy of [bare[version as 4 | 5], express]) {
        const app = quiet(copy());
        const traced = new Promise<string>((resolve) => configure(app, copy, () => resolve(new Error('here').stack!)));
        const url = await servers.listen(http.createServer(app));
        const asked = request(url + path).catch(() => undefined);
        stacks.push(await traced);
        await servers.close();
        await asked;
      }
      Error.stackTraceLimit = limit;
      await harness.take(2);
      expect(stacks[0]).toMatch(/^Error: here\n {4}at /);
      expect(stacks[1]).toBe(stacks[0]);
      expect(stacks[1]).not.toContain('/src/');
    });
  });

  describe('leaves the application as it is:', () => {
    it('a mounted router is still what its layer holds', () => {
      const app = express();
      const router = express.Router().get('/x', ok);
      const handler = (_req: Request, _res: Response, next: NextFunction): void => next();
      app.use('/:tenant', router);
      app.use('/lit', router);
      app.use('/:a', handler);
      const { stack } = routerOf(app);
      const own = stack.slice(-3).map(({ handle }) => handle);
      expect(own).toEqual([router, router, handler]);
      expect((own[0] as { stack: unknown[] }).stack).toHaveLength(1);
    });

    it('layers have no property that can be listed besides their own', () => {
      const app = express();
      app.use('/:tenant', express.Router());
      const { stack } = routerOf(app);
      const plain = Object.keys(Reflect.construct(stack.at(-1)!.constructor, ['/x', {}, ok]) as object);
      expect(Object.keys(stack.at(-1)!).filter((key) => key !== 'route')).toEqual(plain.filter((key) => key !== 'route'));
    });

    it('a request has the route that Express has assigned, and may be given another', async () => {
      const seen: unknown[] = [];
      const get = await serve((app) => {
        app.use((req: Routed, _res: Response, next: NextFunction) => {
          seen.push(req.route, req.baseUrl);
          next();
        });
        app.get('/users/:id', (req: Routed, res) => {
          seen.push((req.route as { path: string }).path, Object.assign({}, req).baseUrl, 'route' in req);
          req.route = 'mine';
          seen.push(req.route);
          res.end();
        });
      });
      expect(await get('/users/1')).toMatchObject({ route: '/users/:id' });
      expect(seen).toEqual([undefined, '', '/users/:id', '', true, 'mine']);
    });

    it('a request on which the application has defined a route of its own keeps it', async () => {
      let seen: unknown;
      const get = await serve((app) => {
        app.use((req: Routed, _res: Response, next: NextFunction) => {
          Object.defineProperty(req, 'route', { value: 'mine', writable: false });
          next();
        });
        app.use((req: Routed, res: Response) => {
          seen = req.route;
          res.end();
        });
      });
      await get('/users/1');
      expect(seen).toBe('mine');
    });

    it('param callbacks get all of their arguments', async () => {
      let seen: unknown[] = [];
      const get = await serve((app) => {
        app.param('id', (_req, _res, next, ...rest) => {
          seen = rest;
          next();
        });
        app.get('/users/:id', ok);
      });
      await get('/users/42');
      expect(seen).toEqual(['42', 'id']);
    });

    it('bad arguments throw what Express throws', () => {
      const app = express();
      expect(() => app.use()).toThrow(TypeError);
      expect(() => app.use('/x', 'no function')).toThrow(TypeError);
      expect(() => express.Router().use('/x')).toThrow(TypeError);
      expect(() => express.Router().param('id', undefined as never)).toThrow();
    });

    it('a library that puts a method of its own on all layers, or on one, is called', async () => {
      const name = version === 4 ? 'handle_error' : 'handleError';
      type Layers = Record<string, (this: unknown, ...args: unknown[]) => unknown>;
      const calls: string[] = [];
      const app = quiet(express()).use((_error: unknown, _req: Request, res: Response, _next: NextFunction) => void res.end());
      const layer = routerOf(app).stack.at(-1) as unknown as Layers;
      const layers = Object.getPrototypeOf(layer) as Layers;
      const { [name]: untouched = () => {} } = layers;
      for (const [owner, what] of [
        [layers, 'all'],
        [layer, 'one'],
      ] as const) {
        const original = owner[name]!;
        owner[name] = function (...args) {
          calls.push(what);
          return original.apply(this, args);
        };
      }
      const other = routerOf(quiet(express()).use(ok)).stack.at(-1) as unknown as Layers;
      layer[name]!(new Error('it broke'), {}, new http.ServerResponse(new http.IncomingMessage(null as never)), ok);
      layers[name] = untouched;
      expect(calls).toEqual(['one', 'all']);
      expect(Object.keys(layer)).toContain(name);
      expect(Object.keys(other)).not.toContain(name);
    });

    it('the last resort keeps its name and its number of parameters', () => {
      const { resolve } = createRequire(require.resolve(version === 4 ? 'express4' : 'express'));
      const finalhandler = require(resolve('finalhandler')) as (req: object, res: object) => Function;
      expect([finalhandler.name, finalhandler.length]).toEqual(['finalhandler', 3]);
      const done = finalhandler({}, {});
      expect([done.name, done.length]).toEqual(['', 1]);
    });

    it('methods keep their names and their number of parameters', () => {
      const prototype = (version === 4 ? express.Router : Object.getPrototypeOf(express.Router())) as unknown as Record<string, Function>;
      expect([prototype['use']!.name, prototype['use']!.length]).toEqual(['use', 1]);
      expect([prototype['param']!.name, prototype['param']!.length]).toEqual(['param', 2]);
    });
  });
});

describe('Express 5', () => {
  it('records the error of a handler that rejects', async () => {
    const app = quiet(express5());
    app.get('/x/:id', async () => Promise.reject(new RangeError('it broke')));
    const { status } = await request(`${await servers.listen(http.createServer(app))}/x/1`);
    const [span] = await harness.take(1);
    expect({ status, exceptions: exceptions(span!), attributes: span!.attributes }).toMatchObject({
      status: 500,
      exceptions: ['it broke'],
      attributes: { 'http.route': '/x/:id', 'error.type': 'RangeError' },
    });
  });
});

describe('an Express that is not one', () => {
  it('is refused with a sentence', () => {
    expect(() => instrumentation.express({})).toThrow(/routes are not named/);
  });
});
