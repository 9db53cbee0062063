// The programs of the corpus and where each leaks. The places come from the sources themselves, by the comment `// leaks`
// on the line that keeps what it should not, so that they cannot drift.
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { addonPath } from './addon.mjs';

const DIRECTORY = path.join(import.meta.dirname, 'programs');
const require = createRequire(import.meta.url);

const MARK = /\/\/ leaks$/;
const FUNCTION = /^ *(?:async )?(?:function\*? (\w+)\(|(?!if|for|while|switch|catch|else)(\w+)\([^)]*\) \{$)/;
const CLASS = /^ *class (\w+)/;

/**
 * All programs that can run here, those that leak first: `{ name, file, about, leaks, places, ... }`, `places` being empty
 * where nothing leaks.
 */
export function allPrograms() {
  const programs = readdirSync(DIRECTORY)
    .filter((file) => file.endsWith('.cjs'))
    .toSorted()
    .map((file) => describe(file))
    .filter(({ needs }) => needs !== 'addon' || addonPath() !== undefined);
  return [...programs.filter(({ leaks }) => leaks !== false), ...programs.filter(({ leaks }) => leaks === false)];
}

function describe(file) {
  const full = path.join(DIRECTORY, file);
  const program = require(full);
  const places = leakingPlaces(readFileSync(full, 'utf8').split('\n'));
  const named = JSON.stringify(places.map((place) => place.function));
  if (named !== JSON.stringify(program.leaks === false ? [] : program.leaks.function)) {
    throw new Error(`${file}: marked as leaking are ${named}`);
  }
  return { ...program, name: file.replace(/\.cjs$/, ''), file, places };
}

/** For each mark the function around it: its name, as V8 has it, and its lines. */
function leakingPlaces(lines) {
  return lines.flatMap((line, index) => (MARK.test(line) ? [{ line: index + 1, ...functionAround(lines, index) }] : []));
}

function functionAround(lines, marked) {
  let start = marked;
  while (!FUNCTION.test(lines[start]) || indentOf(lines[start]) >= indentOf(lines[marked])) start -= 1;
  const [, declared, method] = FUNCTION.exec(lines[start]);
  const end = lines.findIndex((line, index) => index > marked && indentOf(line) === indentOf(lines[start]) && line.trim().startsWith('}'));
  return { function: declared ?? (method === 'constructor' ? classAround(lines, start) : method), from: start + 1, to: end + 1 };
}

function classAround(lines, inner) {
  let start = inner;
  while (!CLASS.test(lines[start])) start -= 1;
  return CLASS.exec(lines[start])[1];
}

function indentOf(line) {
  return line.length - line.trimStart().length;
}

/**
 * Whether a site of a verdict is where the program leaks: the file, and a line of the function. Detectors name the line of
 * the allocation or that of the function's start, or of a nameless callback in it, so any line of the function will do.
 */
export function isPlace(program, site) {
  if (site === null || site === undefined || path.basename(site.file) !== program.file) return false;
  return program.places.some(({ from, to, ...place }) => site.line >= from && site.line <= to && isCalled(site.function, place.function));
}

/** The same by its line alone: where V8 has inlined the function, a nameless callback in it goes by the name of the caller. */
export function isLine(program, site) {
  if (site === null || site === undefined || path.basename(site.file) !== program.file) return false;
  return program.places.some(({ from, to }) => site.line >= from && site.line <= to);
}

function isCalled(name, wanted) {
  return name === wanted || name.endsWith(`.${wanted}`) || name === `new ${wanted}` || name === '' || name === '(anonymous)';
}
