// The service that one program of the corpus runs in: `node service.cjs <program>`. A real server with real requests, each
// of which makes the ordinary garbage of a page besides what the program does. Prints `app <port>`; the runner (watch.mjs)
// sends the requests, and asks /health how many bytes the program has kept by its own count. Ends when its stdin does.
const http = require('node:http');
const path = require('node:path');
const v8 = require('node:v8');

const program = require(path.join(__dirname, 'programs', `${process.argv[2]}.cjs`));

/** What the runner asks for: rates, the room until the limit, and for how long a program that does not leak is watched. */
const plan = {
  bytesPerSecond: Number(process.env.CORPUS_BYTES_PER_SECOND),
  requestsPerSecond: Number(process.env.CORPUS_REQUESTS_PER_SECOND),
  roomBytes: Number(process.env.CORPUS_ROOM_BYTES),
  seconds: Number(process.env.CORPUS_SECONDS),
  upstreamPort: Number(process.env.CORPUS_UPSTREAM_PORT),
  /** Since the first request. */
  elapsedSeconds: () => (began === undefined ? 0 : (performance.now() - began) / 1000),
  eachMessage,
  repeat,
};
const garbageRows = Math.round(Number(process.env.CORPUS_GARBAGE_BYTES_PER_SECOND) / Math.max(plan.requestsPerSecond, 1) / 360);

let began;
let units = 0;

/** Calls `consume` with the number of a message, as a broker delivers them, so often that the program keeps what it is asked to. */
function eachMessage(consume) {
  repeat(plan.bytesPerSecond / program.leaks.bytesPerUnit, (number) => {
    units += 1;
    consume(number);
  });
}

/** Calls `run` so many times a second, evenly; `perSecond` may be a function of the seconds since the first request. */
function repeat(perSecond, run) {
  let owed = 0;
  let number = 0;
  let last = performance.now();
  setInterval(() => {
    const now = performance.now();
    owed += ((now - last) / 1000) * (typeof perSecond === 'function' ? perSecond(plan.elapsedSeconds()) : perSecond);
    last = now;
    for (; owed >= 1; owed -= 1) run(number++);
  }, 20);
}

/** A page as any service makes one: rows to text and back, let go when it is sent. */
function renderPage(id) {
  const rows = Array.from({ length: garbageRows }, (_, position) => ({ position, name: `article ${id}`, price: position * 1.5 }));
  const text = JSON.stringify(rows);
  return { bytes: text.length, first: JSON.parse(text).slice(0, 3) };
}

/** What a request passes before and after its handler: more functions than V8 inlines where it calls them, as in any router. */
const STEPS = [
  (request) => (request.startMillis = performance.now()),
  (request) => (request.agent = request.req.headers['user-agent'] ?? 'unknown'),
  (request) => (request.isJson = request.req.headers.accept !== 'text/html'),
  (request) => request.res.setHeader('x-request-id', String(request.id)),
  async (request) => (request.result = await program.handle?.(request)),
  (request) => request.res.setHeader('server-timing', `handler;dur=${(performance.now() - request.startMillis).toFixed(1)}`),
];

async function respond(id, req, res) {
  begin();
  if (program.leaks !== false && program.background === undefined) units += 1;
  const request = { id, req, res, plan, result: undefined };
  for (const step of STEPS) await step(request);
  res.setHeader('content-type', 'application/json');
  res.end(JSON.stringify({ result: request.result, page: renderPage(id) }));
}

function begin() {
  if (began !== undefined) return;
  began = performance.now();
  program.background?.(plan);
}

/** How the process is, after a collection where it may force one. */
function health() {
  for (let i = 0; i < 2; i++) globalThis.gc?.();
  const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage();
  const oldBytes = v8
    .getHeapSpaceStatistics()
    .filter(({ space_name: name }) => !name.startsWith('new_'))
    .reduce((sum, { space_used_size: bytes }) => sum + bytes, 0);
  const residentHeapBytes = v8.getHeapStatistics().total_physical_size;
  const resources = process.getActiveResourcesInfo().length;
  return {
    rss,
    residentHeapBytes,
    heapUsed,
    oldBytes,
    external,
    arrayBuffers,
    resources,
    units,
    keptBytes: units * (program.leaks.bytesPerUnit ?? 0),
  };
}

const ROUTE = program.route ?? '/articles/:id';

function httpServer() {
  const prefix = ROUTE.replace(/:id$/, '');
  return http.createServer((req, res) => {
    if (req.url === '/health') res.end(JSON.stringify(health()));
    else if (req.url.startsWith(prefix)) void respond(Number(req.url.slice(prefix.length)), req, res);
    else res.writeHead(404).end();
  });
}

function expressServer(express) {
  const app = express();
  app.get('/health', (req, res) => res.json(health()));
  app.get(ROUTE, (req, res) => respond(Number(req.params.id), req, res));
  return http.createServer(app);
}

async function fastifyServer() {
  const app = require('fastify')();
  app.get('/health', () => health());
  app.get(ROUTE, async (request, reply) => {
    reply.hijack();
    await respond(Number(request.params.id), request.raw, reply.raw);
  });
  await app.ready();
  return app.server;
}

const SERVERS = {
  http: httpServer,
  express: () => expressServer(require('express')),
  express4: () => expressServer(require('express4')),
  fastify: fastifyServer,
};

async function main() {
  const server = await SERVERS[program.framework ?? 'http']();
  server.listen(0, '127.0.0.1', () => console.log(`app ${server.address().port}`));
  // Whoever started us has gone.
  process.stdin.on('end', () => process.exit()).resume();
}

void main();
