// Whether a program of others that a test needs is there. `npm test` finds out and hands the missing ones on in
// SONDE_TEST_MISSING_PEERS; without it (vitest run directly) all are taken to be there, and the test fails loudly.
import type { TestContext } from 'vitest';

/** The peers by the names that test/helpers/peers.mjs gives them. */
export type Peer = 'promtool' | 'prometheus' | 'go' | 'python3-prometheus-client' | 'graphviz' | 'chromium';

/** Skips the test that calls it, with the reason, when `npm test` has found that the peer is missing. */
export function requirePeer(context: TestContext, peer: Peer): void {
  const missing = (process.env['SONDE_TEST_MISSING_PEERS'] ?? '').split(',');
  if (missing.includes(peer)) context.skip(`${peer} is not installed`);
}
