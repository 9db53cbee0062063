// Which core each process gets, and what others did on it meanwhile. The server has core 0 to itself; the load, the
// sink, the backend and the driver share core 1. Needs Linux: elsewhere nothing is pinned and nothing is known of others.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';

export const SERVER_CORE = 0;
export const LOAD_CORE = 1;

const canPin = cpus().length > 1 && spawnSync('taskset', ['--version'], { stdio: 'ignore' }).status === 0;
const hasProc = process.platform === 'linux';

/** The command that runs `command` on that core, or `command` itself where processes cannot be pinned. */
export function pinned(core, command) {
  return canPin ? ['taskset', '--cpu-list', String(core), ...command] : command;
}

/** Moves this process, and with it those it starts, to the load's core. Answers a line that says what was done. */
export function pinDriver() {
  if (cpus().length < 2) return 'one core: server and load share it, so read the ratios with care';
  if (!canPin) return 'taskset is missing (Debian: apt-get install util-linux): nothing is pinned, so read the ratios with care';
  spawnSync('taskset', ['--all-tasks', '--cpu-list', '--pid', String(LOAD_CORE), String(process.pid)], { stdio: 'ignore' });
  return `server on core ${SERVER_CORE}, load, sink and backend on core ${LOAD_CORE}`;
}

/**
 * Starts to watch how much of each core is used by processes other than ours; `ours` has the process ids by core.
 * The function that comes back answers the share of each core (0 to 1) since then, `undefined` where it cannot be known.
 */
export function watchOthers(ours) {
  if (!canPin || !hasProc) return () => undefined;
  const before = read(ours);
  return () => {
    const after = read(ours);
    return after.map((core, index) => {
      const other = core.busy - before[index].busy - (core.own - before[index].own);
      return Math.max(0, other) / Math.max(1, core.total - before[index].total);
    });
  };
}

/** Clock ticks so far: of each core, and of our processes on it. */
function read(ours) {
  const cores = readFileSync('/proc/stat', 'utf8').matchAll(/^cpu\d+ (.*)$/gm);
  return Array.from(cores)
    .slice(0, ours.length)
    .map(([, line], core) => {
      const [user, nice, system, idle, ioWait, irq, softIrq, steal] = line.split(' ').map(Number);
      return {
        // Interrupts are left out on both sides: those of the loopback device are ours and nobody can tell them apart.
        busy: user + nice + system + steal,
        total: user + nice + system + idle + ioWait + irq + softIrq + steal,
        own: ours[core].reduce((sum, pid) => sum + ticksOf(pid), 0),
      };
    });
}

function ticksOf(pid) {
  // The command in parentheses may hold spaces; user and system time are the 12th and 13th field after it.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return Number(fields[11]) + Number(fields[12]);
}
