// The packages of others that Sonde is measured against, each in a folder with a package.json and a lock file of its
// own, so that none of them is a dependency of Sonde. Installed on first use, without install scripts.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { runWithProgress } from '../examples/shop/setup.mjs';

export function peerDirectory(peer) {
  return path.join(import.meta.dirname, 'peers', peer);
}

/** Installs what is missing of that peer; `say` gets one line of progress at a time. Throws with npm's output. */
export async function ensurePeer(peer, say) {
  const directory = peerDirectory(peer);
  if (isInstalled(directory)) return;
  const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  await runWithProgress({ say, what: `installing ${peer} into bench/peers`, command: ['npm', 'ci', '--prefix', directory, ...options] });
}

/** Names and versions, as the peer's package.json pins them. */
export function peerVersions(peer) {
  return JSON.parse(readFileSync(path.join(peerDirectory(peer), 'package.json'), 'utf8')).dependencies;
}

/** npm writes its record of an installation last. */
function isInstalled(directory) {
  const record = path.join(directory, 'node_modules/.package-lock.json');
  if (!existsSync(record)) return false;
  const { packages } = JSON.parse(readFileSync(record, 'utf8'));
  const { dependencies } = JSON.parse(readFileSync(path.join(directory, 'package.json'), 'utf8'));
  return Object.entries(dependencies).every(([name, version]) => packages[`node_modules/${name}`]?.version === version);
}
