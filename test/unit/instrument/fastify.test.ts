// Fastify 5 over loopback: which route a request is counted under and which errors its span holds, also where the
// application answers before its handler runs.
import Fastify, { type FastifyInstance } from 'fastify';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { activeSpan } from '../../../src/core/context.ts';
import { fastifyObserver, instrumentFastify } from '../../../src/instrument/fastify.ts';
import { instrumentHttpServer } from '../../../src/instrument/http-server.ts';
import type { Span } from '../../../src/trace/span.ts';
import { Harness, RawConnection, request } from '../../helpers/harness.ts';

const harness = new Harness();
const stopServer = instrumentHttpServer(harness.requests, harness.guard);
const stopFastify = instrumentFastify(fastifyObserver(harness.requests, harness.guard));
const open: FastifyInstance[] = [];

beforeEach(() => {
  harness.spans.length = 0;
});

afterEach(async () => {
  await Promise.all(open.splice(0).map((app) => app.close()));
  expect(harness.lines).toEqual([]);
  expect(harness.active()).toBe(0);
});

afterAll(() => {
  stopFastify();
  stopServer();
});

async function serve(
  configure: (app: FastifyInstance) => unknown,
): Promise<(path: string, method?: string) => Promise<{ route: unknown; status: number; span: Span }>> {
  const app = Fastify();
  await configure(app);
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  open.push(app);
  return async (path, method = 'GET') => {
    const { status } = await request(url + path, { method });
    const [span] = await harness.take(1);
    return { route: span!.attributes['http.route'], status, span: span! };
  };
}

function exceptions(span: Span): unknown[] {
  return span.events.map(({ attributes }) => attributes?.['exception.message']);
}

const ok = async (): Promise<string> => 'ok';

describe('the route of a request is', () => {
  it.each<[what: string, configure: (app: FastifyInstance) => unknown, path: string, route: string]>([
    ['a literal path', (app) => app.get('/users', ok), '/users?a=1', '/users'],
    ['a path with a parameter', (app) => app.get('/users/:id', ok), '/users/1', '/users/:id'],
    ['a path with a pattern', (app) => app.get('/users/:id(^\\d+$)', ok), '/users/1', '/users/:id(^\\d+$)'],
    ['a wildcard', (app) => app.get('/files/*', ok), '/files/a/b', '/files/*'],
    ['the root', (app) => app.get('/', ok), '/', '/'],
    ['that of a handler with a callback', (app) => app.get('/cb/:id', (_req, reply) => void reply.send('ok')), '/cb/1', '/cb/:id'],
    [
      'below a prefix',
      (app) => app.register(async (api) => void api.get('/users/:id', ok), { prefix: '/api' }),
      '/api/users/1',
      '/api/users/:id',
    ],
    [
      'below a prefix with a parameter, in plugins within plugins',
      (app) =>
        app.register(
          async (tenant) => {
            await tenant.register(async (v1) => void v1.get('/users/:id', ok), { prefix: '/v1' });
          },
          { prefix: '/:tenant' },
        ),
      '/acme/v1/users/1',
      '/:tenant/v1/users/:id',
    ],
    ['the root of a prefix', (app) => app.register(async (api) => void api.get('/', ok), { prefix: '/api' }), '/api', '/api'],
    [
      'known when an onRequest hook of the application answers',
      (app) => app.addHook('onRequest', async (_req, reply) => reply.code(200).send('early')).get('/guarded/:id', ok),
      '/guarded/1',
      '/guarded/:id',
    ],
    [
      'known when a hook that was added in an encapsulated plugin answers',
      (app) =>
        app.register(async (api) => {
          api.addHook('preHandler', async (_req, reply) => reply.send('early'));
          api.get('/guarded/:id', ok);
        }),
      '/guarded/1',
      '/guarded/:id',
    ],
  ])('%s', async (_what, configure, path, route) => {
    const get = await serve(configure);
    expect(await get(path)).toMatchObject({ route, status: 200 });
  });

  it('the same for HEAD', async () => {
    const get = await serve((app) => app.get('/users/:id', ok));
    expect(await get('/users/1', 'HEAD')).toMatchObject({ route: '/users/:id', status: 200 });
  });

  it('known when the client aborts', async () => {
    const app = Fastify();
    const entered = new Promise<void>((resolve) => void app.get('/slow/:id', () => resolve()));
    open.push(app);
    const connection = await RawConnection.open(await app.listen({ port: 0, host: '127.0.0.1' }));
    connection.write('GET /slow/1 HTTP/1.1\r\nHost: x\r\n\r\n');
    await entered;
    connection.socket.destroy();
    const [span] = await harness.take(1);
    expect(span!.attributes).toMatchObject({ 'http.route': '/slow/:id', 'error.type': 'aborted' });
  });

  it.each<[what: string, configure: (app: FastifyInstance) => unknown, path: string]>([
    ['nothing matches', (app) => app.get('/users/:id', ok), '/nope'],
    ['the application answers 404 itself', (app) => app.setNotFoundHandler((_req, reply) => void reply.code(404).send('mine')), '/nope'],
    [
      'a plugin has a 404 of its own',
      (app) => app.register(async (api) => api.setNotFoundHandler((_req, reply) => void reply.code(404).send('mine')), { prefix: '/api' }),
      '/api/nope',
    ],
  ])('none when %s', async (_what, configure, path) => {
    const get = await serve(configure);
    expect(await get(path)).toMatchObject({ route: undefined, status: 404 });
  });
});

