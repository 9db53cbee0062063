// Trace and span ids: random bytes from a pool, written as lower-case hex through a table.
// crypto.randomBytes per id costs 1.4-2.0 us, a pool of 8 KiB some 50 ns.
import { randomFillSync } from 'node:crypto';

const POOL_BYTES = 8192;
const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

const pool = Buffer.allocUnsafeSlow(POOL_BYTES);
let offset = POOL_BYTES;

function hex8(at: number): string {
  return (
    HEX[pool[at] as number]! +
    HEX[pool[at + 1] as number]! +
    HEX[pool[at + 2] as number]! +
    HEX[pool[at + 3] as number]! +
    HEX[pool[at + 4] as number]! +
    HEX[pool[at + 5] as number]! +
    HEX[pool[at + 6] as number]! +
    HEX[pool[at + 7] as number]!
  );
}

function reserve(bytes: number): number {
  if (offset + bytes > POOL_BYTES) {
    randomFillSync(pool);
    offset = 0;
  }
  const at = offset;
  offset += bytes;
  return at;
}

/** A new trace id: 32 lower-case hex digits, not all zero (W3C Trace Context 3.2.2.3). */
export function newTraceId(): string {
  const at = reserve(16);
  // All zero is invalid; one bit in the last byte makes it impossible at no cost worth measuring.
  if (pool[at + 15] === 0) pool[at + 15] = 1;
  return hex8(at) + hex8(at + 8);
}

/** A new span id: 16 lower-case hex digits, not all zero (W3C Trace Context 3.2.2.4). */
export function newSpanId(): string {
  const at = reserve(8);
  if (pool[at + 7] === 0) pool[at + 7] = 1;
  return hex8(at);
}
