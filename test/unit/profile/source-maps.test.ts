// Source maps from files to frames, through the worker: every form of map, every one that cannot be used, and what is
// seen of the work from outside. Generated code and maps are made by esbuild.
import { AsyncLocalStorage } from 'node:async_hooks';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Worker } from 'node:worker_threads';
import { originalPositionFor, TraceMap } from '@jridgewell/trace-mapping';
import { buildSync } from 'esbuild';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { StderrDiag } from '../../../src/core/diag.ts';
import { Guard } from '../../../src/core/guard.ts';
import { type Frame, frameOf } from '../../../src/profile/frame.ts';
import { ProfileBuilder } from '../../../src/profile/profile.ts';
import { SourceMaps, type SourceMapsOptions } from '../../../src/profile/source-maps.ts';
import { bundle, type Bundle } from '../../helpers/bundle.ts';
import { leastLongestTurnMillis } from '../../helpers/longest-turn.ts';

const SOURCE = `interface Order {
  readonly price: number;
}

export function total(orders: readonly Order[]): number {
  return orders.reduce((sum, order) => sum + order.price, 0);
}

export class Basket {
  constructor(readonly orders: Order[] = []) {}

  checkOut = (discount: number): number =>
    total(this.orders) - discount;
}
`;

const built = buildSync({
  stdin: { contents: SOURCE, loader: 'ts', sourcefile: 'shop.ts' },
  bundle: true,
  minify: true,
  format: 'cjs',
  target: 'es2022',
  sourcemap: 'external',
  sourcesContent: false,
  outfile: 'shop.js',
  write: false,
});

/** What is made of it: one line of code, and the map. */
const [MAP, CODE] = [JSON.parse(built.outputFiles[0]!.text) as { sources: string[]; mappings: string }, built.outputFiles[1]!.text];

let worker: Bundle;
let root: string;
let directory: string;
let lines: string[];
let started: Worker[];
const running: SourceMaps[] = [];

const noteStart = (thread: Worker): void => void started.push(thread);

beforeAll(async () => {
  worker = await bundle('src/profile/source-map-worker.ts');
  root = mkdtempSync(path.join(tmpdir(), 'sonde-source-maps-'));
});

afterAll(() => {
  worker.remove();
  rmSync(root, { recursive: true });
});

beforeEach(() => {
  directory = mkdtempSync(path.join(root, 'app-'));
  lines = [];
  started = [];
  process.on('worker', noteStart);
});

afterEach(() => {
  process.removeListener('worker', noteStart);
  for (const maps of running.splice(0)) maps.stop();
});

function create(options: Partial<SourceMapsOptions> = {}): SourceMaps {
  const diag = new StderrDiag('debug', (line) => lines.push(line));
  const maps = new SourceMaps({ guard: new Guard(diag), diag, workerFile: worker.file, ...options });
  running.push(maps);
  return maps;
}

function write(name: string, content: string | Buffer): string {
  const file = path.join(directory, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, content);
  return file;
}

/** The generated code under that name, with a comment that names its map. */
function writeScript(name: string, url: string, code = CODE): string {
  return write(name, `${code}//# sourceMappingURL=${url}\n`);
}

