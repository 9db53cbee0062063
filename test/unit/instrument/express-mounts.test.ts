// Templates of mounted paths where the mounts of other applications in the process would decide them, too: an
// ExpressMounts of its own for each test, fed with what real routers have been told.
import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { ExpressMounts, type Application, type Path, type Route, type Router } from '../../../src/instrument/express-mounts.ts';

const require = createRequire(import.meta.url);

type Handler = (req: object, res: object, next: () => void) => void;
interface RealRouter extends Router, Handler {
  use(...args: unknown[]): this;
  route(path: Path): Route;
}
interface ExpressModule {
  (): Application & { readonly stack: never };
  Router(): RealRouter;
}

const handler: Handler = () => {};

describe.each([
  { version: 4, Router: (require('express4') as ExpressModule).Router },
  { version: 5, Router: (require('express') as ExpressModule).Router },
])('Express $version', ({ version, Router }) => {
  const applicationOf = (router: Router): Application =>
    (version === 4 ? { lazyrouter: true, _router: router } : { router }) as Application;

  function use(mounts: ExpressMounts, router: RealRouter, ...args: unknown[]): void {
    router.use(...args);
    mounts.used(router, args);
  }

  it.each<[what: string, paths: readonly Path[], baseUrl: string, template: string]>([
    ['nothing', [], '/acme', '/*'],
    ['nothing further on', ['/api'], '/api/acme/x', '/api/*'],
    ['a literal path and a parameter', ['/api', '/:tenant'], '/api/acme', '/api/:tenant'],
    ['a longer path rather than two', ['/:a', '/api', '/api/:tenant'], '/api/acme', '/api/:tenant'],
    ['a literal path rather than a parameter', ['/:a', '/api'], '/api', '/api'],
    ['no RegExp, which may match anything', [/.*/], '/acme', '/*'],
    ['at most twelve segments', ['/:a'], '/x'.repeat(12), '/:a'.repeat(12)],
    ['at most twelve segments, and no thirteenth', ['/:a'], '/x'.repeat(13), `${'/:a'.repeat(12)}/*`],
  ])('a router that is called by hand has a template made of %s', (_what, paths, baseUrl, template) => {
    const mounts = new ExpressMounts();
    const outer = Router();
    for (const path of paths) use(mounts, outer, path, handler);
    const route = Router().route('/x');
    expect(mounts.template(route, { baseUrl, app: applicationOf(outer) })).toBe(`${template}/x`);
  });

  it('a hundred mount paths are known, not a hundred and one', () => {
    const mounts = new ExpressMounts();
    const outer = Router();
    for (let i = 1; i <= 101; i += 1) use(mounts, outer, `/m${i}`, handler);
    const route = Router().route('/x');
    const app = applicationOf(outer);
    expect(mounts.template(route, { baseUrl: '/m100', app })).toBe('/m100/x');
    expect(mounts.template(route, { baseUrl: '/m101', app })).toBe('/*/x');
  });

  it('of one router sixteen mounts are followed, not seventeen', () => {
    const mounts = new ExpressMounts();
    const outer = Router();
    const inner = Router();
    const route = inner.route('/x');
    for (let i = 1; i <= 17; i += 1) use(mounts, outer, new RegExp(`^/m${i}`), inner);
    const app = applicationOf(outer);
    expect(mounts.template(route, { baseUrl: '/m16', app })).toBe('/^\\/m16//x');
    expect(mounts.template(route, { baseUrl: '/m17', app })).toBe('/*/x');
  });

  it('routers that are mounted in a circle have a template', () => {
    const mounts = new ExpressMounts();
    const a = Router();
    const b = Router();
    use(mounts, a, '/b', b);
    use(mounts, b, '/a', a);
    expect(mounts.template(b.route('/x'), { baseUrl: '/b', app: applicationOf(a) })).toBe('/b/x');
  });

  it('a path with characters that a parameter elsewhere cannot decode has a template', () => {
    const mounts = new ExpressMounts();
    const outer = Router();
    use(mounts, outer, '/:tenant', handler);
    const route = Router().route('/x');
    expect(mounts.template(route, { baseUrl: '/%zz', app: applicationOf(outer) })).toBe('/*/x');
  });

  it('a route is named when nothing is known of its application', () => {
    const mounts = new ExpressMounts();
    const route = Router().route('/x');
    expect(mounts.template(route, {})).toBe('/x');
    expect(mounts.template(route, { baseUrl: '/acme' })).toBe('/*/x');
    expect(mounts.template(route, { app: {} })).toBe('/x');
  });

  it('matching leaves nothing on the layers of the application', () => {
    const mounts = new ExpressMounts();
    const outer = Router();
    const inner = Router();
    use(mounts, outer, '/:tenant', inner);
    const before = { ...outer.stack[0] };
    expect(mounts.template(inner.route('/x'), { baseUrl: '/acme', app: applicationOf(outer) })).toBe('/:tenant/x');
    expect({ ...outer.stack[0] }).toEqual(before);
  });
});
