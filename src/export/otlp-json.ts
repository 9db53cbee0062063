// The JSON of OTLP (proto3's JSON mapping as OTLP/HTTP has it) that spans and profiles share: attributes, who a request is
// from, 64-bit integers. Called by otlp-span-json.ts and otlp-profile-json.ts.
import type { Attributes } from '@opentelemetry/api';
import type { InstrumentationScope } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import { asText, isInt64 } from './otlp-span-values.ts';

const LONE_SURROGATE = /\p{Surrogate}/gu;

/** Fields that are undefined are left out. Half a surrogate pair, for which some receivers refuse the request, becomes U+FFFD. */
export function toJson(message: unknown): string {
  const json = JSON.stringify(message);
  if (!json.includes('\\ud')) return json;
  return JSON.stringify(message, (_, value: unknown) => (typeof value === 'string' ? value.replace(LONE_SURROGATE, '\ufffd') : value));
}

export function resourceJson(resource: Pick<Resource, 'attributes'>): string {
  return toJson({ attributes: keyValues(resource.attributes) });
}

export function scopeJson({ name, version }: InstrumentationScope): string {
  return toJson({ name: asText(name), version: asText(version) || undefined });
}

/** The last field of a message; nothing for none. */
export function schemaUrlJson(url: unknown): string {
  const text = asText(url);
  return text === '' ? '' : `,"schemaUrl":${toJson(text)}`;
}

export function keyValues(attributes: Attributes): object[] {
  return Object.keys(attributes).map((key) => ({ key, value: anyValue(attributes[key]) }));
}

/** With all digits, also beyond 2^53 where a number as text has rounded ones. */
export function int64Text(value: number): string {
  return String(Number.isSafeInteger(value) ? value : BigInt(value));
}

/** What is none of the kinds of value is an empty one. */
function anyValue(value: unknown): object {
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  if (typeof value === 'number') return isInt64(value) ? { intValue: int64Text(value) } : { doubleValue: jsonDouble(value) };
  // Not by `map`, which keeps the holes of a list as holes.
  return Array.isArray(value) ? { arrayValue: { values: Array.from(value, anyValue) } } : {};
}

/** JSON has no number for these; proto3 has words. */
function jsonDouble(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}
