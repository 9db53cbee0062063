// From functions of generated code to those of the sources, by source maps: what a compiled TypeScript program was
// written in. Profiles are mapped when they are read and never before; the work is done by a worker, and each function
// is looked up once. Whatever goes wrong, a function stays as V8 has it.
import { AsyncLocalStorage } from 'node:async_hooks';
import { open, stat } from 'node:fs/promises';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { runSuppressed } from '../core/context.ts';
import type { Diag } from '../core/diag.ts';
import type { Guard } from '../core/guard.ts';
import type { Frame } from './frame.ts';
import { frameOf } from './frame.ts';
import type { Profile } from './profile.ts';
import { loadedMap } from './loaded-map.ts';
import { replaceFrames } from './replace-frames.ts';
import type { SourceMapResponse } from './source-map-protocol.ts';
import { SourceMapThread } from './source-map-thread.ts';

/** How long a read waits for maps; what comes later serves the next one. */
const WAIT_MILLIS = 5000;

/** Frames between two turns of the event loop: 1 to 2 ms. */
const FRAMES_PER_TURN = 2000;

/** Files whose state is remembered. A service has 100 to 2,000; a program that makes names for scripts begins anew. */
const FILES_MAX = 20_000;

/** Questions that the worker did not survive before it is asked no more. */
const DEATHS_MAX = 3;

/** The end of a script that is looked at for the comment that names its map. */
const TAIL_BYTES = 8192;

const ANONYMOUS = '(anonymous)';

export interface SourceMapsOptions {
  readonly guard: Guard;
  readonly diag: Diag;
  /** Path of the built worker, dist/profile/source-map-worker.js. */
  readonly workerFile: string;
  /** How long a read waits, and how long the worker has for a file; for tests. */
  readonly waitMillis?: number;
  readonly answerMillis?: number;
}

export class SourceMaps {
  readonly #options: SourceMapsOptions;
  readonly #thread: SourceMapThread;
  /** Runs in the context of Sonde's start: a worker or timer keeps the context it is made in, that of a request else. */
  readonly #outside = AsyncLocalStorage.snapshot() as <R>(fn: () => R) => R;
  /** The frames that were looked up; themselves where there was nothing to be found. */
  readonly #located = new WeakMap<Frame, Frame>();
  /** What is known of files: not yet looked at, with a map, or without one that can be used. */
  readonly #files = new Map<string, 'new' | 'mapped' | 'none'>();
  readonly #wanted = new Map<string, Set<Frame>>();
  #work: Promise<void> | undefined;
  #isWorking = false;
  #deaths = 0;

  constructor(options: SourceMapsOptions) {
    this.#options = options;
    this.#thread = new SourceMapThread(options);
  }

  /**
   * The profile with the frames of the sources; frames that become equal are one, and their samples add up. Waits for
   * maps for five seconds at most and only for frames that were not seen before. Never rejects; blocks the event loop
   * for a few milliseconds at most, whatever the size of the maps.
   */
  async apply(profile: Profile): Promise<Profile> {
    const frames = await this.locate(profile.frames);
    return frames.some((frame, i) => frame !== profile.frames[i]) ? await replaceFrames(profile, frames) : profile;
  }

