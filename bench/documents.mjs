// What `--save` writes into docs/: the tables of docs/overhead.md, between its markers, and the picture beside it. Both
// come from the baseline and from nothing else, so no figure on that page is typed by hand.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { drawPicture } from './picture.mjs';
import { tableMarkdown } from './report.mjs';

const PAGE = path.join(import.meta.dirname, '../docs/overhead.md');
const PICTURE = path.join(import.meta.dirname, '../docs/overhead.svg');
const BASELINE = path.join(import.meta.dirname, 'baseline.json');

const FORMATTER = path.join(import.meta.dirname, '../node_modules/oxfmt/bin/oxfmt');

const BEGIN = '<!-- figures: written by npm run bench -- --save -->';
const END = '<!-- end of figures -->';

/** The Node that most services run on. */
const PICTURED_MAJOR = 24;

/** Answers the files that a save has written, relative to the current directory. */
export function writeDocuments(baseline) {
  const page = readFileSync(PAGE, 'utf8');
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`docs/overhead.md has lost its markers: ${BEGIN} and ${END}`);
  writeFileSync(PAGE, `${page.slice(0, begin + BEGIN.length)}\n\n${baseline.map(section).join('\n\n')}\n\n${page.slice(end)}`);
  const pictured = baseline.filter(({ major }) => major === PICTURED_MAJOR);
  writeFileSync(PICTURE, drawPicture(pictured.length > 0 ? pictured : baseline.filter(({ major }) => major === baseline[0].major)));
  // `npm run check` holds these to the format of all other files.
  execFileSync(process.execPath, [FORMATTER, PAGE, BASELINE], { stdio: 'ignore' });
  return [BASELINE, PAGE, PICTURE].map((file) => path.relative(process.cwd(), file));
}

function section({ title, nodeVersion, date, rounds, seconds, ratePerSecond, machine, versions, figures }) {
  const named = Object.entries(versions)
    .filter(([, version]) => version !== undefined)
    .map(([name, version]) => `${name} ${version}`);
  return [
    `### ${title}, Node ${nodeVersion}`,
    tableMarkdown(figures),
    `${rounds} rounds of ${seconds} s, fixed rate ${ratePerSecond} requests a second, ${date}, ${machine.cpu}, ${machine.kernel}; ${named.join(', ')}.`,
  ].join('\n\n');
}
