// Twelve large modules that are required when they are first needed, one after the other over two thirds of the run.
const { mkdtempSync, writeFileSync } = require('node:fs');
const { tmpdir } = require('node:os');
const path = require('node:path');

const MODULES = 12;

/** What a build step would have made: tables and functions. */
function writeModules(directory, bytes) {
  const rows = Math.round(bytes / MODULES / 125);
  for (let number = 0; number < MODULES; number++) {
    const table = Array.from({ length: rows }, (_, row) => `{ code: ${row}, name: 'region ${row} of ${number}', rate: ${row}.5 }`);
    writeFileSync(path.join(directory, `module-${number}.cjs`), `exports.table = [${table.join(',\n')}];\n`);
  }
}

function requireNext(directory, number) {
  if (number < MODULES) require(path.join(directory, `module-${number}.cjs`));
}

module.exports = {
  about: 'twelve large modules required one after the other, 4 % of the room in all',
  leaks: false,
  boundShare: 0.06,
  background(plan) {
    const directory = mkdtempSync(path.join(tmpdir(), 'sonde-corpus-'));
    writeModules(directory, plan.roomBytes * 0.04);
    plan.repeat(MODULES / ((plan.seconds * 2) / 3), (number) => requireNext(directory, number));
  },
};
