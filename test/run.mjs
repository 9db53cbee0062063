// `npm test`: sets the checkout up, sees to the real peers that contract tests need, runs vitest, and ends with one
// plain line `N passed, N failed, N skipped`. Arguments go to vitest. With CI set a missing peer is a failure.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { prepare, ROOT } from '../examples/shop/setup.mjs';
import { ensurePeers } from './helpers/peers.mjs';

/** Measured with nothing beside it, after the others. */
const APART = 'test/contract/cpu-prof.test.ts';

let interrupted = false;
let vitestChild;

function say(line) {
  console.log(line);
}

/** Runs vitest; answers its exit code and the counts, none where it did not get far enough to write a report. */
async function runVitest(args, missing) {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'sonde-test-'));
  const reportFile = path.join(directory, 'report.json');
  try {
    const vitest = path.join(ROOT, 'node_modules/vitest/vitest.mjs');
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${reportFile}`];
    vitestChild = spawn(process.execPath, [vitest, 'run', ...reporters, ...args], {
      cwd: ROOT,
      env: { ...process.env, SONDE_TEST_MISSING_PEERS: missing.map(({ name }) => name).join(',') },
      stdio: 'inherit',
    });
    const code = await new Promise((resolve) => vitestChild.once('close', resolve));
    return { code, counts: readCounts(reportFile) };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function readCounts(reportFile) {
  let report;
  try {
    report = JSON.parse(readFileSync(reportFile, 'utf8'));
  } catch {
    return { passed: 0, failed: 0, skipped: 0 };
  }
  // A file that does not even load has failed, though no test of it has.
  const brokenFiles = report.testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
  );
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + brokenFiles.length,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

async function main() {
  await prepare(say);
  const missing = await ensurePeers(say);
  for (const { name, debianPackage } of missing) {
    say(`MISSING: ${name}. Tests that need it cannot run. On Debian: apt-get install ${debianPackage}`);
  }
  if (missing.length > 0 && process.env.CI) throw new Error('with CI set every peer must be there');
  const args = process.argv.slice(2);
  const runs = args.length > 0 ? [args] : [['--exclude', APART], [APART]];
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const run of runs) {
    if (interrupted) break;
    const { code, counts } = await runVitest(run, missing);
    total.passed += counts.passed;
    // An error outside of any test makes vitest fail with no test failed.
    total.failed += code === 0 || counts.failed > 0 ? counts.failed : 1;
    total.skipped += counts.skipped;
  }
  for (const { name } of missing) say(`MISSING: ${name}. Its tests were skipped.`);
  return total;
}

// Ctrl-C reaches vitest too; we stay to say how far it came.
process.on('SIGINT', () => (interrupted = true));
process.on('SIGTERM', () => {
  interrupted = true;
  vitestChild?.kill('SIGTERM');
});

const counts = await main().catch((error) => {
  console.error(`npm test: ${error.message}`);
  return { passed: 0, failed: 1, skipped: 0 };
});
say(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exitCode = counts.failed === 0 ? 0 : 1;
