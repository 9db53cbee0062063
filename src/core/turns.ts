// Long work in small steps with turns of the event loop between, so that no profile, however wide, holds the loop for long.
// Called by what builds and writes profiles, off the critical path.
import { setImmediate as nextTurn } from 'node:timers/promises';

/** Units between two turns: some 1 to 3 ms where a unit is a frame, a node or a row. */
const UNITS_PER_TURN = 10_000;

/** Runs work to its end; each step yields the units of work that it was. Rejects with what a step throws. */
export async function inTurns<R>(work: Generator<number, R>): Promise<R> {
  let units = 0;
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
    units += step.value;
    if (units < UNITS_PER_TURN) continue;
    units = 0;
    await nextTurn();
  }
}
