// The process that a program of the corpus runs in, with all that it has started, and the load on it.
import { spawn } from 'node:child_process';
import http from 'node:http';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

const START_LIMIT_MILLIS = 30_000;
const PAGE_BYTES = 4096;

const alive = new Set();

/** Ends every group of processes that still runs; for the end of this one, however it comes. */
export function endAll() {
  for (const child of alive) child.end();
}
process.on('exit', endAll);

/** A child in a process group and an imitated container of its own. */
export class Child {
  output = '';
  exit;
  #process;
  #container;
  #agent = new http.Agent({ keepAlive: true, maxSockets: 16 });

  /** `containerBytes` is what /sys/fs/cgroup says, under the directory in SONDE_CGROUP_ROOT. */
  constructor({ command, env, containerBytes }) {
    this.#container = imitateContainer(containerBytes);
    const [file, ...args] = command;
    this.#process = spawn(file, args, {
      env: { ...cleanEnv(), ...env, SONDE_CGROUP_ROOT: this.#container, TMPDIR: this.#container },
      // Its standard input ends with us, if we cannot end it.
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    alive.add(this);
    for (const stream of [this.#process.stdout, this.#process.stderr]) stream.on('data', (text) => (this.output += text));
    this.#process.once('close', (code, signal) => {
      this.exit = signal ?? code;
      alive.delete(this);
    });
  }

  /** Waits for a line of its output. */
  async seen(pattern) {
    const deadline = performance.now() + START_LIMIT_MILLIS;
    for (;;) {
      const match = pattern.exec(this.output);
      if (match !== null) return match;
      if (this.exit !== undefined || performance.now() > deadline) throw new Error(`not seen: ${pattern}\n${this.output.slice(-2000)}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Answers the text of a GET; rejects when it is not answered within 10 s, but for those of the load (`limitMillis`). */
  get(url, limitMillis = 10_000) {
    return new Promise((resolve, reject) => {
      const request = http.get(url, { agent: this.#agent, timeout: limitMillis }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk) => (text += chunk));
        response.on('end', () =>
          response.statusCode === 200 ? resolve(text) : reject(new Error(`${response.statusCode} ${url}: ${text}`)),
        );
      });
      request.on('timeout', () => request.destroy(new Error(`no answer in time: ${url}`)));
      // A connection that was kept may have been closed by the other side in this very moment; then it is asked once more.
      request.on('error', (error) =>
        request.reusedSocket && error.code === 'ECONNRESET' ? resolve(this.get(url, limitMillis)) : reject(error),
      );
    });
  }

  /** What the container uses is what the process has in memory. Answers that, 0 when it is gone. */
  updateContainer() {
    try {
      const rss = Number(readFileSync(`/proc/${this.#process.pid}/statm`, 'latin1').split(' ')[1]) * PAGE_BYTES;
      writeFileSync(path.join(this.#container, 'sys/fs/cgroup/memory.current'), `${rss}\n`);
      return rss;
    } catch {
      // It has ended, or there is no /proc on this machine.
      return 0;
    }
  }

  end() {
    this.#agent.destroy();
    if (alive.delete(this)) {
      try {
        // The group, which has the number of its first process.
        process.kill(-Number(this.#process.pid), 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    }
    rmSync(this.#container, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Version 2 of control groups, as a container sees it. */
function imitateContainer(limitBytes) {
  const root = mkdtempSync(path.join(tmpdir(), 'sonde-corpus-'));
  mkdirSync(path.join(root, 'proc/self'), { recursive: true });
  mkdirSync(path.join(root, 'sys/fs/cgroup'), { recursive: true });
  writeFileSync(path.join(root, 'proc/self/cgroup'), '0::/\n');
  writeFileSync(path.join(root, 'sys/fs/cgroup/memory.max'), `${limitBytes}\n`);
  writeFileSync(path.join(root, 'sys/fs/cgroup/memory.current'), '0\n');
  writeFileSync(path.join(root, 'sys/fs/cgroup/memory.stat'), 'inactive_file 0\n');
  return root;
}

/** This environment without what would steer Sonde or Node in the child, but for how V8's heap is sampled. */
function cleanEnv() {
  const steers = /^(?:SONDE_(?!PROFILING_HEAP_INTERVAL_BYTES$)|OTEL_|PYROSCOPE_|CORPUS_|NODE_OPTIONS$|VITEST|NODE_ENV$|TEST$)/;
  return { ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !steers.test(name))), SONDE_STALL_MILLIS: '60000' };
}

/** Requests that are in flight at most: what a child that stands still is spared. */
const IN_FLIGHT_MAX = 400;

/** Sends requests at a rate that may change, evenly, over connections that are kept alive. */
export class Load {
  sent = 0;
  #inFlight = 0;
  #timer;

  /** `perSecond` is a function of the seconds since the start; `urlOf` of the number of the request. */
  constructor({ perSecond, urlOf }) {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 256 });
    const began = performance.now();
    let last = began;
    // The first comes at once: the service counts from there.
    let owed = 1;
    this.#timer = setInterval(() => {
      const now = performance.now();
      owed += perSecond((now - began) / 1000) * ((now - last) / 1000);
      last = now;
      for (; owed >= 1; owed -= 1) if (this.#inFlight < IN_FLIGHT_MAX) this.#send(agent, urlOf(this.sent++));
    }, 20);
  }

  #send(agent, url) {
    this.#inFlight += 1;
    const request = http.get(url, { agent }, (response) => response.resume());
    // The child is ended while it answers.
    request.on('error', () => {});
    request.once('close', () => (this.#inFlight -= 1));
  }

  stop() {
    clearInterval(this.#timer);
  }
}

/** A server that takes every connection and says nothing, for programs that talk to others. Answers its port; does not keep us alive. */
export async function startUpstream() {
  const server = net.createServer((socket) => socket.on('error', () => {}).resume());
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref();
  return server.address().port;
}
