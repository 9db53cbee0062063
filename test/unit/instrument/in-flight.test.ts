import http from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import net from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { instrumentHttpServer } from '../../../src/instrument/http-server.ts';
import { inFlightRequests } from '../../../src/instrument/in-flight.ts';
import { Harness } from '../../helpers/harness.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';

let harness: Harness;
let clock: ManualClock;
let server: http.Server;
let stop: () => void;
let clients: Socket[];
let held: http.ServerResponse[];

beforeEach(async () => {
  clock = new ManualClock();
  harness = new Harness({ clock });
  clients = [];
  held = [];
  stop = instrumentHttpServer(harness.requests, harness.guard);
  server = http.createServer((req, res) => {
    if (req.url === '/at-once') res.end();
    else held.push(res);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});

afterEach(() => {
  stop();
  for (const client of clients) client.destroy();
  server.close();
});

function send(method: string, target: string): void {
  const client = net.connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.on('error', () => {});
  client.write(`${method} ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);
  clients.push(client);
}

it('are the requests that have begun and not ended, longest first', async () => {
  send('GET', '/one');
  await expect.poll(() => held.length).toBe(1);
  harness.requests.named(held[0]!, '/:first');
  clock.advance(500);
  send('POST', '/two');
  send('GET', '/at-once');
  await expect.poll(() => held.length).toBe(2);
  clock.advance(20);
  await expect.poll(() => inFlightRequests(harness.requests, clock.monotonicMillis())).toHaveLength(2);
  const [first, second] = inFlightRequests(harness.requests, clock.monotonicMillis());
  expect(first).toMatchObject({ method: 'GET', route: '/:first', durationMillis: 520, traceId: expect.stringMatching(/^[\da-f]{32}$/) });
  expect(second).toMatchObject({ method: 'POST', route: '', durationMillis: 20 });
  held[0]!.end();
  await expect.poll(() => inFlightRequests(harness.requests, clock.monotonicMillis())).toHaveLength(1);
});

it('are none where Node does not tell its handles', () => {
  const owner = process as { _getActiveHandles?: unknown };
  const original = owner._getActiveHandles;
  owner._getActiveHandles = undefined;
  try {
    expect(inFlightRequests(harness.requests, 0)).toEqual([]);
  } finally {
    owner._getActiveHandles = original;
  }
});
