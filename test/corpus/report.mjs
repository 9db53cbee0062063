// The results of the corpus as tables, and against the figures that Sonde promises.
import { judge } from './watch.mjs';

const FOUND_SHARE_MIN = 0.95;
const FALSE_SUSPECTS_MAX = 1;

/** For each speed what the runs come to and what each program was told, the Nodes beside one another. */
export function markdown(results, programs) {
  const groups = groupsOf(results);
  const speeds = [...new Set(groups.map(({ speed }) => speed))];
  return speeds
    .flatMap((speed) => {
      const nodes = groups.filter((group) => group.speed === speed);
      return [`### ${speed}`, '', ...figureTable(nodes, programs), '', ...programTable(nodes, programs), ''];
    })
    .join('\n');
}

/** What is not met, one sentence each; empty when everything is. */
export function missed(results, programs) {
  return groupsOf(results).flatMap((group) =>
    totals(group.results, programs)
      .filter(({ met }) => !met)
      .map(({ what, value }) => `Node ${group.node}, ${group.speed}: ${what}: ${value}`),
  );
}

/** One line for each run, as it ends. */
export function progressLine(result, program) {
  const { node, speed, worst, error } = result;
  const verdict = judge(program, result);
  const shares = result.leaks
    ? ` suspect ${share(result, 'suspectAt')}, leak ${share(result, 'leakAt')}, named ${namedText(result, verdict)}`
    : '';
  return `${verdict.ok ? 'ok  ' : 'MISS'} ${result.program} (Node ${node}, ${speed}): ${worst}${shares}${error === null ? '' : ` ERROR ${error}`}`;
}

function groupsOf(results) {
  const groups = new Map();
  for (const result of results) {
    const { node, speed } = result;
    const key = `${node} ${speed}`;
    if (!groups.has(key)) groups.set(key, { node, speed, results: [] });
    groups.get(key).results.push(result);
  }
  return [...groups.values()];
}

function figureTable(nodes, programs) {
  const columns = nodes.map(({ results }) => totals(results, programs));
  const rows = columns[0].map(({ what }, row) => [
    what,
    ...columns.map((column) => `${column[row].value}${column[row].met ? '' : ' **(missed)**'}`),
  ]);
  return tableOf(['figure', ...nodes.map(({ node }) => `Node ${node}`)], rows);
}

function programTable(nodes, programs) {
  const rows = programs.flatMap((program) => {
    const runs = nodes.map(({ results }) => results.filter((result) => result.program === program.name));
    const judged = runs.map((found) => found.map((run) => ({ run, verdict: judge(program, run) })));
    if (judged.flat().length === 0) return [];
    const told = judged.map((found) => found.map(({ run, verdict }) => toldText(run, verdict)).join('; '));
    if (program.leaks === false) return [[program.name, 'no leak', '', ...told]];
    const named = new Set(judged.flat().map(({ run, verdict }) => namedText(run, verdict)));
    return [[program.name, program.leaks.kinds.join(', '), [...named].join('; '), ...told]];
  });
  return tableOf(['program', 'kind', 'named', ...nodes.map(({ node }) => `Node ${node}`)], rows);
}

function tableOf(head, rows) {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
}

/** When what was told, and what was missed. */
function toldText(result, verdict) {
  if (result.error !== null) return `**${result.error}**`;
  if (!result.leaks) {
    const later = result.worst !== 'watching' && verdict.withdrawn ? ', withdrawn' : '';
    return verdict.ok ? `${result.worst}${later}` : `**${result.worst}${later}**`;
  }
  const times = [`suspect ${atText(result, 'suspectAt')}`, `leak ${atText(result, 'leakAt')}`].join(', ');
  return verdict.ok ? times : `${times} **${missedText(verdict, result)}**`;
}

function missedText({ named, suspectInTime, leakInTime }, { leakAt }) {
  if (leakAt === null) return 'not found';
  return [named ? '' : 'another named', suspectInTime ? '' : 'late suspect', leakInTime ? '' : 'late leak'].filter(Boolean).join(', ');
}

/** Seconds and the share of the time to the limit. */
function atText(result, when) {
  if (result[when] === null) return '-';
  return result.secondsToLimit === null ? `${result[when].toFixed(1)} s` : `${result[when].toFixed(1)} s (${share(result, when)})`;
}

function share(result, when) {
  return result[when] === null || result.secondsToLimit === null ? '-' : `${((100 * result[when]) / result.secondsToLimit).toFixed(0)} %`;
}

function namedText(result, { rank, beside }) {
  const findings = result.leakAt === null ? result.atEnd : result.atLeak;
  const { site, kind } = findings[Math.max(rank - 1, 0)] ?? {};
  if (kind === undefined) return '-';
  const name = site === null ? `(${kind})` : `${site.function || '(anonymous)'} ${site.file.split('/').at(-1)}:${site.line}`;
  return `${name}${rank > 0 ? ` (${ordinal(rank)})` : beside ? ' (wrong; right in its stack)' : ' (wrong)'}`;
}

function ordinal(rank) {
  return ['', 'first', 'second', 'third'][rank] ?? `${rank}th`;
}

/** The figures that a corpus run of one Node and speed is held to. */
function totals(results, programs) {
  const judged = results.map((result) => ({
    result,
    verdict: judge(
      programs.find(({ name }) => name === result.program),
      result,
    ),
  }));
  const leaking = judged.filter(({ result }) => result.leaks);
  const harmless = judged.filter(({ result }) => !result.leaks);
  const atLeast = (what, count) => ({
    what,
    value: `${count} of ${leaking.length}`,
    met: count >= FOUND_SHARE_MIN * leaking.length,
  });
  const atMost = (what, count, most) => ({ what, value: `${count} of ${harmless.length}`, met: count <= most });
  const found = leaking.filter(({ result }) => result.leakAt !== null);
  return [
    atLeast('leaks found with the right function and line first or second', found.filter(({ verdict }) => verdict.named).length),
    { ...atLeast('the same by the line alone', found.filter(({ verdict }) => verdict.lined).length), met: true },
    {
      ...atLeast(
        'the same or in the stack or the leaves of the first two',
        found.filter(({ verdict }) => verdict.named || verdict.beside).length,
      ),
      met: true,
    },
    atLeast('suspect before a tenth of the time to the limit', leaking.filter(({ verdict }) => verdict.suspectInTime).length),
    atLeast('leak before a quarter of it', leaking.filter(({ verdict }) => verdict.leakInTime).length),
    ...(judged[0].result.speed === 'slow'
      ? [atLeast('leak within 30 minutes at 1 MiB a minute', found.filter(({ result }) => result.leakAt <= 30).length)]
      : []),
    atMost('false leaks', harmless.filter(({ result }) => result.worst === 'leak').length, 0),
    atMost('false suspects', harmless.filter(({ result }) => result.worst === 'suspect').length, FALSE_SUSPECTS_MAX),
    atMost('growth still told at the end of what does not leak', harmless.filter(({ verdict }) => !verdict.withdrawn).length, Infinity),
    {
      what: 'runs that failed',
      value: String(results.filter(({ error }) => error !== null).length),
      met: results.every(({ error }) => error === null),
    },
  ];
}
