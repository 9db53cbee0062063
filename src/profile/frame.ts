// Functions as V8 knows them, each one object however many windows it is in: the ring's ninety windows would otherwise
// hold ninety copies of the same five hundred, and adding windows up would compare names instead of objects.
import { basename } from 'node:path';

/** A function. `line` and `column` are where it starts, 1-based, 0 where there is none. */
export interface Frame {
  /** The function's name, `(anonymous)`, or a pseudo frame such as `(garbage collector)`. */
  readonly name: string;
  /** A path that can be opened, `node:...`, or empty. */
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** Some 4 MB. A large service runs 5,000 functions; a program that compiles new ones all the time begins anew. */
const FRAMES_MAX = 20_000;

/** Columns of one line in a key; bundles of one line are longer, and what they share a key with is told apart by its name. */
const COLUMNS = 2 ** 21;

type Positions = Map<number, Frame>;

/** By file, name and place, as a key joined from them costs more than all else for a tree of 40,000 nodes. */
const known = new Map<string, Map<string, Positions>>();
let count = 0;

/** The one frame of a function; another object of the same content once the table has been full. */
export function frameOf(name: string, file: string, line: number, column: number): Frame {
  let ofFile = known.get(file);
  if (ofFile === undefined) known.set(file, (ofFile = new Map<string, Positions>()));
  let ofName = ofFile.get(name);
  if (ofName === undefined) ofFile.set(name, (ofName = new Map<number, Frame>()));
  const place = line * COLUMNS + Math.min(column, COLUMNS - 1);
  const frame = ofName.get(place);
  if (frame !== undefined) return frame;
  if (count >= FRAMES_MAX) {
    known.clear();
    count = 0;
    return frameOf(name, file, line, column);
  }
  const created: Frame = { name, file, line, column };
  ofName.set(place, created);
  count += 1;
  return created;
}

/** The name alone, for where the place is not shown beside it: functions without one are told apart by their place. */
export function distinctName({ name, file, line }: Frame): string {
  return name === '(anonymous)' && file !== '' ? `(anonymous ${basename(file)}:${line})` : name;
}
