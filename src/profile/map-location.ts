// Where a script says that its source map is, and where the map says that its sources are. For the worker.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { MapError } from './map-error.ts';

const MARK = 'sourceMappingURL=';

/** Two letters at least: one is a drive of Windows. */
const SCHEME = /^([a-z][a-z\d+.-]+):/i;

/** The URL in the comment that ends a script (`//# sourceMappingURL=...`), undefined when there is none. */
export function mapUrl(script: Buffer): string | undefined {
  for (let at = script.lastIndexOf(MARK); at !== -1; at = at === 0 ? -1 : script.lastIndexOf(MARK, at - 1)) {
    const opening = script.toString('latin1', Math.max(0, at - 4), at);
    if (!/^\/[/*][#@]\s$/.test(opening)) continue;
    const from = at + MARK.length;
    let end = from;
    while (end < script.length && isUrlByte(script[end] as number)) end += 1;
    const isBlock = opening[1] === '*';
    const url = script.toString('latin1', from, end);
    // Bundles hold such comments in strings and in the middle, from what they were made of.
    if (url !== '' && isLast(script, isBlock ? script.indexOf('*/', from) : end)) return isBlock ? url.replace(/\*\/$/, '') : url;
  }
  return undefined;
}

/** Neither space nor quote. */
function isUrlByte(byte: number): boolean {
  return byte > 0x20 && byte !== 0x22 && byte !== 0x27 && byte !== 0x60;
}

/** Whether nothing but space and comments follows. */
function isLast(script: Buffer, from: number): boolean {
  if (from === -1) return false;
  let rest = script.toString('latin1', from, from + 65_536).replace(/^\*\//, '');
  for (;;) {
    rest = rest.trimStart();
    if (rest === '') return true;
    const end = rest.startsWith('//') ? rest.indexOf('\n') : rest.startsWith('/*') ? rest.indexOf('*/') + 1 : 0;
    if (end === 0) return false;
    rest = end === -1 ? '' : rest.slice(end + 1);
  }
}

/** The content of a `data:` URL, undefined for any other. */
export function dataUrl(url: string): Buffer | undefined {
  if (!/^data:/i.test(url)) return undefined;
  const comma = url.indexOf(',');
  if (comma === -1) throw new MapError('its data URL has no data');
  const data = url.slice(comma + 1);
  if (/;base64$/i.test(url.slice(0, comma))) return Buffer.from(data, 'base64');
  try {
    return Buffer.from(decodeURIComponent(data));
  } catch {
    throw new MapError('its data URL is not encoded as it should be');
  }
}

/** The file behind any other URL, relative to the script; undefined for what is not on this machine. */
export function mapFile(url: string, script: string): string | undefined {
  const scheme = SCHEME.exec(url)?.[1]?.toLowerCase();
  if (scheme === 'file') return toPath(url);
  if (scheme !== undefined) return undefined;
  const plain = path.resolve(path.dirname(script), url.replace(/[?#].*$/, ''));
  return unescaped(plain);
}

/**
 * The path of a source as a map names it. Relative ones are relative to `directory`, that of the map; those of bundlers
 * (`webpack://app/./src/a.ts`) to the closest folder above the script where there is such a file, else to its
 * package. URLs stay; undefined for what is no file, such as a bundler's own code.
 */
export function sourcePath(source: string, directory: string, script: string): string | undefined {
  const [, scheme] = SCHEME.exec(source) ?? [];
  if (scheme === undefined) return source === '' ? undefined : unescaped(path.resolve(directory, source.replaceAll('\\', '/')));
  if (/^file$/i.test(scheme)) return toPath(source);
  if (/^https?$/i.test(scheme)) return source;
  const [, inner] = /^[^:]+:\/\/[^/]*\/([^?]+)/.exec(source) ?? [];
  // `webpack/bootstrap` and `external "fs"` are no files.
  if (inner === undefined || !/^[^"]+\.\w+$/.test(inner)) return undefined;
  return belowAncestor(inner, script);
}

function belowAncestor(relative: string, script: string): string {
  const folders = ancestors(path.dirname(script));
  const found = folders.find((folder) => existsSync(path.join(folder, relative)));
  const folder = found ?? folders.find((candidate) => existsSync(path.join(candidate, 'package.json'))) ?? path.dirname(script);
  return path.join(folder, relative);
}

/** A folder and those it is in, the closest first. */
function ancestors(folder: string): string[] {
  const parent = path.dirname(folder);
  return parent === folder ? [folder] : [folder, ...ancestors(parent)];
}

/** As it is where there is such a file, without URL escapes otherwise. */
function unescaped(file: string): string {
  if (!file.includes('%') || existsSync(file)) return file;
  try {
    return decodeURIComponent(file);
  } catch {
    return file;
  }
}

function toPath(url: string): string | undefined {
  try {
    return fileURLToPath(url);
  } catch {
    return undefined;
  }
}
