import { EventEmitter } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StderrDiag } from '../../../src/core/diag.ts';
import { Guard } from '../../../src/core/guard.ts';
import { ListenerWarnings } from '../../../src/leak/listener-warnings.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';
import { runToEnd } from '../../helpers/process.ts';

class Store extends EventEmitter {}

describe('listener warnings', () => {
  const lines: string[] = [];
  const clock = new ManualClock();
  let warnings: ListenerWarnings;
  let others: ((...args: unknown[]) => void)[] = [];

  beforeEach(() => {
    // What prints them, here Vitest and Node: the run is to stay quiet.
    others = process.listeners('warning') as typeof others;
    process.removeAllListeners('warning');
    warnings = new ListenerWarnings({ guard: new Guard(new StderrDiag('warn', (line) => lines.push(line))), clock });
    warnings.start();
  });

  afterEach(() => {
    warnings.stop();
    process.removeAllListeners('warning');
    for (const other of others) process.on('warning', other);
    lines.splice(0);
  });

  function watch(emitter: EventEmitter, event: string | symbol = 'change', count = 11): void {
    for (let i = 0; i < count; i++) emitter.on(event, () => {});
  }

  it('tell the class, the event, how many there are, and where the one too many was added', async () => {
    const store = new Store();
    watch(store);
    await nextTurn();
    const [told, ...rest] = warnings.list();
    expect(rest).toEqual([]);
    expect(told).toMatchObject({ emitterClass: 'Store', event: 'change', count: 11, emitters: 1, firstMillis: clock.nowMillis });
    expect(told!.site).toMatchObject({ function: 'watch', file: import.meta.filename });
    expect(told!.stack[0]).toEqual(told!.site);
    watch(store, 'change', 9);
    expect(warnings.list()[0]!.count).toBe(20);
  });

  it('are one for a place, whatever the number of emitters', async () => {
    for (let i = 0; i < 3; i++) watch(new Store(), 'close', 11 + i);
    await nextTurn();
    expect(warnings.list()).toMatchObject([{ event: 'close', emitters: 3, count: 13 }]);
  });

  it('tell of event targets and of symbols', async () => {
    const target = new EventTarget();
    for (let i = 0; i < 11; i++) target.addEventListener('abort', () => {});
    watch(new Store(), Symbol('tick'));
    await nextTurn();
    expect(warnings.list()).toMatchObject([
      { emitterClass: 'Store', event: 'Symbol(tick)', count: 11 },
      { emitterClass: 'EventTarget', event: 'abort', count: 11, site: { file: import.meta.filename } },
    ]);
  });

  it('are at most 64, the latest first', async () => {
    for (let i = 0; i < 70; i++) watch(new Store(), `event ${i}`);
    await nextTurn();
    const events = warnings.list().map(({ event }) => event);
    expect(events).toHaveLength(64);
    expect([events[0], events.at(-1)]).toEqual(['event 69', 'event 6']);
  });

  it('leave other warnings, and stacks that the application makes, as they are', async () => {
    const prepare = Error.prepareStackTrace;
    process.emit('warning', new Error('another'));
    Error.prepareStackTrace = () => 42;
    try {
      watch(new Store());
      await nextTurn();
    } finally {
      Error.prepareStackTrace = prepare;
    }
    expect(warnings.list()).toMatchObject([{ site: null, stack: [], event: 'change' }]);
    expect(lines).toEqual([]);
  });

  it('are no more heard when stopped, and stay readable', async () => {
    watch(new Store());
    await nextTurn();
    warnings.stop();
    expect(process.listenerCount('warning')).toBe(0);
    expect(warnings.isRunning).toBe(false);
    watch(new Store(), 'other');
    await nextTurn();
    expect(warnings.list()).toHaveLength(1);
    warnings.start();
    warnings.start();
    expect(process.listenerCount('warning')).toBe(1);
  });

  it('are not heard where our listener would be the one too many', () => {
    warnings.stop();
    for (let i = 0; i < 10; i++) process.on('warning', () => {});
    warnings.start();
    expect(warnings.isRunning).toBe(false);
    process.removeAllListeners('warning');
    for (let i = 0; i < 9; i++) process.on('warning', () => {});
    warnings.start();
    expect(warnings.isRunning).toBe(true);
  });

  it('survive an emitter that cannot be asked', async () => {
    class Odd extends EventEmitter {
      override listeners(): never {
        throw new Error('odd');
      }
    }
    const odd = new Odd();
    watch(odd);
    await nextTurn();
    for (let i = 0; i < 10; i++) expect(warnings.list()).toMatchObject([{ emitterClass: 'Odd', count: 11 }]);
    watch(new Store());
    await nextTurn();
    expect(warnings.list()).toMatchObject([{ emitterClass: 'Store' }, { emitterClass: 'Odd', count: 11 }]);
  });
});

it('a listener on warnings changes nothing of what Node prints', async () => {
  const text = `
    const emitter = new (class Store extends require('node:events') {})();
    for (let i = 0; i < 11; i++) emitter.on('change', () => {});
  `;
  const listen = `process.on('warning', (warning) => String(warning.stack).split('\\n'));`;
  const mask = (stderr: string): string => stderr.replaceAll(/\(node:\d+\)|\[eval\]:\d+:\d+/g, '');
  for (const flags of [[], ['--trace-warnings']]) {
    const [bare, heard] = await Promise.all([text, listen + text].map((code) => runToEnd({ args: [...flags, '-e', code] })));
    expect(bare!.stderr).toContain('11 change listeners');
    expect(mask(heard!.stderr)).toBe(mask(bare!.stderr));
  }
});
