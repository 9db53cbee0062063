import { describe, expect, test } from 'vitest';
import { elements, members, parse } from '../../../src/profile/json-scan.ts';

const bytes = (text: string): Buffer => Buffer.from(text);

/** An object by its members, an array by its elements, through the scanner. */
function scanned(text: string): unknown {
  const json = bytes(text);
  if (text.trimStart().startsWith('{')) {
    return Object.fromEntries([...members(json, 0)].map(([key, range]) => [key, parse(json, range)]));
  }
  const values: unknown[] = [];
  const count = elements(json, { start: 0, end: json.length }, (index, element) => (values[index] = parse(json, element)));
  expect(values).toHaveLength(count);
  return values;
}

test.each([
  '{}',
  ' { } ',
  '{"a":1}',
  '{"a":"}","b":["{",{"c":"]"}],"d":{"e":{}}}',
  String.raw`{"quote \" and \\":"back\\","\u0061":"\u005c\"","/":"\/"}`,
  '\t{\r\n"a" :\n[ ] , "b": null ,"c":true,"d":false, "e":-1.5E+3,"f":0.1e-2}\n',
  '{"é":"日本 😀","a\u2028":""}',
  '[]',
  '[ ]',
  '[1,"a",null,{"b":[1,[2]]},[[]],""]',
  '[ "a" ,\n"b" ]',
])('reads %j as JSON.parse does', (text) => {
  expect(scanned(text)).toEqual(JSON.parse(text));
});

test('the last of members of the same name counts, as in JSON.parse', () => {
  expect(scanned('{"a":1,"a":2}')).toEqual({ a: 2 });
});

describe('refuses', () => {
  test.each([
    '',
    ' ',
    'x',
    '[1]',
    '"text"',
    '<!doctype html>',
    '{',
    '{"a"',
    '{"a":',
    '{"a":}',
    '{"a":1',
    '{"a":1,',
    '{"a":1,}',
    '{"a":1 "b":2}',
    '{a:1}',
    "{'a':1}",
    '{"a":"b',
    '{"a":"b\\"}',
    '{"a":[1}',
    '{"a":{"b":1}',
    '{"a\\x":1}',
    '{"a":?}',
  ])('%j as an object', (text) => {
    expect(() => members(bytes(text), 0)).toThrow(/^it is not JSON at byte \d+$/);
  });

  test.each(['', '{}', '[', '[1', '[1,', '[1,]', '[,1]', '[1 2]', '["a]'])('%j as an array', (text) => {
    expect(() => elements(bytes(text), { start: 0, end: text.length }, () => {})).toThrow(/^it is not JSON at byte \d+$/);
  });

  test.each(['nul', '1.2.3', '"\\x"', '{"a":1,}', '--1'])('%j as a value', (text) => {
    expect(() => parse(bytes(text), { start: 0, end: text.length })).toThrow(/^it is not JSON at byte 0$/);
  });
});
