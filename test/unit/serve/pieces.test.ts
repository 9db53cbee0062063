// Answers in pieces over a real connection: no faster than the client, no longer than it stays, and never half an answer
// that looks whole.
import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type RequestOptions } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Guard } from '../../../src/core/guard.ts';
import { snapshotCost } from '../../../src/profile/snapshot-cost.ts';
import { AdminServer } from '../../../src/serve/admin.ts';
import { sendPieces, type Pieces } from '../../../src/serve/pieces.ts';
import { endpointsOf, Said } from './fixture.ts';

const ESTIMATE = { ...snapshotCost(88e6), profiler: 'inspector' } as const;
const PATH = '/debug/heapsnapshot';

let said: Said;
let admin: AdminServer;
let url: string;
/** What the next request is answered. */
let pieces: () => Pieces;

beforeEach(async () => {
  said = new Said();
  const guard = new Guard(said.diag);
  const heapSnapshots = { estimate: async () => ESTIMATE, take: async () => pieces() };
  admin = new AdminServer(
    endpointsOf({ guard, heapSnapshots }),
    { host: '127.0.0.1', port: 0, portIsExplicit: true },
    { guard, diag: said.diag },
  );
  url = (await admin.listen())!.url;
});

afterEach(() => admin.close());

/** The response as soon as its headers are there, its body not yet asked for. */
async function headersOf(options: RequestOptions = {}): Promise<IncomingMessage> {
  const req = request(url + PATH, { agent: false, ...options });
  req.on('error', () => {});
  req.end();
  const [response] = await once(req, 'response');
  return response;
}

async function bodyOf(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function* texts(...all: string[]): Pieces {
  yield* all;
}

/** Lets whatever can happen happen: the server answers others in between. */
async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await (await fetch(`${url}/healthz`)).text();
}

