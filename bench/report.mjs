// The figures as people read them: a table for the terminal, the same as Markdown for docs/overhead.md, the comparison
// with the baseline, and the derived line that says what share of a peer's cost Sonde has. Pure text.
import { medianOthersShare, overBare, shareOfAdded } from './figures.mjs';

/** From this share on the others on the machine are named beside a table. */
const NOISY_SHARE = 0.12;

const COLUMNS = [
  { head: 'row', cell: ({ title }) => title },
  { head: 'CPU us/request (min to max)', cell: ({ micros }) => withRange(micros, 1) },
  { head: 'added us (min to max)', cell: (row) => (row.name === 'bare' ? '' : withRange(row.addedMicros, 1)) },
  {
    head: 'ratio (quartiles)',
    cell: ({ ratio }) => `${ratio.median.toFixed(2)} (${ratio.lowerQuartile.toFixed(2)} to ${ratio.upperQuartile.toFixed(2)})`,
  },
  { head: 'throughput ratio', cell: ({ rateRatio }) => number(rateRatio?.median, 2) },
  { head: 'p99 ms', cell: ({ p99Millis }) => number(p99Millis?.median, 1) },
  { head: 'max ms', cell: ({ maxMillis }) => number(maxMillis?.median, 1) },
  { head: 'longest pause ms', cell: ({ longestPauseMillis }) => number(longestPauseMillis?.median, 1) },
  { head: 'allocated kB/request', cell: ({ allocatedBytes }) => number(allocatedBytes?.median, 1, 1000) },
  { head: 'rss MB', cell: ({ rssBytes }) => number(rssBytes?.median, 0, 1e6) },
  { head: 'start ms', cell: ({ startMillis }) => number(startMillis?.median, 0) },
];

/** Shares worth knowing: how much of what a peer adds Sonde adds. */
const SHARES = [
  ['defaults', 'prom-client'],
  ['defaults', 'opentelemetry'],
  ['otlp', 'opentelemetry'],
  ['otlp', 'dd-trace'],
];

/** For the terminal: the columns aligned, then the lines that say how far to trust them. */
export function tableText(figures) {
  const rows = [COLUMNS.map(({ head }) => head), ...cells(figures)];
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const lines = rows.map((row) => row.map((cell, at) => (at === 0 ? cell.padEnd(widths[at]) : cell.padStart(widths[at]))).join('  '));
  return [...lines, ...remarks(figures)].join('\n');
}

/** For the page: a Markdown table. */
export function tableMarkdown(figures) {
  const line = (row) => `| ${row.join(' | ')} |`;
  const rule = COLUMNS.map((_, at) => (at === 0 ? '---' : '--:'));
  const text = [COLUMNS.map(({ head }) => head), rule, ...cells(figures)].map(line);
  return [...text, '', ...remarks(figures).map((remark) => `- ${remark}`)].join('\n');
}

/** Each row's ratio to bare beside the baseline's, and whether it is a regression. */
export function comparisonText(rows) {
  const range = ({ min, max }) => `${min.toFixed(2)} to ${max.toFixed(2)}`;
  const lines = rows.map(
    ({ name, ratio, before, isWorse }) =>
      `  ${name.padEnd(14)} ${ratio.median.toFixed(2)} (${range(ratio)}), baseline ${before.median.toFixed(2)} (${range(before)})${isWorse ? ': WORSE' : ''}`,
  );
  return ['ratio to bare (min to max) against the baseline:', ...lines].join('\n');
}

function cells(figures) {
  return figures.map((row) => COLUMNS.map(({ cell }) => cell(row)));
}

function remarks(figures) {
  const shares = SHARES.map(([row, other]) => [row, other, shareOfAdded(figures, row, other)])
    .filter(([, , share]) => share !== undefined)
    .map(([row, other, share]) => `${row} adds ${share.toFixed(2)} times what ${other} adds`);
  const over = figures
    .filter(({ name }) => name === 'defaults' || name === 'otlp')
    .map((row) => [
      row.name,
      overBare(figures, row, 'allocatedBytes'),
      overBare(figures, row, 'rssBytes'),
      overBare(figures, row, 'startMillis'),
    ])
    .filter((values) => !values.includes(undefined))
    .map(
      ([name, bytes, rss, start]) =>
        `${name} over bare: ${signed(bytes, 2, 1000)} kB/request, rss ${signed(rss, 0, 1e6)} MB, start ${signed(start, 0)} ms`,
    );
  const others = medianOthersShare(figures);
  const noise =
    others >= NOISY_SHARE ? [`noisy: other processes had ${Math.round(others * 100)} % of the busier core in the middle round`] : [];
  return [...(shares.length > 0 ? [shares.join('; ')] : []), ...over, ...noise];
}

function withRange({ median, min, max }, digits) {
  return `${median.toFixed(digits)} (${min.toFixed(digits)} to ${max.toFixed(digits)})`;
}

function number(value, digits, per = 1) {
  return value === undefined ? '-' : (value / per).toFixed(digits);
}

function signed(value, digits, per = 1) {
  return `${value < 0 ? '' : '+'}${(value / per).toFixed(digits)}`;
}
