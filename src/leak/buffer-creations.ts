// Where Buffers are created: V8's heap sampler does not see the memory behind them, so while ArrayBuffers grow, and only
// then, Buffer's own functions are wrapped and a Poisson sample of their bytes is kept by creation site. Costs nothing when
// off, 2 to 20 ns a call when on, and on Node 20 more memory: a WeakRef lasts until a major collection, so large Buffers that
// would have died young wait for one (64 KiB ones made as fast as it goes: 74 instead of 37 MB; Node 24 alike).
// Not seen, and told so by who asks: what Node makes itself (socket and file chunks, zlib), functions that were taken off
// Buffer before the start, and `new ArrayBuffer(n)` or `new Uint8Array(n)`. Nothing can be hooked there unseen: the
// constructors run no code of anybody's (no `prototype` getter, no species), replacing them on the global object breaks
// `x.constructor === Uint8Array`, and V8's heap sampler has one interval, which is not ours to lower. Each costs 200 bytes
// of the heap, so that the samples of the heap name those of up to some 2 KiB: 34 MB of 1 KiB are 7 to 14 samples.
import { isAnyArrayBuffer } from 'node:util/types';
import type { Clock } from '../core/clock.ts';
import type { Guard } from '../core/guard.ts';
import type { Ownership } from './site.ts';
import { captureStack } from './creation-stack.ts';
import { Creations, rankSurvivors, type CreationGroup, type Survivor } from './creations.ts';

/** Mean bytes between two samples: from 4 MiB of growth on, so 8 where it is a suspect and 16 where it is a leak, to within 35 and 25 %. */
const SAMPLE_BYTES = 524_288;

/**
 * One in so many of the Buffers on slabs. By number, not by bytes: one of 20 bytes that stays keeps a slab of 8 or, from
 * Node 24 on, of 64 KiB. Of the 1,000 slabs in 64 MB so kept 16 have a sample.
 */
const POOLED_DISTANCE = 64;

/** `Buffer()` and `new Buffer()` are not wrapped, which would change what `x.constructor` is; they call alloc and from. */
const NAMES = ['alloc', 'allocUnsafe', 'allocUnsafeSlow', 'from', 'concat'] as const;

/** Those of them that never lie on a slab. */
const UNPOOLED: ReadonlySet<string> = new Set(['alloc', 'allocUnsafeSlow']);

const PART = 'buffer creations';

export interface BufferCreationsOptions {
  readonly guard: Guard;
  readonly clock: Clock;
  readonly ownership?: Ownership;
  readonly sampleBytes?: number;
  readonly pooledDistance?: number;
  /** In [0, 1). */
  readonly random?: () => number;
}

type Create = (this: unknown, ...args: unknown[]) => Uint8Array;

/** What the wrapped functions share: the data plane. All small integers, which cost 10 ns a call less than fractions on Node 20. */
interface Sampling {
  isOn: boolean;
  /** Bytes until the next sample of those that have memory of their own. */
  leftBytes: number;
  /** Buffers until the next sample of those on slabs. */
  leftPooled: number;
  /** Of eight bytes, of slabs, used so far. */
  pooledWords: number;
  /** Calls so far, by which a function tells that one it calls has counted: `concat` calls `allocUnsafe` on Node 20 and 22. */
  calls: number;
}

/** Samples the creation of Buffers while it runs. Both switches may be called at any time, and twice. */
export class BufferCreations {
  readonly #options: BufferCreationsOptions;
  /** Their ArrayBuffers: such a one outlives its Buffer where a part was cut off. */
  #owned: Creations<ArrayBufferLike> | undefined;
  #pooled: Creations<Uint8Array> | undefined;
  #sampling: Sampling = { isOn: false, leftBytes: 0, leftPooled: 0, pooledWords: 0, calls: 0 };
  #slabBytes = 0;
  #restores: (() => void)[] = [];

  constructor(options: BufferCreationsOptions) {
    this.#options = options;
  }

  get isRunning(): boolean {
    return this.#sampling.isOn;
  }

