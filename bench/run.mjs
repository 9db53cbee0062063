// `npm run bench`: what Sonde adds to a request, beside the same program without it and with a prom-client histogram.
// Fresh processes, interleaved rounds, load from another core where there is one. The figure is CPU time per request
// over all threads (process.cpuUsage); only the ratios between rows of one run mean anything.
import { spawn } from 'node:child_process';
import { cpus } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import autocannon from 'autocannon';

const HERE = import.meta.dirname;
const REGISTER = path.join(HERE, '../dist/register.js');
const APP = path.join(HERE, 'apps/http.cjs');

const CONNECTIONS = 32;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    node: { type: 'string', default: process.execPath },
    help: { type: 'boolean', default: false },
  },
});

const ROWS = [
  { name: 'bare', args: [], env: {} },
  { name: 'sonde, switched off', args: ['--require', REGISTER], env: { SONDE_ENABLED: 'false' } },
  { name: 'sonde, defaults', args: ['--require', REGISTER], env: { SONDE_PORT: '0' }, asserts: assertCounted },
  { name: 'prom-client histogram', args: [], env: { BENCH_PROM_CLIENT: '1' } },
];

/** The effect first: a row that records nothing would win. */
async function assertCounted({ sondeUrl, requests, loads }) {
  const text = await (await fetch(`${sondeUrl}/metrics`)).text();
  const counted = Number(/^http_server_request_duration_seconds_count\{[^}]*\} (\d+)$/m.exec(text)?.[1]);
  // Each load leaves behind what was under way when its time was up.
  if (!(counted >= requests && counted <= requests + loads * CONNECTIONS))
    throw new Error(`${requests} requests were answered, Sonde counted ${counted}`);
}

function startApp({ args, env }) {
  const pinned = cpus().length > 1 ? ['taskset', '-c', '0', values.node] : [values.node];
  const child = spawn(pinned[0], [...pinned.slice(1), ...args, APP], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  });
  let stderr = '';
  child.stderr.on('data', (chunk) => (stderr += chunk));
  return { child, stderr: () => stderr };
}

function next(child) {
  return new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('exit', (code) => reject(new Error(`the application ended with ${code}`)));
  });
}

async function usage(child) {
  const answer = next(child);
  child.send('usage');
  return answer;
}

async function load(url, seconds) {
  const { requests, non2xx, errors } = await autocannon({ url, connections: CONNECTIONS, duration: seconds });
  if (non2xx + errors > 0) throw new Error(`${non2xx + errors} requests failed`);
  return requests.total;
}

async function measure(row, seconds) {
  const { child, stderr } = startApp(row);
  try {
    const { port } = await next(child);
    const url = `http://127.0.0.1:${port}/`;
    const warmUp = await load(url, Math.min(2, seconds));
    let requests = warmUp;
    let micros = Infinity;
    let before = await usage(child);
    for (let slice = 0; slice < seconds; slice++) {
      const answered = await load(url, 1);
      const after = await usage(child);
      // The cheapest second: whatever else the machine does only ever adds.
      micros = Math.min(micros, (after.cpuMicros - before.cpuMicros) / answered);
      requests += answered;
      before = after;
    }
    const sondeUrl = /listening on (\S+)/.exec(stderr())?.[1];
    await row.asserts?.({ sondeUrl, requests, loads: seconds + 1 });
    return { micros, rssBytes: before.rssBytes };
  } finally {
    child.kill('SIGKILL');
  }
}

function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function report(results) {
  const bare = results.get('bare');
  console.log('\nrow                      CPU us/request (min-max)   added   ratio   rss MB');
  for (const [name, samples] of results) {
    const micros = samples.map((sample) => sample.micros);
    // Each round's own bare run is its measure: the machine drifts between rounds.
    const added = median(micros.map((value, i) => value - bare[i].micros));
    const ratio = median(micros.map((value, i) => value / bare[i].micros));
    const spread = `(${Math.min(...micros).toFixed(1)}-${Math.max(...micros).toFixed(1)})`;
    const rss = median(samples.map((sample) => sample.rssBytes)) / 1e6;
    console.log(
      `${name.padEnd(24)} ${median(micros).toFixed(1).padStart(6)} ${spread.padEnd(19)} ${added.toFixed(1).padStart(6)} ${ratio.toFixed(2).padStart(7)} ${rss.toFixed(0).padStart(8)}`,
    );
  }
}

if (values.help) {
  console.log('npm run bench -- [--rounds 5] [--seconds 4] [--node PATH]');
} else {
  const [rounds, seconds] = [Number(values.rounds), Number(values.seconds)];
  if (!(rounds >= 1) || !(seconds >= 1)) throw new Error('--rounds and --seconds are numbers from 1');
  const results = new Map(ROWS.map(({ name }) => [name, []]));
  for (let round = 1; round <= rounds; round++) {
    for (const row of ROWS) {
      console.log(`round ${round} of ${rounds}: ${row.name}`);
      results.get(row.name).push(await measure(row, seconds));
    }
  }
  report(results);
}
