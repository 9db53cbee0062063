import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StderrDiag } from '../../../src/core/diag.ts';
import { Guard } from '../../../src/core/guard.ts';
import { BufferCreations, type BufferCreationsOptions } from '../../../src/leak/buffer-creations.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';
import { BreakableClock } from './breakable-clock.ts';

const NAMES = ['alloc', 'allocUnsafe', 'allocUnsafeSlow', 'from', 'concat'] as const;
const MIB = 1024 * 1024;

const descriptors = () => NAMES.map((name) => Object.getOwnPropertyDescriptor(Buffer, name)!);
const bare = descriptors();

const running: BufferCreations[] = [];
const held: object[] = [];

function sampler(options: Partial<BufferCreationsOptions> = {}): BufferCreations {
  const creations = new BufferCreations({ guard: new Guard(new StderrDiag('none')), clock: new ManualClock(), sampleBytes: 1, ...options });
  running.push(creations);
  creations.start();
  return creations;
}

afterEach(() => {
  for (const creations of running.splice(0)) creations.stop();
  held.splice(0);
  for (const [i, name] of NAMES.entries()) Object.defineProperty(Buffer, name, bare[i]!);
});

describe('the functions of Buffer while their creations are sampled', () => {
  beforeEach(() => void sampler());

  it('are described as before', () => {
    for (const [i, { value, ...attributes }] of descriptors().entries()) {
      const { value: original, ...before } = bare[i]!;
      expect(value).not.toBe(original);
      expect(attributes).toEqual(before);
      expect(Object.getOwnPropertyDescriptors(value)).toEqual(Object.getOwnPropertyDescriptors(original));
    }
  });

  it('give what they gave, called on anything, as constructors, and with too many arguments', () => {
    class Sub extends Buffer {}
    expect(Buffer.from('é', 'latin1')).toEqual(Buffer.from([0xe9]));
    expect(Sub.from('abc').toString()).toBe('abc');
    expect(Reflect.apply(Buffer.alloc, undefined, [3, 'ab']).toString()).toBe('aba');
    expect((Reflect.construct(Buffer.from, ['abc']) as Buffer).toString()).toBe('abc');
    expect(Buffer.concat([Buffer.from('a'), Buffer.from('b')], 3)).toEqual(Buffer.from('ab\0'));
    expect(['a', 'b'].map(Buffer.from as never).map(String)).toEqual(['a', 'b']);
    expect(Buffer.isBuffer(Buffer.allocUnsafe(10))).toBe(true);
    expect(Buffer.allocUnsafeSlow(10).buffer.byteLength).toBe(10);
    expect(Object.getPrototypeOf(Buffer.alloc(1))).toBe(Buffer.prototype);
  });

  it('throw what they threw, with the same frame at the top', () => {
    const thrown = (call: () => unknown): { code: string; top: string } => {
      try {
        call();
      } catch (error) {
        const { code, stack } = error as NodeJS.ErrnoException;
        return { code: code!, top: stack!.split('\n').find((line) => line.startsWith('    at '))! };
      }
      throw new Error('nothing was thrown');
    };
    const wrong = [() => Buffer.alloc(-1), () => Buffer.from(5 as never), () => Buffer.concat(7 as never), () => Buffer.allocUnsafe(NaN)];
    const wrapped = wrong.map(thrown);
    running[0]!.stop();
    const unwrapped = wrong.map(thrown);
    expect(wrapped.map(({ code }) => code)).toEqual(unwrapped.map(({ code }) => code));
    for (const [i, { top }] of wrapped.entries()) expect(top).toBe(unwrapped[i]!.top);
    running[0]!.start();
    const own = new Error('mine');
    const evil = {
      valueOf: () => {
        throw own;
      },
    };
    expect(() => Buffer.from(evil as never)).toThrow(own);
  });
});

