// A TypeScript file of the benchmarks, with what it imports of src, as one CommonJS file that any Node runs in a process of
// its own.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { build } from 'tsup';

const CACHE = path.join(import.meta.dirname, '../.cache');

/**
 * Bundles the entry, for as long as this process lives; answers the file. Below the root, so that it finds the packages which `options`
 * (tsup's) leave outside.
 */
export async function bundle(entry, version, options) {
  mkdirSync(CACHE, { recursive: true });
  const outDir = mkdtempSync(path.join(CACHE, `${version}-`));
  process.once('exit', () => rmSync(outDir, { recursive: true, force: true }));
  await build({
    entry: { main: entry },
    outDir,
    format: ['cjs'],
    target: 'node20',
    platform: 'node',
    config: false,
    silent: true,
    define: { SONDE_VERSION: JSON.stringify(version) },
    ...options,
  });
  return path.join(outDir, 'main.js');
}
