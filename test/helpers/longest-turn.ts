// How long the event loop was held at a time while something was done, in CPU time of its own thread: on a machine that is
// busy with other things the time of day says nothing. In steps of the kernel's clock, 1 to 4 ms.
import { closeSync, openSync, readSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';

/** CPU time that the main thread has used; the time of day where that cannot be told. */
function mainThreadMillis(): { read: () => number; close: () => void } {
  let descriptor: number;
  try {
    descriptor = openSync(`/proc/self/task/${process.pid}/schedstat`, 'r');
  } catch {
    return { read: () => performance.now(), close: () => {} };
  }
  const bytes = Buffer.alloc(100);
  return {
    read: () => parseInt(bytes.toString('latin1', 0, readSync(descriptor, bytes, 0, bytes.length, 0)), 10) / 1e6,
    close: () => closeSync(descriptor),
  };
}

/** The longest turn of the event loop until `work` is done. */
async function longestTurnMillis(work: () => Promise<unknown>): Promise<number> {
  const clock = mainThreadMillis();
  const state = { isDone: false };
  let longest = 0;
  await nextTurn();
  let last = clock.read();
  const note = (): void => {
    const now = clock.read();
    longest = Math.max(longest, now - last);
    last = now;
  };
  const done = work().finally(() => (state.isDone = true));
  note();
  while (!state.isDone) {
    await nextTurn();
    note();
  }
  clock.close();
  await done;
  return longest;
}

/** The same at its best of some runs. */
export async function leastLongestTurnMillis(runs: number, work: () => Promise<unknown>): Promise<number> {
  let least = Infinity;
  for (let i = 0; i < runs; i++) least = Math.min(least, await longestTurnMillis(work));
  return least;
}
