// Child processes for tests: started, watched line by line, ended.
import { spawn, type ChildProcess } from 'node:child_process';
import path from 'node:path';

export const ROOT: string = path.resolve(import.meta.dirname, '../..');

/** The built preload, as a user would name it by path. */
export const REGISTER: string = path.join(ROOT, 'dist/register.js');

export interface RunOptions {
  readonly node?: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  readonly stdio?: 'pipe' | ['ignore' | 'pipe', 'pipe', 'pipe' | 'ignore' | number];
}

/** How a process ended and what it printed. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A child whose output is collected. */
export class Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  stdout = '';
  stderr = '';

  constructor(options: RunOptions) {
    const { node = process.execPath, args, env, cwd = ROOT, stdio = 'pipe' } = options;
    this.child = spawn(node, args, { cwd, env: cleanEnv(env), stdio: stdio as 'pipe' });
    this.child.stdout?.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()));
    this.child.stderr?.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.ended = new Promise((resolve, reject) => {
      this.child.once('error', reject);
      this.child.once('close', (code, signal) => resolve({ code, signal, stdout: this.stdout, stderr: this.stderr }));
    });
  }

  /** Waits until the output of both streams matches; rejects with that output when the process ends or 20 s pass. */
  async seen(pattern: RegExp, timeoutMillis = 20_000): Promise<RegExpMatchArray> {
    const deadline = Date.now() + timeoutMillis;
    for (;;) {
      const match = pattern.exec(this.stdout + this.stderr);
      if (match !== null) return match;
      const state = await Promise.race([this.ended, new Promise<undefined>((resolve) => setTimeout(resolve, 20, undefined))]);
      if (state !== undefined || Date.now() > deadline) {
        const last = pattern.exec(this.stdout + this.stderr);
        if (last !== null) return last;
        throw new Error(`${String(pattern)} not seen (${state === undefined ? 'still running' : `exit ${state.code ?? state.signal}`})\n${this.stdout}${this.stderr}`);
      }
    }
  }

  kill(signal: NodeJS.Signals = 'SIGTERM'): void {
    this.child.kill(signal);
  }
}

/** Starts a child. */
export function run(options: RunOptions): Running {
  return new Running(options);
}

/** Runs a child to its end. */
export function runToEnd(options: RunOptions): Promise<Ended> {
  return new Running(options).ended;
}

/** This environment without what would steer Sonde or Node in the child, and with what the test says. */
function cleanEnv(env: RunOptions['env'] = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(?:SONDE_|OTEL_|NODE_OPTIONS$|VITEST|NODE_ENV$|TEST$)/.test(name));
  return { ...Object.fromEntries(kept), ...env };
}
