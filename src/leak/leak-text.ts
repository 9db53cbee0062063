// A verdict on leaks in words: the one sentence that the log, the OTLP event and a person woken at night get of a
// finding, and the page that is read in a terminal. Pure. Called by serve/leaks.ts and by whoever tells a change of level.
import type { Site } from './site.ts';
import type { Forecast, Generation, KindReading, LeakFinding, LeakKind, LeakVerdict } from './finding.ts';

/** Columns of the page; a path that is longer is not broken, because it is copied. */
const COLUMNS = 120;

/** Characters of a name: a computed method name may be as long as its author likes. */
const NAME_MAX = 200;

const NOTE_MAX = 1000;

/** Frames of a stack on the page; JSON has all of them. */
const STACK_SHOWN = 12;

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;

/** From here the trend says nothing but that it is far. */
const FAR_SECONDS: number = 365 * DAY;

/** What grows, as the object of a sentence. */
const KIND_NAMES: Readonly<Record<LeakKind, string>> = {
  heap: 'heap',
  external: 'memory outside of the heap (Buffers, ArrayBuffers)',
  native: 'native memory',
  resources: 'resources',
};

/** One line: what grows, who makes it grow, for which route, and when a limit is met. */
export function leakSentence(finding: LeakFinding): string {
  const { level, site, note } = finding;
  const subject = site === null ? 'it' : place(site);
  const parts = level === 'gone' ? [ended(finding, subject)] : [rising(finding, subject), deadline(finding)];
  const said = oneLine(note, NOTE_MAX);
  const why = site === null ? `no line is named${said === '' ? '' : `: ${said}`}` : said;
  return `${headline(finding)}: ${[...parts, why].filter((part) => part !== '').join('; ')}`;
}

/** The whole verdict for a terminal; `address` is where the endpoints are, as `http://127.0.0.1:9464`. */
export function leaksText(verdict: LeakVerdict, address: string): string {
  const { level, findings, kinds, generations, notes } = verdict;
  const head = findings.length === 0 ? `Leaks: ${level}. Nothing is found to grow.` : `Leaks: ${level}.`;
  return [
    head,
    ...(kinds.length === 0 ? [] : [kindTable(kinds)]),
    ...findings.map((finding, index) => paragraph(finding, `${index + 1}. `)),
    ...(generations.length === 0 ? [] : [generationTable(generations, address)]),
    ...(notes.length === 0 ? [] : [['Notes:', ...notes.flatMap((note) => wrapped(oneLine(note, NOTE_MAX), '  '))].join('\n')]),
  ].join('\n\n');
}

/** Seconds for a person, in its two largest units: `3 h 50 min`. */
export function durationText(seconds: number): string {
  if (seconds >= FAR_SECONDS) return 'more than a year';
  if (seconds >= 2 * DAY) return twoUnits(seconds, { unit: DAY, name: 'd' }, { unit: HOUR, name: 'h' });
  if (seconds >= HOUR) return twoUnits(seconds, { unit: HOUR, name: 'h' }, { unit: MINUTE, name: 'min' });
  return seconds >= 90 ? `${Math.round(seconds / MINUTE)} min` : `${Math.round(seconds)} s`;
}

