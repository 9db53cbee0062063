// The committed figures (bench/baseline.json), and whether a run is a regression against them. Written by `--save`,
// compared with by run.mjs and check.mjs. Times of different machines are never compared, only ratios to bare.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const FILE = path.join(import.meta.dirname, 'baseline.json');

/** A ratio may be this much worse before it counts, beyond the spread of both measurements. */
const TOLERATED = 0.15;

/**
 * Whether a ratio to bare has become worse: even the best round of this run is over 15 % worse than the worse quartile
 * of the baseline. The best round, because a busy hour of a shared machine moves a median by far more than 15 % (OTLP
 * went from 1.4 to 1.8 times bare) and rarely spoils all rounds; a quartile of the baseline, so that one disturbed
 * round of it does not widen what is allowed.
 */
export function isRegression(ratio, baselineRatio) {
  return ratio.min > baselineRatio.upperQuartile * (1 + TOLERATED);
}

/** The rows of `figures` that the baseline knows, each with both ratios and the verdict. */
export function compare(figures, baselineFigures) {
  return figures
    .filter(({ name }) => name !== 'bare')
    .map(({ name, title, ratio }) => ({ name, title, ratio, before: baselineFigures.find((row) => row.name === name)?.ratio }))
    .filter(({ before }) => before !== undefined)
    .map((row) => ({ ...row, isWorse: isRegression(row.ratio, row.before) }));
}

/** All that has been saved: a list of `{ major, application, ..., figures }`. */
export function readBaseline() {
  return JSON.parse(readFileSync(FILE, 'utf8'));
}

/** What was saved for that Node and application; undefined when nothing was. */
export function findEntry(baseline, { major, application }) {
  return baseline.find((entry) => entry.major === major && entry.application === application);
}

/** Puts new entries in the place of those for the same Node and application, and keeps the rest. Answers the whole. */
export function saveEntries(entries) {
  const kept = readBaseline().filter((old) => findEntry(entries, old) === undefined);
  const all = [...kept, ...entries].toSorted((a, b) => a.major - b.major || a.position - b.position);
  writeFileSync(FILE, `${JSON.stringify(all, roundNumbers, 2)}\n`);
  return all;
}

/** Four digits are more than any figure deserves. */
function roundNumbers(_key, value) {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value;
}