describe('the span holds, once, the error', () => {
  class Broken extends Error {}
  const broken = async (): Promise<never> => {
    throw new Broken('it broke');
  };

  it.each<[what: string, configure: (app: FastifyInstance) => unknown]>([
    ['of a handler that rejects', (app) => app.get('/x/:id', broken)],
    [
      'of a handler that throws',
      (app) =>
        app.get('/x/:id', () => {
          throw new Broken('it broke');
        }),
    ],
    ['that is sent', (app) => app.get('/x/:id', (_req, reply) => void reply.send(new Broken('it broke')))],
    ['of an onRequest hook', (app) => app.addHook('onRequest', broken).get('/x/:id', ok)],
    ['of a preHandler hook', (app) => app.addHook('preHandler', broken).get('/x/:id', ok)],
    [
      'of an onSend hook, which also runs for the answer to its own error',
      (app) => {
        const error = new Broken('it broke');
        app.addHook('onSend', async () => Promise.reject(error)).get('/x/:id', ok);
      },
    ],
    [
      'that an error handler answers with 500',
      (app) => app.get('/x/:id', broken).setErrorHandler((_error, _req, reply) => void reply.code(500).send({ sorry: true })),
    ],
    [
      "that a plugin's error handler throws again",
      (app) =>
        app.register(async (api) => {
          api.setErrorHandler((error) => {
            throw error;
          });
          api.get('/x/:id', broken);
        }),
    ],
  ])('%s', async (_what, configure) => {
    const get = await serve(configure);
    const { span, route, status } = await get('/x/1');
    expect({ route, status, exceptions: exceptions(span), type: span.attributes['error.type'], code: span.status.code }).toEqual({
      route: '/x/:id',
      status: 500,
      exceptions: ['it broke'],
      type: 'Broken',
      code: 2,
    });
  });

  it('that is answered with less than 500, and the request has not failed', async () => {
    const get = await serve((app) =>
      app.get('/x/:id', async () => Promise.reject(Object.assign(new Broken('no tea'), { statusCode: 418 }))),
    );
    const { span, status } = await get('/x/1');
    expect({ status, exceptions: exceptions(span), code: span.status.code }).toEqual({ status: 418, exceptions: ['no tea'], code: 0 });
    expect(span.attributes).not.toHaveProperty('error.type');
  });
});

describe('the application is left as it is:', () => {
  it('inject() answers without a server, and nothing is measured', async () => {
    const app = Fastify();
    app.get('/users/:id', ok);
    app.get('/broken', async () => Promise.reject(new Error('it broke')));
    open.push(app);
    const before = harness.served();
    expect(await app.inject('/users/1')).toMatchObject({ statusCode: 200, body: 'ok' });
    expect(await app.inject('/broken')).toMatchObject({ statusCode: 500 });
    expect(harness.served()).toEqual(before);
  });

  it('its hooks run in its order, after ours', async () => {
    const order: string[] = [];
    const get = await serve((app) => {
      app.addHook('onRequest', async () => void order.push(`first ${(activeSpan() as Span).route}`));
      app.addHook('onRequest', async () => void order.push('second'));
      app.get('/x/:id', ok);
    });
    await get('/x/1');
    expect(order).toEqual(['first /x/:id', 'second']);
  });

  it('an instance made after the end of the instrumentation has no hooks of ours', async () => {
    const other = new Harness();
    const stop = instrumentFastify(fastifyObserver(other.requests, other.guard));
    stop();
    const get = await serve((app) => app.get('/x/:id', ok));
    await get('/x/1');
    expect(other.served()).toEqual([]);
  });
});

describe('the stack inside a handler', () => {
  /** Function names on the stack, from the handler outwards. */
  async function stackOf(configure: (app: FastifyInstance) => unknown): Promise<string> {
    const app = Fastify();
    open.push(app);
    await configure(app);
    app.get('/stack', async (_request, reply) => {
      const { stackTraceLimit } = Error;
      Error.stackTraceLimit = 50;
      const { stack } = new Error('here');
      Error.stackTraceLimit = stackTraceLimit;
      return reply.send(stack);
    });
    const url = await app.listen({ port: 0, host: '127.0.0.1' });
    const { body } = await request(`${url}/stack`);
    await harness.take(1);
    return body;
  }

  it('has no frame of the hooks', async () => {
    const stack = await stackOf(() => {});
    expect(stack).toContain('routeHandler');
    expect(stack).not.toContain('src/instrument');
  });

  it('has none either behind hooks of the application', async () => {
    const stack = await stackOf((app) => app.addHook('onRequest', (_request, _reply, done) => done()));
    expect(stack).not.toContain('src/instrument');
  });
});
