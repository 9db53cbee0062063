// One run of one row: a fresh process, warmed up, measured at full load slice by slice and at a fixed rate, its effect
// checked, ended. Called by campaign.mjs. What a run is made of is said in docs/overhead.md.
import { rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Child } from './child.mjs';
import { SERVER_CORE, watchOthers } from './cores.mjs';
import { loadAtFixedRate } from './fixed-rate.mjs';
import { CONNECTIONS, Load } from './load.mjs';
import { microsPerRequest, saturatedRate } from './statistics.mjs';

/**
 * Heavy agents are still being optimised at 15,000 requests: dd-trace then took 83, 58, 49 us in its next three seconds.
 * And what starts with the first requests (profilers, the first metrics) is no cost of a request.
 */
const WARM_UP_REQUESTS = 40_000;
const WARM_UP_MILLIS = 3000;
const WARM_UP_LIMIT_MILLIS = 6000;
const WARM_UP_POLL_MILLIS = 50;
const SLICE_MILLIS = 1000;
const FIXED_RATE_SECONDS = 2;

/** Starts the application as that row has it. Ends it with `stop` or `kill`. */
export async function startServer({ row, node, application, peers, logFile = '/dev/null' }) {
  const { args, env } = row.launch({ node, application, sink: peers.sink });
  const own = { BENCH_BACKEND_URL: peers.backendUrl, BENCH_LOG_FILE: logFile };
  const file = path.join(import.meta.dirname, 'apps', application.file);
  return await Child.start({ core: SERVER_CORE, command: [node.binary, ...args, file], env: { ...env, ...own } });
}

/**
 * `isBrief` leaves out all but the CPU time per request. Answers the figures of the run; throws when a request fails or
 * the row's effect is missing.
 */
export async function measure({ row, node, application, peers, seconds, isBrief = false }) {
  const logFile = path.join(os.tmpdir(), `sonde-bench-${process.pid}.log`);
  await peers.sink.reset();
  const server = await startServer({ row, node, application, peers, logFile });
  try {
    const { port } = server.first;
    const figures = await measureFullLoad({ server, port, application, peers, seconds, isBrief });
    if (!isBrief) figures.fixedRate = await measureFixedRate({ server, port, application });
    const { requests, rssBytes } = await server.ask('usage');
    const run = { server, port, application, requests, logFile, sink: peers.sink };
    const facts = [];
    for (const check of row.whileRunning ?? []) facts.push(await check(run));
    if (row.afterEnd !== undefined) await server.stop();
    for (const check of row.afterEnd ?? []) facts.push(await check(run));
    return { ...figures, requests, rssBytes, ...Object.assign({}, ...facts) };
  } finally {
    server.kill();
    rmSync(logFile, { force: true });
  }
}

async function measureFullLoad({ server, port, application, peers, seconds, isBrief }) {
  const load = new Load(`http://127.0.0.1:${port}${application.path}`, application);
  try {
    await warmUp(server);
    const others = watchOthers([[server.pid], [load.pid, process.pid, ...peers.pids]]);
    const slices = [];
    for (let slice = 0; slice < seconds; slice++) slices.push(await measureSlice(server));
    const figures = { micros: microsPerRequest(slices), requestsPerSecond: saturatedRate(slices), others: others(), slices };
    if (!isBrief) figures.allocatedBytesPerRequest = await measureAllocations(server);

    const answered = await load.stop();
    const { requests } = await server.ask('usage');
    // What was under way when the load ended was handled and not answered.
    if (requests < answered || requests > answered + CONNECTIONS)
      throw new Error(`wrk got ${answered} answers, the application handled ${requests} requests`);
    return figures;
  } finally {
    load.kill();
  }
}

export async function warmUp(server) {
  const started = performance.now();
  await pause(WARM_UP_MILLIS);
  const isWarm = async () => performance.now() - started > WARM_UP_LIMIT_MILLIS || (await server.ask('usage')).requests >= WARM_UP_REQUESTS;
  while (!(await isWarm())) await pause(WARM_UP_POLL_MILLIS);
}

/** What the server did in that time. */
export async function measureSlice(server, millis = SLICE_MILLIS) {
  const started = performance.now();
  const before = await server.ask('usage');
  await pause(millis);
  const after = await server.ask('usage');
  return {
    seconds: (performance.now() - started) / 1000,
    requests: after.requests - before.requests,
    cpuMicros: after.cpuMicros - before.cpuMicros,
  };
}

/** Apart from the slices: reading the heap at each collection costs time of its own. */
async function measureAllocations(server) {
  const before = await server.ask('startAllocations');
  await pause(SLICE_MILLIS);
  const after = await server.ask('stopAllocations');
  return after.allocatedBytes / (after.requests - before.requests);
}

async function measureFixedRate({ server, port, application }) {
  await server.ask('startPauses');
  const before = await server.ask('usage');
  const latencies = await loadAtFixedRate({ port, application, seconds: FIXED_RATE_SECONDS });
  const after = await server.ask('usage');
  const { longestPauseMillis } = await server.ask('stopPauses');
  return { ...latencies, longestPauseMillis, micros: (after.cpuMicros - before.cpuMicros) / (after.requests - before.requests) };
}

function pause(millis) {
  return new Promise((resolve) => setTimeout(resolve, millis));
}