/** Where the functions begin in the generated code, from 1; esbuild has called `total` something of one letter. */
const TOTAL = /function (\w+)(?=\(\w+\)\{return \w+\.reduce)/.exec(CODE)!;
const TOTAL_COLUMN = TOTAL.index + TOTAL[0].length + 1;
const CALLBACK_COLUMN = CODE.indexOf('.reduce(') + '.reduce('.length + 1;

/** The frames that V8 has for `total` and for the function that it calls for each order. */
const total = (file: string): Frame => frameOf(TOTAL[1]!, file, 1, TOTAL_COLUMN);
const callback = (file: string): Frame => frameOf('(anonymous)', file, 1, CALLBACK_COLUMN);

async function locateTotal(file: string, maps = create()): Promise<Frame> {
  return (await maps.locate([total(file)]))[0]!;
}

const dataUrl = (map: object): string => `data:application/json;base64,${Buffer.from(JSON.stringify(map)).toString('base64')}`;

describe('a function is found in its source', () => {
  const encoded = { ...MAP, sources: ['../src/shop.ts'] };
  test.each<[string, (script: string) => { url: string; map?: object | string }]>([
    ['by a file beside the script', () => ({ url: 'shop.js.map', map: encoded })],
    ['by a file elsewhere', () => ({ url: '../maps/shop.map', map: encoded })],
    ['by a file whose name is escaped', () => ({ url: 'the%20map.json', map: encoded })],
    ['by a file URL', (script) => ({ url: pathToFileURL(`${script}.map`).href, map: encoded })],
    ['by a data URL in base64', () => ({ url: dataUrl(encoded) })],
    ['by a data URL with escapes', () => ({ url: `data:application/json;charset=utf-8,${encodeURIComponent(JSON.stringify(encoded))}` })],
    [
      'by a map with sections',
      () => ({ url: 'shop.js.map', map: { version: 3, sections: [{ offset: { line: 0, column: 0 }, map: encoded }] } }),
    ],
    ['by a map with a sourceRoot', () => ({ url: 'shop.js.map', map: { ...MAP, sourceRoot: '../src', sources: ['shop.ts'] } })],
    ['by a map with the path', () => ({ url: 'shop.js.map', map: { ...MAP, sources: [path.join(directory, 'src/shop.ts')] } })],
    [
      'by a map with the file URL',
      () => ({ url: 'shop.js.map', map: { ...MAP, sources: [pathToFileURL(path.join(directory, 'src/shop.ts')).href] } }),
    ],
    ['by a map of webpack', () => ({ url: 'shop.js.map', map: { ...MAP, sources: ['webpack://shop/./src/shop.ts'] } })],
    ['by a map that must not be run', () => ({ url: 'shop.js.map', map: `)]}'\n${JSON.stringify(encoded)}` })],
  ])('%s', async (_, make) => {
    write('src/shop.ts', SOURCE);
    const script = path.join(directory, 'dist/shop.js');
    const { url, map } = make(script);
    writeScript('dist/shop.js', url);
    const file = url.startsWith('data:')
      ? undefined
      : path.resolve(path.dirname(script), url.startsWith('file:') ? `${script}.map` : decodeURIComponent(url));
    if (file !== undefined) write(path.relative(directory, file), typeof map === 'string' ? map : JSON.stringify(map));
    expect(await create().locate([total(script), callback(script)])).toEqual([
      { name: 'total', file: path.join(directory, 'src/shop.ts'), line: 5, column: 17 },
      { name: '(anonymous)', file: path.join(directory, 'src/shop.ts'), line: 6, column: 24 },
    ]);
    expect(lines).toEqual([]);
  });

  test('by a long data URL with comments behind it', async () => {
    const filler = JSON.stringify({ x_filler: 'x'.repeat(20_000) }).slice(1, -1);
    const long = `data:application/json;base64,${Buffer.from(`{${filler},${JSON.stringify(MAP).slice(1)}`).toString('base64')}`;
    const script = writeScript('shop.js', `${long}\n//# debugId=1`);
    expect((await locateTotal(script)).name).toBe('total');
  });

  test('though the source is not on this machine', async () => {
    const script = writeScript('dist/shop.js', dataUrl({ ...MAP, sources: ['../src/shop.ts'] }));
    expect((await locateTotal(script)).file).toBe(path.join(directory, 'src/shop.ts'));
  });

  test('in the only source of a module for its own code, and not for that of a bundle', async () => {
    const [module, bundled] = [
      writeScript('a.js', dataUrl(MAP)),
      writeScript('b.js', dataUrl({ ...MAP, sources: [...MAP.sources, 'other.ts'] })),
    ];
    const [ofModule, ofBundle] = [frameOf('(anonymous)', module, 1, 1), frameOf('(anonymous)', bundled, 1, 1)];
    const located = await create().locate([ofModule, ofBundle]);
    expect(located[0]).toEqual({ name: '(anonymous)', file: path.join(directory, 'shop.ts'), line: 1, column: 1 });
    expect(located[1]).toBe(ofBundle);
    expect(lines).toEqual([]);
  });
});

describe('a function stays as it is, and nothing is said,', () => {
  test.each<[string, () => Frame]>([
    ['in a package', () => total(writeScript('node_modules/shop/shop.js', dataUrl(MAP)))],
    ['in a script that names no map', () => total(write('shop.js', CODE))],
    ['in a script that is not there', () => total(path.join(directory, 'gone.js'))],
    ['in a folder', () => total(directory)],
    ['in Node itself', () => frameOf('readFileSync', 'node:fs', 400, 22)],
    ['without a file', () => frameOf('(garbage collector)', '', 0, 0)],
    ['in a script with a name that is no path', () => total('evalmachine.<anonymous>')],
    ['without a line', () => frameOf('total', writeScript('shop.js', dataUrl(MAP)), 0, 0)],
  ])('%s', async (_, make) => {
    const unmapped = make();
    const [located] = await create().locate([unmapped]);
    expect(located).toBe(unmapped);
    expect(lines.filter((line) => !line.includes('names no source map'))).toEqual([]);
    expect(started).toEqual([]);
  });

  test.each<[string, string]>([
    ['whose map is not there', 'gone.map'],
    ['whose map is a folder', '.'],
    ['whose map is on another machine', 'https://maps.example/shop.js.map'],
  ])('%s but at level debug', async (_, url) => {
    const script = writeScript('shop.js', url);
    expect(await locateTotal(script)).toEqual(total(script));
    expect(lines).toEqual([expect.stringMatching(/^sonde: .*, the source map of .*shop\.js, is not there$/)]);
  });

  test('that the map knows nothing of', async () => {
    const script = writeScript('shop.js', dataUrl({ ...MAP, mappings: '' }));
    expect(await locateTotal(script)).toEqual(total(script));
    expect(lines).toEqual([]);
  });
});

describe('a script that was compiled while it was loaded', () => {
  const require = createRequire(import.meta.url);

  /** Loads the code with its map as a hook does, which Node then holds; on disk is what it was made of. */
  function load(name: string, source: string): string {
    const file = writeScript(name, dataUrl(MAP));
    process.setSourceMapsEnabled(true);
    require(file);
    process.setSourceMapsEnabled(false);
    writeFileSync(file, source);
    return file;
  }

  test('is found by the map that Node holds of it, without the thread', async () => {
    const file = load('shop.cjs', SOURCE);
    const unknown = frameOf('other', file, 99, 1);
    expect(await create().locate([total(file), callback(file), unknown])).toEqual([
      { name: total(file).name, file: path.join(directory, 'shop.ts'), line: 5, column: 17 },
      { name: '(anonymous)', file: path.join(directory, 'shop.ts'), line: 6, column: 24 },
      unknown,
    ]);
    expect([started, lines]).toEqual([[], []]);
  });

  test('is left alone above 32 KiB, as Node reads the map on this thread', async () => {
    const [small, large] = [32 * 1024, 32 * 1024 + 1].map((size) => load(`shop${size}.cjs`, SOURCE.padEnd(size, '// filler\n')));
    expect((await locateTotal(small!)).line).toBe(5);
    expect(await locateTotal(large!)).toEqual(total(large!));
  });
});

describe('a map that cannot be used is said once, with its file, and functions stay as they are:', () => {
  test.each<[string, string, string]>([
    ['not JSON', '<!doctype html>', 'it is not JSON at byte 0'],
    ['cut off', JSON.stringify(MAP).slice(0, -10), 'it is not JSON at byte'],
    ['of another version', JSON.stringify({ ...MAP, version: 2 }), 'it is of version 2, not 3'],
    ['without mappings', JSON.stringify({ ...MAP, mappings: undefined }), 'it has no mappings'],
    ['with broken mappings', JSON.stringify({ ...MAP, mappings: '!' }), 'its mappings are broken at character 0'],
    ['that points outside of its sources', JSON.stringify({ ...MAP, sources: [] }), 'its mappings name source 0 of 0'],
  ])('%s', async (_, map, reason) => {
    const maps = create();
    write('shop.js.map', map);
    const scripts = [writeScript('shop.js', 'shop.js.map'), writeScript('again.js', 'shop.js.map')];
    expect(await maps.locate(scripts.map(total))).toEqual(scripts.map(total));
    expect(await maps.locate(scripts.map(callback))).toEqual(scripts.map(callback));
    expect(lines).toEqual([expect.stringContaining(`the source map of ${scripts[0]} cannot be used: ${reason}`)]);
    expect(lines[0]).toMatch(/^sonde: .*; its functions are shown as they run$/);
  });

  test.each([
    ['a data URL without data', 'data:application/json;base64', 'its data URL has no data'],
    ['a data URL with a broken escape', 'data:application/json,%7', 'its data URL is not encoded as it should be'],
  ])('%s', async (_, url, reason) => {
    const script = writeScript('shop.js', url);
    expect(await locateTotal(script)).toEqual(total(script));
    expect(lines).toEqual([expect.stringContaining(`${script} cannot be used: ${reason}`)]);
  });
});

describe('a file above 64 MiB is not read, which is said once with its name and the limit:', () => {
  const LIMIT = 64 * 1024 * 1024;

  test('a map', async () => {
    const [script, map] = [writeScript('shop.js', 'shop.js.map'), write('shop.js.map', JSON.stringify(MAP))];
    truncateSync(map, LIMIT);
    expect((await locateTotal(script)).name).toBe('total');
    expect(lines).toEqual([]);
    truncateSync(map, LIMIT + 1);
    const again = writeScript('again.js', 'shop.js.map');
    expect(await locateTotal(again)).toEqual(total(again));
    expect(lines).toEqual([`sonde: ${map} is larger than 64 MiB and is not read; its functions are shown as they run`]);
  });

  test('a script', async () => {
    const script = write('shop.js', CODE);
    const end = `\n//# sourceMappingURL=${dataUrl(MAP)}\n`;
    const descriptor = openSync(script, 'r+');
    writeSync(descriptor, end, LIMIT - end.length);
    expect((await locateTotal(script)).name).toBe('total');
    writeSync(descriptor, end, LIMIT + 1 - end.length);
    closeSync(descriptor);
    expect(await locateTotal(script)).toEqual(total(script));
    expect(lines).toEqual([`sonde: ${script} is larger than 64 MiB and is not read; its functions are shown as they run`]);
  });
});

describe('a script that is another one on disk than runs is said once, and of its functions', () => {
  const said = (script: string): string[] => [
    `sonde: ${script} on disk is not the code that runs (built anew?); functions that are elsewhere in it are shown as they run`,
  ];

  test.each<[string, string]>([
    ['a line that was put in above', `\n${CODE}`],
    ['a function that was put in before', CODE.replace('function ', 'function other(e){return 1}$&')],
    ['a character that was taken out', CODE.slice(1)],
    ['an end before they come', CODE.slice(0, 40)],
    ['another name in their place', CODE.replace(`${TOTAL[0]}(`, `${TOTAL[0].slice(0, -1)}_(`)],
  ])('those that are elsewhere stay: %s', async (_, changed) => {
    const script = writeScript('shop.js', dataUrl(MAP), `${changed}\n`);
    const frames = [total(script), callback(script)];
    const maps = create();
    expect(await maps.locate(frames)).toEqual(frames);
    expect(await maps.locate([...frames, frameOf('other', script, 1, 2)])).toHaveLength(3);
    expect(lines).toEqual(said(script));
  });

  test('those whose name is where it was are found', async () => {
    const script = writeScript('shop.js', dataUrl(MAP), CODE.replace('checkOut=', 'inserted=1;$&'));
    const checkOut = frameOf('checkOut', script, 1, CODE.indexOf('checkOut=') + 'checkOut='.length + 1);
    expect(await create().locate([total(script), callback(script), checkOut])).toEqual([
      expect.objectContaining({ name: 'total', line: 5 }),
      callback(script),
      checkOut,
    ]);
    expect(lines).toEqual(said(script));
  });
});

describe('the work', () => {
  test('is done once for each function, and frames that are known need none', async () => {
    const maps = create();
    const script = writeScript('shop.js', dataUrl(MAP));
    const first = await locateTotal(script, maps);
    rmSync(script);
    expect(await locateTotal(script, maps)).toBe(first);
    expect(started).toHaveLength(1);
    const gone = await maps.locate([callback(script)]);
    expect(gone).toEqual([callback(script)]);
  });

  test('is shared by those who ask at the same time', async () => {
    const maps = create();
    const scripts = Array.from({ length: 20 }, (_, i) => writeScript(`shop${i}.js`, dataUrl(MAP)));
    const all = await Promise.all([
      ...scripts.map((script) => locateTotal(script, maps)),
      ...scripts.map(async (script) => (await maps.locate([callback(script), total(script)]))[1]!),
    ]);
    expect(new Set(all.map(({ name }) => name))).toEqual(new Set(['total']));
    expect(started).toHaveLength(1);
  });

  test('merges functions that have the same source, and adds their samples up', async () => {
    const scripts = ['a.js', 'b.js'].map((name) => writeScript(name, dataUrl({ ...MAP, sources: [path.join(directory, 'shop.ts')] })));
    const builder = new ProfileBuilder(1);
    for (const [i, script] of scripts.entries()) builder.add(builder.node(-1, builder.addFrame(total(script))), 0, 10 + i);
    const type = { type: 'samples', unit: 'count' };
    const profile = builder.build({
      sampleTypes: [type],
      defaultSampleType: 'samples',
      periodType: type,
      period: 1,
      startEpochMillis: 0,
      durationMillis: 0,
    });
    const mapped = await create().apply(profile);
    expect(mapped.frames).toEqual([expect.objectContaining({ name: 'total' })]);
    expect(Array.from(mapped.values)).toEqual([21]);
    expect(profile.frames).toHaveLength(2);
  });

  test('leaves a profile without maps as it is, the same object', async () => {
    const builder = new ProfileBuilder(1);
    builder.add(builder.node(-1, builder.addFrame(total(write('plain.js', CODE)))), 0, 1);
    const type = { type: 'samples', unit: 'count' };
    const profile = builder.build({
      sampleTypes: [type],
      defaultSampleType: 'samples',
      periodType: type,
      period: 1,
      startEpochMillis: 0,
      durationMillis: 0,
    });
    expect(await create().apply(profile)).toBe(profile);
    expect(started).toEqual([]);
  });

  test('is waited for no longer than allowed, and what comes late serves the next read', async () => {
    const maps = create({ waitMillis: 0 });
    const script = writeScript('shop.js', dataUrl(MAP));
    expect(await locateTotal(script, maps)).toEqual(total(script));
    await expect.poll(() => locateTotal(script, maps), { timeout: 20_000 }).toMatchObject({ name: 'total' });
    expect(lines).toEqual([]);
  });

  test('leaves no thread behind when nobody has asked for a while', { timeout: 30_000 }, async () => {
    const maps = create();
    await locateTotal(writeScript('shop.js', dataUrl(MAP)), maps);
    const ended = new Promise((resolve) => started[0]!.once('exit', resolve));
    await ended;
    expect((await locateTotal(writeScript('later.js', dataUrl(MAP)), maps)).name).toBe('total');
    expect(started).toHaveLength(2);
    expect(lines).toEqual([]);
  });

  test('does not hold on to the context of the request that asked', async () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    const storage = new AsyncLocalStorage<object>();
    const maps = create();
    const script = writeScript('shop.js', dataUrl(MAP));
    const context = await (async () => {
      const request = { body: 'x' };
      expect((await storage.run(request, () => locateTotal(script, maps))).name).toBe('total');
      return new WeakRef(request);
    })();
    await expect
      .poll(() => {
        collectGarbage();
        return context.deref() === undefined;
      })
      .toBe(true);
    // The thread is still there.
    expect((await maps.locate([callback(script)]))[0]).toMatchObject({ line: 6 });
    expect(started).toHaveLength(1);
  });
});

describe('a thread that fails', () => {
  test('to start is said once, functions stay as they are, and it is tried no more after three times', async () => {
    const maps = create({ workerFile: path.join(directory, 'gone.js') });
    for (let i = 0; i < 5; i++) {
      const script = writeScript(`shop${i}.js`, dataUrl(MAP));
      expect(await locateTotal(script, maps)).toEqual(total(script));
    }
    expect(started).toHaveLength(3);
    expect(lines).toEqual([
      expect.stringMatching(/^sonde: the thread that reads source maps failed at .*shop0\.js, .*: Cannot find module/),
    ]);
  });

  test('in the middle of its work costs that file its maps and no other', async () => {
    const dying = write(
      'dying.cjs',
      `
      const { parentPort } = require('node:worker_threads');
      parentPort.once('message', ({ file }) => {
        if (file.endsWith('bad.js')) process.exit(3);
        const [files, names, lines, columns] = [0, 1, 5, 1].map((number) => Int32Array.of(number));
        parentPort.postMessage({ status: 'mapped', detail: '', moved: 0, strings: '/app/shop.ts\\0total', files, names, lines, columns });
      });`,
    );
    const maps = create({ workerFile: dying });
    const scripts = ['bad.js', 'good.js'].map((name) => writeScript(name, dataUrl(MAP)));
    expect(await maps.locate(scripts.map(total))).toEqual([
      total(scripts[0]!),
      { name: 'total', file: '/app/shop.ts', line: 5, column: 1 },
    ]);
    expect(await maps.locate(scripts.map(callback))).toHaveLength(2);
    expect(lines).toEqual([expect.stringMatching(/^sonde: the thread that reads source maps failed at .*bad\.js, .*: it has ended$/)]);
  });

  test('to answer is ended, and costs that file its maps', async () => {
    const silent = write('silent.cjs', "require('node:worker_threads').parentPort.on('message', () => {});");
    const maps = create({ workerFile: silent, answerMillis: 1 });
    const script = writeScript('shop.js', dataUrl(MAP));
    const located = locateTotal(script, maps);
    await new Promise((resolve) => process.once('worker', resolve));
    const ended = new Promise((resolve) => started[0]!.once('exit', resolve));
    expect(await located).toEqual(total(script));
    await ended;
    expect(await maps.locate([callback(script)])).toEqual([callback(script)]);
    expect(started).toHaveLength(1);
    expect(lines).toEqual([expect.stringMatching(/shop\.js, .*: it does not answer$/)]);
  });

  test('because it is stopped at its work says nothing', async () => {
    const maps = create();
    const script = writeScript('shop.js', dataUrl(MAP));
    const located = locateTotal(script, maps);
    await new Promise((resolve) => process.once('worker', resolve));
    maps.stop();
    expect(await located).toEqual(total(script));
    expect(lines).toEqual([]);
  });

  test('is not needed any more after the end', async () => {
    const maps = create();
    maps.stop();
    const script = writeScript('shop.js', dataUrl(MAP));
    expect(await locateTotal(script, maps)).toEqual(total(script));
    expect([started, lines]).toEqual([[], []]);
  });
});

describe('a map of 20 MB', () => {
  const FUNCTIONS = 20_000;
  const FILLER = 200;
  const unit = (i: number): string => `function f${String(i).padStart(5, '0')}(a){return a}`;
  let script: string;
  let map: string;

  /** A number as mappings have it. */
  function vlq(value: number): string {
    let text = '';
    for (let rest = value * 2; text === '' || rest > 0; rest = Math.floor(rest / 32)) {
      text += 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'[(rest % 32) + (rest >= 32 ? 32 : 0)];
    }
    return text;
  }

  // One line, a segment for each character between the functions; function i is on line i + 1 and called `original<i>`.
  const filler = ',CAAA'.repeat(FILLER);
  const mappings = `AAAA,${vlq(9)}AAAA${filler}${`,${vlq(unit(0).length - 9)}ACA,${vlq(9)}AAAC${filler}`.repeat(FUNCTIONS - 1)}`;
  const space = ' '.repeat(FILLER);
  const code = Array.from({ length: FUNCTIONS }, (_, i) => unit(i) + space).join('');
  const column = (i: number): number => i * (unit(0).length + FILLER) + 'function f00000'.length + 1;

  beforeAll(() => {
    script = path.join(root, 'large.js');
    map = JSON.stringify({
      version: 3,
      sources: ['large.ts'],
      names: Array.from({ length: FUNCTIONS }, (_, i) => `original${i}`),
      mappings,
    });
    expect(map.length).toBeGreaterThan(20e6);
    writeFileSync(script, `${code}\n//# sourceMappingURL=large.js.map\n`);
    writeFileSync(`${script}.map`, map);
  });

  test('holds the event loop for less than 10 ms at a time, where reading it there would hold it for a second', async () => {
    const frames = Array.from({ length: 5000 }, (_, i) => frameOf(`f${String(4 * i).padStart(5, '0')}`, script, 1, column(4 * i)));
    let located: readonly Frame[] = [];
    const longest = await leastLongestTurnMillis(5, async () => {
      located = await create().locate(frames);
    });
    expect(located[4999]).toEqual({ name: 'original19996', file: path.join(root, 'large.ts'), line: 19_997, column: 1 });
    expect(new Set(located.map(({ line }) => line)).size).toBe(5000);
    expect(longest).toBeLessThan(10);
    const control = await leastLongestTurnMillis(1, async () => {
      await Promise.resolve();
      originalPositionFor(new TraceMap(map), { line: 1, column: 1e6 });
    });
    expect(control).toBeGreaterThan(100);
    expect(lines).toEqual([]);
  });
});
