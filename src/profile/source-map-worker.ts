// The thread that reads scripts and their source maps. Started by source-map-thread.ts, asked for one file after
// another, silent otherwise. Holds one file and its map at a time, as bytes: a worker whose heap reaches its limit
// takes the whole process with it (Node 20 to 24), so nothing that grows with a map becomes an object.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import path from 'node:path';
import { parentPort } from 'node:worker_threads';
import type { SourceFunction } from './locate-functions.ts';
import { locateFunctions } from './locate-functions.ts';
import { MapError } from './map-error.ts';
import { dataUrl, mapFile, mapUrl, sourcePath } from './map-location.ts';
import { ScriptText } from './script-text.ts';
import type { SourceMapRequest, SourceMapResponse } from './source-map-protocol.ts';
import { PLACE, SEPARATOR } from './source-map-protocol.ts';

/** A script or a map larger than this is not read. Both at this size are 128 MiB for half a second. */
const FILE_BYTES_MAX: number = 64 * 1024 * 1024;

class TooLarge extends Error {}

function answer({ file, positions, names }: SourceMapRequest): SourceMapResponse {
  const nothing = { places: new Int32Array(0), strings: '', moved: 0 };
  try {
    const script = read(file);
    const url = script === undefined ? undefined : mapUrl(script);
    if (script === undefined || url === undefined) return { ...nothing, status: 'none', detail: `${file} names no source map` };
    const location = mapFile(url, file);
    const map = dataUrl(url) ?? (location === undefined ? undefined : read(location));
    if (map === undefined) return { ...nothing, status: 'none', detail: `${location ?? url}, the source map of ${file}, is not there` };
    const functions = names.split(SEPARATOR).map((name, i) => ({
      name,
      line: positions[2 * i] as number,
      column: positions[2 * i + 1] as number,
    }));
    const { sources, moved } = locateFunctions(functions, new ScriptText(script), map);
    const directory = path.dirname(location ?? file);
    return { status: 'mapped', detail: '', moved, ...pack(sources, (source) => sourcePath(source, directory, file)) };
  } catch (error) {
    if (error instanceof TooLarge) return { ...nothing, status: 'large', detail: error.message };
    const reason = error instanceof MapError ? error.message : String(error);
    return { ...nothing, status: 'broken', detail: `the source map of ${file} cannot be used: ${reason}` };
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

function pack(
  sources: readonly (SourceFunction | undefined)[],
  pathOf: (source: string) => string | undefined,
): Pick<SourceMapResponse, 'places' | 'strings'> {
  const places = new Int32Array(sources.length * PLACE).fill(-1);
  const strings = new Map<string, number>();
  const intern = (string: string): number => {
    const index = strings.get(string) ?? strings.size;
    strings.set(string, index);
    return index;
  };
  const files = new Map<string, string | undefined>();
  for (const [i, one] of sources.entries()) {
    if (one === undefined) continue;
    if (!files.has(one.source)) files.set(one.source, pathOf(one.source));
    const file = files.get(one.source);
    if (file !== undefined) places.set([intern(file), one.line + 1, one.column + 1, intern(one.name)], i * PLACE);
  }
  return { places, strings: [...strings.keys()].join(SEPARATOR) };
}

parentPort?.on('message', (request: SourceMapRequest) => {
  const response = answer(request);
  parentPort?.postMessage(response, [response.places.buffer as ArrayBuffer]);
});
