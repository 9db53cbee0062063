// The figures of the micro-benchmarks as people read them: medians of the rounds, a table for the terminal, and the page
// docs/overhead-micro.md. Pure.
import { median } from '../statistics.mjs';

const COLUMNS = [
  { head: 'operation', cell: ({ name }) => name },
  { head: 'ns', cell: ({ nanos }) => number(nanos) },
  { head: 'lower bound ns', cell: ({ boundNanos }) => number(boundNanos) },
  { head: 'ratio', cell: ({ ratio }) => ratio.toFixed(1) },
  { head: 'bytes', cell: ({ bytes }) => bytes.toFixed(0) },
  { head: 'lower bound bytes', cell: ({ boundBytes }) => boundBytes.toFixed(0) },
  { head: 'others ns, bytes (ours is)', cell: ({ peers }) => peers.map(peerText).join('; ') },
];

/** One row for each operation: medians of the rounds, of ratios too, whose two sides were measured one after the other. */
export function summary(rounds) {
  return Object.entries(rounds[0]).map(([name, { boundIs, peers }]) => {
    const all = rounds.map((round) => round[name]);
    const over = (read) => median(all.map(read));
    return {
      name,
      boundIs,
      nanos: over(({ ours }) => ours.nanos),
      boundNanos: over(({ bound }) => bound.nanos),
      ratio: over(({ ours, bound }) => ours.nanos / bound.nanos),
      bytes: over(({ ours }) => ours.bytes),
      boundBytes: over(({ bound }) => bound.bytes),
      peers: Object.keys(peers).map((peer) => ({
        name: peer,
        nanos: over((one) => one.peers[peer].nanos),
        bytes: over((one) => one.peers[peer].bytes),
        ratio: over((one) => one.ours.nanos / one.peers[peer].nanos),
      })),
    };
  });
}

/** For the terminal. */
export function tableText(rows) {
  const cells = [COLUMNS.map(({ head }) => head), ...rows.map((row) => COLUMNS.map(({ cell }) => cell(row)))];
  const widths = COLUMNS.map((_, column) => Math.max(...cells.map((row) => row[column].length)));
  const isLeft = (column) => column === 0 || column === COLUMNS.length - 1;
  return cells
    .map((row) =>
      row
        .map((cell, at) => (isLeft(at) ? cell.padEnd(widths[at]) : cell.padStart(widths[at])))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** The whole of docs/overhead-micro.md. */
export function pageMarkdown({ results, machine, rounds, date, sonde, commit }) {
  const tables = results.map(({ node, rows }) => `## Node ${node.version}\n\n${tableMarkdown(rows)}`);
  const bounds = results[0].rows.map(({ name, boundIs }) => `| ${name} | ${boundIs} |`);
  return `<!-- Written by npm run bench:micro -- --save; changes made by hand are lost. -->

# Overhead, function by function

What each function of the data plane costs, beside its lower bound: the least code, written by hand, that has the effect at
all. Where others do the same, their figure stands beside, and how many times theirs ours is. What a whole request costs
is in [overhead.md](overhead.md).

${tables.join('\n\n')}

## The lower bounds

| operation | lower bound |
| --- | --- |
${bounds.join('\n')}

## How it was measured

- Ours, the bound and the peers of an operation are timed one after the other in one process, by
  [mitata](https://github.com/evanwashere/mitata). A process times every operation once and begins with another one in
  each round; each of the ${rounds} rounds takes a fresh process of each Node. A figure is the lower quartile of a process's
  samples, for whatever else a machine does only ever adds, and the median of that over the rounds. The ratio is the median
  of the rounds' ratios.
- Inputs change from call to call. Requests and responses are Node's own, on a real connection whose writes go nowhere, and
  are made anew for each call outside the measured time.
- Before and after the timing each subject must show its effect for every call: a count that rises, or the right answer.
- Bytes are those allocated on V8's heap. Buffers are not among them.
- The compiler inlines the smallest functions here as it rarely can in a service: differences of a few nanoseconds say
  little.
- A young generation of 16 MB is set from the start, which is what V8 grows to under load.

\`npm run bench:micro\` repeats it. Sonde ${sonde}${commit === undefined ? '' : ` (${commit})`}, ${date}, ${machine.cpu}, ${machine.kernel}.
`;
}

function tableMarkdown(rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  const rule = COLUMNS.map((_, at) => (at === 0 || at === COLUMNS.length - 1 ? '---' : '--:'));
  return [COLUMNS.map(({ head }) => head), rule, ...rows.map((row) => COLUMNS.map(({ cell }) => cell(row)))].map(line).join('\n');
}

function peerText({ name, nanos, bytes, ratio }) {
  return `${name} ${number(nanos)}, ${bytes.toFixed(0)} (${ratio.toFixed(2)})`;
}

function number(nanos) {
  return nanos.toFixed(nanos < 10 ? 1 : 0);
}
