// One process of the benchmark that answers questions over IPC: the server under test, the backend, the sink. Started
// on its core with an environment that holds nothing of ours, asked, and ended.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { pinned } from './cores.mjs';

const START_LIMIT_MILLIS = 20_000;
const END_LIMIT_MILLIS = 6000;

const alive = new Set();
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

export class Child {
  /** Starts `command` on `core` and waits for its first message. Throws with what it wrote to stderr when it ends first. */
  static async start({ core, command, env = {} }) {
    const child = new Child(core, command, env);
    child.first = await child.#next(START_LIMIT_MILLIS);
    child.millisToListening = performance.now() - child.#started;
    return child;
  }

  /** Its first message. */
  first;
  millisToListening;
  stderr = '';
  #process;
  #started = performance.now();

  constructor(core, command, env) {
    const [file, ...args] = pinned(core, command);
    this.#process = spawn(file, args, { env: { ...cleanEnv(), ...env }, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    alive.add(this.#process);
    this.#process.once('close', () => alive.delete(this.#process));
    this.#process.stderr.on('data', (text) => (this.stderr += text));
  }

  get pid() {
    return this.#process.pid;
  }

  /** Asks one question and waits for its answer; one question at a time. */
  async ask(question) {
    const answer = this.#next(START_LIMIT_MILLIS);
    this.#process.send(question);
    return await answer;
  }

  /** Asks it to end, as an orchestrator does, so that it may send what it still holds; then makes it end. */
  async stop(limitMillis = END_LIMIT_MILLIS) {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'close');
    this.#process.kill('SIGTERM');
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), limitMillis);
    await ended;
    clearTimeout(timer);
  }

  kill() {
    this.#process.kill('SIGKILL');
  }

  #next(limitMillis) {
    const child = this.#process;
    return new Promise((resolve, reject) => {
      const settle = (action) => {
        clearTimeout(timer);
        child.off('message', onMessage).off('error', reject).off('close', onClose);
        action();
      };
      const onMessage = (message) => settle(() => resolve(message));
      const onClose = (code, signal) => settle(() => reject(new Error(`ended with ${signal ?? `code ${code}`}: ${this.stderr}`)));
      const onTimeout = () => settle(() => reject(new Error(`no answer in ${limitMillis / 1000} s: ${this.stderr}`)));
      const timer = setTimeout(onTimeout, limitMillis);
      child.once('message', onMessage).once('error', reject).once('close', onClose);
    });
  }
}

/** This environment without what would steer an agent or Node in the child. */
function cleanEnv() {
  const steers = /^(?:SONDE_|OTEL_|DD_|PYROSCOPE_|BENCH_|NODE_OPTIONS$|NODE_ENV$)/;
  const kept = Object.entries(process.env).filter(([name]) => !steers.test(name));
  return { ...Object.fromEntries(kept), NODE_ENV: 'production' };
}
