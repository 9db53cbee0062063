// `npm run bench:check`: a guard for CI against breakage, not a measurement. Plain http on the Node that runs it, Sonde's
// own rows, nothing to install. Fails when a row's effect is missing, or when its ratio to bare is a regression against
// the baseline of the same Node (baseline.mjs) twice in a row: whatever disturbs a shared machine rarely comes twice.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { APPLICATIONS } from './applications.mjs';
import { compare, findEntry, readBaseline } from './baseline.mjs';
import { estimateSeconds, Peers, runCampaign } from './campaign.mjs';
import { pinDriver } from './cores.mjs';
import { figuresOf } from './figures.mjs';
import { ensureWrk } from './load.mjs';
import { resolveNode } from './plan.mjs';
import { comparisonText } from './report.mjs';
import { ROWS } from './rows.mjs';

const CHECKED_ROWS = ['bare', 'off', 'defaults', 'otlp'];
const ROUNDS = 5;
const SECONDS = 2;

function say(line) {
  console.log(line);
}

async function main() {
  await ensureWrk(say);
  if (!existsSync(path.join(import.meta.dirname, '../dist/register.js'))) throw new Error('dist is missing: npm run build');
  const node = resolveNode(process.execPath);
  const baseline = readBaseline();
  const before = findEntry(baseline, { major: node.major, application: 'http' });
  if (before === undefined) {
    const known = baseline.filter(({ application }) => application === 'http').map(({ major }) => major);
    throw new Error(
      `no baseline for Node ${node.major}, only for ${known.join(', ') || 'none'}: npm run bench -- --app http --node ${node.major} --save`,
    );
  }
  const rows = ROWS.filter(({ name }) => CHECKED_ROWS.includes(name));
  const plan = { rows, rounds: ROUNDS, seconds: SECONDS, isBrief: true };
  say(`${ROUNDS} rounds on Node ${node.version}: about ${Math.ceil(estimateSeconds(plan))} s, twice that when something looks worse`);
  say(pinDriver());

  const suspected = await measureWorse(node, plan, before);
  if (suspected.length === 0) return;
  say('\nmeasuring once more what looks worse');
  const again = rows.filter(({ name }) => name === 'bare' || suspected.includes(name));
  const confirmed = await measureWorse(node, { ...plan, rows: again }, before);
  if (confirmed.length > 0) throw new Error(`worse than the baseline, twice: ${confirmed.join(', ')}`);
  say('not confirmed: it was the machine');
}

/** The names of the rows that are regressions. Throws when a row failed. */
async function measureWorse(node, plan, before) {
  const peers = await Peers.start();
  try {
    const application = APPLICATIONS.find(({ name }) => name === 'http');
    const campaign = await runCampaign({ ...plan, node, application, peers, say });
    if (campaign.failures.length > 0) throw new Error(`failed: ${campaign.failures.map(({ row }) => row).join(', ')}`);
    const compared = compare(figuresOf(campaign, plan.rows), before.figures);
    say(comparisonText(compared));
    return compared.filter(({ isWorse }) => isWorse).map(({ name }) => name);
  } finally {
    peers.stop();
  }
}

try {
  await main();
} catch (error) {
  console.error(`npm run bench:check: ${error.message}`);
  process.exitCode = 1;
}
