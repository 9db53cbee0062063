// Load at a fixed rate, whatever the server does: every millisecond the requests that are due are released, each to an
// idle connection or, where none is, to a queue, and its latency counts from its release. So a stall of the server is
// charged to all the requests that were due in it. (autocannon sends each second's requests in one burst; wrk waits for
// answers before it sends.) Raw sockets, 32 kept connections; called by measure.mjs.
import { once } from 'node:events';
import net from 'node:net';
import { quantile } from './statistics.mjs';

const CONNECTIONS = 32;
/** A row that cannot keep up on a busy machine shows in its latencies; only one that hangs fails. */
const DRAIN_LIMIT_MILLIS = 30_000;

/**
 * Answers the latencies (p50, p99, max) of `seconds` at `ratePerSecond`, and by how much the client itself was late at
 * worst: a large value means that the load's core was busy. Throws when an answer is not 200.
 */
export async function loadAtFixedRate({ port, application, seconds }) {
  const { ratePerSecond } = application;
  const connections = await Promise.all(Array.from({ length: CONNECTIONS }, () => Connection.open(port, requestBytes(application, port))));
  const idle = [...connections];
  const waiting = [];
  const latencies = [];

  const send = (connection, released) => {
    connection.exchange(() => {
      latencies.push(performance.now() - released);
      if (waiting.length > 0) send(connection, waiting.shift());
      else idle.push(connection);
    });
  };
  try {
    const total = Math.round(ratePerSecond * seconds);
    const clientLateMillis = await release({ ratePerSecond, total }, (now) => {
      if (idle.length > 0) send(idle.pop(), now);
      else waiting.push(now);
    });
    await drained(connections, () => latencies.length === total);
    return { ratePerSecond, p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99), max: Math.max(...latencies), clientLateMillis };
  } finally {
    for (const connection of connections) connection.close();
  }
}

/** Calls `onDue` for each request when it is due; answers the longest time between two looks at the clock. */
function release({ ratePerSecond, total }, onDue) {
  return new Promise((resolve) => {
    const started = performance.now();
    let released = 0;
    let lastLook = started;
    let latest = 0;
    const look = () => {
      const now = performance.now();
      latest = Math.max(latest, now - lastLook);
      lastLook = now;
      const due = Math.min(total, Math.floor(((now - started) / 1000) * ratePerSecond));
      for (; released < due; released++) onDue(now);
      if (released < total) return;
      clearInterval(timer);
      resolve(latest);
    };
    const timer = setInterval(look, 1);
  });
}

async function drained(connections, isDone) {
  const deadline = performance.now() + DRAIN_LIMIT_MILLIS;
  while (!isDone()) {
    const broken = connections.find(({ error }) => error !== undefined);
    if (broken !== undefined) throw broken.error;
    if (performance.now() > deadline) throw new Error(`requests at the fixed rate unanswered after ${DRAIN_LIMIT_MILLIS / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function requestBytes({ method, path, body = '' }, port) {
  const headers = body === '' ? [] : ['content-type: application/json', `content-length: ${Buffer.byteLength(body)}`];
  return Buffer.from([`${method} ${path} HTTP/1.1`, `host: 127.0.0.1:${port}`, ...headers, '', body].join('\r\n'));
}

/** One kept connection with at most one request on it. */
class Connection {
  static async open(port, request) {
    const connection = new Connection(port, request);
    await once(connection.#socket, 'connect');
    return connection;
  }

  error;
  #socket;
  #request;
  #received = '';
  #onAnswer;

  constructor(port, request) {
    this.#request = request;
    this.#socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.setEncoding('latin1');
    this.#socket.on('data', (text) => this.#take(text));
    this.#socket.on('error', (error) => (this.error = error));
    this.#socket.on('close', () => (this.error ??= new Error('the server closed a connection')));
  }

  exchange(onAnswer) {
    this.#onAnswer = onAnswer;
    this.#socket.write(this.#request);
  }

  close() {
    this.#socket.destroy();
  }

  #take(text) {
    this.#received += text;
    const bodyAt = this.#received.indexOf('\r\n\r\n') + 4;
    if (bodyAt < 4) return;
    const length = Number(/^content-length: (\d+)\r$/im.exec(this.#received)?.[1]);
    if (!this.#received.startsWith('HTTP/1.1 200 ') || Number.isNaN(length)) {
      this.error = new Error(`unexpected answer: ${this.#received}`);
      return;
    }
    if (this.#received.length < bodyAt + length) return;
    this.#received = '';
    this.#onAnswer();
  }
}
