// Heap snapshots of a service under the built preload: what they take of memory beside one that V8 takes for nobody, what
// was estimated before, and what happens where there is no room. By the kernel's own figures, so on Linux only.
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import { nodeBinary } from '../helpers/nodes.mjs';
import { killAll, startService, type Service } from '../helpers/process.ts';

const APP = '../profile/shelf.cjs';

afterEach(killAll);

/** A figure of /proc/<pid>/status in bytes. */
function memoryOf(service: Service, figure: 'VmHWM' | 'VmRSS'): number {
  const status = readFileSync(`/proc/${service.running.child.pid}/status`, 'latin1');
  return Number(new RegExp(`^${figure}:\\s+(\\d+) kB`, 'm').exec(status)![1]) * 1024;
}

/** By how much the memory of a service grows at most while `work` is done. */
async function growth(service: Service, work: () => Promise<unknown>): Promise<number> {
  writeFileSync(`/proc/${service.running.child.pid}/clear_refs`, '5');
  const before = memoryOf(service, 'VmRSS');
  await work();
  return memoryOf(service, 'VmHWM') - before;
}

const start = (major: number, env: Record<string, string>): Promise<Service> =>
  startService({ app: APP, node: nodeBinary(major), env: { SONDE_HEAP_SNAPSHOT: 'true', ...env } });

/** Asks for a snapshot; the headers are there, the body is not asked for. */
async function ask(service: Service, method = 'GET'): Promise<IncomingMessage> {
  const req = request(`${await service.sondeUrl()}/debug/heapsnapshot`, { agent: false, method }).end();
  const [response] = await once(req, 'response');
  return response;
}

async function sizeOf(response: IncomingMessage): Promise<number> {
  let bytes = 0;
  for await (const chunk of response) bytes += chunk.length;
  return bytes;
}

describe.runIf(process.platform === 'linux').each([20, 24])('on Node %i', (major) => {
  const HEAP = { SHELF_MEGABYTES: '150' };

  test('a snapshot of 150 MB needs no more memory than V8 itself takes, though the client is slow', async () => {
    const control = await start(major, HEAP);
    await control.sondeUrl();
    const controlBytes = await growth(control, async () => {
      control.running.kill('SIGUSR2');
      await control.running.seen(/taken/, 60_000);
    });
    killAll();

    const service = await start(major, HEAP);
    let fileBytes = 0;
    let estimatedBytes = 0;
    const ownBytes = await growth(service, async () => {
      const response = await ask(service);
      estimatedBytes = Number(response.headers['x-sonde-estimated-memory-bytes']);
      // Answered when the process no longer stands still; all of the snapshot waits for the client by then.
      await service.read('/healthz');
      fileBytes = await sizeOf(response);
    });
    expect(fileBytes).toBeGreaterThan(140e6);
    // Held in memory, it would be all of the file.
    expect(ownBytes).toBeLessThan(controlBytes + 0.4 * fileBytes);
    expect(ownBytes).toBeGreaterThan(0.7 * controlBytes);
    expect(estimatedBytes).toBeGreaterThan(ownBytes);
    expect(estimatedBytes).toBeLessThan(20 * ownBytes);
  }, 120_000);

  test('a snapshot of many small objects takes no more memory and no larger file than was estimated', async () => {
    const service = await start(major, { SHELF_BOOKS: '700000' });
    let headers: IncomingMessage['headers'] = {};
    let fileBytes = 0;
    const ownBytes = await growth(service, async () => {
      const response = await ask(service);
      ({ headers } = response);
      fileBytes = await sizeOf(response);
    });
    expect(Number(headers['x-sonde-estimated-memory-bytes'])).toBeGreaterThan(ownBytes);
    expect(Number(headers['x-sonde-estimated-memory-bytes'])).toBeLessThan(6 * ownBytes);
    expect(Number(headers['x-sonde-estimated-size-bytes'])).toBeGreaterThan(fileBytes);
    expect(Number(headers['x-sonde-estimated-size-bytes'])).toBeLessThan(4 * fileBytes);
  }, 120_000);

  test('one at a time, and the next when the client has left', async () => {
    const service = await start(major, {});
    const first = await ask(service);
    const second = await ask(service);
    expect(second.statusCode).toBe(503);
    second.resume();
    first.destroy();
    let status = 503;
    while (status === 503) {
      const next = await ask(service);
      status = next.statusCode!;
      expect(await sizeOf(next)).toBeGreaterThan(0);
    }
    expect(status).toBe(200);
  }, 60_000);
});

describe.runIf(process.platform === 'linux')('in a container whose limit leaves no room', () => {
  const LIMIT_BYTES = 300 * 1_048_576;
  let group: string | undefined;

  afterEach(async () => {
    if (group === undefined) return;
    for (let left = 100; left > 0; left--) {
      // The group is empty a moment after its last process.
      try {
        rmdirSync(group);
        break;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    group = undefined;
  });

  /** A control group of our own with that limit; undefined where none can be made. */
  function makeGroup(): string | undefined {
    for (const [mount, file] of [
      ['/sys/fs/cgroup/memory', 'memory.limit_in_bytes'],
      ['/sys/fs/cgroup', 'memory.max'],
    ]) {
      const directory = `${mount}/sonde-test-${process.pid}`;
      try {
        mkdirSync(directory);
        group = directory;
        writeFileSync(`${directory}/${file}`, String(LIMIT_BYTES));
        return directory;
      } catch {
        // The other version, or not root.
        if (group !== undefined) rmdirSync(group);
        group = undefined;
      }
    }
    return undefined;
  }

  test('the real kernel kills who takes one, and a request for one is refused with the sizes', async (context) => {
    const directory = makeGroup();
    if (directory === undefined) {
      context.skip('no control group can be made here');
      return;
    }
    const service = await start(20, { SHELF_BOOKS: '700000' });
    const url = await service.sondeUrl();
    // What it has already stays with the group it was in; what it takes from now on counts here.
    writeFileSync(`${directory}/cgroup.procs`, String(service.running.child.pid));
    const reply = await fetch(`${url}/debug/heapsnapshot`);
    expect(reply.status).toBe(503);
    expect(await reply.text()).toMatch(
      /^a snapshot of this heap of \d+ MB needs up to .* of memory while it is taken, and the container's limit of 315 MB, of which \d+ MB are used, leaves \d+ MB\. /,
    );
    expect((await fetch(`${url}/debug/heapsnapshot`, { method: 'HEAD' })).status).toBe(503);
    expect(service.running.stderr).not.toContain('stands still');
    expect((await fetch(`${url}/debug/heapprofile`)).status).toBe(200);
    service.running.kill('SIGUSR2');
    expect(await service.running.ended).toMatchObject({ signal: 'SIGKILL' });
  }, 120_000);
});
