// One operation of the data plane as it is timed: ours, beside it the least code that has the effect at all, and what
// others do for it. mitata times; here stands how, and the proof that what is timed happens. Called by main.ts.
import { inspect } from 'node:util';
import { getHeapStatistics } from 'node:v8';
import { do_not_optimize, measure } from 'mitata';

/** Calls that prove the effect before the timing. They warm up too: V8 has compiled most of it for the last time by then. */
const PROOF_CALLS = 20_000;
/** And after it. */
const LAST_PROOF_CALLS = 2000;

/** Nanoseconds of measured time for each subject; at 100 ns a call that is 200,000 calls. */
const MEASURED_NANOS = 20e6;
/** The same where each call takes an input of its own, which may take ten times as long to make. */
const MEASURED_NANOS_WITH_INPUTS = 10e6;

/** Readings at least, for calls that handle hundreds of units. */
const SAMPLES_MIN = 40;

/** Calls between two readings of the clock, which costs 35 ns. */
const BATCH_CALLS = 1024;
/** The same with inputs: all of a batch are made before, and should still be in the cache. */
const BATCH_INPUTS = 128;

/** What shows that a call has done its work: a count that rises by one for each unit of it, or what it answers. */
export type Proof = { readonly effects: () => number | Promise<number> } | { readonly isRight: (answer: unknown) => boolean };

export interface Subject {
  /** One call. Passes its answer through `keep`, or leaves an effect behind. */
  readonly run: (input: unknown) => unknown;
  /** Makes what one call takes, outside the measured time. */
  readonly input: (() => unknown) | undefined;
  readonly proof: Proof;
}

export interface Operation {
  readonly ours: Subject;
  readonly bound: Subject;
  /** What the bound does, as a noun. */
  readonly boundIs: string;
  readonly peers: Readonly<Record<string, Subject>>;
  /** Units (spans) that one call handles; figures are per unit. */
  readonly unitsPerCall: number;
  /** Makes active what is to be active while a subject is timed. */
  readonly enter: (() => void) | undefined;
}

interface Figures {
  readonly nanos: number;
  /** Allocated on V8's heap. */
  readonly bytes: number;
}

export interface OperationFigures {
  readonly ours: Figures;
  readonly bound: Figures;
  readonly boundIs: string;
  readonly peers: Readonly<Record<string, Figures>>;
}

export function subject(run: () => unknown, proof: Proof): Subject {
  return { run, input: undefined, proof };
}

export function subjectWithInput<I>(input: () => I, run: (input: I) => unknown, proof: Proof): Subject {
  return { input, run: run as (input: unknown) => unknown, proof };
}

export function operation(parts: Pick<Operation, 'ours' | 'bound' | 'boundIs'> & Partial<Operation>): Operation {
  return { peers: {}, unitsPerCall: 1, enter: undefined, ...parts };
}

/** Makes the compiler compute `answer`, and returns it. */
export function keep<T>(answer: T): T {
  do_not_optimize(answer);
  return answer;
}

/** Hands out the items in turn, so that no call sees what the last one saw. Their number must be a power of two. */
export function inTurn<T>(items: readonly T[]): () => T {
  const mask = items.length - 1;
  if (items.length === 0 || (items.length & mask) !== 0) throw new RangeError(`${items.length} items are no power of two`);
  let at = 0;
  return () => items[(at = (at + 1) & mask)]!;
}

/** Times the subjects of one operation, one after the other. Throws when an effect is missing. */
export async function measureOperation({ ours, bound, boundIs, peers, unitsPerCall, enter }: Operation): Promise<OperationFigures> {
  const figuresOf = async (name: string, one: Subject): Promise<Figures> => {
    // What is entered from here on ends with this function, and is not active for the next subject.
    await Promise.resolve();
    enter?.();
    return await measureSubject(name, one, unitsPerCall);
  };
  const measured = { ours: await figuresOf('ours', ours), bound: await figuresOf('the lower bound', bound) };
  const others: Record<string, Figures> = {};
  for (const [name, peer] of Object.entries(peers)) others[name] = await figuresOf(name, peer);
  return { ...measured, boundIs, peers: others };
}

let measurements = 0;

async function measureSubject(name: string, one: Subject, unitsPerCall: number): Promise<Figures> {
  const { run, input, proof } = one;
  await prove(name, one, { unitsPerCall, atLeast: PROOF_CALLS });
  const before = await effectsOf(proof);
  measurements += 1;
  const options = {
    // mitata writes this into its loop. V8 keeps what it has learnt of a loop by its source, and of one that it has seen
    // before it would know five functions to call and inline none.
    max_samples: 1e9 - measurements,
    min_samples: SAMPLES_MIN,
    min_cpu_time: input === undefined ? MEASURED_NANOS : MEASURED_NANOS_WITH_INPUTS,
    batch_samples: input === undefined ? BATCH_CALLS : BATCH_INPUTS,
    // Four calls in a row would let the compiler drop the answers of three.
    batch_unroll: 1,
    // mitata would force a collection before it times. V8 throws away compiled code that knows of no object that is alive,
    // and an encoder that makes its writer anew for each call was timed while it was compiled again: 13 us for 5.
    gc: false,
    heap: () => getHeapStatistics().used_heap_size,
  };
  const stats = input === undefined ? await measure(run as () => unknown, options) : await measure(withInputs(run, input), options);
  const after = await effectsOf(proof);
  if (after !== undefined && after - before! < stats.ticks * unitsPerCall) {
    throw new Error(`${name}: ${stats.ticks} calls were timed, ${after - before!} effects seen`);
  }
  await prove(name, one, { unitsPerCall, atLeast: LAST_PROOF_CALLS });
  // What else the machine does only ever adds, hence the lower quartile and not the median.
  return { nanos: stats.p25 / unitsPerCall, bytes: stats.heap!.avg / unitsPerCall };
}

function withInputs(run: Subject['run'], input: () => unknown): () => Generator<() => unknown, void, undefined> {
  return function* inputs() {
    // mitata's own form: the parameters of `bench` are made by the members of that number.
    yield { 0: input, bench: (made: unknown) => run(made) } as unknown as () => unknown;
  };
}

interface ProofOptions {
  readonly unitsPerCall: number;
  /** Units. */
  readonly atLeast: number;
}

async function prove(name: string, { run, input, proof }: Subject, { unitsPerCall, atLeast }: ProofOptions): Promise<void> {
  const calls = Math.ceil(atLeast / unitsPerCall);
  const before = await effectsOf(proof);
  for (let call = 0; call < calls; call++) {
    const answer = run(input?.());
    if ('isRight' in proof && !proof.isRight(answer))
      throw new Error(`${name}: call ${call + 1} answers ${inspect(answer, { depth: 1, breakLength: Infinity })}`);
  }
  const after = await effectsOf(proof);
  if (after !== undefined && after - before! !== calls * unitsPerCall) {
    throw new Error(`${name}: ${calls * unitsPerCall} effects expected of ${calls} calls, ${after - before!} seen`);
  }
}

async function effectsOf(proof: Proof): Promise<number | undefined> {
  return 'effects' in proof ? await proof.effects() : undefined;
}
