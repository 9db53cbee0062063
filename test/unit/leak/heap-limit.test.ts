import { describe, expect, it } from 'vitest';
import { oldGenerationBytes, oldGenerationLimitBytes } from '../../../src/leak/heap-limit.ts';

const MIB = 1_048_576;

function limitMebibytes(nodeMajor: number, heapSizeLimit: number, flags: readonly string[] = [], workerOldMebibytes?: number): number {
  return oldGenerationLimitBytes({ heapSizeLimitBytes: heapSizeLimit * MIB, flags, nodeMajor, workerOldMebibytes }) / MIB;
}

describe('the limit of the old generation', () => {
  it.each([['--max-old-space-size=128'], ['--max_old_space_size=128'], ['--max-old_space_size=128']])('is what %s says', (flag) => {
    expect(limitMebibytes(20, 176, [flag])).toBe(128);
    expect(limitMebibytes(24, 320, [flag])).toBe(128);
    expect(limitMebibytes(26, 224, [flag])).toBe(128);
  });

  it('is what the last of several flags says, and of the command line when NODE_OPTIONS has one too', () => {
    expect(limitMebibytes(20, 304, ['--max-old-space-size=128', '--max-old-space-size=256'])).toBe(256);
  });

  it('is the heap without three of the largest semi-spaces where V8 has room for them', () => {
    expect(limitMebibytes(20, 4144)).toBe(4096);
    expect(limitMebibytes(22, 4144)).toBe(4096);
    expect(limitMebibytes(24, 4288)).toBe(4096);
    expect(limitMebibytes(26, 4192)).toBe(4096);
  });

  it('is the heap without three semi-spaces of the size that was asked for', () => {
    expect(limitMebibytes(20, 4102, ['--max-semi-space-size=2'])).toBe(4096);
    expect(limitMebibytes(24, 4288, ['--max_semi_space_size=64'])).toBe(4096);
  });

  it('is the heap without the smaller semi-spaces that V8 gives a small heap', () => {
    expect(limitMebibytes(20, 512, ['--max-heap-size=512'])).toBe(500);
    expect(limitMebibytes(22, 1024, ['--max-heap-size=1024'])).toBe(1000);
    expect(limitMebibytes(24, 512, ['--max-heap-size=512'])).toBe(464);
    expect(limitMebibytes(26, 256, ['--max-heap-size=256'])).toBe(232);
  });

  it('is a share of the machine with the largest semi-spaces', () => {
    expect(limitMebibytes(22, 12_100, ['--max-old-space-size-percentage=50'])).toBe(12_052);
    expect(limitMebibytes(24, 384, ['--max-old-space-size-percentage=1'])).toBe(192);
  });

  it('is that of its own on a worker thread', () => {
    expect(limitMebibytes(20, 112, ['--max-old-space-size=128'], 64)).toBe(64);
  });

  it.each(['--max-old-space-size', '--max-old-space-size=', '--max-old-space-size=x', '--max-old-space-size=0', '-max-old-space-size=5'])(
    'does not follow %s',
    (flag) => {
      expect(limitMebibytes(20, 4144, [flag])).toBe(4096);
    },
  );
});

it('what is in use outside of the young generation is less than the heap, and most of it', () => {
  const bytes = oldGenerationBytes();
  expect(bytes).toBeGreaterThan(MIB);
  expect(bytes).toBeLessThan(process.memoryUsage().heapTotal);
});
