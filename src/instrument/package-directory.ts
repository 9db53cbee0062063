// Packages as directories: to which one a file belongs, which of its files is the main one, which version it has.
// Called by the module hook for every file that the application loads, so packageOf uses no regular expression.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** A package and the directory it lies in. */
export interface PackageDirectory {
  readonly name: string;
  /** Absolute path, with the separators of the platform. */
  readonly root: string;
}

/**
 * The package that a file belongs to by its path alone: the directory below the innermost node_modules, with slashes
 * of either kind; `undefined` for a file outside of any. pnpm's layout is no exception. Costs 0.1 us.
 */
export function packageOf(filename: string): PackageDirectory | undefined {
  const at = filename.lastIndexOf('node_modules');
  const start = at + 'node_modules'.length + 1;
  if (at < 1 || !isSeparator(filename, at - 1) || !isSeparator(filename, start - 1)) return undefined;
  const end = segmentEnd(filename, start);
  const nameEnd = filename[start] === '@' && end < filename.length ? segmentEnd(filename, end + 1) : end;
  return { name: filename.slice(start, nameEnd).replace('\\', '/'), root: filename.slice(0, nameEnd) };
}

function segmentEnd(path: string, start: number): number {
  let end = start;
  while (end < path.length && !isSeparator(path, end)) end += 1;
  return end;
}

function isSeparator(path: string, at: number): boolean {
  const character = path[at];
  return character === '/' || character === '\\';
}

/** The file that requiring a package by its name answers with; `undefined` when it has none for require. */
export function mainFile(found: PackageDirectory): string | undefined {
  try {
    return createRequire(join(found.root, 'package.json')).resolve(found.name);
  } catch {
    // Only parts of this package can be required.
    return undefined;
  }
}

/** The version in the nearest package.json above a file that has one. */
export function versionOf(filename: string): string | undefined {
  for (let directory = dirname(filename); directory !== dirname(directory); directory = dirname(directory)) {
    const file = join(directory, 'package.json');
    // A package.json inside a build folder often has a type and nothing else.
    const version: unknown = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).version : undefined;
    if (typeof version === 'string') return version;
  }
  return undefined;
}
