// The directory of evidence (SONDE_DUMP_DIR): `sonde-<service>-<pid>-<UTC time of the start>` with `.json`, `.heap.pb.gz` and
// `.state.json` for one process. Synchronous and small, because the process may be about to end: each file is written under
// another name and renamed, so that what is there is whole. Bounded: at most ten processes and 50 MiB, the oldest go
// first, and only files of this form are ever removed. Where it cannot be used that is said once and nothing is written.
import {
  close,
  closeSync,
  existsSync,
  fsync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeSync,
} from 'node:fs';
import { readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Diag } from '../core/diag.ts';
import { parseEvidence, type Evidence } from './evidence.ts';

/** Ten deaths tell a pattern; a profile is some 20 KB, so that the bytes only matter to what is odd. */
const PROCESSES_MAX = 10;
const BYTES_MAX: number = 50 * 1024 * 1024;

/** Evidence is 2 to 60 KB. */
const JSON_BYTES_MAX: number = 4 * 1024 * 1024;

/** A living process touches its evidence once a minute; on another machine nothing else tells whether it lives. */
const SILENT_MILLIS = 180_000;

/** A state is not touched while nothing is near. */
const STATE_SILENT_MILLIS: number = 7 * 86_400_000;

/** Over: it recovered or ended well. Reported: a start has told of it. */
const FORM = /^(sonde-.+-\d+-\d{8}T\d{9}Z)\.(?:(?:over\.|reported\.|state\.)?json|heap\.pb\.gz)(?:\.tmp)?$/;

export interface EvidenceDirectoryOptions {
  readonly directory: string;
  readonly diag: Diag;
  /** Names of this process's files begin so (`evidenceBase`). */
  readonly base: string;
  /** Bounds; for tests. */
  readonly processesMax?: number;
  readonly bytesMax?: number;
}

/** What names of a process's files begin with: its own however often its pid comes again. */
export function evidenceBase({ service, pid, startEpochMillis }: { service: string; pid: number; startEpochMillis: number }): string {
  const time = new Date(startEpochMillis).toISOString().replaceAll(/[-:.]/g, '');
  return `sonde-${service.replaceAll(/[^\w.-]/g, '_').slice(0, 64) || 'service'}-${pid}-${time}`;
}

/** Evidence of a process that has gone, and where it is now. */
export interface PastEvidence {
  readonly evidence: Evidence;
  readonly file: string;
}

export class EvidenceDirectory {
  readonly directory: string;
  readonly base: string;
  readonly #diag: Diag;
  readonly #processesMax: number;
  readonly #bytesMax: number;

  constructor({ directory, diag, base, processesMax = PROCESSES_MAX, bytesMax = BYTES_MAX }: EvidenceDirectoryOptions) {
    this.directory = resolve(directory);
    this.base = base;
    this.#diag = diag;
    this.#processesMax = processesMax;
    this.#bytesMax = bytesMax;
  }

