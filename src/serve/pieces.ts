// An answer that is too large to be held: written piece by piece, as fast as the client takes it and no faster. What
// breaks off in the middle breaks the connection, so that nobody takes it for whole. Called by answer.ts, after the
// headers are set.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Guard } from '../core/guard.ts';

/** What is asked for its next piece only when the last one is on its way. */
export type Pieces = AsyncIterable<string | Uint8Array>;

export interface PiecesOptions {
  readonly pieces: Pieces;
  /** To compress with; not compressed when undefined. */
  readonly gzipLevel: number | undefined;
  readonly guard: Guard;
  /** How long the client may take nothing; ten seconds. */
  readonly stalledMillis?: number;
}

/** A pending write keeps the event loop, and so the process, alive. */
const STALLED_MILLIS = 10_000;

/**
 * Sends the headers, then the pieces; rejects with what they reject with, after the connection has been cut. A client
 * that leaves, or takes nothing for ten seconds, ends the pieces and is no failure.
 */
export async function sendPieces(req: IncomingMessage, res: ServerResponse, options: PiecesOptions): Promise<void> {
  const { pieces, gzipLevel } = options;
  // The server's own limit counts from the last byte, and the first piece may stop the process for longer.
  res.setTimeout(0);
  // On the wire before the first piece is asked for: they may say what it costs.
  res.flushHeaders();
  let isWhole = false;
  try {
    for await (const piece of gzipLevel === undefined ? pieces : await compress(pieces, gzipLevel)) {
      if (res.destroyed) return;
      if (!res.write(piece)) await taken(res, options);
    }
    isWhole = true;
  } finally {
    if (!isWhole && !res.destroyed) cut(req, res);
  }
  // A write to a response that was destroyed meanwhile would emit an error event.
  if (!res.destroyed) res.end();
}

async function compress(pieces: Pieces, level: number): Promise<Pieces> {
  const { createGzip } = await import('node:zlib');
  const { pipeline } = await import('node:stream');
  // An error of the source reaches whoever reads the end.
  return pipeline(pieces, createGzip({ level }), () => {});
}

/** Resolves when the client has taken what was written, or has gone. */
async function taken(res: ServerResponse, { guard, stalledMillis = STALLED_MILLIS }: PiecesOptions): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = guard.after('serve:stalled', stalledMillis, () => res.destroy());
    const settle = (): void => {
      timer.stop();
      res.off('drain', settle).off('close', settle);
      resolve();
    };
    res.once('drain', settle).once('close', settle);
  });
}

function cut(req: IncomingMessage, res: ServerResponse): void {
  const { socket } = res;
  // Without chunks the end of the connection is the end of the answer; a reset is none. Only TCP can be reset.
  const isPlainTcp = socket?.remoteAddress !== undefined && (socket as { encrypted?: boolean }).encrypted !== true;
  if (req.httpVersion === '1.0' && isPlainTcp) socket?.resetAndDestroy();
  else res.destroy();
}
