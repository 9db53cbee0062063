// Maps that Node itself holds, of scripts that were compiled while they were loaded: by tsx, or by Node's own
// --experimental-transform-types. The file on disk is then the source, and V8's places are not in it. Node reads such a
// map on the thread that asks, so only those of small files are asked for. For source-maps.ts.
import { stat } from 'node:fs/promises';
import { findSourceMap } from 'node:module';
import { scriptPath } from '../core/script-path.ts';
import type { Frame } from './frame.ts';
import { frameOf } from './frame.ts';

/** Some 800 lines. Node reads a map at 5 to 8 MB/s, and one of such a file has about its size. */
const FILE_BYTES_MAX: number = 32 * 1024;

/** How to find functions of a script in its source, undefined when Node has no map for it or the file is large. Blocks for 6 ms at most. */
export async function loadedMap(file: string): Promise<((frame: Frame) => Frame) | undefined> {
  const { size } = await stat(file);
  const map = size > FILE_BYTES_MAX ? undefined : findSourceMap(file);
  if (map === undefined) return undefined;
  return (frame) => {
    const entry = map.findEntry(frame.line - 1, frame.column - 1);
    // An entry of a line before is that of another function.
    if (!('originalSource' in entry) || entry.generatedLine !== frame.line - 1) return frame;
    return frameOf(frame.name, scriptPath(entry.originalSource), entry.originalLine + 1, entry.originalColumn + 1);
  };
}
