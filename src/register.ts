// The preload: `node --require sonde/register app.js`, `node --import sonde/register app.mjs`, or NODE_OPTIONS.
// Runs before the application and before whatever else Node was told to run, so it decides first whether this is
// a process to instrument at all.
import { basename } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { preload } from './sdk.ts';

/** Programs that only start others, and inherit NODE_OPTIONS on the way. */
const LAUNCHERS = new Set([
  'npm',
  'npm-cli.js',
  'npx',
  'npx-cli.js',
  'yarn',
  'yarn.js',
  'pnpm',
  'pnpm.cjs',
  'pnpm.mjs',
  'corepack',
  'corepack.js',
]);

// Node runs --require again on the thread of module.register's loaders; workers are a later matter.
if (isMainThread && !LAUNCHERS.has(basename(process.argv[1] ?? ''))) preload();

// Without an export esbuild takes the file for a script and wraps every module it reaches in a lazy initialiser.
export {};
