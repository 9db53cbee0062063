// v8-profiler-next, built from its source for one of the Nodes, once into .cache: no binary of it can be counted on to
// be downloaded. Takes about 20 s with a C++ compiler, make and Python. Its package.json and lock file are in test/peers.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { TestContext } from 'vitest';
import { nodeBinary } from './nodes.mjs';
import { ROOT } from './process.ts';

const NAME = 'v8-profiler-next';
const CACHE = path.join(ROOT, '.cache/peers');

/** A directory from which that Node can load v8-profiler-next; builds it when it is not there. Throws with npm's output. */
export function v8ProfilerNextDirectory(major: number): string {
  const directory = path.join(CACHE, `${NAME}-${major}`);
  if (existsSync(directory)) return directory;
  mkdirSync(CACHE, { recursive: true });
  // Two test files may build at the same time; the first to end wins.
  const own = mkdtempSync(path.join(CACHE, `${NAME}-${major}.`));
  try {
    for (const file of ['package.json', 'package-lock.json']) cpSync(path.join(ROOT, 'test/peers', NAME, file), path.join(own, file));
    build(own, nodeBinary(major));
    if (!existsSync(directory)) renameSync(own, directory);
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
  return directory;
}

/** The same, skipping the test where it cannot be built and CI does not insist. */
export function requireV8ProfilerNext(context: TestContext, major: number): string {
  try {
    return v8ProfilerNextDirectory(major);
  } catch (error) {
    if (process.env['CI'] !== undefined) throw error;
    return context.skip(`${NAME} cannot be built for Node ${major}: ${String(error)}`);
  }
}

function build(directory: string, node: string): void {
  const prefix = path.dirname(path.dirname(node));
  // Headers come with Node's own distributions; without them node-gyp downloads them.
  const headers = existsSync(path.join(prefix, 'include/node/node.h')) ? { npm_config_nodedir: prefix } : {};
  const { status, stdout, stderr } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: directory,
    encoding: 'utf8',
    // npm and the install script run on the first node of the path.
    env: { ...process.env, ...headers, PATH: `${path.dirname(node)}:${process.env['PATH']}`, npm_config_build_from_source: 'true' },
  });
  if (status !== 0) throw new Error(`npm ci in ${directory}: ${stderr || stdout}`);
}
