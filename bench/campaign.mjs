// The interleaved rounds on one Node and one application: each round runs every row once in a fresh process, in turn and
// each time from another one on, so that what the machine does meanwhile meets all rows alike. Each row is paired with
// the bare run of its round. Called by run.mjs and check.mjs, which start the other end (`Peers`) first.
import path from 'node:path';
import { Child } from './child.mjs';
import { LOAD_CORE } from './cores.mjs';
import { measure, startServer } from './measure.mjs';

/** Starts of the process that each round adds to the median. */
const STARTS_PER_ROUND = 2;

/** What a run of these options takes, in seconds, measured on a two-core machine; without installing peers. */
export function estimateSeconds({ rows, rounds, seconds, isBrief }) {
  const perRun = isBrief ? 4.2 + seconds : 10.4 + seconds + STARTS_PER_ROUND * 0.4;
  return rows.length * (0.5 + rounds * perRun);
}

/** The processes on the other side of the server: the sink and the backend. */
export class Peers {
  static async start() {
    const start = (file) => Child.start({ core: LOAD_CORE, command: [process.execPath, path.join(import.meta.dirname, file)] });
    return new Peers(await start('sink.mjs'), await start('apps/backend.cjs'));
  }

  #sink;
  #backend;

  constructor(sink, backend) {
    this.#sink = sink;
    this.#backend = backend;
  }

  get pids() {
    return [this.#sink.pid, this.#backend.pid];
  }

  get backendUrl() {
    return `http://127.0.0.1:${this.#backend.first.port}`;
  }

  get sink() {
    const { port, statsdPort } = this.#sink.first;
    return {
      url: `http://127.0.0.1:${port}`,
      statsdPort,
      reset: () => this.#sink.ask('reset'),
      counts: () => this.#sink.ask('counts'),
    };
  }

  stop() {
    this.#sink.kill();
    this.#backend.kill();
  }
}

/**
 * Answers `{ runs, starts, failures, retries }`: the figures of each run with its row and round, milliseconds from spawn
 * to listening, the rows that were dropped because they failed twice, and those that failed once, with the reason. `say`
 * gets a line for each run. Throws when the bare row fails twice.
 */
export async function runCampaign({ node, application, rows, rounds, seconds, isBrief = false, peers, say }) {
  const runs = [];
  const starts = [];
  const failures = [];
  const retries = [];
  const startsPerRound = isBrief ? 0 : STARTS_PER_ROUND;
  let left = rows;

  const attempt = async (row, work) => {
    try {
      return await work().catch(async (error) => {
        // What a stall of the machine broke works the second time; a missing effect is missing again.
        say(`${row.name} failed, trying once more: ${error.message}`);
        retries.push({ row: row.name, reason: error.message });
        return await work();
      });
    } catch (error) {
      if (row.name === 'bare') throw error;
      failures.push({ row: row.name, reason: error.message });
      left = left.filter((other) => other !== row);
      say(`FAILED: ${row.name}: ${error.message}`);
      return undefined;
    }
  };
  const where = `Node ${node.major} ${application.name}`;
  const startOnce = async (row) => {
    const server = await startServer({ row, node, application, peers });
    server.kill();
    return server.millisToListening;
  };

  // Not counted: fills the file system's cache, and shows what cannot even start before any time is spent.
  for (const row of left) await attempt(row, () => startOnce(row));
  for (let round = 1; round <= rounds; round++) {
    for (const row of rotated(left, round - 1)) {
      const figures = await attempt(row, () => measure({ row, node, application, peers, seconds, isBrief }));
      if (figures === undefined) continue;
      runs.push({ row: row.name, round, ...figures });
      say(`${where} round ${round}/${rounds} ${row.name}: ${figures.micros.toFixed(1)} us${describeOthers(figures.others)}`);
    }
    for (let start = 0; start < startsPerRound; start++) {
      for (const row of rotated(left, round + start)) {
        const millis = await attempt(row, () => startOnce(row));
        if (millis !== undefined) starts.push({ row: row.name, round, millis });
      }
    }
  }
  const isWhole = ({ row }) => !failures.some((failure) => failure.row === row);
  return { runs: runs.filter(isWhole), starts: starts.filter(isWhole), failures, retries };
}

function rotated(rows, by) {
  const at = by % rows.length;
  return [...rows.slice(at), ...rows.slice(0, at)];
}

function describeOthers(others) {
  if (others === undefined) return '';
  return ` (others ${others.map((share) => `${Math.round(share * 100)} %`).join(' and ')} of the cores)`;
}
