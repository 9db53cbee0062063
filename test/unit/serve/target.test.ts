import { describe, expect, it } from 'vitest';
import { parseTarget, positiveInteger, relativeReference } from '../../../src/serve/target.ts';

describe('a request target', () => {
  it('is a decoded path and a query', () => {
    const target = parseTarget('/debug%2Ftraces?limit=3&trace_id=a%20b');
    expect(target).toMatchObject({ path: '/debug/traces' });
    expect([...(target as Exclude<typeof target, string>).query]).toEqual([
      ['limit', '3'],
      ['trace_id', 'a b'],
    ]);
  });

  it('has a path even where nothing follows the prefix', () => {
    expect(parseTarget('')).toMatchObject({ path: '/' });
    expect(parseTarget('?token=x')).toMatchObject({ path: '/' });
  });

  it.each(['/%', '/%zz', '/%c3%28', '/metrics?a=%', '/metrics?a=%ff'])('is refused when it is malformed: %s', (target) => {
    expect(parseTarget(target)).toBe('path or query has a malformed percent-encoding');
  });

  it('may be 2048 characters long and not one more', () => {
    expect(parseTarget(`/metrics?${'a'.repeat(2039)}`)).toMatchObject({ path: '/metrics' });
    expect(parseTarget(`/metrics?${'a'.repeat(2040)}`)).toBe('path and query are longer than 2048 characters');
  });
});

describe('a positive integer', () => {
  it.each([
    ['1', 1],
    ['+30', 30],
    ['0030', 30],
  ])('is read from %s', (value, expected) => {
    expect(positiveInteger(value)).toBe(expected);
  });

  it.each(['', '0', '00', '-1', '1.5', '1e3', '0x10', ' 1', '1 ', 'abc', 'NaN', 'Infinity'])('is not read from %j', (value) => {
    expect(positiveInteger(value)).toBeUndefined();
  });
});

describe('a relative reference', () => {
  it('points at the same address with another query, wherever that address is', () => {
    const base = 'http://host:1/ops/debug/traces?token=x&limit=3';
    const reference = relativeReference('/ops/debug/traces?token=x&limit=3', '', new URLSearchParams('limit=3'));
    expect(new URL(reference, base).href).toBe('http://host:1/ops/debug/traces?limit=3');
  });

  it('adds a slash to a directory', () => {
    expect(new URL(relativeReference('/ops?a=/b', '/', new URLSearchParams()), 'http://host:1/ops').href).toBe('http://host:1/ops/');
  });

  it.each(['//evil.example', '//evil.example/', '/http://evil.example', '/\\evil.example', '/javascript:x'])(
    'never leaves the server: %s',
    (address) => {
      const reference = relativeReference(address, '', new URLSearchParams());
      expect(new URL(reference, 'http://host:1/a/b').host).toBe('host:1');
    },
  );
});
