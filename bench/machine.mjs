// What a measurement was made on: for the record beside its figures.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const ROOT = path.join(import.meta.dirname, '..');

export function describeMachine() {
  const cpus = os.cpus();
  return {
    cpu: `${cpus.length} x ${cpus[0]?.model ?? 'unknown'}`,
    memoryGigabytes: Math.round(os.totalmem() / 2 ** 30),
    kernel: `${os.type()} ${os.release().replace(/-.*/, '')}`,
  };
}

/** Versions of Sonde and of what the applications are made of; `commit` is undefined outside a git checkout. */
export function describeSubject() {
  const { version, devDependencies } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
  const { express, fastify, pino } = devDependencies;
  return { sonde: version, commit: commit(), express, fastify, pino };
}

function commit() {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], {
      cwd: ROOT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return undefined;
  }
}
