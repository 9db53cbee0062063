// A TypeScript file of the tests, with what it imports of src, as one CommonJS file that any Node runs: for behaviour
// that only a process of its own can show (a crash, an import of a patched module), before there is a built package.
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { build } from 'tsup';

/** A bundled file and how to remove it. */
export interface Bundle {
  readonly file: string;
  remove(): void;
}

/** Bundles the entry into a temporary directory. */
export async function bundle(entry: string): Promise<Bundle> {
  const outDir = mkdtempSync(path.join(os.tmpdir(), 'sonde-bundle-'));
  await build({
    entry: { bundle: entry },
    outDir,
    format: ['cjs'],
    target: 'node20',
    config: false,
    silent: true,
    noExternal: [/^@opentelemetry\//],
    define: { SONDE_VERSION: '"test"' },
  });
  return { file: path.join(outDir, 'bundle.js'), remove: () => rmSync(outDir, { recursive: true }) };
}
