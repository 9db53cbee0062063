// One CommonJS build with splitting: Sonde is all state, and a second copy of it (an unsplit entry, an ES-module
// build) would be a second Sonde in the same process. The ES-module faces re-export the one build by name.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { defineConfig, type Options } from 'tsup';

const ENTRIES = ['index', 'register', 'express', 'fastify'];
/** Loaded by `require` while the application waits, so that the bundler must leave them in files of their own. */
const LAZY = ['otel-metrics-sdk'];
/** Files that worker threads begin with. */
const WORKERS = ['profile/source-map-worker'];
/** Files that processes of ours begin with. */
const PROGRAMS = ['near-end-exporter'];
const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };

function writeFaces(): void {
  const require = createRequire(`${process.cwd()}/dist/`);
  for (const entry of ENTRIES) {
    // Loading register would start Sonde in the build; it exports nothing.
    const names = entry === 'register' ? [] : Object.keys(require(`./${entry}.js`) as object);
    const face =
      names.length === 0
        ? `import './${entry}.js';\n`
        : `import face from './${entry}.js';\nexport const { ${names.join(', ')} } = face;\n`;
    writeFileSync(`dist/${entry}.mjs`, face);
    writeFileSync(`dist/${entry}.d.mts`, entry === 'register' ? 'export {};\n' : `export * from './${entry}.js';\n`);
  }
}

// Not by tsup: each of the two builds would clean what the other has just written.
rmSync('dist', { recursive: true, force: true });

const common: Options = {
  format: ['cjs'],
  // Rollup writes the CommonJS: tsup's own way to split it (sucrase) turns `?.` and class fields into helper calls.
  treeshake: true,
  target: 'node20',
  platform: 'node',
  dts: false,
  minifySyntax: true,
  define: { SONDE_VERSION: JSON.stringify(version) },
};

const config: Options = {
  ...common,
  entry: [...ENTRIES, ...LAZY, ...WORKERS].map((name) => `src/${name}.ts`),
  splitting: true,
  external: ['@opentelemetry/api', '@datadog/pprof', ...LAZY.map((name) => `./${name}.js`)],
  noExternal: [/^@opentelemetry\/(?!api$)/],
  onSuccess: () => Promise.resolve(writeFaces()),
};

/** Programs of their own processes share nothing with the one build, whose chunks they would only cut smaller. */
const programs: Options = {
  ...common,
  entry: PROGRAMS.map((name) => `src/${name}.ts`),
  splitting: false,
  external: ['@datadog/pprof'],
};

export default defineConfig([config, programs]) as Options[];
