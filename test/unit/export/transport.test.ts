import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as createHttpsServer } from 'node:https';
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { traceProtocol } from '../../../src/export/otlp-codec.ts';
import { parseRetryAfterMillis, Transport, type PostResult, type TransportOptions } from '../../../src/export/transport.ts';
import { otlpDeps, startReceiver, traceOptions } from '../../helpers/otlp.ts';

const FIXTURES = path.join(import.meta.dirname, '../../fixtures/otlp');
const BODY = Buffer.from('message');
const OTLP = traceProtocol('http/protobuf');
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

function open(url: string, overrides: Partial<TransportOptions> = {}, dialect = OTLP): Transport {
  const { clock, guard } = otlpDeps();
  const nowEpochMillis = (): number => clock.epochMillis(clock.monotonicMillis());
  const transport = new Transport(traceOptions(url, overrides), dialect, { guard, part: 'otlp:test', nowEpochMillis });
  closers.push(() => transport.close());
  return transport;
}

async function receiver(answer: Parameters<typeof startReceiver>[0]): ReturnType<typeof startReceiver> {
  const started = await startReceiver(answer);
  closers.push(started.close);
  return started;
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** A receiver that handles its connections itself. */
async function tcpReceiver(onConnection: (socket: Socket) => void): Promise<string> {
  const sockets: Socket[] = [];
  const server = createTcpServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    onConnection(socket);
  });
  const port = await listen(server);
  closers.push(() => sockets.forEach((socket) => socket.destroy()));
  return `http://127.0.0.1:${port}/v1/traces`;
}

function answering(bytes: string, thenClose: boolean): (socket: Socket) => void {
  return (socket) =>
    socket.once('data', () => {
      socket.write(bytes);
      if (thenClose) socket.end();
    });
}

async function post(url: string, timeoutMillis = 5000): Promise<PostResult> {
  return open(url).post({ body: BODY }, timeoutMillis);
}

