// What may be an attribute, and how much of it is kept: the rules of OpenTelemetry's common specification, as its
// JavaScript SDK applies them. Called by the span for its own attributes and those of its events and links.
import type { Attributes, AttributeValue } from '@opentelemetry/api';

/** Whether a value is text, a number, a boolean, or a list of one of these in which items may be missing. */
export function isAttributeValue(value: unknown): value is AttributeValue {
  if (!Array.isArray(value)) return isPrimitive(value);
  let type: string | undefined;
  for (const item of value as unknown[]) {
    if (item === null || item === undefined) continue;
    if (!isPrimitive(item) || (type !== undefined && typeof item !== type)) return false;
    type = typeof item;
  }
  return true;
}

function isPrimitive(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

/** The value with its text, or each of its texts, cut to `length` characters. */
export function truncate(value: AttributeValue, length: number): AttributeValue {
  if (length === Infinity) return value;
  if (typeof value === 'string') return value.length > length ? value.slice(0, length) : value;
  if (Array.isArray(value)) {
    return value.map((item) => (typeof item === 'string' && item.length > length ? item.slice(0, length) : item)) as AttributeValue;
  }
  return value;
}

/** The valid ones of `attributes`, the first `count` of them, and how many more there were. Anything but an object has none. */
export function limitAttributes(
  attributes: Attributes | undefined,
  count: number,
  length: number,
): { attributes: Attributes; dropped: number } {
  const limited: Attributes = {};
  let kept = 0;
  let dropped = 0;
  for (const key of attributeKeys(attributes)) {
    const value = attributes![key];
    if (key === '' || !isAttributeValue(value)) continue;
    if (kept >= count) {
      dropped += 1;
      continue;
    }
    limited[key] = truncate(value, length);
    kept += 1;
  }
  return { attributes: limited, dropped };
}

/** The keys of what the application passed as attributes, which its types do not always keep it from passing wrongly. */
export function attributeKeys(attributes: unknown): string[] {
  return typeof attributes === 'object' && attributes !== null ? Object.keys(attributes) : [];
}
