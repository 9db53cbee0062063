// Tests run from the sources; contract and integration tests start processes on the build, which `npm test` makes first.
import type { ViteUserConfig } from 'vitest/config';

const config: ViteUserConfig = {
  define: { SONDE_VERSION: '"0.0.0-test"' },
  test: {
    include: ['test/{unit,contract,integration}/**/*.test.ts'],
    pool: 'forks',
    // Two cores: more files at once only make timings of each other's worse.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 120_000,
  },
};

export default config;
