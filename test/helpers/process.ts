// Child processes for tests: started, watched line by line, ended. Services among them (applications that serve HTTP and
// print `app <port>`) are asked over raw sockets, so that what they answer can be compared byte by byte.
import { spawn, type ChildProcess } from 'node:child_process';
import net from 'node:net';
import path from 'node:path';

export const ROOT: string = path.resolve(import.meta.dirname, '../..');

/** The built preload, as a user would name it by path. */
export const REGISTER: string = path.join(ROOT, 'dist/register.js');

/** Where the small applications are. */
export const APPS: string = path.join(ROOT, 'test/fixtures/apps');

const alive = new Set<ChildProcess>();

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
    alive.add(this.child);
    this.child.once('exit', () => alive.delete(this.child));
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
        throw new Error(
          `${String(pattern)} not seen (${state === undefined ? 'still running' : `exit ${state.code ?? state.signal}`})\n${this.stdout}${this.stderr}`,
        );
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

/** Kills what still runs; for the end of each test. */
export function killAll(): void {
  for (const child of alive) child.kill('SIGKILL');
}

export interface CompareOptions extends ServiceOptions {
  /** Sonde cannot listen in this scenario: begin without its start line. */
  readonly startsSilently?: true;
}

export interface ServiceOptions extends Omit<RunOptions, 'args'> {
  /** File name in `test/fixtures/apps`, or a path. */
  readonly app: string;
  /** Flags of Node before the file; the preload unless said otherwise. */
  readonly flags?: readonly string[];
}

/** Starts a service and waits until it listens; Sonde takes a free port unless the test names one. */
export async function startService({ app, flags = ['--require', REGISTER], env, ...rest }: ServiceOptions): Promise<Service> {
  const running = run({ ...rest, args: [...flags, path.resolve(APPS, app)], env: { SONDE_PORT: '0', ...env } });
  const [, port] = await running.seen(/^app (\d+)$/m);
  return new Service(running, Number(port));
}

/** A service that listens. */
export class Service {
  readonly running: Running;
  readonly port: number;

  constructor(running: Running, port: number) {
    this.running = running;
    this.port = port;
  }

  /** Whether it runs under Sonde by a flag. */
  get hasSonde(): boolean {
    return this.running.child.spawnargs.includes(REGISTER);
  }

  /** All bytes that one GET is answered with on a connection of its own, the date masked. */
  get(target: string, headers: readonly string[] = []): Promise<string> {
    return exchange(this.port, ['GET', target, ...headers]);
  }

  /** Base URL from the start line. */
  async sondeUrl(): Promise<string> {
    const [, url] = await this.running.seen(/^sonde \S+ .* listening on (http:\S+)$/m);
    return url!;
  }

  /** The text of one of Sonde's endpoints. */
  async read(endpoint: string): Promise<string> {
    return await (await fetch((await this.sondeUrl()) + endpoint)).text();
  }

  /** Requests of the application that Sonde has counted. */
  async counted(): Promise<number> {
    const counts = (await this.read('/metrics')).matchAll(/^http_server_request_duration_seconds_count\{.*\} (\d+)$/gm);
    return Array.from(counts, ([, count]) => Number(count)).reduce((sum, count) => sum + count, 0);
  }
}

/** Sends one request and reads until the other side closes; a connection that breaks before any byte gives the error's code. */
export function exchange(port: number, [method, target, ...headers]: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    let received = '';
    const socket = net.connect(port, '127.0.0.1');
    socket.on('data', (chunk) => (received += chunk.toString('latin1')));
    // After an answer a reset is a matter of chance: whether the other side had read all that we sent.
    socket.on('error', (error: NodeJS.ErrnoException) => (received ||= error.code ?? ''));
    socket.once('close', () => resolve(received.replace(/^Date: .*/im, 'Date: masked')));
    socket.write([`${method} ${target} HTTP/1.1`, 'Host: 127.0.0.1', 'Connection: close', ...headers, '', ''].join('\r\n'));
  });
}

/** What the outside sees of a service, from its first request to its end. */
interface Seen<T> {
  readonly result: T;
  readonly ended: Ended;
}

export interface Compared<T> {
  readonly bare: Seen<T>;
  readonly sonde: Seen<T>;
  /** What Sonde wrote; it is not in `sonde.ended.stderr`. */
  readonly lines: readonly string[];
}

/** Plays the scenario to the end of the process, at the same time on the service bare and under Sonde. */
export async function withAndWithout<T>(options: CompareOptions, scenario: (service: Service) => Promise<T>): Promise<Compared<T>> {
  const { flags = [], startsSilently = false, ...rest } = options;
  const bare = startService({ ...rest, flags }).then((service) => play(service, scenario));
  const sonde = startService({ ...rest, flags: [...flags, '--require', REGISTER] }).then(async (service) => {
    if (!startsSilently) await service.sondeUrl();
    return play(service, scenario);
  });
  const seen = { bare: await bare, sonde: await sonde };
  const { rest: stderr, lines } = ownLines(seen.sonde.ended.stderr);
  return { bare: seen.bare, sonde: { ...seen.sonde, ended: { ...seen.sonde.ended, stderr } }, lines };
}

async function play<T>(service: Service, scenario: (service: Service) => Promise<T>): Promise<Seen<T>> {
  const result = await scenario(service);
  const ended = await service.running.ended;
  return { result, ended: { ...ended, stdout: ended.stdout.replace(/^app \d+$/m, 'app <port>') } };
}

/** Sonde's own lines apart from the rest of what a process wrote. */
export function ownLines(stderr: string): { rest: string; lines: readonly string[] } {
  const lines = stderr.split('\n');
  const isOwn = (line: string): boolean => /^sonde(?: \d|:)/.test(line);
  return { rest: lines.filter((line) => !isOwn(line)).join('\n'), lines: lines.filter(isOwn) };
}

/**
 * This environment without what would steer Sonde or Node in the child, and with what the test says. A busy machine blocks every
 * event loop now and then; what Sonde says of that is in stalls.test.ts alone.
 */
function cleanEnv(env: RunOptions['env'] = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(?:SONDE_|OTEL_|NODE_OPTIONS$|VITEST|NODE_ENV$|TEST$)/.test(name));
  return { ...Object.fromEntries(kept), SONDE_STALL_MILLIS: '60000', ...env };
}
