import fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { sonde } from '../../../src/fastify.ts';
import { startRuntime, type SondeRuntime } from '../../../src/sdk.ts';
import { ask } from './fixture.ts';

let running: SondeRuntime;
const apps: FastifyInstance[] = [];

beforeAll(() => {
  running = startRuntime({ port: 0, profiling: false, leaks: false, logs: false, token: 'open sesame' });
});

afterEach(async () => {
  for (const app of apps.splice(0)) await app.close();
});

afterAll(() => running.shutdown());

function application(options: FastifyServerOptions = {}): FastifyInstance {
  const app = fastify(options);
  apps.push(app);
  return app;
}

const listen = (app: FastifyInstance, host = '127.0.0.1'): Promise<string> =>
  app.listen({ port: 0, host }).then((url) => url.replace('0.0.0.0', '127.0.0.1'));

describe('Fastify', () => {
  it('serves the endpoints under /sonde and nothing else', async () => {
    const app = application();
    await app.register(sonde);
    app.get('/metrics', () => 'own');
    app.get('/sonde/version', () => 'own');
    const url = await listen(app);
    expect((await ask(`${url}/sonde/metrics`)).body.toString()).toContain('# TYPE');
    expect((await ask(`${url}/sonde/`)).headers['content-type']).toBe('text/html; charset=utf-8');
    expect((await ask(`${url}/metrics`)).body.toString()).toBe('own');
    expect((await ask(`${url}/sonde/version`)).body.toString()).toBe('own');
    expect((await ask(`${url}/sonde/none`)).body.toString()).toContain('Route GET:/sonde/none not found');
  });

  it('serves them under the prefix it is registered with, also inside of another plugin', async () => {
    const app = application();
    await app.register(sonde, { prefix: '/ops' });
    await app.register(
      async (inner) => {
        await inner.register(sonde, { prefix: '/c' });
        await inner.register(sonde);
      },
      { prefix: '/a/b' },
    );
    const url = await listen(app);
    for (const prefix of ['/ops', '/a/b/c', '/a/b/sonde']) {
      expect((await ask(`${url}${prefix}/healthz`)).body.toString()).toBe('ok\n');
      const reply = await ask(`${url}${prefix}/debug/config?token=open%20sesame`);
      expect(reply).toMatchObject({ status: 303, headers: { location: './config' } });
      expect(reply.headers['set-cookie']?.[0]).toContain(`; Path=${prefix}/;`);
    }
    expect((await ask(`${url}/sonde/healthz`)).status).toBe(404);
  });

  it('adds the slash that the index page needs', async () => {
    const app = application();
    await app.register(sonde, { prefix: '/ops' });
    await app.register(sonde);
    const url = await listen(app);
    for (const prefix of ['/ops', '/sonde']) {
      expect(await ask(`${url}${prefix}`)).toMatchObject({ status: 303, headers: { location: `.${prefix}/` } });
      expect((await ask(`${url}${prefix}/`)).status).toBe(200);
    }
  });

  it('answers HEAD', async () => {
    const app = application();
    await app.register(sonde);
    expect((await ask(`${await listen(app)}/sonde/metrics`, { method: 'HEAD' })).status).toBe(200);
  });

  it('writes nothing into the application`s log', async () => {
    const lines: string[] = [];
    const app = application({ logger: { level: 'trace', stream: { write: (line: string) => void lines.push(line) } } });
    await app.register(sonde);
    const url = await listen(app);
    lines.length = 0;
    await ask(`${url}/sonde/metrics`);
    await ask(`${url}/sonde/debug/config`);
    expect(lines).toEqual([]);
  });

  it('is open on an application bound to loopback, and needs the token elsewhere and through a proxy', async () => {
    const near = application();
    await near.register(sonde);
    const nearUrl = await listen(near);
    expect((await ask(`${nearUrl}/sonde/debug/config`)).status).toBe(200);
    expect((await ask(`${nearUrl}/sonde/debug/config`, { headers: { via: '1.1 edge' } })).status).toBe(401);
    const far = application();
    await far.register(sonde);
    const farUrl = await listen(far, '0.0.0.0');
    expect((await ask(`${farUrl}/sonde/debug/config`)).status).toBe(401);
    expect((await ask(`${farUrl}/sonde/metrics`)).status).toBe(200);
  });

  it('is not open to a request that is injected', async () => {
    const app = application();
    await app.register(sonde);
    expect((await app.inject('/sonde/debug/config')).statusCode).toBe(401);
    expect((await app.inject('/sonde/healthz')).payload).toBe('ok\n');
  });

  it('does not count what it answers as a request of the application', async () => {
    const app = application();
    await app.register(sonde);
    app.get('/items', () => 'own');
    const url = await listen(app);
    const counted = async (): Promise<number> => {
      const families = await running.metrics.collect();
      const durations = families.find(({ name }) => name === 'http.server.request.duration');
      if (durations?.type !== 'histogram') return 0;
      return durations.points.reduce((sum, { counts }) => sum + Array.from(counts).reduce((a, b) => a + b, 0), 0);
    };
    const before = await counted();
    await ask(`${url}/sonde/metrics`);
    await ask(`${url}/items`);
    expect((await counted()) - before).toBe(1);
  });
});
