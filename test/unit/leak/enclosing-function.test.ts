import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { enclosingFunction } from '../../../src/leak/enclosing-function.ts';

/** The function around `@` in a text. */
function around(text: string): string | undefined {
  const before = text.slice(0, text.indexOf('@')).split('\n');
  return enclosingFunction(text.replace('@', ''), before.length, before.at(-1)!.length + 1);
}

describe('the function around a callback', () => {
  test.each([
    ['a declaration', 'function registerHook(id) {\n  return ids.map(@(_, i) => i);\n}', 'registerHook'],
    ['an async generator', 'async function* rows() { yield list.map(@x => x); }', 'rows'],
    ['a method', 'class Cart {\n  add(item) {\n    this.items.push(...item.map(@(x) => x));\n  }\n}', 'add'],
    ['a private method', 'class Cart { #add(item) { item.map(@x => x); } }', '#add'],
    ['a constructor', 'class Cart extends Base {\n  constructor(items) {\n    this.items = items.map(@x => x);\n  }\n}', 'Cart'],
    ['a method of an object', 'module.exports = { handle({ id }) { all.map(@x => x); } };', 'handle'],
    ['an arrow function with a name', 'const open = (id) => {\n  list.map(@x => x);\n};', 'open'],
    ['an arrow function of one parameter', 'const open = id => { list.map(@x => x); };', 'open'],
    ['a function expression', 'exports.open = async function (id) { list.map(@x => x); };', 'open'],
    ['a property', 'const api = { open: function () { list.map(@x => x); } };', 'open'],
    ['a function of TypeScript', 'export function open(id: number): Promise<Row[]> {\n  return rows.map(@(x) => x);\n}', 'open'],
    ['an arrow function of TypeScript', 'const open = (id: number): Row => { rows.map(@x => x); };', 'open'],
    ['blocks between', 'function open() { for (const a of b) { if (a) { try { a.map(@x => x); } catch (e) {} } } }', 'open'],
    ['a nameless function between', 'function open() { run(() => { list.map(@x => x); }); }', 'open'],
    ['a function that has ended before', 'function handle() { function inner() { return 1; } list.map(@x => x); }', 'handle'],
    ['defaults in the parameters', 'function open({ id } = {}, f = () => ({})) { list.map(@x => x); }', 'open'],
    [
      'braces in a string, a comment, an expression',
      'function open() { "}"; \'}\'; // }\n /* } */ /[}/]}/.test(s); list.map(@x => x); }',
      'open',
    ],
    ['a template', 'function open() { return `}${list.map((x) => `{${x}`)}${list.map(@x => x)}`; }', 'open'],
    ['a division', 'function open() { const a = b / c; const d = e / f; list.map(@x => x); }', 'open'],
  ])('is known for %s', (_, text, name) => {
    expect(around(text)).toBe(name);
  });

  test.each([
    ['the module itself', 'list.map(@x => x);'],
    ['a block of the module', 'if (list) { list.map(@x => x); }'],
    ['a nameless function', 'run(function () { list.map(@x => x); });'],
    ['a class body', 'class Cart { items = list.map(@x => x); }'],
    ['a text that has ended', ''],
  ])('is none for %s', (_, text) => {
    expect(text === '' ? enclosingFunction('a', 3, 1) : around(text)).toBeUndefined();
  });

  test('is that of a file of ours', () => {
    const file = path.resolve(import.meta.dirname, '../../../src/leak/growth-sites.ts');
    const lines = readFileSync(file, 'utf8').split('\n');
    const line = lines.findIndex((text) => text.includes('.filter(([frame]) => !this.#isExplained(frame, growing))'));
    expect(enclosingFunction(lines.join('\n'), line + 1, lines[line]!.indexOf('([frame])') + 1)).toBe('sites');
  });
});
