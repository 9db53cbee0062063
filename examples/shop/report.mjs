// Writes what observer.mjs saw as plain text, about forty lines of at most 120 columns. Pure; called by start.mjs.
import path from 'node:path';
import { ROOT } from './setup.mjs';

const COLUMNS = 120;
const SPANS_SHOWN = 8;

/** The report of one observation as lines. `load` are the counts of load.mjs. */
export function reportLines({ services, trace }, load) {
  return [
    ...services.flatMap(serviceLines),
    'leaks',
    ...leakLines(services),
    '',
    ...traceLines(trace),
    `load  ${load.sent} requests sent, ${load.unanswered} without an answer, ${load.skipped} skipped`,
  ]
    .map((line) => line.trimEnd())
    .map((line) => (line.length > COLUMNS ? `${line.slice(0, COLUMNS - 3)}...` : line));
}

function serviceLines({ name, sondeUrl, routes, cpuShare, heapUsedBytes, delayP99Seconds, delayMaxSeconds, hottest }) {
  return [
    `${name}  ${sondeUrl}  cpu ${percent(cpuShare)}, heap ${megabytes(heapUsedBytes)}, ` +
      `event-loop delay p99 ${millis(delayP99Seconds)}, max ${millis(delayMaxSeconds)}`,
    `  ${'route'.padEnd(50)}${row('req/s', 'errors', 'p50', 'p99', 'cpu')}`,
    ...routes.map(routeLine),
    ...hottest.map(
      (hot, index) => `  ${index === 0 ? 'hottest' : '       '}  ${percent(hot.share).padStart(5)}  ${siteText(hot.name, hot)}`,
    ),
    '',
  ];
}

function routeLine({ method, route, perSecond, errorShare, p50Seconds, p99Seconds, cpuShare }) {
  const name = `${method} ${route === '' ? '(no router)' : route}`;
  return `  ${name.padEnd(50)}${row(perSecond.toFixed(1), percent(errorShare), millis(p50Seconds), millis(p99Seconds), cpuShare === undefined ? '' : percent(cpuShare))}`;
}

function row(...cells) {
  return cells.map((cell) => cell.padStart(10)).join('');
}

function leakLines(services) {
  return services.flatMap(({ name, leaks }) => {
    if (leaks.findings.length === 0) return [`  ${name}  ${leaks.level}`];
    return leaks.findings.map(({ level, kind, site, route, grownBytes, bytesPerHour }) => {
      const growth = `${megabytes(grownBytes)} so far, ${megabytes(bytesPerHour / 60)} a minute`;
      const where = site === null ? '' : ` in ${siteText(site.function, site)}`;
      return `  ${name}  ${level} of ${kind}${where}${route === null ? '' : `, ${route}`}: ${growth}`;
    });
  });
}

function traceLines(trace) {
  if (trace === undefined) return ['trace  none kept yet', ''];
  const spans = trace.spans.slice(0, SPANS_SHOWN).map(({ service, span, depth }) => {
    const name = `${'  '.repeat(depth)}${service}  ${span.kind.toLowerCase()} ${span.name}`;
    return `  ${name.padEnd(80)}${millis(span.durationMillis / 1000).padStart(11)}`;
  });
  const hidden = trace.spans.length - spans.length;
  return [`trace  ${trace.traceId}`, ...spans, ...(hidden > 0 ? [`  and ${hidden} more`] : []), ...trace.logs.map(logLine), ''];
}

/** What matters of a JSON log line: pino calls its text `msg`, the others `message`. */
function logLine({ service, line }) {
  const { msg, message = msg, trace_id: traceId, span_id: spanId } = JSON.parse(line);
  return `  log of ${service}  "${message}" trace_id=${traceId} span_id=${spanId}`;
}

function siteText(functionName, { file, line }) {
  const shown = file.startsWith(ROOT) ? path.relative(ROOT, file) : file;
  return `${functionName || '(anonymous)'}${shown === '' ? '' : ` ${shown}:${line}`}`;
}

function percent(share) {
  return `${(share * 100).toFixed(share < 0.1 && share > 0 ? 1 : 0)} %`;
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}

function millis(seconds) {
  return `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
}