/** Bytes for a person: `38.2 MB`. */
export function bytesText(bytes: number): string {
  const size = Math.abs(bytes);
  if (size >= 999.95e6) return `${(bytes / 1e9).toFixed(2)} GB`;
  return size >= 99_950 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.round(bytes / 1e3)} kB`;
}

interface Unit {
  readonly unit: number;
  readonly name: string;
}

function twoUnits(seconds: number, large: Unit, small: Unit): string {
  const rounded = Math.round(seconds / small.unit) * small.unit;
  const rest = Math.round((rounded % large.unit) / small.unit);
  const whole = `${Math.floor(rounded / large.unit)} ${large.name}`;
  return rest === 0 ? whole : `${whole} ${rest} ${small.name}`;
}

function headline({ kind, level }: LeakFinding): string {
  const name = KIND_NAMES[kind];
  if (level === 'leak') return `leak of ${name}`;
  if (level === 'suspect') return `leak of ${name} suspected`;
  if (level === 'gone') return `no leak of ${name} any more`;
  return `growth of ${name}`;
}

function rising(finding: LeakFinding, subject: string): string {
  const { kind, site, share, className, route, resourceType, bytesPerHour, countPerHour, grownCount } = finding;
  const handles = `${count(countPerHour)} more of type ${oneLine(resourceType ?? 'unknown')} an hour`;
  const opened = `${site === null ? `${handles} stay open` : `${subject} leaves ${handles} open`}, ${count(grownCount)} so far`;
  const details = [
    site === null ? '' : shareText(share),
    className === null ? '' : `most of it ${oneLine(className)}`,
    route === null ? '' : `on ${oneLine(route)}`,
  ].filter((part) => part !== '');
  return [kind === 'resources' ? opened : `${subject} gains ${bytesText(bytesPerHour)} an hour`, ...details].join(', ');
}

function ended({ kind, grownBytes, grownCount, resourceType }: LeakFinding, subject: string): string {
  if (kind !== 'resources') return `${subject} has stopped growing, the verdict is withdrawn; it had gained ${bytesText(grownBytes)}`;
  const type = oneLine(resourceType ?? 'unknown');
  const who = subject === 'it' ? `the number of type ${type}` : `what ${subject} leaves open of type ${type}`;
  return `${who} has stopped growing, the verdict is withdrawn; it had gained ${count(grownCount)}`;
}

function shareText(share: number): string {
  if (share >= 0.995) return 'all of the growth';
  return share < 0.005 ? '' : `${Math.round(100 * share)} % of the growth`;
}

/** The limit that is met first; empty where none is. */
function deadline({ heapLimit, containerLimit }: LeakFinding): string {
  const limits = [
    { name: "V8's limit", forecast: heapLimit },
    { name: 'the memory limit', forecast: containerLimit },
  ].flatMap(({ name, forecast }) => (forecast === null ? [] : [{ name, forecast }]));
  const [first] = limits.toSorted((a, b) => a.forecast.seconds - b.forecast.seconds);
  return first === undefined ? '' : `${first.name} is met in ${forecastText(first.forecast)}`;
}

function forecastText({ seconds, lowSeconds, highSeconds }: Forecast): string {
  if (seconds >= FAR_SECONDS) return durationText(seconds);
  const [middle, low] = [durationText(seconds), durationText(lowSeconds)];
  if (highSeconds === null) return `${middle} (not before ${low})`;
  const high = durationText(highSeconds);
  return low === high ? middle : `${middle} (${low} to ${high})`;
}

function count(value: number): string {
  return value >= 10 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(1);
}

function place({ function: name, file, line }: Site): string {
  const where = line === 0 ? file : `${file}:${line}`;
  return oneLine(where === '' ? name : `${name} (${where})`);
}

/** Without what a terminal would obey, and never a second line. */
function oneLine(text: string, max: number = NAME_MAX): string {
  // eslint-disable-next-line no-control-regex -- these are what is taken out
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ').slice(0, max);
}

function kindTable(kinds: readonly KindReading[]): string {
  const rows = kinds.map((reading) => {
    const { kind, level, current, perMinute, heapLimit, containerLimit } = reading;
    const isCount = kind === 'resources';
    const perHour = perMinute * 60;
    const rise = isCount ? `${count(perHour)}/h` : `${bytesText(perHour)}/h`;
    const limits = [heapLimit, containerLimit].map((forecast) => (forecast === null ? '-' : forecastText(forecast)));
    return [kind, level, isCount ? count(current) : bytesText(current), perMinute === 0 ? '-' : rise, ...limits];
  });
  return table(['kind', 'level', 'now', 'rises by', "V8's limit in", 'memory limit in'], rows);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((name, column) => Math.max(name.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return [line(head), ...rows.map(line)].join('\n');
}

function paragraph(finding: LeakFinding, bullet: string): string {
  const { stack, leaves, grownBytes, kind, sinceEpochMillis, levelEpochMillis, level, grownCount } = finding;
  const indent = ' '.repeat(bullet.length);
  const gained = kind === 'resources' ? count(grownCount) : bytesText(grownBytes);
  const lines = wrapped(leakSentence(finding), indent);
  lines[0] = bullet + (lines[0] ?? '').trimStart();
  lines.push(`${indent}gained ${gained} since ${time(sinceEpochMillis)}; ${level} since ${time(levelEpochMillis)}`);
  if (leaves.length > 0) {
    lines.push(`${indent}allocated in:`);
    lines.push(...leaves.map((leaf) => `${indent}  ${`${Math.round(100 * leaf.share)} %`.padStart(5)}  ${place(leaf.site)}`));
  }
  if (stack.length > 0) {
    lines.push(`${indent}by the stack, innermost first:`);
    lines.push(...stack.slice(0, STACK_SHOWN).map((site) => `${indent}  ${place(site)}`));
    if (stack.length > STACK_SHOWN) lines.push(`${indent}  and ${stack.length - STACK_SHOWN} more`);
  }
  return lines.join('\n');
}

function generationTable(generations: readonly Generation[], address: string): string {
  const rows = generations.map(({ index, epochMillis, bytes }) => [String(index), time(epochMillis), bytesText(bytes)]);
  const url = `${address}/debug/leaks/heap?generation=`;
  const diff = `  go tool pprof -diff_base '${url}first' '${url}last'`;
  return [
    'Live heap as it was sampled after earlier collections:',
    table(['generation', 'taken', 'sampled'], rows),
    ...(generations.length < 2 ? [] : ['What has been added between the first and the last:', diff]),
  ].join('\n');
}

function time(epochMillis: number): string {
  return new Date(epochMillis).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** Broken between words, each line indented. */
function wrapped(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && indent.length + line.length + 1 + word.length > COLUMNS) {
      lines.push(indent + line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, indent + line];
}
