// The programs of others that contract tests check our output with. Finds them, and on Debian as root installs those
// that are missing. Called by test/run.mjs, where a test asks require-peer.ts whether it can run, and by bench/ for its load.
import { execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { runWithProgress } from '../../examples/shop/setup.mjs';

/** Each with a command that succeeds only where it is there, and the Debian package that brings it. */
const TEST_PEERS = [
  { name: 'promtool', probe: ['promtool', '--version'], debianPackage: 'prometheus' },
  { name: 'prometheus', probe: ['prometheus', '--version'], debianPackage: 'prometheus' },
  { name: 'go', probe: ['go', 'tool', '-n', 'pprof'], debianPackage: 'golang-go' },
  {
    name: 'python3-prometheus-client',
    // Debian's interpreter by its path: another python3 in front of it does not see Debian's modules.
    probe: ['/usr/bin/python3', '-c', 'import prometheus_client.openmetrics.parser'],
    debianPackage: 'python3-prometheus-client',
  },
  // Draws the graph of `go tool pprof -http`.
  { name: 'graphviz', probe: ['dot', '-V'], debianPackage: 'graphviz' },
  { name: 'chromium', probe: ['/usr/bin/chromium', '--version'], debianPackage: 'chromium' },
];

/** Makes the load of the benchmarks. */
export const WRK = { name: 'wrk', probe: ['which', 'wrk'], debianPackage: 'wrk' };

/** Installs what is missing where that is possible; answers the peers that are still missing. */
export async function ensurePeers(say, peers = TEST_PEERS) {
  const missing = peers.filter((peer) => !isThere(peer));
  if (missing.length === 0 || !canInstall()) return missing;
  const packages = [...new Set(missing.map(({ debianPackage }) => debianPackage))];
  try {
    await runWithProgress({ say, what: 'reading the package lists', command: ['apt-get', 'update', '--quiet'] });
    const command = [
      'env',
      'DEBIAN_FRONTEND=noninteractive',
      'apt-get',
      'install',
      '--yes',
      '--quiet',
      '--no-install-recommends',
      ...packages,
    ];
    await runWithProgress({ say, what: 'installing peers', command });
  } catch (error) {
    say(error.message);
  }
  return missing.filter((peer) => !isThere(peer));
}

function isThere({ probe: [file, ...args] }) {
  try {
    execFileSync(file, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Whether we are root where there is apt-get. */
function canInstall() {
  try {
    accessSync('/usr/bin/apt-get', constants.X_OK);
  } catch {
    return false;
  }
  return process.getuid?.() === 0;
}
