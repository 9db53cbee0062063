// `npm run bench`: what Sonde adds to a request, beside the same program without it and with what it replaces. Begin
// here: the plan (plan.mjs), one campaign of interleaved rounds for each Node and application (campaign.mjs), then the
// tables, the record in bench/results and, with --save, the baseline and the page docs/overhead.md.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { APPLICATIONS } from './applications.mjs';
import { compare, findEntry, readBaseline, saveEntries } from './baseline.mjs';
import { estimateSeconds, Peers, runCampaign } from './campaign.mjs';
import { pinDriver } from './cores.mjs';
import { writeDocuments } from './documents.mjs';
import { figuresOf } from './figures.mjs';
import { ensureWrk } from './load.mjs';
import { describeMachine, describeSubject } from './machine.mjs';
import { ensurePeer, peerVersions } from './peers.mjs';
import { HELP, parsePlan } from './plan.mjs';
import { writeRecord } from './record.mjs';
import { comparisonText, tableText } from './report.mjs';

function say(line) {
  console.log(line);
}

async function main() {
  const plan = parsePlan(process.argv.slice(2));
  if (plan.help) {
    say(HELP);
    return;
  }
  await ensureWrk(say);
  if (!existsSync(path.join(import.meta.dirname, '../dist/register.js'))) throw new Error('dist is missing: npm run build');
  const minutes = (estimateSeconds(plan) * plan.nodes.length * plan.applications.length) / 60;
  say(
    `${plan.rows.length} rows, ${plan.rounds} x ${plan.seconds} s, ${plan.applications.map(({ name }) => name).join(', ')} on ${plan.nodes.map(({ version }) => `Node ${version}`).join(', ')}: about ${Math.ceil(minutes)} minutes`,
  );
  await installPeers(plan);
  say(pinDriver());

  const results = await measureAll(plan);
  report(results);
  say(`\neverything measured is in ${writeRecord(results)}`);
  const failures = results.flatMap(({ failures }) => failures);
  if (failures.length > 0) throw new Error(`${failures.length} rows failed (FAILED above); nothing is saved`);
  if (plan.save) say(`saved: ${writeDocuments(saveEntries(results.map(baselineEntry))).join(', ')}`);
}

async function installPeers({ rows, nodes }) {
  const wanted = new Set(nodes.flatMap((node) => rows.flatMap(({ peer }) => peer?.(node) ?? [])));
  for (const peer of wanted) await ensurePeer(peer, say);
}

/** One result for each Node and application. */
async function measureAll({ nodes, applications, rows, rounds, seconds }) {
  const peers = await Peers.start();
  const results = [];
  try {
    for (const node of nodes) {
      for (const application of applications) {
        const campaign = await runCampaign({ node, application, rows, rounds, seconds, peers, say });
        const versions = Object.assign({}, ...rows.map(({ peer }) => (peer === undefined ? {} : peerVersions(peer(node)))));
        results.push({ node, application, rounds, seconds, versions, figures: figuresOf(campaign, rows), ...campaign });
      }
    }
  } finally {
    peers.stop();
  }
  return results;
}

function report(results) {
  const baseline = readBaseline();
  for (const { node, application, figures } of results) {
    say(`\n${application.title}, Node ${node.version}\n${tableText(figures)}`);
    const before = findEntry(baseline, { major: node.major, application: application.name });
    say(before === undefined ? 'no baseline for this Node and application' : comparisonText(compare(figures, before.figures)));
  }
}

function baselineEntry({ node, application, rounds, seconds, versions, figures }) {
  return {
    major: node.major,
    application: application.name,
    position: APPLICATIONS.indexOf(application),
    title: application.title,
    nodeVersion: node.version,
    date: new Date().toISOString().slice(0, 10),
    rounds,
    seconds,
    ratePerSecond: application.ratePerSecond,
    machine: describeMachine(),
    versions: { ...describeSubject(), ...versions },
    figures,
  };
}

try {
  await main();
} catch (error) {
  console.error(`npm run bench: ${error.message}`);
  process.exitCode = 1;
}
