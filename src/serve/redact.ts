// Settings as they may be shown: what is secret, or may hold a secret, is replaced. Called by endpoints.ts for
// /debug/config.

const REDACTED = '[redacted]';

/** Settings whose text is secret, by a word of their name. */
const SECRET_NAME = /token|secret|password|passphrase|credential|authorization|cookie|api-?key/i;

/** Objects whose every value is hidden: any header may be the one that authenticates. */
const SECRET_OBJECT = /headers$/i;

/**
 * A copy of a plain value, fit for JSON: secrets are replaced, credentials and queries are taken out of URLs, what is
 * unset is null, a function is said to be one and a number without end is text.
 */
export function redact(value: unknown, name = ''): unknown {
  if (value === undefined || value === null) return null;
  // That there is one is what can be shown of it.
  if (typeof value === 'function') return '[function]';
  if (typeof value === 'object') return redactObject(value, name);
  if (SECRET_NAME.test(name) && typeof value === 'string') return REDACTED;
  if (typeof value === 'string') return redactUrl(value);
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
}

function redactObject(value: object, name: string): unknown {
  if (Array.isArray(value)) return value.map((item) => redact(item, name));
  const isSecret = SECRET_OBJECT.test(name);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, isSecret ? REDACTED : redact(inner, key)]));
}

/** Services take keys as `https://user:key@host` and as `?key=`. */
function redactUrl(value: string): string {
  if (!/^https?:\/\//i.test(value)) return value;
  if (!URL.canParse(value)) return REDACTED;
  const url = new URL(value);
  if (url.username === '' && url.password === '' && url.search === '') return value;
  const credentials = url.username === '' && url.password === '' ? '' : `${REDACTED}@`;
  return `${url.protocol}//${credentials}${url.host}${url.pathname}${url.search === '' ? '' : `?${REDACTED}`}`;
}
