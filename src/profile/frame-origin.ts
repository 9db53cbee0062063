// Whose code a function is, by its file alone: for the colours of a flame graph. Pure.
import { basename } from 'node:path';
import type { Frame } from './frame.ts';

/** `engine` is V8 itself: its pseudo frames and built-in functions, which have no file. */
export type Origin = 'application' | 'dependency' | 'node' | 'engine';

export interface FrameOrigin {
  readonly origin: Origin;
  /** What functions of the same colour share: the file, the package, the module of Node. */
  readonly group: string;
}

/** The last `node_modules` of a path and the package below it, with its scope. */
const PACKAGE = /.*[\\/]node_modules[\\/]((?:@[^\\/]+[\\/])?[^\\/]+)/;

export function originOf({ name, file }: Frame): FrameOrigin {
  if (file === '') return { origin: 'engine', group: name };
  if (file.startsWith('node:')) return { origin: 'node', group: file };
  const [, packageName] = PACKAGE.exec(file) ?? [];
  return packageName === undefined ? { origin: 'application', group: file } : { origin: 'dependency', group: packageName };
}

/** Where a function is, short: `router.js:12`, with its package where it is a dependency's. */
export function shortPlace(frame: Frame): string {
  if (frame.file === '') return '';
  const { origin, group } = originOf(frame);
  if (origin === 'node') return `${frame.file}:${frame.line}`;
  const place = `${basename(frame.file.replaceAll('\\', '/'))}:${frame.line}`;
  return origin === 'dependency' ? `${group} ${place}` : place;
}
