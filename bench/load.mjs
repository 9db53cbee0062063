// Full load by wrk: one thread, 32 kept connections, as long as the caller wants. Started and ended by measure.mjs.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { ensurePeers, WRK } from '../test/helpers/peers.mjs';
import { LOAD_CORE, pinned } from './cores.mjs';

export const CONNECTIONS = 32;

/** Longer than any run: it is ended by a signal when the last slice is over. */
const LIMIT_SECONDS = 600;
/** wrk's own limit of 2 s would fail a run for one stall of a busy machine. */
const ANSWER_LIMIT_SECONDS = 20;
const SCRIPT = path.join(import.meta.dirname, 'request.lua');

/** Installs wrk where that is possible; throws an Error that says how to get it when it is missing. */
export async function ensureWrk(say) {
  const missing = await ensurePeers(say, [WRK]);
  if (missing.length > 0) throw new Error('wrk is missing, the program that makes the load. On Debian: apt-get install wrk');
}

export class Load {
  #process;
  #output = '';

  constructor(url, { method, body = '' }) {
    const limits = ['--duration', `${LIMIT_SECONDS}s`, '--timeout', `${ANSWER_LIMIT_SECONDS}s`];
    const command = ['wrk', '--threads', '1', '--connections', String(CONNECTIONS), ...limits, '--script', SCRIPT, url];
    const [file, ...args] = pinned(LOAD_CORE, command);
    this.#process = spawn(file, args, {
      env: { ...process.env, BENCH_METHOD: method, BENCH_BODY: body },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process.stdout.on('data', (text) => (this.#output += text));
    this.#process.stderr.on('data', (text) => (this.#output += text));
  }

  get pid() {
    return this.#process.pid;
  }

  /** Ends the load; answers how many requests were answered. Throws when any of them failed. */
  async stop() {
    if (this.#process.exitCode === null) {
      const closed = once(this.#process, 'close');
      this.#process.kill('SIGINT');
      await closed;
    }
    const answered = Number(/^\s*(\d+) requests in /m.exec(this.#output)?.[1]);
    if (!(answered > 0) || /Non-2xx|Socket errors/.test(this.#output)) throw new Error(`the load failed:\n${this.#output}`);
    return answered;
  }

  kill() {
    this.#process.kill('SIGKILL');
  }
}
