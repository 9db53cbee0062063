// The three services as child processes under `node --require sonde/register`: ports, start, readiness, end.
// Called by start.mjs. Keeps the last lines of each service's output in memory, and nothing else of it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { ROOT } from './setup.mjs';

/** A service whose default port is taken moves up by one until a port is free, so many times. */
const PORTS_TRIED = 100;
const READY_TIMEOUT_MILLIS = 20_000;
const READY_POLL_MILLIS = 100;
/** What a service gets between SIGTERM and SIGKILL. Under the demo's load each ends in well under a second. */
const STOP_TIMEOUT_MILLIS = 5_000;
/** Some 15 s of the most talkative service under load, 1 MB at most. */
const OUTPUT_LINES_KEPT = 2_000;
const FAILURE_LINES_SHOWN = 20;
const FAILURE_COLUMNS = 200;

const DEFINITIONS = [
  { name: 'gateway', file: 'examples/shop/services/gateway.cjs', port: 3000, sondePort: 9464 },
  { name: 'orders', file: 'examples/shop/services/orders.mjs', port: 3001, sondePort: 9465 },
  { name: 'pricing', file: 'examples/shop/services/pricing.cjs', port: 3002, sondePort: 9466 },
];

// A leak is looked for over minutes in production. A demonstration of half a minute needs the detector hurried.
const LEAK_SETTINGS = {
  SONDE_PROFILING_HEAP_INTERVAL_BYTES: String(512 * 1024),
  SONDE_LEAKS_WARM_UP_SECONDS: '2',
  SONDE_LEAKS_WINDOW_SECONDS: '15',
};

/** Chooses ports and starts the services. Each is { name, url, sondeUrl, output, exited, ... }; see `startService`. */
export async function startServices() {
  const taken = new Set();
  const placed = [];
  for (const definition of DEFINITIONS) {
    const port = await findPort(definition.port, taken);
    const sondePort = await findPort(definition.sondePort, taken);
    placed.push({ ...definition, port, sondePort, url: `http://127.0.0.1:${port}` });
  }
  const urls = Object.fromEntries(placed.map(({ name, url }) => [`${name.toUpperCase()}_URL`, url]));
  return placed.map((place) => startService(place, urls));
}

/** The first free port from `preferred` upwards that is not in `taken`; adds it to `taken`. */
async function findPort(preferred, taken) {
  for (let port = preferred; port < preferred + PORTS_TRIED; port++) {
    if (!taken.has(port) && (await isFree(port))) {
      taken.add(port);
      return port;
    }
  }
  throw new Error(`no free port from ${preferred} to ${preferred + PORTS_TRIED - 1}`);
}

async function isFree(port) {
  const server = net.createServer();
  const free = await new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => resolve(true));
  });
  if (free) await new Promise((resolve) => server.close(resolve));
  return free;
}

/**
 * Starts one service. `output` holds its last lines, `exited` resolves to `{ code, signal }` when it has ended,
 * and `hasExited` tells whether it has.
 */
function startService({ name, file, port, sondePort, url }, urls) {
  const env = {
    ...process.env,
    ...LEAK_SETTINGS,
    ...urls,
    PORT: String(port),
    OTEL_SERVICE_NAME: name,
    SONDE_PORT: String(sondePort),
  };
  // The package resolves itself by its own name from its root: what runs is this checkout's build.
  const child = spawn(process.execPath, ['--require', 'sonde/register', file], {
    cwd: ROOT,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      output.push(line);
      if (output.length > OUTPUT_LINES_KEPT) output.shift();
    });
  }
  const service = { name, url, sondeUrl: `http://127.0.0.1:${sondePort}`, child, output, hasExited: false };
  service.exited = once(child, 'exit').then(([code, signal]) => {
    service.hasExited = true;
    return { code, signal };
  });
  return service;
}

/** Never resolves; rejects when a service ends. */
export function firstDeath(services) {
  return Promise.race(
    services.map(async (service) => {
      const { code, signal } = await service.exited;
      throw failure(service, `${service.name} ended with ${signal ?? `code ${code}`}`);
    }),
  );
}

/** An error with the last lines of a service, which usually say why. */
function failure(service, message) {
  const lines = service.output.slice(-FAILURE_LINES_SHOWN).map((line) => `  ${line.slice(0, FAILURE_COLUMNS)}`);
  return new Error([`${message}; its last lines:`, ...lines].join('\n'));
}

/** Resolves when every service accepts connections and its Sonde says that it is ready; throws when one does not. */
export async function waitUntilReady(services) {
  const deadline = performance.now() + READY_TIMEOUT_MILLIS;
  for (const service of services) {
    while (!(await accepts(service.url)) || !(await isSondeReady(service))) {
      if (performance.now() > deadline) throw failure(service, await describeUnready(service));
      await sleep(READY_POLL_MILLIS);
    }
  }
}

async function describeUnready(service) {
  const what = (await accepts(service.url)) ? `Sonde in ${service.name} at ${service.sondeUrl}` : service.name;
  return `${what} did not answer within ${READY_TIMEOUT_MILLIS / 1000} s`;
}

function accepts(url) {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = net.connect(Number(port), hostname);
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}

async function isSondeReady(service) {
  const response = await fetch(`${service.sondeUrl}/readyz`).catch(() => undefined);
  await response?.body?.cancel();
  return response?.ok === true;
}

/**
 * A process that ends the services when this one has died without doing so, of SIGKILL for example: its standard
 * input is then closed. Kill it once the services have ended.
 */
export function startWatchdog(services) {
  const pids = services.map(({ child }) => child.pid).join(' ');
  return spawn('sh', ['-c', `cat; kill ${pids}`], { stdio: ['pipe', 'ignore', 'ignore'] });
}

/** Ends the services with SIGTERM, and with SIGKILL those that take too long; resolves when none is left. */
export async function stopServices(services) {
  const running = services.filter((service) => !service.hasExited);
  for (const service of running) service.child.kill('SIGTERM');
  const killer = setTimeout(() => killServices(running), STOP_TIMEOUT_MILLIS);
  await Promise.all(running.map((service) => service.exited));
  clearTimeout(killer);
}

/** Ends the services at once. */
export function killServices(services) {
  for (const service of services) if (!service.hasExited) service.child.kill('SIGKILL');
}
