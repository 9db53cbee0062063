// Finds fields in a protobuf message by their numbers, without a schema: enough to count the spans and to name the
// metrics of an OTLP export at the price of skipping over them. Called by the sink.

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/** How many fields there are at that path of field numbers: [1, 2, 2] counts the spans of an export. */
export function countFields(message, path) {
  let count = 0;
  visit(message, path, () => count++);
  return count;
}

/** The texts of the fields at that path: [1, 2, 2, 1] are the names of the metrics of an export. */
export function textFields(message, path) {
  const texts = [];
  visit(message, path, (field) => texts.push(field.toString('utf8')));
  return texts;
}

function visit(message, [wanted, ...rest], found) {
  let at = 0;
  while (at < message.length) {
    const [tag, afterTag] = readVarint(message, at);
    const [begin, end] = extent(message, afterTag, tag & 7);
    if (end > message.length) throw new RangeError('a field reaches beyond the end of its message');
    if (tag >>> 3 === wanted && (tag & 7) === BYTES) {
      const field = message.subarray(begin, end);
      if (rest.length === 0) found(field);
      else visit(field, rest, found);
    }
    at = end;
  }
}

/** Where the content of a field begins and ends. */
function extent(message, at, wireType) {
  if (wireType === VARINT) return [at, readVarint(message, at)[1]];
  if (wireType === FIXED64) return [at, at + 8];
  if (wireType === FIXED32) return [at, at + 4];
  if (wireType !== BYTES) throw new RangeError(`wire type ${wireType} is none of protobuf's`);
  const [length, begin] = readVarint(message, at);
  return [begin, begin + length];
}

function readVarint(message, at) {
  let value = 0;
  let factor = 1;
  for (let next = at; next < message.length; next++) {
    value += (message[next] & 0x7f) * factor;
    if (message[next] < 0x80) return [value, next + 1];
    factor *= 128;
  }
  throw new RangeError('a number reaches beyond the end of its message');
}
