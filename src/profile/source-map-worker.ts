// The thread that reads scripts and their source maps. Started by source-map-thread.ts, asked for one file after
// another, silent otherwise. Holds one file and its map at a time, as bytes: a worker whose heap reaches its limit
// takes the whole process with it (Node 20 to 24), so nothing that grows with a map becomes an object.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import path from 'node:path';
import { parentPort } from 'node:worker_threads';
import type { GeneratedFunction, SourceFunction } from './locate-functions.ts';
import { locateFunctions } from './locate-functions.ts';
import { MapError } from './map-error.ts';
import { dataUrl, mapFile, mapUrl, sourcePath } from './map-location.ts';
import { ScriptText } from './script-text.ts';
import type { SourceMapRequest, SourceMapResponse } from './source-map-protocol.ts';

/** A script or a map larger than this is not read. Both at this size are 128 MiB for half a second. */
const FILE_BYTES_MAX: number = 64 * 1024 * 1024;

type Columns = [files: Int32Array, names: Int32Array, lines: Int32Array, columns: Int32Array];

class TooLarge extends Error {}

function answer(request: SourceMapRequest): SourceMapResponse {
  const { file } = request;
  try {
    const script = read(file);
    const url = script === undefined ? undefined : mapUrl(script);
    if (script === undefined || url === undefined) return { ...pack([]), status: 'none', detail: `${file} names no source map` };
    const location = mapFile(url, file);
    const map = dataUrl(url) ?? (location === undefined ? undefined : read(location));
    if (map === undefined) return { ...pack([]), status: 'none', detail: `${location ?? url}, the source map of ${file}, is not there` };
    const { sources, moved } = locateFunctions(unpack(request), new ScriptText(script), map);
    const directory = path.dirname(location ?? file);
    return { ...pack(sources, (source) => sourcePath(source, directory, file)), moved };
  } catch (error) {
    if (error instanceof TooLarge) return { ...pack([]), status: 'large', detail: error.message };
    const reason = error instanceof MapError ? error.message : String(error);
    return { ...pack([]), status: 'broken', detail: `the source map of ${file} cannot be used: ${reason}` };
  }
}

/** Reads a file whole; undefined when there is none that can be read. */
function read(file: string): Buffer | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch {
    return undefined;
  }
  try {
    const stats = fstatSync(descriptor);
    if (!stats.isFile()) return undefined;
    if (stats.size > FILE_BYTES_MAX) throw new TooLarge(`${file} is larger than ${FILE_BYTES_MAX / 2 ** 20} MiB and is not read`);
    const bytes = Buffer.allocUnsafeSlow(stats.size);
    let length = 0;
    for (let got = -1; got !== 0 && length < bytes.length; length += got) {
      got = readSync(descriptor, bytes, length, bytes.length - length, null);
    }
    return bytes.subarray(0, length);
  } finally {
    closeSync(descriptor);
  }
}

function unpack({ lines, columns, names }: SourceMapRequest): GeneratedFunction[] {
  return names.split('\0').map((name, i) => ({ name, line: lines[i] as number, column: columns[i] as number }));
}

function pack(
  sources: readonly (SourceFunction | undefined)[],
  pathOf: (source: string) => string | undefined = () => undefined,
): SourceMapResponse {
  const [files, names, lines, columns] = Array.from({ length: 4 }, () => new Int32Array(sources.length).fill(-1)) as Columns;
  const strings = new Map<string, number>();
  const intern = (string: string): number => {
    const index = strings.get(string) ?? strings.size;
    strings.set(string, index);
    return index;
  };
  const paths = new Map<string, string | undefined>();
  for (const [i, one] of sources.entries()) {
    if (one === undefined) continue;
    if (!paths.has(one.source)) paths.set(one.source, pathOf(one.source));
    const file = paths.get(one.source);
    if (file === undefined) continue;
    files[i] = intern(file);
    names[i] = intern(one.name);
    lines[i] = one.line + 1;
    columns[i] = one.column + 1;
  }
  return { status: 'mapped', detail: '', files, names, lines, columns, strings: [...strings.keys()].join('\0'), moved: 0 };
}

parentPort?.on('message', (request: SourceMapRequest) => {
  const response = answer(request);
  const { files, names, lines, columns } = response;
  parentPort?.postMessage(
    response,
    [files, names, lines, columns].map(({ buffer }) => buffer as ArrayBuffer),
  );
});
