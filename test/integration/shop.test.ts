// The demonstration, run as a user runs it: as a child process, judged by what it prints and leaves behind.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';

const ROOT = path.resolve(import.meta.dirname, '../..');
const GATEWAY = 'examples/shop/services/gateway.cjs';

interface Shop {
  readonly child: ChildProcess;
  /** What it has printed so far. */
  readonly lines: string[];
  /** Resolves with the first printed line that contains `text`; rejects when the shop ends before. */
  printed(text: string): Promise<string>;
  readonly exited: Promise<[code: number | null, signal: string | null]>;
}

const running = new Set<ChildProcess>();

function startShop(...args: string[]): Shop {
  const child = spawn(process.execPath, ['examples/shop/start.mjs', ...args], { cwd: ROOT, stdio: 'pipe' });
  running.add(child);
  const lines: string[] = [];
  const readers = [child.stdout, child.stderr].map((stream) => createInterface({ input: stream }));
  for (const reader of readers) reader.on('line', (line) => lines.push(line));
  const exited = once(child, 'close') as Promise<[number | null, string | null]>;
  const printed = (text: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const found = lines.find((line) => line.includes(text));
        if (found !== undefined) resolve(found);
      };
      for (const reader of readers) reader.on('line', look);
      look();
      void exited.then(() => reject(new Error(`ended without printing ${text}:\n${lines.join('\n')}`)));
    });
  return { child, lines, printed, exited };
}

afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
  running.clear();
});

/** The line on which a function of the gateway is declared. */
function lineOf(name: string): number {
  const lines = readFileSync(path.join(ROOT, GATEWAY), 'utf8').split('\n');
  return lines.findIndex((line) => line.startsWith(`function ${name}(`)) + 1;
}

function refuses(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = net.connect(Number(port), hostname);
    socket.once('error', () => resolve(true));
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
  });
}

/** Waits until all services are up and answers every URL they were announced with. */
async function announcedUrls(shop: Shop): Promise<string[]> {
  await shop.printed('there: /metrics');
  return shop.lines.filter((line) => line.includes('Sonde at')).flatMap((line) => line.match(/http:\S+/g) ?? []);
}

describe('npm start -- --once', () => {
  let report: string;
  let code: number | null;

  beforeAll(async () => {
    const shop = startShop('--once');
    [code] = await shop.exited;
    report = shop.lines.join('\n');
  });

  test('exits with 0', () => {
    expect(code, report).toBe(0);
  });

  test.each([
    'GET /products/:productId',
    'GET /users/:userId/orders/:orderId',
    'POST /users/:userId/orders/:orderId/checkout',
    'GET /orders/:orderId',
    'POST /orders/:orderId/checkout',
  ])('reports %s by its route template', (route) => {
    expect(report).toMatch(new RegExp(`^  ${route} +[1-9][\\d.]+ `, 'm'));
  });

  test('reports the requests of the service that has no router', () => {
    const pricing = report.slice(report.indexOf('\npricing  http'));
    expect(pricing).toMatch(/^ {2}GET \(no router\) +[1-9][\d.]+ /m);
  });

  test('reports that one checkout in twelve fails, in the service that fails and in the one that asks it', () => {
    const shares = Array.from(report.matchAll(/^ {2}POST \S+:orderId\/checkout +[\d.]+ +([\d.]+) %/gm), ([, share]) => Number(share));
    expect(shares).toHaveLength(2);
    for (const share of shares) expect(Math.abs(share - 100 / 12)).toBeLessThan(1.5);
  });

  test('names the function that burns CPU as the hottest of the gateway', () => {
    const gateway = report.slice(report.indexOf('\ngateway  http'), report.indexOf('\norders  http'));
    expect(gateway).toMatch(new RegExp(`^  hottest .* renderRecommendations ${GATEWAY}:${lineOf('renderRecommendations')}$`, 'm'));
  });

  test('shows the stalls of the orders service, and that pricing does not stall', () => {
    const maxMillis = (service: string): number => Number(new RegExp(`^${service}  http.* max ([\\d.]+) ms`, 'm').exec(report)?.[1]);
    expect(maxMillis('orders')).toBeGreaterThan(100);
    expect(maxMillis('pricing')).toBeLessThan(maxMillis('orders') / 2);
  });

  test('names the function, file and line that leak, and no leak elsewhere', () => {
    const leaks = report.slice(report.indexOf('\nleaks\n'), report.indexOf('\ntrace  '));
    expect(leaks).toMatch(new RegExp(`^  gateway  leak of heap in rememberSession ${GATEWAY}:${lineOf('rememberSession')}`, 'm'));
    expect(leaks).toMatch(/^ {2}orders {2}watching$/m);
    expect(leaks).toMatch(/^ {2}pricing {2}watching$/m);
  });

  test('shows one trace across the three services', () => {
    const trace = report.slice(report.indexOf('\ntrace  '));
    for (const service of ['gateway', 'orders', 'pricing']) expect(trace).toMatch(new RegExp(`^ +${service}  server `, 'm'));
  });
});

describe('the shop', () => {
  test.each(['SIGINT', 'SIGTERM'] as const)('ends its services and exits with 0 on %s', async (signal) => {
    const shop = startShop();
    const urls = await announcedUrls(shop);
    expect(urls).toHaveLength(6);
    shop.child.kill(signal);
    expect(await shop.exited).toEqual([0, null]);
    expect(await Promise.all(urls.map(refuses))).toEqual(urls.map(() => true));
  });

  test('ends its services and exits with 128 and the signal when --once is interrupted', async () => {
    const shop = startShop('--once');
    const urls = await announcedUrls(shop);
    shop.child.kill('SIGINT');
    expect(await shop.exited).toEqual([130, null]);
    expect(await Promise.all(urls.map(refuses))).toEqual(urls.map(() => true));
  });

  test('uses other ports where the usual ones are taken', async () => {
    const server = net.createServer().listen(3001, '127.0.0.1');
    await once(server, 'listening').catch(() => {}); // Somebody else has it: just as good.
    const shop = startShop();
    const urls = await announcedUrls(shop);
    expect(urls).not.toContain('http://127.0.0.1:3001');
    shop.child.kill('SIGINT');
    expect(await shop.exited).toEqual([0, null]);
    server.close();
  });

  test.each([
    [['--bogus'], '--bogus'],
    [['--seconds', '10'], '--seconds needs --once'],
    [['--once', '--seconds', '4'], 'expected 5 to 600'],
    [['--once', '--seconds', '601'], 'expected 5 to 600'],
  ])('refuses %j with a message and code 2', async (args, message) => {
    const shop = startShop(...args);
    expect(await shop.exited).toEqual([2, null]);
    expect(shop.lines[0]).toContain(message);
  });
});
