// Makes a checkout ready to run: packages installed, dist built. Does only what is missing, says what it does and how
// long it takes. Called by start.mjs and by test/run.mjs; needs Node and npm and no package, for there is none yet.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout's root directory. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** A line of progress while a command runs: often enough to see that it lives, rare enough for a log. */
const PROGRESS_INTERVAL_MILLIS = 10_000;

/**
 * Installs packages when the lock file asks for others than are there, and builds when `src` is newer than `dist`.
 * `say` gets one line of progress at a time; aborting `interruption` ends the command that runs. Throws an Error with the
 * command's output when one fails.
 */
export async function prepare(say, interruption) {
  if (!supportsNode(process.versions.node)) {
    throw new Error(`Node ${process.versions.node} is too old: 20.19, 22.12 or 24 and later are needed`);
  }
  if (!isInstalled()) {
    const command = ['npm', 'ci', '--no-audit', '--no-fund', '--loglevel=error'];
    await runWithProgress({ say, what: 'installing packages', command, interruption });
  }
  if (!isBuilt()) await runWithProgress({ say, what: 'building', command: ['npm', 'run', 'build'], interruption });
}

/**
 * Runs a command in the checkout, silent but for one line before and after it and one every 10 s.
 * Throws an Error that ends with the command's own output when it fails or cannot be started.
 */
export async function runWithProgress({ say, what, command, interruption }) {
  const started = performance.now();
  const elapsed = () => `${Math.round((performance.now() - started) / 1000)} s`;
  say(`${what} (${command.join(' ')})`);
  const timer = setInterval(() => say(`${what}: still at it after ${elapsed()}`), PROGRESS_INTERVAL_MILLIS);
  try {
    await runQuietly(command, interruption);
  } finally {
    clearInterval(timer);
  }
  say(`${what}: done in ${elapsed()}`);
}

function runQuietly([file, ...args], interruption) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'], signal: interruption });
    let output = '';
    child.stdout.on('data', (text) => (output += text));
    child.stderr.on('data', (text) => (output += text));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`${file} ${args.join(' ')} ended with ${signal ?? `code ${code}`}:\n${output.trimEnd()}`));
    });
  });
}

/** The range in package.json's `engines`. */
function supportsNode(version) {
  const [major, minor] = version.split('.').map(Number);
  return major >= 24 || (major === 22 && minor >= 12) || (major === 20 && minor >= 19);
}

/**
 * Whether node_modules holds what package-lock.json asks for. Compared by content: npm writes the lock file after
 * its own record of the installation, so by their dates every fresh installation would look stale.
 */
function isInstalled() {
  const record = path.join(ROOT, 'node_modules/.package-lock.json');
  if (!existsSync(record)) return false;
  const installed = readPackages(record);
  const wanted = Object.entries(readPackages(path.join(ROOT, 'package-lock.json')));
  return wanted.every(([name, entry]) => name === '' || entry.optional || installed[name]?.version === entry.version);
}

function readPackages(lockFile) {
  return JSON.parse(readFileSync(lockFile, 'utf8')).packages;
}

/** Whether the build's first and last products are there and newer than everything they are made from. */
function isBuilt() {
  const products = ['dist/register.js', 'dist/register.d.ts'].map((file) => path.join(ROOT, file));
  if (!products.every((file) => existsSync(file))) return false;
  const sources = readdirSync(path.join(ROOT, 'src'), { recursive: true }).map((file) => path.join('src', file));
  const inputs = [...sources, 'package.json', 'tsup.config.ts', 'tsconfig.json', 'tsconfig.build.json'];
  const newestMillis = Math.max(...inputs.map((file) => statSync(path.join(ROOT, file)).mtimeMs));
  return products.every((file) => statSync(file).mtimeMs >= newestMillis);
}
