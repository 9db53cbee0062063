// One program under Sonde, from its start to its verdict: what /debug/leaks says, when, and whom it names.
import path from 'node:path';
import { addonPath } from './addon.mjs';
import { Child, Load, startUpstream } from './child.mjs';
import { isLine, isPlace } from './programs.mjs';

const ROOT = path.resolve(import.meta.dirname, '../..');
const REGISTER = path.join(ROOT, 'dist/register.js');
const SERVICE = path.join(import.meta.dirname, 'service.cjs');

const MB = 1024 * 1024;
const POLL_MILLIS = 250;

/** Garbage besides what a program does, as pages make it. */
const GARBAGE_BYTES_PER_SECOND = 4_000_000;

/** What a container holds beside V8's old generation. */
const BESIDE_HEAP_MEGABYTES = 100;

/** Of the time to the limit: when a leaking program is given up, so that a late verdict is measured too. */
const GIVE_UP_SHARE = 0.4;
const AFTER_LEAK_SECONDS = 2;

/**
 * How fast a program keeps what it should not, under which limit of the old generation, and for how long one that does not
 * leak is watched. `slow` stands for 1 MB a minute: program and detector's clock are both 60 times as fast.
 */
export const SPEEDS = {
  fast: { bytesPerSecond: 5 * MB, limitMegabytes: 512, seconds: 20, requestsPerSecond: 50, env: { SONDE_LEAKS_WARM_UP_SECONDS: '2' } },
  medium: { bytesPerSecond: MB / 2, limitMegabytes: 128, seconds: 60, requestsPerSecond: 20, env: { SONDE_LEAKS_WARM_UP_SECONDS: '2' } },
  slow: {
    bytesPerSecond: MB,
    limitMegabytes: 128,
    seconds: 45,
    requestsPerSecond: 20,
    env: { SONDE_LEAKS_WARM_UP_SECONDS: '2', SONDE_LEAKS_WINDOW_SECONDS: '30' },
  },
};

/** The levels from harmless to bad. */
const LEVELS = ['watching', 'gone', 'growing', 'suspect', 'leak'];

let upstream;

/** What a run of a program needs, under Sonde or bare. */
export async function planOf({ program, speed, limitMegabytes = SPEEDS[speed].limitMegabytes }) {
  upstream ??= startUpstream();
  const { bytesPerSecond, seconds, requestsPerSecond: usual } = SPEEDS[speed];
  const byRequest = program.leaks !== false && program.background === undefined;
  const perSecond = byRequest ? bytesPerSecond / program.leaks.bytesPerUnit : usual;
  const shape = program.requestsPerSecond ?? (() => perSecond);
  const means = Array.from({ length: 100 }, (_, i) => shape(((i + 0.5) / 100) * seconds, seconds));
  const mean = means.reduce((sum, value) => sum + value, 0) / means.length;
  return {
    limitMegabytes,
    containerBytes: (limitMegabytes + BESIDE_HEAP_MEGABYTES) * MB,
    bytesPerSecond,
    seconds,
    perSecond: (at) => shape(at, seconds),
    env: {
      CORPUS_BYTES_PER_SECOND: String(bytesPerSecond),
      CORPUS_REQUESTS_PER_SECOND: String(mean),
      CORPUS_ROOM_BYTES: String(limitMegabytes * MB),
      CORPUS_SECONDS: String(seconds),
      CORPUS_GARBAGE_BYTES_PER_SECOND: String(GARBAGE_BYTES_PER_SECOND),
      CORPUS_UPSTREAM_PORT: String(await upstream),
      CORPUS_ADDON: program.needs === 'addon' ? addonPath() : undefined,
    },
  };
}

/** Starts the service and answers `{ child, base }`, the URL of the application. */
export async function startService({ node, program, plan, flags, env = {} }) {
  const child = new Child({
    command: [node, `--max-old-space-size=${plan.limitMegabytes}`, ...flags, SERVICE, program.name],
    env: { ...plan.env, ...env },
    containerBytes: plan.containerBytes,
  });
  try {
    const [, port] = await child.seen(/^app (\d+)$/m);
    return { child, base: `http://127.0.0.1:${port}` };
  } catch (error) {
    child.end();
    throw error;
  }
}

/** The load of a plan on a service. */
export function startLoad(plan, program, base) {
  const route = program.route ?? '/articles/:id';
  return new Load({ perSecond: plan.perSecond, urlOf: (number) => base + route.replace(':id', String(number + 1)) });
}

