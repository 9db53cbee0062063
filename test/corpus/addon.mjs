// Compiles the native addon of the corpus, where the machine has a C compiler.
import { spawnSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';

const SOURCE = path.join(import.meta.dirname, 'addon.c');
const DIRECTORY = path.resolve(import.meta.dirname, '../../.cache/corpus');

let built;

/** Path of the addon, compiled where it is not yet; undefined without a compiler. */
export function addonPath() {
  built ??= { file: compiled() };
  return built.file;
}

function compiled() {
  const file = path.join(DIRECTORY, `addon-${process.platform}-${process.arch}.node`);
  if (modifiedMillis(file) > modifiedMillis(SOURCE)) return file;
  mkdirSync(DIRECTORY, { recursive: true });
  // Renamed when it is whole: another run may be at it too.
  const unfinished = `${file}.${process.pid}`;
  const undefinedSymbols = process.platform === 'darwin' ? ['-undefined', 'dynamic_lookup'] : [];
  const { status } = spawnSync('cc', ['-shared', '-fPIC', '-O1', ...undefinedSymbols, '-o', unfinished, SOURCE], { stdio: 'ignore' });
  if (status !== 0) {
    rmSync(unfinished, { force: true });
    return undefined;
  }
  renameSync(unfinished, file);
  return file;
}

function modifiedMillis(file) {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
