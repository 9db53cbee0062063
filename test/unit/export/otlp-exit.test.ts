// That an exporter never keeps a process alive, whatever its receiver does, can only be seen in a process that ends.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { build } from 'tsup';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startReceiver } from '../../helpers/otlp.ts';

/** The child would hang for its export timeout of 20 s. */
const AT_ONCE_MILLIS = 5000;

let directory = '';
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'sonde-otlp-'));
  const entry = path.join(import.meta.dirname, '../../fixtures/otlp/exit-child.ts');
  await build({
    entry: [entry],
    outDir: directory,
    format: 'cjs',
    target: 'node20',
    splitting: true,
    noExternal: [/./],
    config: false,
    silent: true,
  });
});

afterAll(() => rmSync(directory, { recursive: true }));

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

interface Child {
  /** Lets a child of mode `on-request` end. */
  release(): void;
  /** Settles when the child has said that it cannot export. */
  readonly complained: Promise<unknown>;
  /** Exit code, output, and time from the release (or the start) to the end. */
  readonly ended: Promise<{ code: number | null; output: string; millis: number }>;
}

function run(url: string, mode: string): Child {
  const child = spawn(process.execPath, [path.join(directory, 'exit-child.js'), url, mode], { stdio: 'pipe' });
  let releasedMillis = performance.now();
  const release = (): void => {
    releasedMillis = performance.now();
    child.stdin.end();
  };
  const wait = async (): ReturnType<() => Child['ended']> => {
    const [[code], output] = await Promise.all([once(child, 'exit') as Promise<[number | null]>, text(child.stdout)]);
    return { code, output, millis: performance.now() - releasedMillis };
  };
  return { release, complained: once(child.stderr, 'data'), ended: wait() };
}

/** A receiver that takes connections and never says a word; `asked` settles when the first bytes have come. */
async function silentReceiver(): Promise<{ port: number; asked: Promise<void> }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
  });
  const hear = async (): Promise<void> => {
    const [socket] = (await once(server, 'connection')) as [Socket];
    await once(socket, 'data');
  };
  const asked = hear();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => sockets.forEach((socket) => socket.destroy()));
  closers.push(() => server.close());
  return { port: (server.address() as AddressInfo).port, asked };
}

describe('a process ends at once', () => {
  it.each(['http', 'https'])('while its request hangs over %s', async (scheme) => {
    const { port, asked } = await silentReceiver();
    const child = run(`${scheme}://127.0.0.1:${port}/v1/traces`, 'on-request');
    await asked;
    child.release();

    const { code, millis } = await child.ended;

    expect(code).toBe(0);
    expect(millis).toBeLessThan(AT_ONCE_MILLIS);
  });

  it('while its receiver is down and a retry is due', async () => {
    const { url, close } = await startReceiver(() => {});
    await close();

    const child = run(url, 'on-request');
    await child.complained;
    child.release();
    const { code, millis } = await child.ended;

    expect(code).toBe(0);
    expect(millis).toBeLessThan(AT_ONCE_MILLIS);
  });
});

describe('a flush before exit', () => {
  it('waits for a slow receiver', async () => {
    const receiver = await startReceiver((response) => setTimeout(() => response.end(), 300));
    closers.push(receiver.close);

    const { code, output } = await run(receiver.url, 'flush-10000').ended;

    expect(code).toBe(0);
    expect(output).toMatch(/^flushed/);
    expect(receiver.requests).toHaveLength(1);
  });

  it('ends at its time limit when the receiver hangs', async () => {
    const { port } = await silentReceiver();

    const { code, output } = await run(`http://127.0.0.1:${port}/v1/traces`, 'flush-400').ended;

    expect(code).toBe(0);
    const flushedMillis = Number(output.replace('flushed ', ''));
    expect(flushedMillis).toBeGreaterThan(350);
    expect(flushedMillis).toBeLessThan(AT_ONCE_MILLIS);
  });

  it('does not wait for a receiver that is down', async () => {
    const { url, close } = await startReceiver(() => {});
    await close();

    const { code, output } = await run(url, 'flush-10000').ended;

    expect(code).toBe(0);
    expect(Number(output.replace('flushed ', ''))).toBeLessThan(AT_ONCE_MILLIS);
  });
});