/** Runs a program to its verdict; `node` is `{ major, binary }`. Never rejects: what went wrong is in `error`. */
export async function watch({ program, node, speed, limitMegabytes, env = {} }) {
  const run = { program: program.name, kinds: program.leaks === false ? [] : program.leaks.kinds, leaks: program.leaks !== false };
  const result = { ...run, node: node.major, speed, error: null };
  let child;
  let load;
  try {
    const plan = await planOf({ program, speed, limitMegabytes });
    const { child: started, base } = await startService({
      node: node.binary,
      program,
      plan,
      flags: ['--require', REGISTER],
      env: { SONDE_PORT: '0', ...SPEEDS[speed].env, ...env },
    });
    child = started;
    const [, sonde] = await child.seen(/^sonde \S+ .* listening on (http:\S+)$/m);
    const before = JSON.parse(await child.get(`${base}/health`));
    load = startLoad(plan, program, base);
    const seen = await observe({ child, base, sonde, program, plan, before });
    return { ...result, ...seen };
  } catch (error) {
    return { ...result, ...NOTHING_SEEN, error: `${error.message}${child?.exit === undefined ? '' : ` (ended: ${child.exit})`}` };
  } finally {
    load?.stop();
    child?.end();
  }
}

const NOTHING_SEEN = {
  secondsToLimit: null,
  bytesPerSecond: null,
  growingAt: null,
  suspectAt: null,
  leakAt: null,
  worst: 'watching',
  last: 'watching',
  atSuspect: [],
  atLeak: [],
  atEnd: [],
  notes: [],
};

/** Asks for the verdict until the run is over. */
async function observe({ child, base, sonde, program, plan, before }) {
  const began = performance.now();
  const elapsed = () => (performance.now() - began) / 1000;
  const room = roomOf(program, plan, before);
  const endsAt = program.leaks === false ? plan.seconds : (room / plan.bytesPerSecond) * GIVE_UP_SHARE;
  const seen = { ...NOTHING_SEEN };
  let last;
  while (elapsed() < endsAt && (program.leaks === false || seen.leakAt === null || elapsed() < seen.leakAt + AFTER_LEAK_SECONDS)) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MILLIS));
    child.updateContainer();
    last = JSON.parse(await child.get(`${sonde}/debug/leaks`));
    note(seen, last, elapsed());
  }
  const after = JSON.parse(await child.get(`${base}/health`));
  const bytesPerSecond = after.keptBytes / elapsed();
  return {
    ...seen,
    bytesPerSecond,
    secondsToLimit: program.leaks === false ? null : room / bytesPerSecond,
    last: last.level,
    atEnd: namesOf(last),
    notes: last.notes ?? [],
  };
}

/** Bytes until the first limit, at the start. */
function roomOf(program, plan, before) {
  if (program.leaks === false) return 0;
  const outside = program.leaks.kinds.includes('external') || program.leaks.kinds.includes('native');
  return outside ? plan.containerBytes - before.rss : plan.limitMegabytes * MB - before.oldBytes;
}

function note(seen, verdict, at) {
  const { level } = verdict;
  if (LEVELS.indexOf(level) > LEVELS.indexOf(seen.worst)) seen.worst = level;
  if (level === 'growing') seen.growingAt ??= at;
  if (level !== 'suspect' && level !== 'leak') return;
  if (seen.suspectAt === null) Object.assign(seen, { suspectAt: at, atSuspect: namesOf(verdict) });
  if (level === 'leak' && seen.leakAt === null) Object.assign(seen, { leakAt: at, atLeak: namesOf(verdict) });
}

/** Of each finding whom it names, in the order told. */
function namesOf({ findings }) {
  return findings.map(({ kind, level, site, leaves = [], stack = [], resourceType = null, route = null, note = '' }) => ({
    kind,
    level,
    resourceType,
    route,
    note,
    site: placed(site),
    leaves: leaves.slice(0, 5).map((leaf) => placed(leaf.site)),
    stack: stack.slice(0, 12).map((frame) => placed(frame)),
  }));
}

/** Without where this checkout lies. */
function placed(site) {
  if (site === null || site === undefined) return null;
  return { function: site.function, file: path.isAbsolute(site.file) ? path.relative(ROOT, site.file) : site.file, line: site.line };
}

/**
 * What a run comes to: whether the leak was found in time and which of the findings names it. Native memory cannot be
 * attributed by anybody in the process: of that alone a finding of the kind without a name will do.
 */
export function judge(program, result) {
  if (program.leaks === false) {
    const ok = result.error === null && result.worst !== 'leak' && result.worst !== 'suspect';
    return { ok, withdrawn: result.last === 'watching' || result.last === 'gone' };
  }
  const findings = result.leakAt === null ? result.atEnd : result.atLeak;
  const isNative = (finding) => program.leaks.kinds.includes('native') && finding.kind === 'native' && finding.site === null;
  const rank = findings.findIndex((finding) => isPlace(program, finding.site) || isNative(finding)) + 1;
  const beside = findings
    .slice(0, 2)
    .some(({ leaves, stack }) => leaves.some((site) => isPlace(program, site)) || stack.some((site) => isPlace(program, site)));
  const lined = findings.slice(0, 2).some((finding) => isLine(program, finding.site) || isNative(finding));
  const share = (at) => (at === null ? Infinity : at / result.secondsToLimit);
  const suspectInTime = share(result.suspectAt) <= 0.1;
  const leakInTime = share(result.leakAt) <= 0.25;
  const named = rank === 1 || rank === 2;
  return { ok: result.error === null && suspectInTime && leakInTime && named, rank, named, lined, beside, suspectInTime, leakInTime };
}
