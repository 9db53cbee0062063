// The inspector's profilers, through sessions inside the process (no port is opened). The stand-in where the addon
// is missing, and for everybody the way to heap samples with their age and to a garbage collection on request.
import type { Profiler } from 'node:inspector';
import type { Session } from 'node:inspector/promises';
import type { HeapSamples } from '../core/heap-samples.ts';
import { ON_REQUEST_INTERVAL_MICROS } from './v8.ts';

async function connect(): Promise<Session> {
  const inspector = await import('node:inspector/promises');
  const session = new inspector.Session();
  session.connect();
  return session;
}

/** CPU profile of the time until `until` resolves; runs beside any other profiler. Rejects as `until` does. */
export async function profileCpu(
  until: () => Promise<void>,
  intervalMicros: number = ON_REQUEST_INTERVAL_MICROS,
): Promise<Profiler.Profile> {
  const session = await connect();
  try {
    await session.post('Profiler.enable');
    await session.post('Profiler.setSamplingInterval', { interval: intervalMicros });
    await session.post('Profiler.start');
    await until();
    const { profile } = await session.post('Profiler.stop');
    return profile;
  } finally {
    session.disconnect();
  }
}

/**
 * Makes V8 give up all optimised code, which it then compiles anew as it is needed: for 0.3 to 0.6 s the process is three
 * to twenty times slower (measured on 22, 24 and 26). What counts calls exactly cannot do without, so that is switched
 * on and off; a tool that measures test coverage meanwhile loses its counts.
 */
export async function deoptimize(): Promise<void> {
  const session = await connect();
  try {
    await session.post('Profiler.enable');
    await session.post('Profiler.startPreciseCoverage', { callCount: false, detailed: false });
    await session.post('Profiler.stopPreciseCoverage');
  } finally {
    session.disconnect();
  }
}

/**
 * Takes a heap snapshot, for which the process stands still, and hands it over piece by piece meanwhile. Rejects with
 * what `write` throws.
 */
export async function takeHeapSnapshot(write: (chunk: string) => void): Promise<void> {
  const session = await connect();
  let failure: unknown;
  session.on('HeapProfiler.addHeapSnapshotChunk', ({ params }) => {
    try {
      if (failure === undefined) write(params.chunk);
    } catch (error) {
      // V8 cannot be told to stop; what a listener throws, Node prints as a warning.
      failure = error;
    }
  });
  try {
    await session.post('HeapProfiler.takeHeapSnapshot', {});
  } finally {
    session.disconnect();
  }
  if (failure !== undefined) throw failure as Error;
}

/** Under this name the objects are handed over for as long as it takes to read them. */
const HANDOVER = Symbol.for('sonde.objects');
const handover = globalThis as { [HANDOVER]?: ((objects: readonly object[]) => void) | undefined };

/**
 * Hands all live objects of the process that inherit from Object.prototype to `read`, which must keep none of them, and
 * resolves to its answer. V8 collects all garbage first, and the process stands still: 0.7 to 1.7 us an object.
 */
export async function readLiveObjects<T>(read: (objects: readonly object[]) => T): Promise<T> {
  const session = await connect();
  const objectGroup = 'sonde';
  let answer: { readonly value: T } | undefined;
  try {
    const { result: prototype } = await session.post('Runtime.evaluate', { expression: 'Object.prototype', objectGroup });
    // @types/node leaves out the group.
    const query = { prototypeObjectId: prototype.objectId ?? '', objectGroup };
    const { objects } = await session.post('Runtime.queryObjects', query);
    // Set no longer than the call takes, which is synchronous.
    handover[HANDOVER] = (all) => (answer = { value: read(all) });
    const { exceptionDetails } = await session.post('Runtime.callFunctionOn', {
      objectId: objects.objectId ?? '',
      functionDeclaration: "function () { globalThis[Symbol.for('sonde.objects')](this); }",
      silent: true,
    });
    if (answer === undefined) throw new Error(exceptionDetails?.exception?.description ?? 'the inspector handed over no objects');
    return answer.value;
  } finally {
    delete handover[HANDOVER];
    // What a session has handed out lives until it is released, or the session is closed.
    await session.post('Runtime.releaseObjectGroup', { objectGroup }).finally(() => session.disconnect());
  }
}

/** The heap side of one session, opened at the first use and kept. */
export class InspectorHeap {
  #session: Promise<Session> | undefined;

  /** Opens the session. */
  async open(): Promise<void> {
    await this.#connected();
  }

  /** Starts V8's sampling heap profiler; every read of samples started here forces a full collection. */
  async startSampling(intervalBytes: number): Promise<void> {
    const session = await this.#connected();
    await session.post('HeapProfiler.startSampling', { samplingInterval: intervalBytes });
  }

  /** The live samples, or undefined when no sampler is running. */
  async samples(): Promise<HeapSamples | undefined> {
    const session = await this.#connected();
    try {
      const { profile } = await session.post('HeapProfiler.getSamplingProfile');
      // @types/node leaves out `samples` and the ids of nodes.
      return profile as unknown as HeapSamples;
    } catch (error) {
      if (error instanceof Error && error.message.includes('was not started')) return undefined;
      throw error;
    }
  }

  /** Collects all garbage; resolves when that is done. Blocks for about 40 ms at 80 MB of live heap, 150 at 300. */
  async collectGarbage(): Promise<void> {
    const session = await this.#connected();
    await session.post('HeapProfiler.collectGarbage');
  }

  close(): void {
    // Without a session nothing is open; one that is being opened is closed as soon as it is.
    void this.#session?.then(
      (session) => session.disconnect(),
      () => undefined,
    );
    this.#session = undefined;
  }

  #connected(): Promise<Session> {
    this.#session ??= connect();
    return this.#session;
  }
}
