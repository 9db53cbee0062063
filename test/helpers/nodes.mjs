// The Nodes that Sonde promises to run on, as real binaries: the one running, and the others from the packages in
// which npm distributes Node itself, installed once into .cache (no install script, nothing global). For tests and for
// bench/; plain JavaScript because Node 20 runs both.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';

const ROOT = path.resolve(import.meta.dirname, '../..');

/** Major versions that a contract covers. */
export const MAJORS = [20, 22, 24, 26];

/** Path of a node binary of that major version; installs it when it is not there. Throws with npm's output. */
export function nodeBinary(major) {
  if (process.versions.node.startsWith(`${major}.`)) return process.execPath;
  const directory = path.join(ROOT, '.cache/nodes', String(major));
  const name = `node-${process.platform}-${process.arch}`;
  const binary = path.join(directory, 'node_modules', name, 'bin/node');
  if (existsSync(binary)) return binary;
  mkdirSync(directory, { recursive: true });
  const npm = spawnSync(
    'npm',
    ['install', '--prefix', directory, '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', `${name}@${major}`],
    {
      cwd: directory,
      encoding: 'utf8',
    },
  );
  if (!existsSync(binary)) throw new Error(`Node ${major} could not be installed: ${npm.stderr || npm.stdout}`);
  return binary;
}
