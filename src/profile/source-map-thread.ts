// Owns the worker that reads source maps (source-map-worker.ts): started when it is first asked, ended when it has not
// been asked for a while, one question at a time. It is no second Sonde: it has no flag and no variable of the process,
// so nothing is preloaded in it. All that the application can see of it is the event `worker` of process, and the
// diagnostics channel `worker_threads` where Node has one.
import { Worker } from 'node:worker_threads';
import type { Guard, Timer } from '../core/guard.ts';
import type { Frame } from './frame.ts';
import type { SourceMapRequest, SourceMapResponse } from './source-map-protocol.ts';

/** How long it waits for another question. Starting takes 30 to 80 ms of another core, being there some 10 MB. */
const IDLE_MILLIS = 5000;

/** The largest map there may be takes a second; after this the file is on a disk that hangs. */
const ANSWER_MILLIS_MAX = 30_000;

interface Pending {
  readonly resolve: (response: SourceMapResponse) => void;
  readonly reject: (error: Error) => void;
}

export interface SourceMapThreadOptions {
  readonly guard: Guard;
  /** Path of the built worker. */
  readonly workerFile: string;
  /** For tests. */
  readonly answerMillis?: number;
}

export class SourceMapThread {
  readonly #options: SourceMapThreadOptions;
  #worker: Worker | undefined;
  #pending: Pending | undefined;
  #timer: Timer | undefined;

  constructor(options: SourceMapThreadOptions) {
    this.#options = options;
  }

  /**
   * Asks for functions of one file; not to be called again before it has answered. Rejects when the worker cannot
   * start, dies, hangs, or is stopped.
   */
  ask(file: string, frames: readonly Frame[]): Promise<SourceMapResponse> {
    const { guard, answerMillis = ANSWER_MILLIS_MAX } = this.#options;
    this.#timer?.stop();
    return new Promise((resolve, reject) => {
      this.#pending = { resolve, reject };
      try {
        const worker = (this.#worker ??= this.#start());
        const message = request(file, frames);
        worker.postMessage(message, [message.lines.buffer as ArrayBuffer, message.columns.buffer as ArrayBuffer]);
      } catch (error) {
        this.#end(error instanceof Error ? error : new Error(String(error)));
        return;
      }
      this.#timer = guard.after('source-maps', answerMillis, () => this.#end(new Error('it does not answer')));
    });
  }

  /** Ends the worker now. */
  stop(): void {
    this.#end(new Error('it was stopped'));
  }

  #start(): Worker {
    const { guard, workerFile } = this.#options;
    const worker = new Worker(workerFile, {
      name: 'sonde source maps',
      execArgv: [],
      env: {},
      stdout: true,
      stderr: true,
      // No limit for the old generation: one that is reached ends the process (Node 20 to 24), and the worker fills none.
      resourceLimits: { maxYoungGenerationSizeMb: 4 },
    });
    worker.on(
      'message',
      guard.wrap('source-maps', (response: SourceMapResponse) => this.#answered(worker, response)),
    );
    worker.on(
      'error',
      guard.wrap('source-maps', (error: Error) => this.#ended(worker, error)),
    );
    worker.on(
      'exit',
      guard.wrap('source-maps', () => this.#ended(worker, new Error('it has ended'))),
    );
    // After the listeners, of which the one for messages makes the process wait for the worker.
    worker.unref();
    return worker;
  }

  #answered(worker: Worker, response: SourceMapResponse): void {
    const pending = this.#pending;
    if (worker !== this.#worker || pending === undefined) return;
    this.#pending = undefined;
    this.#timer?.stop();
    this.#timer = this.#options.guard.after('source-maps', IDLE_MILLIS, () => this.stop());
    pending.resolve(response);
  }

  #ended(worker: Worker, error: Error): void {
    if (worker === this.#worker) this.#end(error);
  }

  #end(error: Error): void {
    const [worker, pending] = [this.#worker, this.#pending];
    this.#timer?.stop();
    this.#worker = undefined;
    this.#pending = undefined;
    void worker?.terminate();
    pending?.reject(error);
  }
}

function request(file: string, frames: readonly Frame[]): SourceMapRequest {
  return {
    file,
    lines: Int32Array.from(frames, ({ line }) => line - 1),
    columns: Int32Array.from(frames, ({ column }) => column - 1),
    names: frames.map(({ name }) => (name === '(anonymous)' ? '' : name.replaceAll('\0', ' '))).join('\0'),
  };
}
