import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { sonde } from '../../../src/express.ts';
import { startRuntime, type SondeRuntime } from '../../../src/sdk.ts';
import { ask } from './fixture.ts';

/** What both Express applications and their routers can do. */
interface Application {
  (req: IncomingMessage, res: ServerResponse): void;
  use(...handlers: unknown[]): void;
  get(path: string, handler: (req: IncomingMessage, res: ServerResponse) => void): void;
}

type Express = { (): Application; Router(): Application };

const require = createRequire(import.meta.url);

let running: SondeRuntime;
const servers: Server[] = [];

beforeAll(() => {
  running = startRuntime({ port: 0, profiling: false, leaks: false, logs: false, token: 'open sesame' });
});

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

afterAll(() => running.shutdown());

async function listen(app: Application, host = '127.0.0.1'): Promise<string> {
  const server = createServer(app);
  servers.push(server);
  server.listen(0, host);
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe.each([
  ['Express 4', require('express4') as Express],
  ['Express 5', require('express') as Express],
])('%s', (_, express) => {
  const own = (app: Application, path: string): void => app.get(path, (_req, res) => void res.end(`own ${path}`));

  it('serves the endpoints under /sonde and nothing else', async () => {
    const app = express();
    app.use(sonde());
    own(app, '/metrics');
    own(app, '/sonde/version');
    own(app, '/sondeur');
    const url = await listen(app);
    expect((await ask(`${url}/sonde/metrics`)).body.toString()).toContain('# TYPE');
    expect((await ask(`${url}/sonde/`)).headers['content-type']).toBe('text/html; charset=utf-8');
    expect((await ask(`${url}/metrics`)).body.toString()).toBe('own /metrics');
    expect((await ask(`${url}/sonde/version`)).body.toString()).toBe('own /sonde/version');
    expect((await ask(`${url}/sondeur`)).body.toString()).toBe('own /sondeur');
    expect((await ask(`${url}/sonde/none`)).body.toString()).toContain('Cannot GET /sonde/none');
    expect((await ask(`${url}/sonde/%zz`)).body.toString()).not.toContain('percent-encoding');
  });

  it('serves them under the path it is mounted at', async () => {
    const app = express();
    app.use('/ops', sonde());
    own(app, '/ops/version');
    const url = await listen(app);
    expect((await ask(`${url}/ops/healthz`)).body.toString()).toBe('ok\n');
    expect((await ask(`${url}/ops/version`)).body.toString()).toBe('own /ops/version');
    expect((await ask(`${url}/sonde/healthz`)).status).toBe(404);
  });

  it.each(['/ops', 'ops', '/ops/', '//ops//'])('serves them under the prefix %s', async (prefix) => {
    const app = express();
    app.use(sonde({ prefix }));
    const url = await listen(app);
    expect((await ask(`${url}/ops/healthz`)).status).toBe(200);
    expect((await ask(`${url}/sonde/healthz`)).status).toBe(404);
  });

  it.each(['', '/'])('serves them at the root for the prefix "%s"', async (prefix) => {
    const app = express();
    app.use(sonde({ prefix }));
    expect((await ask(`${await listen(app)}/healthz`)).status).toBe(200);
  });

  it('serves them below a router and a prefix, with a cookie for that path', async () => {
    const app = express();
    const router = express.Router();
    router.use('/b', sonde({ prefix: '/c' }));
    app.use('/a', router);
    const url = await listen(app);
    expect((await ask(`${url}/a/b/c/healthz`)).status).toBe(200);
    const reply = await ask(`${url}/a/b/c/debug/config?token=open%20sesame`);
    expect(reply).toMatchObject({ status: 303, headers: { location: './config' } });
    expect(reply.headers['set-cookie']?.[0]).toContain('; Path=/a/b/c/;');
  });

  it('adds the slash that the index page needs', async () => {
    const app = express();
    app.use('/ops', sonde());
    const url = await listen(app);
    const { status, headers } = await ask(`${url}/ops?token=open%20sesame`);
    expect(status).toBe(303);
    expect(new URL(headers.location ?? '', `${url}/ops`).href).toBe(`${url}/ops/?token=open+sesame`);
  });

  it('is open on an application bound to loopback, and not through a proxy', async () => {
    const app = express();
    app.use(sonde());
    const url = await listen(app);
    expect((await ask(`${url}/sonde/debug/config`)).status).toBe(200);
    expect((await ask(`${url}/sonde/debug/config`, { headers: { 'x-forwarded-for': '10.0.0.1' } })).status).toBe(401);
    expect((await ask(`${url}/sonde/debug/config`, { headers: { host: 'evil.example' } })).status).toBe(403);
  });

  it('needs the token on an application bound to every address', async () => {
    const app = express();
    app.use(sonde());
    const url = await listen(app, '0.0.0.0');
    expect((await ask(`${url}/sonde/debug/config`)).status).toBe(401);
    expect((await ask(`${url}/sonde/metrics`)).status).toBe(200);
    const headers = { authorization: 'Bearer open sesame' };
    expect((await ask(`${url}/sonde/debug/config`, { headers })).status).toBe(200);
  });

  it('does not let the application`s CORS headers open its answers to other sites', async () => {
    const app = express();
    app.use((_req: IncomingMessage, res: ServerResponse, next: () => void) => {
      res.setHeader('Access-Control-Allow-Origin', '*');
      res.setHeader('X-Own', 'kept');
      next();
    });
    app.use(sonde());
    const { headers } = await ask(`${await listen(app)}/sonde/debug/config`);
    expect(headers['access-control-allow-origin']).toBeUndefined();
    expect(headers['x-own']).toBe('kept');
  });

  it('refuses methods other than GET and HEAD', async () => {
    const app = express();
    app.use(sonde());
    const url = await listen(app);
    expect((await ask(`${url}/sonde/metrics`, { method: 'POST' })).status).toBe(405);
    expect((await ask(`${url}/sonde/healthz`, { method: 'HEAD' })).status).toBe(200);
  });

  it('does not count what it answers as a request of the application', async () => {
    const app = express();
    app.use(sonde());
    own(app, '/items');
    const url = await listen(app);
    const counted = async (): Promise<number> => {
      const families = await running.metrics.collect();
      const durations = families.find(({ name }) => name === 'http.server.request.duration');
      if (durations?.type !== 'histogram') return 0;
      return durations.points.reduce((sum, { counts }) => sum + Array.from(counts).reduce((a, b) => a + b, 0), 0);
    };
    const before = await counted();
    await ask(`${url}/sonde/metrics`);
    await ask(`${url}/sonde/healthz`);
    await ask(`${url}/items`);
    expect((await counted()) - before).toBe(1);
  });
});
