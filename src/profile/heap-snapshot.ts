// Heap snapshots on request: checks that there is room, says what it will cost, takes one, hands the file out piece by
// piece. V8 builds and writes a snapshot in one go during which nothing else runs, and cannot be held up by a slow
// reader: node:v8's stream and the inspector's messages pile all of it up in memory, 1.0 to 2.9 times the heap used
// (measured). So it is written to a file as it comes, and the file is read at the reader's pace. The file has no name
// from before its first byte, so that nothing stays on the disk, whatever ends the process. It comes from
// v8-profiler-next where that is there, else from the inspector; time and memory are the same. One at a time.
// Made by sdk.ts when snapshots are enabled; serve/ reads.
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { open, unlink, type FileHandle } from 'node:fs/promises';
import os from 'node:os';
import { join } from 'node:path';
import type { Diag } from '../core/diag.ts';
import type { ProfilerName } from './devtools.ts';
import { takeHeapSnapshot } from './inspector.ts';
import { ProfileError } from './profile-error.ts';
import { noRoom, size, snapshotCost, type SnapshotCost, type SnapshotPlace } from './snapshot-cost.ts';
import type { V8ProfilerNext } from './v8-profiler-next.ts';

/** Pieces in which the file is read. */
const PIECE_BYTES = 128 * 1024;

export interface HeapSnapshotsOptions {
  readonly diag: Diag;
  readonly addon?: V8ProfilerNext | undefined;
  /** Average size of the objects that live, where it is known. */
  readonly objectBytes: () => Promise<number | undefined>;
  /** For tests. */
  readonly place?: SnapshotPlace;
}

/** A snapshot that can be taken, and by whom. */
export interface SnapshotEstimate extends SnapshotCost {
  readonly profiler: ProfilerName;
}

export class HeapSnapshots {
  readonly #options: HeapSnapshotsOptions;
  readonly #place: SnapshotPlace;
  #taking = false;

  constructor(options: HeapSnapshotsOptions) {
    this.#options = options;
    this.#place = options.place ?? { root: '/', directory: os.tmpdir() };
  }

  /** What a snapshot of now would cost. Rejects with ProfileError 503 when there is no room for it or one is being taken. */
  async estimate(): Promise<SnapshotEstimate> {
    this.#checkFree();
    const cost = snapshotCost(process.memoryUsage().heapUsed, await this.#options.objectBytes());
    const refusal = await orUnwritable(noRoom(cost, this.#place), this.#place.directory);
    if (refusal !== undefined) throw new ProfileError(503, refusal);
    return { ...cost, profiler: this.#options.addon?.isThere() === true ? 'v8-profiler-next' : 'inspector' };
  }

  /**
   * Readies a snapshot, which is taken when its first piece is asked for: the process then stands still, and says so
   * before. `signal` must abort in the end: what is never read to its end is given up then. Rejects with ProfileError 503.
   */
  async take(estimate: SnapshotEstimate, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    this.#checkFree();
    this.#taking = true;
    const file = await orUnwritable(openNameless(this.#place.directory), this.#place.directory).catch((error: unknown) => {
      this.#taking = false;
      throw error;
    });
    const release = (): void => {
      signal.removeEventListener('abort', release);
      this.#taking = false;
      // Waits for a read that is under way; a file that is closed already is none of anybody's problems.
      void file.close().catch(() => {});
    };
    signal.addEventListener('abort', release);
    if (signal.aborted) release();
    return this.#pieces(estimate, file, release);
  }

  async *#pieces(estimate: SnapshotEstimate, file: FileHandle, release: () => void): AsyncGenerator<Uint8Array> {
    try {
      const { heapUsedBytes, seconds, memoryBytes } = estimate;
      this.#options.diag.announce(
        `sonde: the process stands still for about ${seconds} s while a snapshot of its heap of ${size(heapUsedBytes)} is taken, ` +
          `which needs up to ${size(memoryBytes)} of memory`,
      );
      const write = (chunk: string): void => writeFileSync(file.fd, chunk);
      if (this.#options.addon?.takeHeapSnapshot(write) !== true) await takeHeapSnapshot(write);
      yield* contents(file);
    } finally {
      release();
    }
  }

  #checkFree(): void {
    if (this.#taking) throw new ProfileError(503, 'a heap snapshot is being taken already; one at a time');
  }
}

async function* contents(file: FileHandle): AsyncGenerator<Uint8Array> {
  for (let position = 0; ;) {
    // A buffer of its own for each: the reader may still hold the last.
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafeSlow(PIECE_BYTES), 0, PIECE_BYTES, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** A new file that only this process can reach. */
async function openNameless(directory: string): Promise<FileHandle> {
  const name = join(directory, `sonde-${randomUUID()}.heapsnapshot`);
  const file = await open(name, 'wx+', 0o600);
  await unlink(name);
  return file;
}

async function orUnwritable<T>(work: Promise<T>, directory: string): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ProfileError(
      503,
      `a heap snapshot goes through a file, and there can be none in ${directory}: ${reason}. TMPDIR names another directory.`,
    );
  }
}
