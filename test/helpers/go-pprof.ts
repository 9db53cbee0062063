// The real `go tool pprof`: its commands, and the web pages of `-http`. Reads files and addresses alike.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';

/** One row of `-top`: a function's own value and that of all it calls, in the unit asked for. */
export interface TopRow {
  readonly flat: number;
  readonly cumulative: number;
}

export class GoPprof {
  /** Of its own, as it keeps what it fetches. */
  readonly #directory: string = mkdtempSync(path.join(tmpdir(), 'sonde-go-pprof-'));
  readonly #servers: ChildProcess[] = [];

  /** Writes what `go tool pprof` is to read to a file. */
  file(name: string, content: Uint8Array): string {
    const file = path.join(this.#directory, name);
    writeFileSync(file, content);
    return file;
  }

  /** What it prints. */
  async run(...args: string[]): Promise<string> {
    const { stdout } = await promisify(execFile)('go', ['tool', 'pprof', ...args], { env: this.#env() });
    return stdout;
  }

  /** The rows of `-top`, by function. */
  async top(...args: string[]): Promise<Map<string, TopRow>> {
    const [, table = ''] = (await this.run('-top', '-nodefraction=0', ...args)).split(/^ +flat.*$/m);
    const rows = table.matchAll(/^ *(-?[\d.]+)\S* +\S+ +\S+ +(-?[\d.]+)\S* +\S+ +(.+)$/gm);
    return new Map(Array.from(rows, ([, flat, cumulative, name]) => [name!, { flat: Number(flat), cumulative: Number(cumulative) }]));
  }

  /** Starts `-http` and resolves to its address when it answers. */
  async serve(...args: string[]): Promise<string> {
    const child = spawn('go', ['tool', 'pprof', '-http=127.0.0.1:', '-no_browser', ...args], { env: this.#env(), detached: true });
    this.#servers.push(child);
    let said = '';
    const url = await new Promise<string>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`go tool pprof -http has ended with ${code}: ${said}`)));
      child.stderr.on('data', (chunk: Buffer) => {
        said += chunk.toString();
        const [, url] = /Serving web UI on (http:\S+)/.exec(said) ?? [];
        if (url !== undefined) resolve(url);
      });
    });
    // It says so a moment before it listens.
    while (child.exitCode === null && !(await isAnswered(url))) await wait(20);
    return url;
  }

  /** Ends all that was started and removes all that was written. */
  close(): void {
    // The group: `go tool` does not end what it has started.
    for (const { pid, exitCode } of this.#servers) if (pid !== undefined && exitCode === null) process.kill(-pid, 'SIGKILL');
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #env(): NodeJS.ProcessEnv {
    return { ...process.env, PPROF_TMPDIR: this.#directory, HOME: this.#directory };
  }
}

async function isAnswered(url: string): Promise<boolean> {
  return await fetch(url).then(
    () => true,
    () => false,
  );
}