  /** Begins with nothing known. */
  start(): void {
    if (this.#sampling.isOn) return;
    const { guard, clock, sampleBytes = SAMPLE_BYTES, pooledDistance = POOLED_DISTANCE, random = Math.random } = this.#options;
    // One that was transferred has left its memory to somebody else.
    const isAlive = ({ byteLength }: ArrayBufferLike | Uint8Array): boolean => byteLength > 0;
    const owned = new Creations<ArrayBufferLike>({ clock, distance: sampleBytes, random, isAlive });
    const pooled = new Creations<Uint8Array>({ clock, distance: pooledDistance, random, isAlive });
    this.#owned = owned;
    this.#pooled = pooled;
    this.#slabBytes = Buffer.poolSize;
    this.#sampling = { isOn: true, leftBytes: owned.nextGap(), leftPooled: pooled.nextGap(), pooledWords: 0, calls: 0 };
    guard.run(PART, () => {
      for (const name of NAMES) this.#restores.push(this.#replace(name, owned, pooled));
    });
  }

  /** Puts back what was there; what was found so far stays readable. */
  stop(): void {
    this.#sampling.isOn = false;
    for (const restore of this.#restores.splice(0)) restore();
  }

  /** What of it is alive and that old, by the place that created it, most bytes first; empty before the first start. */
  rank(minAgeMillis: number): CreationGroup[] {
    const owned = this.#owned?.survivors(minAgeMillis) ?? [];
    return rankSurvivors([...owned, ...this.#onSlabs(minAgeMillis)], this.#options.ownership ?? {});
  }

  /** Forgets what was found. */
  clear(): void {
    this.#owned?.clear();
    this.#pooled?.clear();
    this.#sampling.pooledWords = 0;
  }

  /**
   * The survivors on slabs with what they hold: their own bytes, and a part of what else lies on their slabs. Where so many
   * survive on each slab on average, as if by chance, 1 - exp(-so many) of the slabs have any.
   */
  #onSlabs(minAgeMillis: number): Survivor<Uint8Array>[] {
    const survivors = this.#pooled?.survivors(minAgeMillis) ?? [];
    const count = survivors.reduce((sum, survivor) => sum + survivor.count, 0);
    const ownBytes = survivors.reduce((sum, survivor) => sum + survivor.count * survivor.object.byteLength, 0);
    const slabs = Math.max((this.#sampling.pooledWords * 8) / this.#slabBytes, 1);
    const heldBytes = slabs * -Math.expm1(-count / slabs) * this.#slabBytes;
    const elseBytes = Math.max(heldBytes - ownBytes, 0) / count;
    return survivors.map((survivor) => ({ ...survivor, bytes: survivor.count * (survivor.object.byteLength + elseBytes) }));
  }

  #replace(name: (typeof NAMES)[number], owned: Creations<ArrayBufferLike>, pooled: Creations<Uint8Array>): () => void {
    const before = Object.getOwnPropertyDescriptor(Buffer, name);
    if (typeof before?.value !== 'function') return () => {};
    const { guard, ownership = {} } = this.#options;
    const sampling = this.#sampling;
    const note: Note = guard.wrap(PART, ({ buffer, byteLength }: Uint8Array, below: Create) => {
      sampling.leftBytes = owned.nextGap();
      owned.add(buffer, byteLength, captureStack(below, ownership));
    });
    const notePooled: Note = guard.wrap(PART, (created: Uint8Array, below: Create) => {
      sampling.leftPooled = pooled.nextGap();
      // Slabs are some 64 bytes longer than Buffer.poolSize on Node 26.
      if (created.buffer.byteLength !== created.byteLength) pooled.add(created, 1, captureStack(below, ownership));
    });
    const pooledBelowBytes = UNPOOLED.has(name) ? 0 : this.#slabBytes >>> 1;
    const wrapped = wrap({ original: before.value as Create, sampling, pooledBelowBytes, note, notePooled });
    // Refused where intrinsics are frozen: then it is not seen.
    if (!Reflect.defineProperty(Buffer, name, { ...before, value: wrapped })) return () => {};
    return () => {
      // Somebody may have wrapped ours since; then it stays and only passes on.
      if (Object.getOwnPropertyDescriptor(Buffer, name)?.value === wrapped) Reflect.defineProperty(Buffer, name, before);
    };
  }
}

type Note = (created: Uint8Array, below: Create) => void;

interface Wrapping {
  readonly original: Create;
  readonly sampling: Sampling;
  /** Smaller ones lie on a slab. */
  readonly pooledBelowBytes: number;
  readonly note: Note;
  readonly notePooled: Note;
}

/**
 * The function with its calls counted. Callable and constructible as the original, with its name, length and further
 * properties. What it throws passes with Node's frames at the top of its stack; ours is one more frame below them.
 */
function wrap({ original, sampling, pooledBelowBytes, note, notePooled }: Wrapping): Create {
  function wrapped(this: unknown, ...args: unknown[]): Uint8Array {
    const calls = (sampling.calls = (sampling.calls + 1) | 0);
    const created = Reflect.apply(original, this, args);
    // Undefined where somebody before us has wrapped it and returns what he likes.
    const bytes = created?.length;
    if (!sampling.isOn || sampling.calls !== calls || !(bytes > 0)) return created;
    // A view of what somebody else has made.
    if (typeof args[0] === 'object' && isAnyArrayBuffer(args[0])) return created;
    if (bytes >= pooledBelowBytes) {
      if ((sampling.leftBytes -= bytes) <= 0) note(created, wrapped);
      return created;
    }
    // Each begins at a multiple of eight.
    sampling.pooledWords += (bytes + 7) >>> 3;
    if (--sampling.leftPooled <= 0) notePooled(created, wrapped);
    return created;
  }
  Object.defineProperties(wrapped, Object.getOwnPropertyDescriptors(original));
  return wrapped;
}