describe('an answer in pieces', () => {
  it('has them in order, of text and of bytes', async () => {
    pieces = async function* mixed() {
      yield 'one ';
      yield Buffer.from('two ');
      yield 'dreißig';
    };
    const response = await headersOf();
    expect(response.headers).toMatchObject({ 'transfer-encoding': 'chunked', 'x-content-type-options': 'nosniff' });
    expect(response.headers['content-length']).toBeUndefined();
    expect((await bodyOf(response)).toString()).toBe('one two dreißig');
  });

  it('without any piece is empty and whole', async () => {
    pieces = () => texts();
    expect((await bodyOf(await headersOf())).toString()).toBe('');
  });

  it('is compressed for a client that takes it', async () => {
    pieces = () => texts(...Array.from({ length: 1000 }, (_, i) => `{"row":${i}},`));
    const response = await headersOf({ headers: { 'accept-encoding': 'gzip' } });
    expect(response.headers['content-encoding']).toBe('gzip');
    const body = await bodyOf(response);
    expect(gunzipSync(body).toString()).toMatch(/^\{"row":0\},.*\{"row":999\},$/);
    expect(body.length).toBeLessThan(5000);
  });

  it.each([['identity'], ['gzip']])('sends its headers before the first piece is asked for (%s)', async (encoding) => {
    let release: (() => void) | undefined;
    const seen: string[] = [];
    pieces = async function* late() {
      seen.push('asked');
      await new Promise<void>((resolve) => (release = resolve));
      yield 'x';
    };
    const response = await headersOf({ headers: { 'accept-encoding': encoding } });
    expect(response.headers['x-sonde-estimated-seconds']).toBe('12');
    await turns(3);
    expect(seen).toEqual(['asked']);
    release!();
    await bodyOf(response);
  });

  it.each([['identity'], ['gzip']])('is made no faster than the client takes it (%s)', async (encoding) => {
    let made = 0;
    // Does not compress, so that both encodings fill the same room.
    const bytes = Buffer.from(Array.from({ length: 1_000_000 }, () => Math.random() * 256));
    pieces = async function* many() {
      for (; made < 40; made++) yield bytes;
    };
    const response = await headersOf({ headers: { 'accept-encoding': encoding } });
    let before = -1;
    while (made === 0 || made !== before) {
      before = made;
      await turns(20);
    }
    // The system buffers some megabytes of a connection.
    expect(made).toBeLessThan(25);
    const body = await bodyOf(response);
    expect((encoding === 'gzip' ? gunzipSync(body) : body).length).toBe(40_000_000);
  });

  it.each([['identity'], ['gzip']])('ends when the client leaves, which is no failure (%s)', async (encoding) => {
    let ended: (() => void) | undefined;
    const end = new Promise<void>((resolve) => (ended = resolve));
    pieces = async function* endless() {
      try {
        for (;;) yield Buffer.alloc(100_000, Math.random().toString());
      } finally {
        ended!();
      }
    };
    const response = await headersOf({ headers: { 'accept-encoding': encoding } });
    await once(response, 'data');
    response.destroy();
    await end;
    await turns(3);
    expect(said.lines).toEqual([]);
  });

  it('is never asked for when the client has left before', async () => {
    let asked = false;
    pieces = async function* never() {
      asked = true;
      yield 'x';
    };
    const server = createServer(async (req, res) => {
      req.socket.destroy();
      await once(res, 'close');
      await endpoints.handle(req, res, { prefix: '', target: PATH, address: PATH });
      handled!();
    });
    let handled: (() => void) | undefined;
    const done = new Promise<void>((resolve) => (handled = resolve));
    const endpoints = endpointsOf({
      guard: new Guard(said.diag),
      heapSnapshots: { estimate: async () => ESTIMATE, take: async () => pieces() },
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    request(`http://127.0.0.1:${(server.address() as AddressInfo).port}${PATH}`)
      .on('error', () => {})
      .end();
    await done;
    server.close();
    expect(asked).toBe(false);
    expect(said.lines).toEqual([]);
  });
});

describe('an answer that breaks off', () => {
  beforeEach(() => {
    pieces = async function* broken() {
      yield 'half of it';
      await turns(2);
      throw new Error('ENOSPC: no space left on device, write');
    };
  });

  it.each([['identity'], ['gzip']])('is cut, and the reason said (%s)', async (encoding) => {
    await expect(headersOf({ headers: { 'accept-encoding': encoding } }).then(bodyOf)).rejects.toThrow('aborted');
    await turns(1);
    expect(said.lines).toEqual([
      'sonde: serve:/debug/heapsnapshot failed and was skipped, the application is not affected: ENOSPC: no space left on device, write',
    ]);
    pieces = () => texts('whole');
    expect((await bodyOf(await headersOf())).toString()).toBe('whole');
  });

  it('is a reset to HTTP/1.0, which takes the end of the connection for the end of the answer', async () => {
    const { hostname, port } = new URL(url);
    const ask = async (): Promise<string> => {
      const socket = connect(Number(port), hostname);
      let received = '';
      socket.on('data', (chunk) => (received += chunk.toString()));
      socket.write(`GET ${PATH} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n`);
      return new Promise((resolve) => {
        socket.on('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)));
        socket.on('end', () => resolve(received));
      });
    };
    expect(await ask()).toBe('ECONNRESET');
    pieces = () => texts('who', 'le');
    const whole = await ask();
    expect(whole).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(whole).not.toMatch(/chunked/i);
    expect(whole).toMatch(/\r\n\r\nwhole$/);
  });

  it('is cut and leaves the application`s own error handling out of it', async () => {
    const errors: unknown[] = [];
    const guard = new Guard(said.diag);
    const server = createServer((req, res) => {
      res.on('error', (error) => errors.push(error));
      void guard.runAsync('test', () => sendPieces(req, res, { pieces: pieces(), gzipLevel: undefined, guard }));
    });
    server.on('clientError', (error) => errors.push(error));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const reply = fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`).then((response) => response.text());
    await expect(reply).rejects.toThrow();
    server.close();
    expect(errors).toEqual([]);
  });
});

it('a client that takes nothing any more is cut off', async () => {
  let ended: (() => void) | undefined;
  const end = new Promise<void>((resolve) => (ended = resolve));
  async function* endless(): Pieces {
    try {
      for (;;) yield Buffer.alloc(1_000_000);
    } finally {
      ended!();
    }
  }
  const guard = new Guard(said.diag);
  const server = createServer(
    (req, res) => void sendPieces(req, res, { pieces: endless(), gzipLevel: undefined, guard, stalledMillis: 300 }),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const req = request(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, { agent: false });
  req.on('error', () => {}).end();
  const [response] = await once(req, 'response');
  response.on('error', () => {});
  await end;
  response.resume();
  await new Promise((resolve) => response.once('close', resolve));
  expect(response.complete).toBe(false);
  server.close();
});

it('an idle limit of the server that is shorter than the first piece takes does not end the answer', async () => {
  const guard = new Guard(said.diag);
  async function* late(): Pieces {
    await new Promise((resolve) => setTimeout(resolve, 500));
    yield 'late';
  }
  const server = createServer((req, res) => void sendPieces(req, res, { pieces: late(), gzipLevel: undefined, guard }));
  server.timeout = 100;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  expect(await response.text()).toBe('late');
  server.close();
});
