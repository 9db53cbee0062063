// Whether a function stands where V8 says. The rows are what V8 of Node 20 to 26 gave for these texts; `^` is the place.
import { describe, expect, test } from 'vitest';
import { classNameStart, functionStart } from '../../../src/profile/function-start.ts';

/** Judges `name` at the `^` of a text; the parts of the name that were found, as they stand in the text. */
function judge(name: string, text: string): { fits: string; parts: string[]; isOfClass: boolean } {
  const [before = '', after = ''] = text.split('^');
  const { fits, parts, isOfClass } = functionStart(name, { before, after });
  const whole = before + after;
  const found = parts.map(({ text: part, offset, index }) => {
    expect(name.slice(index, index + part.length)).toBe(part);
    const at = before.length + offset;
    return `${part}@${whole.slice(at, at + part.length)}`;
  });
  return { fits, parts: found, isOfClass };
}

describe('a function with a name stands there', () => {
  test.each<[string, string, string[]]>([
    ['work', 'function work^(label) {', ['work@work']],
    ['work', 'function work ^(label) {', ['work@work']],
    ['f', '{t(n)}async function f^(n,e="x"){', ['f@f']],
    ['h', '"x"){t(n+e)}function*h^(){', ['h@h']],
    ['method', 'tructor(e){t(e)}method^(e){t(e)}', ['method@method']],
    ['#t', 'new n("new")}#t^(){', ['#t@#t']],
    ['get area', '  get area^() {', ['area@area']],
    ['set area', 'this.#n}set area^(e){', ['area@area']],
    ['get', '  get^() {', ['get@get']],
    ['v', 'yield 1}var v=^n=>{t(n)}', ['v@v']],
    ['arrow', 'const arrow = ^(input) => {', ['arrow@arrow']],
    ['y', 'n=>{t(n)},y=^async n=>{t(n)}', ['y@y']],
    ['w', 'n=>{t(n)},w=function^(n){', ['w@w']],
    ['old', '    old: function ^(input) {', ['old@old']],
    ['old', '    old: async function * ^(input) {', ['old@old']],
    ['property', 'and(n){t(n)},property:^n=>{', ['property@property']],
    ['onArea', 'class n{#n=1;onArea=^e=>{', ['onArea@onArea']],
    ['d.assigned', '(n)}},d={};d.assigned=^n=>{', ['d@d', 'assigned@assigned']],
    ['exports.a.b', 'exports.a.b = ^async () => {', ['exports@exports', 'a@a', 'b@b']],
    ['Shape.onArea', '        this.onArea = ^(input) => {', ['onArea@onArea']],
    ['$_é', 'function $_é^() {', ['$_é@$_é']],
    ['a-b', '{ "a-b"^() {', []],
    ['src/a.ts', `__esm({"src/a.ts"^() {`, []],
    ['src/a.ts', `__esm({'src/a.ts'^() {`, []],
    ['Defaulted', '^class Defaulted extends Shape {', ['Defaulted@Defaulted']],
    ['i', '}},i=^class extends r{', ['i@i']],
  ])('%s in %s', (name, text, parts) => {
    expect(judge(name, text)).toEqual({ fits: 'yes', parts, isOfClass: false });
  });

  test('the constructor of a class, whose name is further up', () => {
    expect(judge('n', '"field"),1);constructor^(e){')).toEqual({ fits: 'yes', parts: [], isOfClass: true });
    expect(judge('', 'x = class { constructor ^(e){')).toEqual({ fits: 'yes', parts: [], isOfClass: true });
  });
});

describe('nothing speaks against', () => {
  test.each<[string, string]>([
    ['', 'list.forEach(^(item) => {'],
    ['', 'n.map(^e=>t(e))'],
    ['', 'n.map(^_17 => _17.a)'],
    ['', 'forEach(function ^(item) {'],
    ['', 'return ^(item) => {'],
    ['', 'export default async ^(item) => {'],
    ['', "['computed' + 'Name']^() {"],
    ['', 'wrap(^async()=>{'],
    ['Shape', '["computedName"]^() {'],
    ['__extends', 'this.__extends) || function ^(d, b) {'],
    ['merged.<computed>', 'merged[key] = (^(node) => {'],
    ['', 'Promise))(function ^(resolve, reject) {'],
    ['', '^({ a }) => a'],
  ])('%j in %s', (name, text) => {
    expect(judge(name, text)).toEqual({ fits: 'maybe', parts: [], isOfClass: false });
  });

  test.each<[string, string]>([
    ['Shape', 'class Shape {\n    ^static counter = 1'],
    ['Shape', 'class Shape ^{ a = f();'],
    ['n', 'r=class n{^#n=1;'],
    ['n', 'r=class n{^["x"]=f();'],
    ['n', 'r=class n{^"x"=f();'],
    ['n', 'r=class n{^7=f();'],
  ])('the fields of %s in %s', (name, text) => {
    expect(judge(name, text)).toEqual({ fits: 'maybe', parts: [], isOfClass: true });
  });

  test.each(['<instance_members_initializer>', '<static_initializer>'])('%s of Node 20', (name) => {
    expect(judge(name, 'x=^class extends r{').fits).toBe('maybe');
    expect(judge(name, 'class n{^static counter = 1').fits).toBe('maybe');
  });
});

describe('another function or none stands there', () => {
  test.each<[string, string]>([
    ['work', 'function other^(label) {'],
    ['work', 'function homework^(label) {'],
    ['work', 'function #work^(label) {'],
    ['', 'function other^(label) {'],
    ['', 'other^(label)'],
    ['work', 'let x = work(1);^'],
    ['work', 'function work(^) {'],
    ['work', 'function work^ () {'],
    ['work', 'work()^;'],
    ['work', 'function w^ork(label) {'],
    ['', 'let ^counter = 1'],
    ['', 'a = ^"text"'],
    ['', 'a = ^[1]'],
    ['', 'return ^7'],
    ['', 'a^.b'],
    ['', 'a ^= b'],
    ['', 'a^, b'],
    ['', '^'],
    ['', '^\n'],
    ['', '^/* comment */'],
  ])('%j in %j', (name, text) => {
    expect(judge(name, text).fits).toBe('no');
  });
});

describe('the name of a class', () => {
  const at = (name: string, before: string): string | undefined => {
    const start = classNameStart(name, before);
    return start === undefined ? undefined : before.slice(before.length + start.offset);
  };

  test.each<[string, string, string | undefined]>([
    ['n', 'r=class n{constructor', 'n{constructor'],
    ['n', 'class n extends r{constructor', 'n extends r{constructor'],
    ['i', 'i=class extends r{constructor', 'i=class extends r{constructor'],
    ['i', 'i = class\n{ constructor', 'i = class\n{ constructor'],
    ['n', 'class n{}class m{}class n{constructor', 'n{constructor'],
    ['n', 'class nn{constructor', undefined],
    ['n', 'a.n=class{constructor', undefined],
    ['n', 'subclass n{constructor', undefined],
    ['$', 'class $ {constructor', '$ {constructor'],
    ['a.b', 'a.b=class {constructor', undefined],
    ['<computed>', 'class <computed> {constructor', undefined],
  ])('%s in %s', (name, before, found) => {
    expect(at(name, before)).toBe(found);
  });
});