describe('sampling the creations of Buffers', () => {
  it('puts back exactly what was there', () => {
    const creations = sampler();
    creations.start();
    expect(creations.isRunning).toBe(true);
    creations.stop();
    creations.stop();
    expect(creations.isRunning).toBe(false);
    expect(descriptors()).toEqual(bare);
    for (const [i, { value }] of descriptors().entries()) expect(value).toBe(bare[i]!.value);
  });

  it('leaves what somebody has wrapped since, and only passes on in it', () => {
    const creations = sampler();
    const ours = Buffer.from;
    const theirs = ((...args: Parameters<typeof Buffer.from>) => ours(...args)) as unknown as typeof Buffer.from;
    Buffer.from = theirs;
    creations.stop();
    expect(Buffer.from).toBe(theirs);
    expect(Buffer.alloc).toBe(bare[0]!.value);
    held.push(Buffer.from('x'.repeat(MIB)));
    expect(creations.rank(0)).toEqual([]);
    creations.start();
    held.push(Buffer.from('x'.repeat(MIB)));
    expect(creations.rank(0)).toMatchObject([{ count: 1, bytes: MIB }]);
    creations.stop();
    expect(Buffer.from).toBe(theirs);
  });

  it('gives the result though the bookkeeping fails', () => {
    const clock = new BreakableClock();
    const lines: string[] = [];
    const creations = sampler({ clock, guard: new Guard(new StderrDiag('warn', (line) => lines.push(line))) });
    clock.isBroken = true;
    for (let i = 0; i < 10; i++) {
      expect(Buffer.from('abc').toString()).toBe('abc');
      expect(Buffer.alloc(MIB)).toHaveLength(MIB);
    }
    clock.isBroken = false;
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('no time');
    expect(creations.rank(0)).toEqual([]);
  });

  it('does without functions that cannot be replaced', () => {
    const fixed = { ...bare[3]!, value: () => undefined, writable: true };
    Object.defineProperty(Buffer, 'from', fixed);
    sampler();
    expect(Buffer.from('abc')).toBeUndefined();
  });

  it('names the function and the line that creates', () => {
    const creations = sampler({ ownership: { ownDirectory: `${process.cwd()}/src/` } });
    function readUpload(): Buffer {
      return Buffer.alloc(64 * 1024);
    }
    for (let i = 0; i < 10; i++) held.push(readUpload());
    const [group, ...others] = creations.rank(0);
    expect(others).toEqual([]);
    expect(group!).toMatchObject({ owner: 'application', bytes: 640 * 1024, count: 10, share: 1 });
    expect(group!.site).toMatchObject({ function: 'readUpload', file: import.meta.filename });
    expect(group!.stack[0]).toEqual(group!.site);
  });

  it('counts once what one function creates by another, and what Buffer() creates', () => {
    const creations = sampler();
    const part = Buffer.alloc(MIB);
    held.push(part, Buffer.concat([part, part]));
    expect(creations.rank(0).reduce((sum, { bytes }) => sum + bytes, 0)).toBe(3 * MIB);
    creations.clear();
    // oxlint-disable-next-line typescript/no-deprecated, unicorn/no-new-buffer
    held.push(new Buffer(MIB), Reflect.apply<undefined, [number], Buffer>(Buffer as never, undefined, [MIB]));
    expect(creations.rank(0).reduce((sum, { bytes }) => sum + bytes, 0)).toBe(2 * MIB);
  });

  it('does not count a view of memory that exists', () => {
    const creations = sampler({ pooledDistance: 0 });
    held.push(Buffer.from(new ArrayBuffer(MIB)), Buffer.from(new SharedArrayBuffer(MIB), 0, 5));
    expect(creations.rank(0)).toEqual([]);
  });

  it('does not count memory that was transferred away', () => {
    const creations = sampler();
    const made = Buffer.alloc(MIB);
    held.push(made, structuredClone(made.buffer, { transfer: [made.buffer] }));
    expect(creations.rank(0)).toEqual([]);
  });

  it('estimates what is alive, small Buffers on full slabs and large ones', () => {
    let state = 7;
    const random = (): number => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
    const clock = new ManualClock();
    const creations = sampler({ sampleBytes: 32 * 1024, pooledDistance: 16, random, clock });
    const small = (size: number): void => void held.push(Buffer.allocUnsafe(size));
    const large = (size: number): void => void held.push(Buffer.allocUnsafe(size));
    for (let i = 0; i < 8000; i++) {
      large([10_000, 20_000][i % 2]!);
      small([100, 1000, 3000][i % 3]!);
      if (i % 400 === 0) clock.advance(2000);
    }
    const bytesOf = (name: string): number => creations.rank(0).find(({ site }) => site!.function === name)!.bytes;
    // 3,660 and 500 samples: three times 1.7 % and, with the spread of their sizes, 7 %.
    expect(Math.abs(bytesOf('large') / 120_000_000 - 1)).toBeLessThan(0.05);
    expect(Math.abs(bytesOf('small') / 10_930_000 - 1)).toBeLessThan(0.21);
  });
});
