// `npm start`: sets the checkout up, runs the shop's three services under Sonde with a load on them, and shows what
// Sonde sees until it is told to stop. Plain Node, needs no package before setup.mjs has installed them.
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { LOGIN_SECONDS, startLoad } from './load.mjs';
import { reportLines } from './report.mjs';
import { firstDeath, killServices, startServices, startWatchdog, stopServices, waitUntilReady } from './services.mjs';
import { prepare } from './setup.mjs';

const HELP = `npm start [-- options]

Runs examples/shop (gateway, orders, pricing) under Sonde with a load of some 280 requests
a second and shows every 5 s what Sonde sees. Installs packages and builds first where needed.

  --once         run for 30 s, print one report, exit 0
  --seconds <n>  with --once: run for n seconds, 5 to 600
  --help         print this

Ctrl-C ends the services and the load.
Exit codes: 0 done, 1 a service died or Sonde did not answer, 2 wrong options, 128 + signal where --once was interrupted.`;

const REPORT_INTERVAL_SECONDS = 5;
const ONCE_SECONDS = 30;
const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 };
/** Erases the terminal and goes to its top left corner. */
const CLEAR = '\u001B[2J\u001B[H';

function say(line) {
  console.log(line);
}

/** Parses the command line into options, or into `{ problem }`. */
function parseOptions(args) {
  let values;
  try {
    const options = { once: { type: 'boolean' }, seconds: { type: 'string' }, help: { type: 'boolean' } };
    ({ values } = parseArgs({ args, options }));
  } catch (error) {
    return { problem: error.message };
  }
  const { once = false, help = false, seconds = String(ONCE_SECONDS) } = values;
  if (values.seconds !== undefined && !once) return { problem: '--seconds needs --once' };
  if (!(Number(seconds) >= 5 && Number(seconds) <= 600)) return { problem: `--seconds ${seconds}: expected 5 to 600` };
  return { once, help, seconds: Number(seconds) };
}

/** Runs the shop until `--once` is over, a service dies or `interruption` is aborted; rejects in the second case. */
async function run(options, interruption) {
  await prepare(say, interruption);
  if (interruption.aborted) return;
  const interrupted = once(interruption, 'abort');
  say('starting gateway, orders and pricing under node --require sonde/register');
  const services = await startServices();
  const watchdog = startWatchdog(services);
  process.once('exit', () => killServices(services));
  try {
    await Promise.race([observe(services, options), firstDeath(services), interrupted]);
  } finally {
    await stopServices(services);
    watchdog.kill();
  }
}

/** Puts load on the services and reports what their Sondes see: for ever, or once at the end of `options.seconds`. */
async function observe(services, options) {
  // Imports packages, which have just been installed where they were missing.
  const { Observer } = await import('./observer.mjs');
  await waitUntilReady(services);
  for (const line of whereToLook(services, options)) say(line);
  const observer = new Observer(services);
  await observer.begin();
  const load = startLoad(services[0].url);
  for (let seconds = 0; ;) {
    const pauseSeconds = options.once ? Math.min(REPORT_INTERVAL_SECONDS, options.seconds - seconds) : REPORT_INTERVAL_SECONDS;
    await sleep(pauseSeconds * 1000);
    seconds += pauseSeconds;
    if (options.once && seconds < options.seconds) {
      await observer.look();
      say(`  ${seconds} s of ${options.seconds} s`);
      continue;
    }
    const lines = reportLines(await observer.observe({ sinceBegin: options.once }), load.counts);
    if (options.once) {
      load.stop();
      for (const line of [`what Sonde saw in ${seconds} s`, '', ...lines]) say(line);
      return;
    }
    if (process.stdout.isTTY) process.stdout.write(CLEAR);
    for (const line of [`what Sonde sees, ${seconds} s after the start; Ctrl-C ends the shop`, '', ...lines, '']) say(line);
  }
}

function whereToLook(services, { once }) {
  const paths = ['/metrics', '/debug/traces', '/debug/leaks', '/debug/pprof/'];
  return [
    'where to look:',
    ...services.map(({ name, url, sondeUrl }) => `  ${name.padEnd(8)} ${url}  Sonde at ${sondeUrl}`),
    `  there: ${paths.join('  ')}`,
    `  go tool pprof ${services[0].sondeUrl}/debug/pprof/profile?last=30`,
    ...(once ? [] : [`the route that leaks, POST /login, gets load for the first ${LOGIN_SECONDS} s only, to spare the gateway's memory`]),
    '',
  ];
}

async function main() {
  const options = parseOptions(process.argv.slice(2));
  if (options.problem !== undefined) {
    console.error(`${options.problem}\n\n${HELP}`);
    return 2;
  }
  if (options.help) {
    say(HELP);
    return 0;
  }
  // Whoever read our output has gone (npm start | head): nobody is left to run for.
  process.stdout.once('error', () => process.exit(1));
  const interruption = new AbortController();
  let interruptedCode = 0;
  for (const [signal, number] of Object.entries(SIGNALS)) {
    process.on(signal, () => {
      // The second one does not wait for the services to end by themselves.
      if (interruption.signal.aborted) process.exit(128 + number);
      // To be interrupted is how the endless run ends, and is no failure of it.
      interruptedCode = options.once ? 128 + number : 0;
      say('ending the services');
      interruption.abort();
    });
  }
  try {
    await run(options, interruption.signal);
    return interruptedCode;
  } catch (error) {
    if (interruption.signal.aborted) return interruptedCode;
    console.error(`npm start: ${error.message}`);
    return 1;
  }
}

// Not only the exit code: a pause or a connection of the load may still be open.
process.exit(await main());
