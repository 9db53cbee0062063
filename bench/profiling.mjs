// `npm run bench:profiling`: what continuous profiling adds to a request, or the watch for leaks with the samples of the heap that it
// reads. It is less than two processes of the same program differ by, so it is switched on and off in one process under load, every
// three seconds. Each state's figure is the lower quartile of its slices, as in a run of `npm run bench`, and its error what it
// varies by when the turns are drawn anew.
import path from 'node:path';
import { APPLICATIONS } from './applications.mjs';
import { bundle } from './bundle.mjs';
import { Peers } from './campaign.mjs';
import { Child } from './child.mjs';
import { pinDriver, SERVER_CORE } from './cores.mjs';
import { ensureWrk, Load } from './load.mjs';
import { measureSlice, warmUp } from './measure.mjs';
import { chosen, parseOptions, resolveNode, unique, wholeNumber } from './plan.mjs';
import { writeRecord } from './record.mjs';
import { microsPerRequest } from './statistics.mjs';

const PARTS = [
  { name: 'all', cpu: true, heap: true, leaks: false },
  { name: 'cpu', cpu: true, heap: false, leaks: false },
  { name: 'heap', cpu: false, heap: true, leaks: false },
  { name: 'leaks', cpu: false, heap: true, leaks: true },
];

const OPTIONS = {
  node: { type: 'string', multiple: true, default: ['20', '24', '26'] },
  app: { type: 'string', multiple: true, default: ['http', 'realistic'] },
  part: { type: 'string', multiple: true, default: ['all'] },
  hz: { type: 'string', default: '49' },
  'heap-bytes': { type: 'string', default: '1048576' },
  turns: { type: 'string', default: '25' },
  help: { type: 'boolean', default: false },
};

const HELP = `npm run bench:profiling -- [options]

  --node <which>    default ${OPTIONS.node.default.join(', ')}
  --app <names>     ${APPLICATIONS.map(({ name }) => name).join(', ')}; default ${OPTIONS.app.default.join(', ')}
  --part <names>    ${PARTS.map(({ name }) => name).join(', ')}; default ${OPTIONS.part.default.join(', ')}
  --hz <count>      CPU samples a second, 10 to 500; default ${OPTIONS.hz.default}. Ten times as many make the cost of one stand out
  --heap-bytes <n>  between two samples of the heap, 16384 to 67108864; default ${OPTIONS['heap-bytes'].default}
  --turns <count>   of three seconds with and three without, 2 to 1000; default ${OPTIONS.turns.default}
  --help`;

/** From a switch to the first slice: beginning to sample is no cost of a request. */
const SETTLE_MILLIS = 300;

/** Short ones, of which a quarter is spared by what else the machine does. */
const SLICES = 9;
const SLICE_MILLIS = 300;

const DRAWS = 500;

/** Answers the slices of each turn: `[{ profiled: [...], bare: [...] }]`. */
async function measure({ node, application, part, rates, turns, peers, file }) {
  const route = application.name === 'http' ? '' : application.path;
  const plan = { file: path.join(import.meta.dirname, 'apps', application.file), route, ...rates, ...part };
  const server = await Child.start({
    core: SERVER_CORE,
    command: [node.binary, file, JSON.stringify(plan)],
    env: { BENCH_BACKEND_URL: peers.backendUrl, BENCH_LOG_FILE: '/dev/null' },
  });
  const load = new Load(`http://127.0.0.1:${server.first.port}${application.path}`, application);
  try {
    await warmUp(server);
    const measured = [];
    for (let turn = 0; turn < turns; turn++) {
      measured.push({ profiled: await measureAs('profile', server), bare: await measureAs('rest', server) });
    }
    await load.stop();
    if (server.stderr !== '') throw new Error(`the program has complained: ${server.stderr}`);
    return measured;
  } finally {
    load.kill();
    server.kill();
  }
}

async function measureAs(state, server) {
  await server.ask(state);
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MILLIS));
  const slices = [];
  for (let slice = 0; slice < SLICES; slice++) slices.push(await measureSlice(server, SLICE_MILLIS));
  return slices;
}

/** In microseconds a request: what is added, its standard error, and what it is added to. */
function figuresOf(turns) {
  const micros = (drawn, state) => microsPerRequest(drawn.flatMap((turn) => turn[state]));
  const added = (drawn) => micros(drawn, 'profiled') - micros(drawn, 'bare');
  const draws = Array.from({ length: DRAWS }, () => added(turns.map(() => turns[Math.floor(Math.random() * turns.length)])));
  const mean = draws.reduce((sum, draw) => sum + draw, 0) / DRAWS;
  const error = Math.sqrt(draws.reduce((sum, draw) => sum + (draw - mean) ** 2, 0) / DRAWS);
  return { added: added(turns), error, bare: micros(turns, 'bare') };
}

function describe({ added, error, bare }) {
  const share = (micros) => ((100 * micros) / bare).toFixed(1);
  return `adds ${added.toFixed(2)} us +- ${error.toFixed(2)} to ${bare.toFixed(1)}: ${share(added)} % +- ${share(error)}`;
}

async function main() {
  const { values } = parseOptions(process.argv.slice(2), OPTIONS);
  if (values.help) return console.log(HELP);
  const nodes = unique(values.node).map(resolveNode);
  const names = chosen('--app', values.app, APPLICATIONS);
  const partNames = chosen('--part', values.part, PARTS);
  const turns = wholeNumber('--turns', values.turns, 1000, 2);
  const rates = {
    hz: wholeNumber('--hz', values.hz, 500, 10),
    heapIntervalBytes: wholeNumber('--heap-bytes', values['heap-bytes'], 67_108_864, 16_384),
  };
  const applications = APPLICATIONS.filter(({ name }) => names.includes(name));
  const parts = PARTS.filter(({ name }) => partNames.includes(name));
  await ensureWrk(console.log);
  const runs = nodes.length * applications.length * parts.length;
  const seconds = runs * (5 + (turns * 2 * (SETTLE_MILLIS + SLICES * SLICE_MILLIS)) / 1000);
  console.log(`${runs} runs of ${turns} turns: about ${Math.ceil(seconds / 60)} minutes`);
  console.log(pinDriver());
  const file = await bundle(path.join(import.meta.dirname, 'profiling/program.ts'), 'profiling', { external: ['@datadog/pprof'] });
  const peers = await Peers.start();
  const results = [];
  try {
    for (const node of nodes) {
      for (const application of applications) {
        for (const part of parts) {
          const measured = await measure({ node, application, part, rates, turns, peers, file });
          const figures = figuresOf(measured);
          console.log(`${application.title}, Node ${node.version}, ${part.name}: ${describe(figures)}`);
          results.push({ node: node.version, application: application.name, part: part.name, ...rates, ...figures, turns: measured });
        }
      }
    }
  } finally {
    peers.stop();
  }
  console.log(`everything measured is in ${writeRecord(results, 'profiling-')}`);
}

try {
  await main();
} catch (error) {
  console.error(`npm run bench:profiling: ${error.message}`);
  process.exitCode = 1;
}