  /** The frames of the sources in the order of those given; one that cannot be mapped is itself. Otherwise as `apply`. */
  async locate(frames: readonly Frame[]): Promise<readonly Frame[]> {
    const wanted: Frame[] = [];
    for (const [i, frame] of frames.entries()) {
      if (!this.#located.has(frame) && this.#isCandidate(frame)) wanted.push(frame);
      if (i % FRAMES_PER_TURN === FRAMES_PER_TURN - 1) await nextTurn();
    }
    if (wanted.length > 0) await this.#lookUp(wanted);
    return frames.map((frame) => this.#located.get(frame) ?? frame);
  }

  /** Ends the worker; from now on frames that are not known yet stay as they are. */
  stop(): void {
    this.#deaths = DEATHS_MAX;
    this.#thread.stop();
  }

  #isCandidate({ file, line, column }: Frame): boolean {
    if (this.#deaths >= DEATHS_MAX || line < 1 || column < 1) return false;
    let state = this.#files.get(file);
    if (state === undefined) {
      // Packages come without their sources, mostly, and are known by the file that is there.
      state = path.isAbsolute(file) && !/[/\\]node_modules[/\\]/.test(file) ? 'new' : 'none';
      this.#setState(file, state);
    }
    return state !== 'none';
  }

  #setState(file: string, state: 'new' | 'mapped' | 'none'): void {
    if (this.#files.size >= FILES_MAX) this.#files.clear();
    this.#files.set(file, state);
  }

  /** Resolves when the frames have been looked up, or after the time that a read waits. */
  async #lookUp(frames: readonly Frame[]): Promise<void> {
    const { guard, waitMillis = WAIT_MILLIS } = this.#options;
    for (const frame of frames) {
      const ofFile = this.#wanted.get(frame.file);
      if (ofFile === undefined) this.#wanted.set(frame.file, new Set([frame]));
      else ofFile.add(frame);
    }
    if (!this.#isWorking) {
      this.#isWorking = true;
      this.#work = this.#outside(() => runSuppressed(() => guard.runAsync('source-maps', () => this.#lookAtWanted())));
    }
    let stop = (): void => undefined;
    const late = new Promise<void>((resolve) => {
      const timer = guard.after('source-maps wait', waitMillis, resolve);
      stop = () => timer.stop();
    });
    await Promise.race([this.#work, late]);
    stop();
  }

  /** One file after another, also those that come to be wanted meanwhile. */
  async #lookAtWanted(): Promise<void> {
    try {
      for (const [file, frames] of this.#wanted) {
        this.#wanted.delete(file);
        await this.#lookAt(file, [...frames]);
      }
    } finally {
      this.#isWorking = false;
    }
  }

  async #lookAt(file: string, frames: readonly Frame[]): Promise<void> {
    if (this.#files.get(file) !== 'mapped' && !(await mayNameMap(file))) return await this.#lookAtLoaded(file, frames);
    // Another file may have been the worker's end since this one was wanted.
    if (this.#deaths >= DEATHS_MAX) return;
    let response: SourceMapResponse;
    try {
      response = await this.#thread.ask(file, frames);
    } catch (error) {
      if (this.#deaths >= DEATHS_MAX) return;
      this.#deaths += 1;
      this.#setState(file, 'none');
      this.#say(
        'worker',
        `the thread that reads source maps failed at ${file}, what it has not read is shown as it runs: ${reason(error)}`,
      );
      return;
    }
    this.#setState(file, response.status === 'mapped' ? 'mapped' : 'none');
    this.#sayProblem(file, response);
    if (response.status === 'mapped') await this.#keep(frames, response);
  }

  /** A script without a map of its own may have been compiled when it was loaded. */
  async #lookAtLoaded(file: string, frames: readonly Frame[]): Promise<void> {
    const find = await loadedMap(file).catch(() => undefined);
    if (find === undefined) return this.#setState(file, 'none');
    for (const frame of frames) this.#located.set(frame, find(frame));
  }

  async #keep(frames: readonly Frame[], { files, names, lines, columns, strings }: SourceMapResponse): Promise<void> {
    const texts = strings.split('\0');
    for (const [i, frame] of frames.entries()) {
      const file = texts[files[i] as number];
      const name = texts[names[i] as number] || ANONYMOUS;
      this.#located.set(frame, file === undefined ? frame : frameOf(name, file, lines[i] as number, columns[i] as number));
      if (i % FRAMES_PER_TURN === FRAMES_PER_TURN - 1) await nextTurn();
    }
  }

  #sayProblem(file: string, { status, detail, moved }: SourceMapResponse): void {
    if (status === 'none') this.#options.diag.debug(detail);
    else if (status !== 'mapped') this.#say(status, `${detail}; its functions are shown as they run`);
    else if (moved > 0) {
      this.#say(
        'moved',
        `${file} on disk is not the code that runs (built anew?); functions that are elsewhere in it are shown as they run`,
      );
    }
  }

  /** Once per kind of problem; it is the same for many files, mostly. */
  #say(kind: string, message: string): void {
    this.#options.diag.warn(`source-maps:${kind}`, message);
  }
}

/** Whether the end of a script names a map, or begins without a space, as in the middle of a long `data:` URL. */
async function mayNameMap(file: string): Promise<boolean> {
  try {
    const { size } = await stat(file);
    const handle = await open(file);
    try {
      const length = Math.min(size, TAIL_BYTES);
      const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(length), 0, length, size - length);
      const tail = buffer.toString('latin1', 0, bytesRead);
      return tail.includes('sourceMappingURL=') || (size > length && /^\S{256}/.test(tail));
    } finally {
      await handle.close();
    }
  } catch {
    return false;
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
