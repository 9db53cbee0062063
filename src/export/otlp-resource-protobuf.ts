// Who a request is from, as protobuf: the fields that stand around spans and around profiles alike. Called by
// otlp-span-protobuf.ts and otlp-profile-protobuf.ts.
import type { InstrumentationScope } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import { ProtobufWriter } from '../core/protobuf-writer.ts';
import type { AttributeEncoder } from './otlp-attribute-protobuf.ts';
import { asText } from './otlp-span-values.ts';

const RESOURCE = 0x0a;
const RESOURCE_ATTRIBUTES = 0x0a;
const SCOPE = 0x0a;
const SCOPE_NAME = 0x0a;
const SCOPE_VERSION = 0x12;
const SCHEMA_URL = 0x1a;

/** `resource` of ResourceSpans and ResourceProfiles. */
export function resourceField(resource: Pick<Resource, 'attributes'>, attributes: AttributeEncoder): Uint8Array {
  return encoded((out) => {
    const start = out.begin(RESOURCE);
    attributes.write(out, RESOURCE_ATTRIBUTES, resource.attributes);
    out.end(start);
  });
}

/** `scope` of ScopeSpans and ScopeProfiles. */
export function scopeField(scope: InstrumentationScope): Uint8Array {
  return encoded((out) => {
    const start = out.begin(SCOPE);
    out.textField(SCOPE_NAME, asText(scope.name));
    const version = asText(scope.version);
    if (version !== '') out.textField(SCOPE_VERSION, version);
    out.end(start);
  });
}

/** `schema_url` of all of these; no bytes for none. */
export function schemaUrlField(url: unknown): Uint8Array {
  const text = asText(url);
  return encoded((out) => {
    if (text !== '') out.textField(SCHEMA_URL, text);
  });
}

/** Tag and length of a message of these parts, which are never without a byte. */
export function messageHead(tag: number, parts: readonly Uint8Array[]): Uint8Array {
  const size = parts.reduce((total, part) => total + part.length, 0);
  return encoded((out) => out.uint32Field(tag, size));
}

function encoded(write: (out: ProtobufWriter) => void): Uint8Array {
  const out = new ProtobufWriter(256);
  write(out);
  return out.written;
}
