import { describe, expect, it } from 'vitest';
import { StderrDiag, type DiagLevel } from '../../../src/core/diag.ts';

function said(level: DiagLevel, say: (diag: StderrDiag) => void): string[] {
  const lines: string[] = [];
  say(new StderrDiag(level, (line) => lines.push(line)));
  return lines;
}

describe('what Sonde says', () => {
  it.each<[level: DiagLevel, lines: string[]]>([
    ['none', []],
    ['error', ['start']],
    ['warn', ['start', 'sonde: w', 'sonde: n']],
    ['info', ['start', 'sonde: w', 'sonde: n', 'sonde: i']],
    ['debug', ['start', 'sonde: w', 'sonde: n', 'sonde: i', 'sonde: d']],
  ])('at level %s', (level, lines) => {
    expect(
      said(level, (diag) => {
        diag.announce('start');
        diag.warn('key', 'w');
        diag.notice('n');
        diag.info('i');
        diag.debug('d');
      }),
    ).toEqual(lines);
  });

  it('is a warning once per key, for 256 keys and no more', () => {
    const lines = said('warn', (diag) => {
      for (let i = 0; i < 300; i++) {
        diag.warn(`key ${i}`, `message ${i}`);
        diag.warn(`key ${i}`, 'again');
      }
    });
    expect(lines).toHaveLength(256);
    expect(lines.at(-1)).toBe('sonde: message 255');
  });

  it('is a notice each time', () => {
    expect(
      said('warn', (diag) => {
        diag.notice('x');
        diag.notice('x');
      }),
    ).toEqual(['sonde: x', 'sonde: x']);
  });

  it('is information each time', () => {
    expect(
      said('info', (diag) => {
        diag.info('x');
        diag.info('x');
      }),
    ).toEqual(['sonde: x', 'sonde: x']);
  });
});
