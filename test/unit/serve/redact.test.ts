import { describe, expect, it } from 'vitest';
import { redact } from '../../../src/serve/redact.ts';

describe('settings that are shown', () => {
  it.each(['token', 'clientSecret', 'PASSWORD', 'pyroscopeAuthorization', 'apiKey', 'api-key'])('hide the text of %s', (name) => {
    expect(redact({ [name]: 'hidden text' })).toEqual({ [name]: '[redacted]' });
  });

  it('hide every header, and keep their names', () => {
    expect(redact({ otlp: { headers: { 'x-scope': 'a', tenant: 'b' } } })).toEqual({
      otlp: { headers: { 'x-scope': '[redacted]', tenant: '[redacted]' } },
    });
  });

  it.each([
    ['http://127.0.0.1:4318/v1/traces', 'http://127.0.0.1:4318/v1/traces'],
    ['https://user:pass@otlp.example/v1', 'https://[redacted]@otlp.example/v1'],
    ['https://user@otlp.example/v1', 'https://[redacted]@otlp.example/v1'],
    ['https://otlp.example/v1?key=abc', 'https://otlp.example/v1?[redacted]'],
    ['https://[broken', '[redacted]'],
  ])('show the URL %s as %s', (url, shown) => {
    expect(redact({ url })).toEqual({ url: shown });
  });

  it('keep everything else, in a form that JSON can hold', () => {
    const settings = {
      port: undefined,
      ratio: 0.5,
      limit: Infinity,
      enabled: true,
      list: ['a', { token: 'hidden' }],
      name: 'shop',
      onLeak: () => {},
    };
    expect(redact(settings)).toEqual({
      port: null,
      ratio: 0.5,
      limit: 'Infinity',
      enabled: true,
      list: ['a', { token: '[redacted]' }],
      name: 'shop',
      onLeak: '[function]',
    });
  });

  it('leave the value itself as it is', () => {
    const settings = { token: 'secret', inner: { headers: { a: 'b' } } };
    redact(settings);
    expect(settings).toEqual({ token: 'secret', inner: { headers: { a: 'b' } } });
  });
});
