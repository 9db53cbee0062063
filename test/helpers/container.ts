// A container of our own: a root with proc and sys of a process in a control group (SONDE_CGROUP_ROOT) whose use is kept up with
// what the process has, and that kills it when it goes over the limit, as the kernel does.
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Running } from './process.ts';

export class Container {
  readonly root: string = mkdtempSync(path.join(tmpdir(), 'sonde-container-'));
  readonly #limitBytes: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
    mkdirSync(path.join(this.root, 'proc/self'), { recursive: true });
    mkdirSync(path.join(this.root, 'sys/fs/cgroup'), { recursive: true });
    writeFileSync(path.join(this.root, 'proc/self/cgroup'), '0::/\n');
    writeFileSync(path.join(this.root, 'sys/fs/cgroup/memory.max'), `${limitBytes}\n`);
    writeFileSync(path.join(this.root, 'sys/fs/cgroup/memory.stat'), 'inactive_file 0\n');
    this.use(0);
  }

  use(bytes: number): void {
    const file = path.join(this.root, 'sys/fs/cgroup/memory.current');
    writeFileSync(`${file}.new`, `${bytes}\n`);
    renameSync(`${file}.new`, file);
  }

  /** Follows the process to its end. */
  hold({ child }: Running): void {
    this.#timer = setInterval(() => {
      const bytes = residentBytes(child.pid!);
      this.use(bytes);
      if (bytes > this.#limitBytes) child.kill('SIGKILL');
    }, 10);
    child.once('exit', () => clearInterval(this.#timer));
  }

  remove(): void {
    clearInterval(this.#timer);
    rmSync(this.root, { recursive: true, force: true });
  }
}

function residentBytes(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')[1]) * 4096;
  } catch {
    return 0;
  }
}
