// Where V8 has functions, on every Node and in CPU and heap profiles, and what source maps of the TypeScript compiler and
// of esbuild make of it: each form of function in forms.ts has its own line and its own name.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buildSync } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { StderrDiag } from '../../src/core/diag.ts';
import { Guard } from '../../src/core/guard.ts';
import { frameOf } from '../../src/profile/frame.ts';
import { SourceMaps } from '../../src/profile/source-maps.ts';
import { bundle, type Bundle } from '../helpers/bundle.ts';
import { MAJORS, nodeBinary } from '../helpers/nodes.mjs';
import { ROOT } from '../helpers/process.ts';

const FIXTURES = path.join(ROOT, 'test/fixtures/typescript');
const SOURCE = path.join(FIXTURES, 'forms.ts');
const LINES = readFileSync(SOURCE, 'utf8').split('\n');

/** The name of each function and what stands in the line where it begins. */
const FORMS: readonly (readonly [name: string, text: string])[] = [
  ['work', 'export function work('],
  ['declared', 'function declared('],
  ['asynchronous', 'async function asynchronous('],
  ['generated', 'function* generated('],
  ['arrow', 'const arrow ='],
  ['bare', 'const bare ='],
  ['expression', 'const expression ='],
  ['onField', 'onField ='],
  ['Shape', 'constructor('],
  ['method', '  method('],
  ['asynchronousMethod', 'async asynchronousMethod('],
  ['get area', 'get area('],
  ['set area', 'set area('],
  ['create', 'static create('],
  ['#hidden', '#hidden(): '],
  ['callHidden', 'callHidden('],
  ['shorthand', 'shorthand('],
  ['property', 'property:'],
  ['old', 'old: function'],
  ['holder.assigned', 'holder.assigned ='],
  ['callbacks', 'function callbacks('],
  ['(anonymous)', 'list.forEach('],
  ['(anonymous)', 'list.map('],
  ['globalThis.runForms', '.runForms = async'],
];

let directory: string;
let worker: Bundle;

beforeAll(async () => {
  directory = realpathSync(mkdtempSync(path.join(tmpdir(), 'sonde-places-')));
  worker = await bundle('src/profile/source-map-worker.ts');
});

afterAll(() => {
  rmSync(directory, { recursive: true });
  worker.remove();
});

function compile(target: string): string {
  const outDir = path.join(directory, target);
  const flags = ['--ignoreConfig', '--target', target, '--module', 'commonjs', '--lib', 'es2023', '--types', 'node', '--skipLibCheck'];
  execFileSync(
    process.execPath,
    [path.join(ROOT, 'node_modules/typescript/bin/tsc'), SOURCE, ...flags, '--outDir', outDir, '--sourceMap'],
    {
      cwd: ROOT,
    },
  );
  return path.join(outDir, 'forms.js');
}

function bundled(minify: boolean): string {
  const outfile = path.join(directory, minify ? 'minified' : 'bundled', 'forms.js');
  buildSync({ entryPoints: [SOURCE], bundle: true, minify, platform: 'node', target: 'es2022', sourcemap: true, outfile });
  return outfile;
}

type Place = [name: string, line: number, column: number];

/** V8 may put a class in front of the name of its field, and esbuild calls a class that names itself `_Shape`. */
const plain = (name: string): string => name.replace(/^\w+\.onField$/, 'onField').replace('_Shape', 'Shape');

describe.each([
  ['the TypeScript compiler for ES2022', () => compile('es2022'), []],
  // A private method becomes a function behind the class, for which the compiler's map has no segment.
  ['the TypeScript compiler for ES2016', () => compile('es2016'), ['#hidden']],
  ['esbuild', () => bundled(false), []],
  ['esbuild, minified', () => bundled(true), []],
])('what is made by %s', (_, make, without) => {
  let script: string;

  beforeAll(() => {
    script = make();
  });

  test.each(MAJORS)('has every function in its line and by its name on Node %i', async (major) => {
    const output = execFileSync(nodeBinary(major), [path.join(FIXTURES, 'places.cjs'), script], { encoding: 'utf8' });
    const places = JSON.parse(output) as { cpu: Place[]; heap: Place[] };
    const lines: string[] = [];
    const diag = new StderrDiag('warn', (line) => lines.push(line));
    const maps = new SourceMaps({ guard: new Guard(diag), diag, workerFile: worker.file });
    const expected = FORMS.filter(([name]) => !without.some((left) => left === name)).map(
      ([name, text]) => `${name}:${LINES.findIndex((line) => line.includes(text)) + 1}`,
    );
    // Whether a function of two milliseconds is sampled is a matter of luck, whether one that keeps 30 kB is not.
    const frames = places.heap.map(([name, line, column]) => frameOf(name || '(anonymous)', script, line, column));
    const located = (await maps.locate(frames)).filter(({ file }) => file === SOURCE);
    expect(located.map(({ name, line }) => `${plain(name)}:${line}`)).toEqual(expect.arrayContaining(expected));
    const inHeap = new Set(places.heap.map(String));
    const named = new Set(places.heap.map(([name]) => name));
    const text = readFileSync(script, 'utf8').split('\n');
    // What sets the fields of a class is a function too, which V8 calls as the constructor and has at the brace of the class
    // or, from Node 24 on, at the first field.
    const isInitializer = ([, line, column]: Place): boolean => '{#'.includes(text[line - 1]![column - 1]!);
    const shared = places.cpu.filter((one) => one[0] !== '' && named.has(one[0]) && !isInitializer(one));
    expect(shared.length).toBeGreaterThan(0);
    expect(shared.filter((one) => !inHeap.has(String(one)))).toEqual([]);
    maps.stop();
    expect(lines).toEqual([]);
  });
});
