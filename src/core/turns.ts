// Long work in small steps with turns of the event loop between, so that no profile, however wide, holds the loop for
// more than some 2 ms. A writer is a generator of steps; what drives it decides when to yield. Called by the writers of profiles
// in profile/ and export/.
import { setImmediate as nextTurn } from 'node:timers/promises';

/** Units of work between two turns: 1 ms where a unit is a frame of a stack, written in 70 ns once V8 has compiled the writer. */
const UNITS_PER_TURN = 10_000;

/** Characters between two turns: 0.1 to 0.3 ms of writing, some 2 before V8 has compiled the writer. */
const CHARACTERS_PER_TURN = 131_072;

/** What a part costs besides its characters; and an empty one, which stands for up to some 40 us of work. */
const CHARACTERS_PER_PART = 400;
const CHARACTERS_OF_EMPTY = 6000;

/** Nodes that a step may pass over before it yields an empty part. */
export const NODES_PER_STEP = 2000;

/** Runs work to its end; each step yields the units of work that it was. */
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

/** The text that the parts make up, in pieces of some 100,000 characters. Empty parts stand for work that writes nothing. */
export async function* textInTurns(parts: Iterable<string>): AsyncGenerator<string> {
  let text = '';
  let cost = 0;
  for (const part of parts) {
    text += part;
    cost += part === '' ? CHARACTERS_OF_EMPTY : part.length + CHARACTERS_PER_PART;
    if (cost < CHARACTERS_PER_TURN) continue;
    if (text !== '') yield text;
    text = '';
    cost = 0;
    await nextTurn();
  }
  if (text !== '') yield text;
}
