// The command line of `npm run bench`: what is to be measured. Every value that is not understood is an Error that
// names those that are.
import { execFileSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { MAJORS, nodeBinary } from '../test/helpers/nodes.mjs';
import { APPLICATIONS } from './applications.mjs';
import { ROWS } from './rows.mjs';

const QUICK = { applications: ['http'], rounds: 3, seconds: 3 };
const FULL = { applications: APPLICATIONS.map(({ name }) => name), rounds: 5, seconds: 3 };

const OPTIONS = {
  full: { type: 'boolean', default: false },
  node: { type: 'string', multiple: true, default: ['24'] },
  app: { type: 'string', multiple: true, default: [] },
  row: { type: 'string', multiple: true, default: [] },
  rounds: { type: 'string' },
  seconds: { type: 'string' },
  save: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
};

export const HELP = `npm run bench -- [options]

  --full             all applications, ${FULL.rounds} rounds of ${FULL.seconds} s (otherwise ${QUICK.applications.join(' and ')}, ${QUICK.rounds} rounds)
  --node <which>     ${MAJORS.join(', ')}, or the path of a node binary; default 24
  --app <names>      ${APPLICATIONS.map(({ name }) => name).join(', ')}
  --row <names>      ${ROWS.map(({ name }) => name).join(', ')}; bare always runs
  --rounds <count>   1 to 100
  --seconds <count>  slices of one second in each run, 1 to 60
  --save             write bench/baseline.json, docs/overhead.md and docs/overhead.svg; needs all rows
  --help

--node, --app and --row take several values, separated by commas or by repeating the option.`;

/** Answers `{ help: true }` or what is to be measured; installs the Nodes asked for. Throws when an argument is wrong. */
export function parsePlan(args) {
  const { values } = parseOptions(args, OPTIONS);
  if (values.help) return { help: true };
  const defaults = values.full ? FULL : QUICK;
  const rowNames = chosen('--row', values.row, ROWS);
  if (values.save && rowNames.length > 0) throw new Error('--save needs all rows, for the tables are written whole: leave out --row');
  const appNames = chosen('--app', values.app, APPLICATIONS);
  return {
    nodes: unique(values.node).map(resolveNode),
    applications: APPLICATIONS.filter(({ name }) => (appNames.length > 0 ? appNames : defaults.applications).includes(name)),
    rows: ROWS.filter(({ name }) => rowNames.length === 0 || name === 'bare' || rowNames.includes(name)),
    rounds: wholeNumber('--rounds', values.rounds ?? defaults.rounds, 100),
    seconds: wholeNumber('--seconds', values.seconds ?? defaults.seconds, 60),
    save: values.save,
  };
}

/** `parseArgs`, whose error names the accepted options. */
export function parseOptions(args, options) {
  try {
    return parseArgs({ args, options });
  } catch (error) {
    const accepted = Object.keys(options).map((name) => `--${name}`);
    throw new Error(`${error.message.split('. ')[0]}. Accepted: ${accepted.join(', ')}`, { cause: error });
  }
}

export function chosen(option, values, known) {
  const names = unique(values);
  for (const name of names) {
    if (known.some((one) => one.name === name)) continue;
    throw new Error(`${option} ${name}: unknown. Accepted: ${known.map((one) => one.name).join(', ')}`);
  }
  return names;
}

/** What an option that takes several values was given, separated or repeated. */
export function unique(values) {
  return [...new Set(values.flatMap((value) => value.split(',')).filter((value) => value !== ''))];
}

/** Answers `{ binary, version, major }`. */
export function resolveNode(value) {
  const major = Number(value);
  if (Number.isInteger(major) && !MAJORS.includes(major)) throw new Error(`--node ${value}: unknown. ${ACCEPTED_NODES}`);
  const binary = Number.isInteger(major) ? nodeBinary(major) : value;
  let version;
  try {
    version = execFileSync(binary, ['--print', 'process.versions.node'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch (error) {
    throw new Error(`--node ${value}: not a node that runs. ${ACCEPTED_NODES}`, { cause: error });
  }
  return { binary, version, major: Number.parseInt(version, 10) };
}

const ACCEPTED_NODES = `Accepted: ${MAJORS.join(', ')}, or the path of a node binary`;

export function wholeNumber(option, value, max, min = 1) {
  const number = Number(value);
  if (!Number.isInteger(number) || number < min || number > max)
    throw new Error(`${option} ${value}: not a whole number from ${min} to ${max}`);
  return number;
}
