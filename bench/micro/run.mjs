// `npm run bench:micro`: what each function of the data plane costs, beside the least code that has the same effect.
// Begin here: the options, then rounds over the Nodes, each round a fresh process for each Node that times every operation
// (main.ts), then the tables (table.mjs), the record in bench/results and, with --save, docs/overhead-micro.md.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { bundle } from '../bundle.mjs';
import { Child } from '../child.mjs';
import { pinned, SERVER_CORE } from '../cores.mjs';
import { describeMachine, describeSubject } from '../machine.mjs';
import { writeRecord } from '../record.mjs';
import { parseOptions, resolveNode, unique } from '../plan.mjs';
import { pageMarkdown, summary, tableText } from './table.mjs';

const ROOT = path.join(import.meta.dirname, '../..');
const PAGE = path.join(ROOT, 'docs/overhead-micro.md');
const MAJORS = ['20', '24', '26'];
const ROUNDS = 5;

/** Of one operation on one Node in one round, measured on a two-core machine. */
const OPERATION_SECONDS = 0.3;

/**
 * As large as a service's young generation becomes under load. V8 begins with less, and would then collect within most
 * batches, where allocation cannot be read.
 */
const NODE_FLAGS = ['--min-semi-space-size=16', '--max-semi-space-size=16'];

const OPTIONS = {
  node: { type: 'string', multiple: true, default: MAJORS },
  filter: { type: 'string', default: '' },
  save: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
};

const HELP = `npm run bench:micro -- [options]

  --node <which>   20, 22, 24, 26, or the path of a node binary; default ${MAJORS.join(',')}
                   (several: separated by commas or by repeating the option)
  --filter <text>  only operations whose name contains the text
  --save           write docs/overhead-micro.md; needs all operations and the default Nodes
  --help`;

function say(line) {
  console.log(line);
}

async function main() {
  const plan = parsePlan(process.argv.slice(2));
  if (plan.help) {
    say(HELP);
    return;
  }
  const results = await measureAll(plan, await bundleMain());
  for (const { node, rows } of results) say(`\nNode ${node.version}\n${tableText(rows)}`);
  say(`\neverything measured is in ${writeRecord(results, 'micro-')}`);
  if (!plan.save) return;
  const { sonde, commit } = describeSubject();
  const date = new Date().toISOString().slice(0, 10);
  writeFileSync(PAGE, pageMarkdown({ results, machine: describeMachine(), rounds: ROUNDS, date, sonde, commit }));
  execFileSync(path.join(ROOT, 'node_modules/.bin/oxfmt'), [PAGE]);
  say(`saved: ${path.relative(process.cwd(), PAGE)}`);
}

/** Throws when an argument is wrong. */
function parsePlan(args) {
  const { values } = parseOptions(args, OPTIONS);
  if (values.help) return { help: true };
  const which = unique(values.node);
  if (which.length === 0) throw new Error(`--node: none given. Accepted: ${MAJORS.join(', ')}, 22, or the path of a node binary`);
  if (values.save && (values.filter !== '' || which.join() !== MAJORS.join())) {
    throw new Error('--save writes the page whole: leave out --node and --filter');
  }
  return { nodes: which.map(resolveNode), filter: values.filter.toLowerCase(), save: values.save };
}

/** The path of one file of src and the operations, made as dist is, for this process. */
function bundleMain() {
  return bundle(path.join(import.meta.dirname, 'main.ts'), 'bench', {
    treeshake: true,
    minifySyntax: true,
    // mitata is published as ES modules only; what it asks of other runtimes stays outside, and so do the peers.
    noExternal: ['mitata'],
    external: [/^bun:/, '@mitata/counters', 'pino', 'prom-client', /^@opentelemetry\//],
  });
}

/** One result for each Node: its rows, and each round's figures. */
async function measureAll({ nodes, filter }, file) {
  const rounds = new Map(nodes.map((node) => [node, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const node of nodes) {
      const child = await Child.start({ core: SERVER_CORE, command: [node.binary, ...NODE_FLAGS, file] });
      try {
        const names = child.first.names.filter((name) => name.toLowerCase().includes(filter));
        if (names.length === 0) throw new Error(`--filter ${filter}: no operation has it. There are: ${child.first.names.join('; ')}`);
        if (round === 0 && node === nodes[0]) announce({ names, nodes });
        rounds.get(node).push(await measureRound(child, names, round));
        say(`round ${round + 1}/${ROUNDS}, Node ${node.version}`);
      } finally {
        child.kill();
      }
    }
  }
  return nodes.map((node) => ({ node, rows: summary(rounds.get(node)), rounds: rounds.get(node) }));
}

function announce({ names, nodes }) {
  const seconds = Math.ceil(names.length * nodes.length * ROUNDS * OPERATION_SECONDS);
  const where =
    pinned(SERVER_CORE, ['node']).length > 1 ? `on core ${SERVER_CORE}` : 'not pinned (no taskset), so read the figures with care';
  say(
    `${names.length} operations, ${ROUNDS} rounds on Node ${nodes.map(({ version }) => version).join(', ')}, ${where}: about ${seconds} s`,
  );
}

/** Figures by operation. Each round begins with another one, for what ran before leaves its traces in V8. */
async function measureRound(child, names, round) {
  const first = Math.floor((round * names.length) / ROUNDS);
  const measured = new Map();
  for (const name of [...names.slice(first), ...names.slice(0, first)]) {
    const { figures, error } = await child.ask(name);
    if (error !== undefined) throw new Error(`${name}: ${error}`);
    measured.set(name, figures);
  }
  return Object.fromEntries(names.map((name) => [name, measured.get(name)]));
}

try {
  await main();
} catch (error) {
  console.error(`npm run bench:micro: ${error.message}`);
  process.exitCode = 1;
}
