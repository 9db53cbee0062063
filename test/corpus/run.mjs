// `npm run corpus`: programs that leak and programs that only look like it, each in a process of its own under Sonde with
// real requests; when and how truly the leak detector speaks. Exit code 1 when a figure is missed.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { nodeBinary } from '../helpers/nodes.mjs';
import { endAll } from './child.mjs';
import { document } from './document.mjs';
import { inParallel } from './in-parallel.mjs';
import { allPrograms } from './programs.mjs';
import { markdown, missed, progressLine } from './report.mjs';
import { verify } from './verify.mjs';
import { SPEEDS, watch } from './watch.mjs';

const ROOT = path.resolve(import.meta.dirname, '../..');

const OPTIONS = {
  node: { type: 'string', default: '20' },
  speed: { type: 'string', default: 'fast' },
  only: { type: 'string' },
  parallel: { type: 'string', default: '3' },
  limit: { type: 'string' },
  env: { type: 'string', multiple: true, default: [] },
  json: { type: 'string' },
  markdown: { type: 'string' },
  document: { type: 'string' },
  verify: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
};

const HELP = `npm run corpus -- [options]

  --node <majors>      default ${OPTIONS.node.default}; 20,24,26 for all that the figures are promised for
  --speed <names>      ${Object.keys(SPEEDS).join(', ')}; default ${OPTIONS.speed.default}
  --only <names>       programs of test/corpus/programs, or leaking, or harmless; default all
  --parallel <count>   processes at once; default ${OPTIONS.parallel.default}
  --limit <megabytes>  of the old generation; default ${Object.entries(SPEEDS)
    .map(([name, { limitMegabytes }]) => `${limitMegabytes} (${name})`)
    .join(', ')}
  --env <NAME=value>   of the processes, over what a speed sets; may be repeated
  --json <file>        where the results go
  --markdown <file>    where the tables go; default standard output
  --document <files>   runs nothing: makes docs/leak-corpus.md from files written by --json
  --verify             without Sonde: whether each program keeps what it is asked to, and no more
  --help`;

function parseOptions() {
  const { values } = parseArgs({ options: OPTIONS });
  const programs = allPrograms();
  const wanted = values.only?.split(',');
  const isWanted = ({ name, leaks }) =>
    wanted === undefined || wanted.includes(name) || wanted.includes(leaks === false ? 'harmless' : 'leaking');
  const unknown = wanted?.find((name) => !['leaking', 'harmless'].includes(name) && !programs.some((program) => program.name === name));
  if (unknown !== undefined) throw new Error(`no such program: ${unknown}`);
  const speeds = values.speed.split(',');
  for (const speed of speeds) if (!Object.hasOwn(SPEEDS, speed)) throw new Error(`no such speed: ${speed}`);
  const parallel = Number(values.parallel);
  if (!Number.isInteger(parallel) || parallel < 1) throw new Error('--parallel is a whole number from 1');
  const limitMegabytes = values.limit === undefined ? undefined : Number(values.limit);
  if (limitMegabytes !== undefined && !(limitMegabytes >= 32)) throw new Error('--limit is a number of megabytes from 32');
  const env = Object.fromEntries(values.env.map((text) => [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)]));
  return { ...values, env, all: programs, programs: programs.filter((program) => isWanted(program)), speeds, parallel, limitMegabytes };
}

function runsOf({ node, speeds, programs, limitMegabytes, env }) {
  const nodes = node.split(',').map((major) => ({ major: Number(major), binary: nodeBinary(Number(major)) }));
  return nodes.flatMap((one) => speeds.flatMap((speed) => programs.map((program) => ({ program, node: one, speed, limitMegabytes, env }))));
}

async function runVerify(options) {
  const verdicts = await inParallel(runsOf(options), options.parallel, async (run) => {
    const verdict = await verify(run);
    console.log(`${verdict.ok ? 'ok  ' : 'MISS'} ${run.program.name} (Node ${run.node.major}, ${run.speed}): ${verdict.text}`);
    return verdict;
  });
  const bad = verdicts.filter(({ ok }) => !ok).length;
  console.log(`${verdicts.length - bad} of ${verdicts.length} as asked`);
  return bad === 0 ? 0 : 1;
}

async function runCorpus(options) {
  const runs = runsOf(options);
  let done = 0;
  const results = await inParallel(runs, options.parallel, async (run) => {
    const result = await watch(run);
    console.error(`${++done}/${runs.length} ${progressLine(result, run.program)}`);
    return result;
  });
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(results, null, 1)}\n`);
  const text = markdown(results, options.all);
  if (options.markdown === undefined) console.log(text);
  else writeFileSync(options.markdown, text);
  const misses = missed(results, options.all);
  for (const miss of misses) console.error(`missed: ${miss}`);
  return misses.length === 0 ? 0 : 1;
}

function writeDocument({ document: files, all }) {
  const results = files.split(',').flatMap((file) => JSON.parse(readFileSync(file, 'utf8')));
  const file = path.join(ROOT, 'docs/leak-corpus.md');
  writeFileSync(file, document(results, all));
  return spawnSync(path.join(ROOT, 'node_modules/.bin/oxfmt'), [file], { stdio: 'inherit' }).status;
}

async function main() {
  const options = parseOptions();
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  if (options.document !== undefined) return writeDocument(options);
  return await (options.verify ? runVerify(options) : runCorpus(options));
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => {
    endAll();
    process.exit(1);
  });
}
// Connections to children that have ended do not keep us.
process.exit(
  await main().catch((error) => {
    console.error(`npm run corpus: ${error.message}`);
    return 1;
  }),
);
