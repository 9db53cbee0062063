import { ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer';
import { expect, test } from 'vitest';
import { countFields, textFields } from '../../../bench/protobuf-fields.mjs';
import { plainSdkSpans } from '../../helpers/otlp.ts';

const SPANS = [1, 2, 2];
const SPAN_NAMES = [1, 2, 2, 5];

test.each([1, 2, 300])('counts and names %i spans of an export that OpenTelemetry wrote', (count) => {
  const message = ProtobufTraceSerializer.serializeRequest(plainSdkSpans(count))!;
  expect(countFields(message, SPANS)).toBe(count);
  expect(textFields(Buffer.from(message), SPAN_NAMES)).toEqual(Array.from({ length: count }, (_, index) => `span ${index}`));
});

test('finds nothing in an empty message', () => {
  expect(countFields(Buffer.alloc(0), SPANS)).toBe(0);
});

test('a message that was cut off is an error', () => {
  const message = ProtobufTraceSerializer.serializeRequest(plainSdkSpans(1))!;
  expect(() => countFields(message.subarray(0, message.length - 1), SPANS)).toThrow(RangeError);
  expect(() => countFields(Buffer.from([0x0a]), SPANS)).toThrow('a number reaches beyond the end of its message');
  expect(() => countFields(Buffer.from([0x0b]), SPANS)).toThrow("wire type 3 is none of protobuf's");
});