  /** Makes the directory, with a file that is written and removed; answers whether it can be used. */
  prepare(): boolean {
    return this.#attempt(() => {
      makeDirectory(this.directory);
      const probe = this.#path('.json.tmp');
      closeSync(writeWhole(probe, 'sonde'));
      rmSync(probe);
    });
  }

  /** Writes the evidence of this process in place of what was there; answers its path, undefined where it could not be written. */
  write(evidence: Evidence): string | undefined {
    const file = this.#path('.json');
    const json = `${JSON.stringify(evidence, undefined, 1)}\n`;
    if (!this.#attempt(() => this.#replace(file, json))) return undefined;
    rmSync(this.#path('.over.json'), { force: true });
    this.#attempt(() => this.#prune());
    return file;
  }

  /** Writes the live-heap profile beside it; answers its name. */
  writeProfile(gzipped: Uint8Array): string | undefined {
    if (gzipped.byteLength > this.#bytesMax) return undefined;
    const file = this.#path('.heap.pb.gz');
    if (!this.#attempt(() => this.#replace(file, gzipped))) return undefined;
    this.#attempt(() => this.#prune());
    return `${this.base}.heap.pb.gz`;
  }

  /** Leaves what the exporter will know of this process. Not forced to the disk: it outlives the process, not the machine. */
  writeState(evidence: Evidence): boolean {
    return this.#attempt(() => {
      const file = this.#path('.state.json');
      closeSync(writeWhole(`${file}.tmp`, JSON.stringify(evidence)));
      renameSync(`${file}.tmp`, file);
    });
  }

  /** Says to those who look that this process lives. */
  touch(epochMillis: number): void {
    this.#ignore(() => utimesSync(this.#path('.json'), epochMillis / 1000, epochMillis / 1000));
  }

  /** The process is well again, or has ended well: nothing to report. The evidence stays for who wants to look. */
  over(): void {
    this.dropState();
    this.#ignore(() => renameSync(this.#path('.json'), this.#path('.over.json')));
  }

  /** The process ends without an exporter. */
  dropState(): void {
    this.#ignore(() => rmSync(this.#path('.state.json'), { force: true }));
  }

  /** The last state that was left, or what was written last; undefined where there is nothing. */
  read(): Evidence | undefined {
    for (const suffix of ['.state.json', '.json']) {
      let text = '';
      this.#ignore(() => (text = readFileSync(this.#path(suffix), 'utf8')));
      const evidence = parseEvidence(text);
      if (evidence !== undefined) return evidence;
    }
    return undefined;
  }

  /**
   * Takes what processes that have gone left here and no start has told of; whoever renames a file first has it, so that
   * of workers that start together one reports.
   */
  async takePast(host: string, nowEpochMillis: number): Promise<PastEvidence[]> {
    const taken: PastEvidence[] = [];
    for (const name of await readdir(this.directory)) {
      const [, base = ''] = FORM.exec(name) ?? [];
      if (base === '' || base === this.base) continue;
      const path = join(this.directory, name);
      if (name === `${base}.state.json` && (await goneEvidence(path, host, nowEpochMillis - STATE_SILENT_MILLIS)) !== undefined) {
        await rm(path, { force: true });
      }
      if (name !== `${base}.json`) continue;
      const evidence = await goneEvidence(path, host, nowEpochMillis - SILENT_MILLIS);
      if (evidence === undefined) continue;
      const file = join(this.directory, `${base}.reported.json`);
      const isOurs = await rename(path, file).then(
        () => true,
        () => false,
      );
      if (isOurs) taken.push({ evidence, file });
    }
    return taken;
  }

  #path(suffix: string): string {
    return join(this.directory, this.base + suffix);
  }

  /** Puts the content in the file's place. It outlives the process from now on, and the machine as soon as a thread has forced it to the disk. */
  #replace(file: string, content: string | Uint8Array): void {
    const descriptor = writeWhole(`${file}.tmp`, content);
    renameSync(`${file}.tmp`, file);
    // Forced before the rename it would block the event loop: 0.3 ms on a local disk, 3 on a busy one, 10 to 100 over a network.
    fsync(descriptor, (error) => {
      if (error !== null) this.#cannotWrite(error);
      close(descriptor, () => {});
    });
  }

  /** Removes the oldest processes' files above the bounds; never those of this one. */
  #prune(): void {
    const groups = new Map<string, { names: string[]; bytes: number; mtimeMs: number }>();
    for (const name of readdirSync(this.directory)) {
      const [, base] = FORM.exec(name) ?? [];
      // A state is no evidence yet, and its process may live.
      if (base === undefined || name.includes('.state.json')) continue;
      const { size, mtimeMs } = statSync(join(this.directory, name), { throwIfNoEntry: false }) ?? { size: 0, mtimeMs: 0 };
      const group = groups.get(base) ?? { names: [], bytes: 0, mtimeMs: 0 };
      group.names.push(name);
      groups.set(base, { names: group.names, bytes: group.bytes + size, mtimeMs: Math.max(group.mtimeMs, mtimeMs) });
    }
    let bytes = [...groups.values()].reduce((sum, group) => sum + group.bytes, 0);
    let count = groups.size;
    const oldest = [...groups].filter(([base]) => base !== this.base).toSorted(([, a], [, b]) => a.mtimeMs - b.mtimeMs);
    for (const [, group] of oldest) {
      if (count <= this.#processesMax && bytes <= this.#bytesMax) return;
      for (const name of group.names) rmSync(join(this.directory, name), { force: true });
      bytes -= group.bytes;
      count -= 1;
    }
  }

  #attempt(fn: () => void): boolean {
    try {
      fn();
      return true;
    } catch (error) {
      this.#cannotWrite(error);
      return false;
    }
  }

  #cannotWrite(error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    this.#diag.warn(
      'evidence',
      `evidence of a process that runs out of memory cannot be written to ${this.directory}, only to stderr: ${reason}`,
    );
  }

  #ignore(fn: () => void): void {
    try {
      fn();
    } catch {
      // Nothing was written yet, or somebody has tidied up.
    }
  }
}

/** The kernel's start time of a process in ticks since the machine's; 0 where the system does not tell. */
export function startTicksOf(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The second field is the command in brackets and may hold anything; the start is the twentieth after it.
    return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[19]);
  } catch {
    return 0;
  }
}

/** What a file says of a process that has gone, of another machine's when it has been silent since; undefined where it is alive, or the file cannot be read. */
async function goneEvidence(path: string, host: string, silentSinceEpochMillis: number): Promise<Evidence | undefined> {
  try {
    const { size, mtimeMs } = await stat(path);
    const evidence = size > JSON_BYTES_MAX ? undefined : parseEvidence(await readFile(path, 'utf8'));
    if (evidence === undefined) return undefined;
    const isGone = evidence.host === host ? !isAlive(evidence) : mtimeMs < silentSinceEpochMillis;
    return isGone ? evidence : undefined;
  } catch {
    // Another process has taken it, or it is not ours to read.
    return undefined;
  }
}

/** With those above it. Node's own way to do that (`recursive`) never returns where the system answers ENOENT whatever is there, as below /proc. */
function makeDirectory(directory: string): void {
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT' || dirname(directory) === directory) throw error;
    makeDirectory(dirname(directory));
    // Somebody else may make it too, or nobody can.
    if (!existsSync(directory)) mkdirSync(directory, { mode: 0o700 });
  }
}

function isAlive({ pid, startTicks }: Evidence): boolean {
  // This process has another name for its own.
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const ticks = startTicksOf(pid);
  return ticks === 0 || ticks === startTicks;
}

/** The file whole, or none. */
function writeWhole(file: string, content: string | Uint8Array): number {
  const descriptor = openNew(file);
  try {
    writeAll(descriptor, content);
    return descriptor;
  } catch (error) {
    closeSync(descriptor);
    rmSync(file, { force: true });
    throw error;
  }
}

/** Never through a link that somebody has laid, where the directory is one that others write to. */
function openNew(file: string): number {
  rmSync(file, { force: true });
  return openSync(file, 'wx', 0o600);
}

function writeAll(descriptor: number, content: string | Uint8Array): void {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  for (let at = 0; at < bytes.byteLength;) at += writeSync(descriptor, bytes, at);
}
