import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { dataUrl, mapFile, mapUrl, sourcePath } from '../../../src/profile/map-location.ts';

let root: string;

beforeAll(() => {
  root = mkdtempSync(path.join(tmpdir(), 'sonde-maps-'));
  for (const file of [
    'app/package.json',
    'app/src/there.ts',
    'app/dist/deep/x.js',
    'app/dist/100%25.map',
    'app/dist/a b.map',
    'app/src/c%20d.ts',
  ]) {
    mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    writeFileSync(path.join(root, file), '{}');
  }
});

afterAll(() => rmSync(root, { recursive: true }));

describe('the URL of a map', () => {
  test.each<[string, string]>([
    ['at the end', 'code();\n//# sourceMappingURL=x.js.map'],
    ['before an empty line', 'code();\n//# sourceMappingURL=x.js.map\n\n'],
    ['with carriage returns', 'code();\r\n//# sourceMappingURL=x.js.map\r\n'],
    ['in the old form', 'code();\n//@ sourceMappingURL=x.js.map\n'],
    ['behind code', 'code(); //# sourceMappingURL=x.js.map\n'],
    ['in the other kind of comment', 'code();\n/*# sourceMappingURL=x.js.map */\n'],
    ['in the other kind of comment, close', 'code();\n/*# sourceMappingURL=x.js.map*/'],
    ['before other comments', 'code();\n//# sourceMappingURL=x.js.map\n// done\n/* a\n licence */\n//# debugId=1'],
    ['the last of two', '//# sourceMappingURL=y.js.map\ncode();\n//# sourceMappingURL=x.js.map'],
    ['before one in a string', `code();\n//# sourceMappingURL=x.js.map\n// "//# sourceMappingURL=" + 'y'`],
    ['alone', '//# sourceMappingURL=x.js.map'],
  ])('%s', (_, script) => {
    expect(mapUrl(Buffer.from(script))).toBe('x.js.map');
  });

  test.each<[string, string]>([
    ['there is none', 'code();'],
    ['the script is empty', ''],
    ['it names none', 'code();\n//# sourceMappingURL=\n'],
    ['it stands in a string', 'text = "//# sourceMappingURL=" + url;'],
    ['it stands in a template', 'text = `\n//# sourceMappingURL=${url}\n`;'],
    ['it stands in a string and is whole', "text = '//# sourceMappingURL=y.map';"],
    ['code follows, as in a bundle of scripts with maps', '//# sourceMappingURL=y.js.map\ncode();'],
    ['code follows a comment', '//# sourceMappingURL=y.js.map\n/* a */ code();'],
    ['it is no comment', 'sourceMappingURL=y.map'],
    ['its comment is not closed', 'code();\n/*# sourceMappingURL=y.map'],
    ['it is another comment', 'code();\n// sourceMappingURL=y.map'],
  ])('is not there when %s', (_, script) => {
    expect(mapUrl(Buffer.from(script))).toBeUndefined();
  });
});

describe('a data URL', () => {
  const map = '{"version":3,"é":"+/ %"}';
  test.each([
    `data:application/json;base64,${Buffer.from(map).toString('base64')}`,
    `data:application/json;charset=utf-8;base64,${Buffer.from(map).toString('base64')}`,
    `DATA:;BASE64,${Buffer.from(map).toString('base64url')}`,
    `data:application/json,${encodeURIComponent(map)}`,
    `data:application/json;charset=utf-8,${encodeURIComponent(map)}`,
    `data:,${encodeURIComponent(map)}`,
  ])('%s is decoded', (url) => {
    expect(dataUrl(url)?.toString()).toBe(map);
  });

  test('is no other', () => {
    expect(dataUrl('x.map')).toBeUndefined();
    expect(dataUrl('file:///x.map')).toBeUndefined();
  });

  test.each([
    ['data:application/json;base64', 'its data URL has no data'],
    ['data:application/json,%7B%', 'its data URL is not encoded as it should be'],
    ['data:application/json,%ff', 'its data URL is not encoded as it should be'],
  ])('%s is refused', (url, message) => {
    expect(() => dataUrl(url)).toThrow(message);
  });
});

describe('the file of a map', () => {
  const file = (url: string): string | undefined => mapFile(url, path.join(root, 'app/dist/x.js'));
  test.each<[string, string | undefined]>([
    ['x.js.map', 'app/dist/x.js.map'],
    ['./x.js.map', 'app/dist/x.js.map'],
    ['../maps/x.js.map', 'app/maps/x.js.map'],
    ['x.js.map?v=1#top', 'app/dist/x.js.map'],
    ['a%20b.map', 'app/dist/a b.map'],
    ['100%25.map', 'app/dist/100%25.map'],
    ['100%.map', 'app/dist/100%.map'],
    ['https://maps.example/x.js.map', undefined],
    ['http://maps.example/x.js.map', undefined],
    ['webpack-internal:///x.map', undefined],
  ])('%s', (url, expected) => {
    expect(file(url)).toBe(expected === undefined ? undefined : path.join(root, expected));
  });

  test('may be named in full', () => {
    expect(file('/maps/x.js.map')).toBe('/maps/x.js.map');
    expect(file(pathToFileURL('/maps/a b.map').href)).toBe('/maps/a b.map');
    expect(file('file://host/x.map')).toBeUndefined();
  });
});

describe('the path of a source', () => {
  const source = (named: string): string | undefined => {
    return sourcePath(named, path.join(root, 'app/maps'), path.join(root, 'app/dist/deep/x.js'));
  };
  test.each<[string, string]>([
    ['a.ts', 'app/maps/a.ts'],
    ['../src/a.ts', 'app/src/a.ts'],
    ['..\\src\\a.ts', 'app/src/a.ts'],
    ['../src/c%20d.ts', 'app/src/c%20d.ts'],
    ['../src/e%20f.ts', 'app/src/e f.ts'],
    ['webpack://app/./src/there.ts', 'app/src/there.ts'],
    ['webpack:///./src/there.ts', 'app/src/there.ts'],
    ['webpack:///src/there.ts', 'app/src/there.ts'],
    ['webpack://app/./src/there.ts?4f2a', 'app/src/there.ts'],
    ['turbopack://app/src/there.ts', 'app/src/there.ts'],
    ['webpack://app/./src/shipped-without.ts', 'app/src/shipped-without.ts'],
    ['webpack://@scope/app/./src/there.ts', 'app/src/there.ts'],
  ])('%s', (named, expected) => {
    expect(source(named)).toBe(path.join(root, expected));
  });

  test('is that of a file below the script itself when nothing tells its package', () => {
    expect(sourcePath('webpack://app/./src/a.ts', '/x', '/nowhere/at/all/x.js')).toBe('/nowhere/at/all/src/a.ts');
  });

  test.each(['/src/a.ts', 'https://raw.example/a.ts', 'http://raw.example/a.ts'])('%s stays', (named) => {
    expect(source(named)).toBe(named);
  });

  test('is that of a file URL', () => {
    expect(source(pathToFileURL('/src/a b.ts').href)).toBe('/src/a b.ts');
  });

  test.each([
    '',
    'webpack://app/webpack/bootstrap',
    'webpack://app/external "node:fs.x"',
    'webpack://app',
    'file://host/a.ts',
    'virtual:a',
  ])('%j has none', (named) => {
    expect(source(named)).toBeUndefined();
  });
});
