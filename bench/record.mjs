// The record of a run: everything measured, with what it was measured on, as JSON in bench/results. Written by run.mjs and
// micro/run.mjs, for whoever wants to see more than the tables.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describeMachine, describeSubject } from './machine.mjs';

/** Answers the file that was written, relative to the current directory. */
export function writeRecord(results, prefix = '') {
  const directory = path.join(import.meta.dirname, 'results');
  mkdirSync(directory, { recursive: true });
  const at = new Date().toISOString();
  const file = path.join(directory, `${prefix}${at.replaceAll(':', '-')}.json`);
  writeFileSync(file, `${JSON.stringify({ at, machine: describeMachine(), subject: describeSubject(), results }, null, 1)}\n`);
  return path.relative(process.cwd(), file);
}
