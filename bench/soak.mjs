// `npm run bench:soak`: ten thousand windows of the profiler under pressure, on each Node, without a crash and without
// memory that grows. Begin here: the options, then on each Node the program (soak/program.ts) with profiling and without, then
// what must hold. A short form of it is run by test/integration/soak.test.ts.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { MAJORS } from '../test/helpers/nodes.mjs';
import { bundle } from './bundle.mjs';
import { parseOptions, resolveNode, unique } from './plan.mjs';
import { writeRecord } from './record.mjs';

const MEBIBYTE = 1_048_576;

/** What the profiled process may gain more than the other, from its start on and in its second half. */
const GROWTH_BYTES_MAX = 32 * MEBIBYTE;

const OPTIONS = {
  node: { type: 'string', multiple: true, default: MAJORS.map(String) },
  turns: { type: 'string', default: '10000' },
  help: { type: 'boolean', default: false },
};

const HELP = `npm run bench:soak -- [options]

  --node <which>   ${MAJORS.join(', ')}, or the path of a node binary; default all
  --turns <count>  each cuts one window or more; default 10000, some four minutes on each Node
  --help`;

/** Answers the file of the program. */
export function bundleProgram() {
  return bundle(path.join(import.meta.dirname, 'soak/program.ts'), 'soak', { external: ['@datadog/pprof'] });
}

/** Runs the program to its end; answers its report (see `SoakReport`). Throws with how it ended when it did not end well. */
export function soak({ binary, file, turns, isProfiled }) {
  return new Promise((resolve, reject) => {
    const child = spawn(binary, [file, JSON.stringify({ turns, isProfiled })], { stdio: ['ignore', 'inherit', 'pipe', 'ipc'] });
    let report;
    let stderr = '';
    child.stderr.on('data', (text) => (stderr += text));
    child.on('message', (message) => (report = message));
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (code === 0 && report !== undefined) resolve(report);
      else reject(new Error(`ended with ${signal ?? `code ${code}`}: ${stderr}`));
    });
  });
}

/** What can be said of the memory of one run. */
export function memoryFigures({ rssBytes }) {
  const part = (from, to) => rssBytes.slice(Math.floor(rssBytes.length * from), Math.ceil(rssBytes.length * to));
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const half = part(0.5, 1);
  const endBytes = mean(part(0.9, 1));
  return {
    /** The profilers run already. */
    startBytes: rssBytes[0],
    middleBytes: mean(part(0.45, 0.55)),
    endBytes,
    gainedBytes: endBytes - rssBytes[0],
    /** By the line through the second half, from its begin to its end. */
    growthBytes: slope(half) * half.length,
  };
}

/** Of the straight line through values at equal distances, by least squares. */
function slope(values) {
  const middle = (values.length - 1) / 2;
  const average = values.reduce((sum, value) => sum + value, 0) / values.length;
  let [above, below] = [0, 0];
  for (const [at, value] of values.entries()) {
    above += (at - middle) * (value - average);
    below += (at - middle) ** 2;
  }
  return above / below;
}

/** What is wrong with a pair of runs; nothing when all is well. */
export function problems(profiled, bare) {
  const found = [...profiled.failures, ...bare.failures];
  const [own, other] = [memoryFigures(profiled), memoryFigures(bare)];
  for (const [when, more] of [
    ['from its start on', own.gainedBytes - other.gainedBytes],
    ['in its second half', own.growthBytes - Math.max(0, other.growthBytes)],
  ]) {
    if (more > GROWTH_BYTES_MAX) found.push(`gained ${mebi(more)} MiB more than without ${when}`);
  }
  if (profiled.rotations < profiled.turns) found.push(`${profiled.rotations} rotations in ${profiled.turns} turns`);
  return found;
}

function mebi(bytes) {
  return (bytes / MEBIBYTE).toFixed(1);
}

function describe(name, report) {
  const { startBytes, middleBytes, endBytes, growthBytes } = memoryFigures(report);
  const { rotations, seconds, lives, workers, reads, rateChanges, cpuRestarts, heapRestarts, rotationMillis } = report;
  const did =
    rotations === 0
      ? ''
      : `, ${rotations} rotations of ${(rotationMillis / rotations).toFixed(2)} ms, ${reads} reads, ${rateChanges} changes of the rate, restarts ${cpuRestarts} cpu ${heapRestarts} heap`;
  const rss = `rss MiB start ${mebi(startBytes)}, middle ${mebi(middleBytes)}, end ${mebi(endBytes)}, second half ${mebi(growthBytes)}`;
  return `  ${name}: ${seconds.toFixed(0)} s, ${lives} lives, ${workers} workers${did}\n    ${rss}`;
}

async function main() {
  const { values } = parseOptions(process.argv.slice(2), OPTIONS);
  if (values.help) return console.log(HELP);
  const turns = Number(values.turns);
  if (!Number.isInteger(turns) || turns < 100) throw new Error(`--turns ${values.turns}: not a whole number from 100 on`);
  const nodes = unique(values.node).map(resolveNode);
  const file = await bundleProgram();
  const results = [];
  for (const node of nodes) {
    const bare = await soak({ ...node, file, turns, isProfiled: false });
    const profiled = await soak({ ...node, file, turns, isProfiled: true });
    const found = problems(profiled, bare);
    results.push({ node: node.version, bare, profiled, problems: found });
    console.log(`Node ${node.version}\n${describe('without', bare)}\n${describe('profiled', profiled)}`);
    for (const problem of found) console.log(`  PROBLEM: ${problem}`);
    if (found.length > 0) process.exitCode = 1;
  }
  console.log(`everything measured is in ${writeRecord(results, 'soak-')}`);
}

if (process.argv[1] === import.meta.filename) {
  try {
    await main();
  } catch (error) {
    console.error(`npm run bench:soak: ${error.message}`);
    process.exitCode = 1;
  }
}
