// Packages as directories: to which one a file belongs, which of its files is the main one, which version it has.
// Called by the module hook for every file that the application loads, so packageOf uses no regular expression.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, sep } from 'node:path';

/** A package and the directory it lies in. */
export interface PackageDirectory {
  readonly name: string;
  /** Absolute path, with the separators of the platform. */
  readonly root: string;
}

/**
 * The package that a file belongs to by its path alone: the directory below the innermost node_modules, so pnpm's layout
 * is no exception; `undefined` for a file outside of any.
 */
export function packageOf(filename: string, separator: string = sep): PackageDirectory | undefined {
  const parent = `${separator}node_modules${separator}`;
  const at = filename.lastIndexOf(parent);
  if (at === -1) return undefined;
  const start = at + parent.length;
  let end = filename.indexOf(separator, start);
  if (end !== -1 && filename[start] === '@') end = filename.indexOf(separator, end + 1);
  const root = end === -1 ? filename : filename.slice(0, end);
  return { name: root.slice(start).replace(separator, '/'), root };
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