describe('Retry-After', () => {
  it.each([
    ['0', 0],
    ['120', 120_000],
    ['Tue, 14 Nov 2023 22:13:25 GMT', 5000],
    ['Tue, 14 Nov 2023 22:13:15 GMT', 0],
    ['soon', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('%j asks for %j ms', (header, expected) => {
    expect(parseRetryAfterMillis(header, 1_700_000_000_000)).toBe(expected);
  });
});

describe('the verdict on an answer', () => {
  it.each([
    [200, 'accepted', undefined],
    [202, 'accepted', undefined],
    [307, 'refused', false],
    [400, 'refused', false],
    [401, 'refused', false],
    [404, 'refused', false],
    [408, 'refused', false],
    [429, 'refused', true],
    [500, 'refused', false],
    [501, 'refused', false],
    [502, 'refused', true],
    [503, 'refused', true],
    [504, 'refused', true],
  ])('HTTP %i is %s, retryable: %s', async (status, kind, retryable) => {
    const { url, requests } = await receiver((response) => response.writeHead(status, { location: '/elsewhere' }).end('text'));

    const result = await post(url);

    expect(result.kind).toBe(kind);
    if (result.kind === 'refused') {
      expect(result.retryable).toBe(retryable);
      expect(result.reason).toContain(`HTTP ${status}`);
    }
    expect(requests).toHaveLength(1);
    expect(requests[0]!.body.equals(BODY)).toBe(true);
  });

  it('a Retry-After counts only where a retry is allowed', async () => {
    const { url } = await receiver((response, index) => response.writeHead(index === 0 ? 503 : 500, { 'retry-after': '7' }).end());

    expect(await post(url)).toMatchObject({ retryAfterMillis: 7000 });
    expect(await post(url)).toMatchObject({ retryAfterMillis: undefined });
  });

  it("is the dialect's", async () => {
    const { url } = await receiver((response, index) => response.writeHead([500, 503][index]!).end());
    const transport = open(url, {}, { ...OTLP, retryableStatuses: new Set([500]), advice: { '500': 'wait' } });

    expect(await transport.post({ body: BODY }, 5000)).toMatchObject({ retryable: true, reason: 'HTTP 500, wait' });
    expect(await transport.post({ body: BODY }, 5000)).toMatchObject({ retryable: false, reason: 'HTTP 503' });
  });

  it.each([
    ['text/plain; charset=utf-8', 'HTTP 400: no such label'],
    ['application/json', 'HTTP 400: no such label'],
    ['text/html', 'HTTP 400'],
    ['application/x-protobuf', 'HTTP 400'],
  ])('has the words of a receiver that answers in %s', async (type, reason) => {
    const { url } = await receiver((response) => response.writeHead(400, { 'content-type': type }).end('no such label'));

    expect(await post(url)).toMatchObject({ reason });
  });

  it('an answer of 4 MiB is read, one of a byte more is refused', async () => {
    const { url } = await receiver((response, index) => response.end(Buffer.alloc(ANSWER_BYTES_MAX + index)));

    expect(await post(url)).toMatchObject({ kind: 'accepted' });
    expect(await post(url)).toEqual({ kind: 'refused', reason: `the answer is larger than ${ANSWER_BYTES_MAX} bytes`, retryable: false });
  });
});

describe('a receiver that misbehaves', () => {
  it('that is not there is worth another attempt', async () => {
    const { url, close } = await startReceiver(() => {});
    await close();

    expect(await post(url)).toMatchObject({ kind: 'refused', retryable: true, reason: expect.stringContaining('ECONNREFUSED') });
  });

  it('that never answers is given up at the time limit', async () => {
    const url = await tcpReceiver(() => {});

    expect(await post(url, 40)).toEqual({ kind: 'refused', reason: 'no answer within 40 ms', retryable: true });
  });

  it('that sends a byte now and then is given up at the time limit too', async () => {
    const url = await tcpReceiver((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nx-slow: ');
      const drip = setInterval(() => socket.write('a'), 5);
      closers.push(() => clearInterval(drip));
    });

    expect(await post(url, 60)).toEqual({ kind: 'refused', reason: 'no answer within 60 ms', retryable: true });
  });

  it('that answers 200 and never ends its answer has the data', async () => {
    const url = await tcpReceiver(answering('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc', false));

    expect(await post(url, 60)).toMatchObject({ kind: 'accepted' });
  });

  it('that breaks off in the middle of a 200 has the data, of a 503 has not', async () => {
    const accepted = await tcpReceiver(answering('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc', true));
    const refused = await tcpReceiver(answering('HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\nabc', true));

    expect(await post(accepted)).toMatchObject({ kind: 'accepted' });
    expect(await post(refused)).toMatchObject({ kind: 'refused', retryable: true });
  });

  it('that closes without an answer is worth another attempt', async () => {
    const url = await tcpReceiver(answering('', true));

    expect(await post(url)).toMatchObject({ kind: 'refused', retryable: true });
  });

  it('that does not speak HTTP is not, and the gRPC port is named as the likely cause', async () => {
    const url = await tcpReceiver(answering('\0\0\x12\x04\0\0\0\0\0garbage', false));

    expect(await post(url)).toMatchObject({ kind: 'refused', retryable: false, reason: expect.stringContaining('gRPC') });
  });

  it('that closed the kept connection meanwhile is asked once more at once', async () => {
    let connections = 0;
    const url = await tcpReceiver((socket) => {
      connections += 1;
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
        // What a keep-alive timeout looks like to a client that was just about to write.
        socket.once('data', () => socket.resetAndDestroy());
      });
    });
    const transport = open(url);
    await transport.post({ body: BODY }, 5000);
    // The agent takes its connection back in a later turn.
    await new Promise((resolve) => setImmediate(resolve));

    expect(await transport.post({ body: BODY }, 5000)).toMatchObject({ kind: 'accepted' });
    expect(connections).toBe(2);
  });
});

describe('the address', () => {
  it.each([
    ['', '/v1/traces'],
    ['?key=1', '/v1/traces?key=1'],
  ])('with %j is used as it is', async (search, path) => {
    const { url, requests } = await receiver((response) => response.end());

    await open(url + search).post({ body: BODY }, 5000);

    expect(requests[0]!.request.url).toBe(path);
  });

  it.each([
    ['', '/v1/traces?a=b&c=d'],
    ['?key=1', '/v1/traces?key=1&a=b&c=d'],
  ])('with %j gets what a message adds to it, for that message alone', async (search, path) => {
    const { url, requests } = await receiver((response) => response.end());
    const transport = open(url + search);

    await transport.post({ body: BODY, query: 'a=b&c=d' }, 5000);
    await transport.post({ body: BODY }, 5000);

    expect(requests.map(({ request }) => request.url)).toEqual([path, `/v1/traces${search}`]);
  });
});

it('a header that HTTP does not allow refuses the request and throws nothing', async () => {
  const { url, requests } = await receiver((response) => response.end());

  const result = await open(url, { headers: { 'x-key': 'a\nb' } }).post({ body: BODY }, 5000);

  expect(result).toMatchObject({ kind: 'refused', retryable: false, reason: expect.stringContaining('OTEL_EXPORTER_OTLP_HEADERS') });
  expect(requests).toHaveLength(0);
});

describe('over TLS', () => {
  const pem = (name: string): string => path.join(FIXTURES, name);

  async function tlsReceiver(): Promise<string> {
    const options = { key: readFileSync(pem('server-key.pem')), cert: readFileSync(pem('server.pem')), ca: readFileSync(pem('ca.pem')) };
    const server = createHttpsServer({ ...options, requestCert: true }, (request, response) => {
      request.resume();
      response.end();
    });
    closers.push(() => server.closeAllConnections());
    return `https://localhost:${await listen(server)}/v1/traces`;
  }

  it('the receiver is checked against the certificate, and checks ours', async () => {
    const url = await tlsReceiver();
    const certificate = pem('ca.pem');

    expect(
      await open(url, { certificate, clientKey: pem('client-key.pem'), clientCertificate: pem('client.pem') }).post({ body: BODY }, 5000),
    ).toMatchObject({
      kind: 'accepted',
    });
    expect(await open(url, { certificate }).post({ body: BODY }, 5000)).toMatchObject({ kind: 'refused', retryable: false });
  });

  it('a receiver that nobody we trust has signed is refused for good', async () => {
    expect(await open(await tlsReceiver()).post({ body: BODY }, 5000)).toMatchObject({ kind: 'refused', retryable: false });
  });

  it('a certificate file that is not there is named', async () => {
    const result = await open('https://localhost:1/', { certificate: pem('absent.pem') }).post({ body: BODY }, 5000);

    expect(result).toMatchObject({ kind: 'refused', retryable: false, reason: expect.stringContaining('absent.pem') });
  });
});
