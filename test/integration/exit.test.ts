// How a process ends under Sonde: as it does without it (code, signal, output), as quickly, and with its last spans
// delivered where they are to go. Child processes on the built package.
import { once } from 'node:events';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startReceiver, type Receiver } from '../helpers/otlp.ts';
import { APPS, killAll, REGISTER, startService, withAndWithout, type Ended, type Service } from '../helpers/process.ts';

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
const LISTENER = path.join(APPS, 'signal-listener.cjs');

afterEach(killAll);

describe('by itself', () => {
  test.each([
    ['an error thrown in a handler', '/throw', { code: 1 }, 'thrown in a handler\n    at '],
    ['an unhandled rejection', '/reject', { code: 1 }, 'rejected in a handler\n    at '],
    ['process.abort()', '/abort', { signal: 'SIGABRT' }, ''],
    ['process.exit() in the middle of a response', '/exit', { code: 7 }, ''],
    ['the close of its server', '/close', { code: 0 }, ''],
    ['the close of its server, with process.exitCode', '/exit-code', { code: 5 }, ''],
  ])('%s ends the process as without Sonde', async (_how, route, outcome, written) => {
    const { bare, sonde, lines } = await withAndWithout({ app: 'http.cjs' }, async (service) => [
      await service.get('/ok'),
      await service.get(route),
    ]);
    expect(bare.ended).toMatchObject(outcome);
    expect(bare.ended.stderr).toContain(written);
    // What an abort writes holds addresses of native code.
    const mask = (ended: Ended): Ended => (route === '/abort' ? { ...ended, stderr: '' } : ended);
    expect(mask(sonde.ended)).toEqual(mask(bare.ended));
    expect(sonde.result).toEqual(bare.result);
    expect(lines).toHaveLength(1);
  });

  test('listeners of beforeExit and exit are called as often and in the same order', async () => {
    const { bare, sonde } = await withAndWithout({ app: 'before-exit.cjs', env: { APP_ROUNDS: '1' } }, (service) => service.get('/ok'));
    expect(bare.ended.stdout).toContain('beforeExit 2');
    expect(sonde).toEqual(bare);
  });

  test('it ends as soon as without Sonde', async () => {
    const bare = await millisFromCloseToEnd([]);
    const sonde = await millisFromCloseToEnd(['--require', REGISTER]);
    expect(sonde - bare).toBeLessThan(250);
  });
});

describe.each(SIGNALS)('by %s', (signal) => {
  const kill = async (service: Service): Promise<string> => {
    const answer = await service.get('/ok');
    service.running.kill(signal);
    return answer;
  };

  test('without a listener of its own it ends by that signal', async () => {
    const { bare, sonde } = await withAndWithout({ app: 'http.cjs' }, kill);
    expect(bare.ended).toMatchObject({ code: null, signal });
    expect(sonde).toEqual(bare);
  });

  test.each([
    ['exit', { code: 3, signal: null }],
    ['close', { code: 0, signal: null }],
  ])('its own listener that does %s decides', async (does, outcome) => {
    const { bare, sonde } = await withAndWithout({ app: 'http.cjs', env: { APP_ON_SIGNAL: does } }, kill);
    expect(bare.ended).toMatchObject(outcome);
    expect(sonde).toEqual(bare);
  });
});

describe('with an OTLP endpoint', () => {
  const ENDPOINTS = ['up', 'answering 500', 'hanging', 'down'] as const;
  let receiver: Receiver;
  let env: Record<string, string>;

  /** An endpoint in this state. `receiver` holds what it got. */
  async function endpoint(state: (typeof ENDPOINTS)[number]): Promise<void> {
    receiver = await startReceiver((response) => {
      if (state === 'hanging') return;
      response.statusCode = state === 'up' ? 200 : 500;
      response.end();
    });
    env = { OTEL_EXPORTER_OTLP_ENDPOINT: new URL(receiver.url).origin };
    if (state === 'down') await receiver.close();
  }

  afterEach(() => receiver.close().catch(() => {}));

  const posted = (route: string): number => receiver.requests.filter(({ request }) => request.url === route).length;

  describe.each(ENDPOINTS)('that is %s', (state) => {
    beforeEach(() => endpoint(state));

    test.each(state === 'up' ? SIGNALS : ['SIGTERM' as const])('%s ends the process within a second and a half', async (signal) => {
      const begun: number[] = [];
      const { bare, sonde } = await withAndWithout({ app: 'http.cjs', env }, async (service) => {
        const answer = await service.get('/ok');
        begun.push(performance.now());
        service.running.kill(signal);
        return answer;
      });
      const millis = performance.now() - Math.min(...begun);
      expect(bare.ended.signal).toBe(signal);
      expect(sonde).toEqual(bare);
      expect(millis).toBeLessThan(1500 + 1000); // The second one is for a busy machine.
      if (state !== 'down') expect(posted('/v1/traces')).toBeGreaterThan(0);
    });

    test.each(['exit', 'close'])('its own listener that does %s decides', async (does) => {
      const { bare, sonde } = await withAndWithout({ app: 'http.cjs', env: { ...env, APP_ON_SIGNAL: does } }, async (service) => {
        await service.get('/ok');
        service.running.kill('SIGTERM');
      });
      expect(sonde).toEqual(bare);
      if (does === 'close' && state !== 'down') expect(posted('/v1/traces')).toBeGreaterThan(0);
    });

    test('the close of its server ends the process with its last spans sent', async () => {
      const { bare, sonde } = await withAndWithout({ app: 'http.cjs', env }, (service) => service.get('/close'));
      expect(bare.ended).toMatchObject({ code: 0, signal: null });
      expect(sonde).toEqual(bare);
      if (state !== 'down') expect(posted('/v1/traces')).toBeGreaterThan(0);
      if (state !== 'down') expect(posted('/v1/metrics')).toBeGreaterThan(0);
    });

    test.each(['0', '1'])(
      'listeners of beforeExit that give more work %s times are called as often and in the same order',
      async (APP_ROUNDS) => {
        const { bare, sonde } = await withAndWithout({ app: 'before-exit.cjs', env: { ...env, APP_ROUNDS } }, (service) =>
          service.get('/ok'),
        );
        expect(sonde).toEqual(bare);
      },
    );

    test.each([
      ['an error thrown in a handler', '/throw'],
      ['process.exit() in the middle of a response', '/exit'],
    ])('%s ends the process as without Sonde', async (_how, route) => {
      const { bare, sonde } = await withAndWithout({ app: 'http.cjs', env }, (service) => service.get(route));
      expect(sonde).toEqual(bare);
    });
  });

  test('listeners of beforeExit are called when there is nothing to send', async () => {
    await endpoint('up');
    const silent = { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: receiver.url, OTEL_TRACES_SAMPLER: 'always_off' };
    const { bare, sonde } = await withAndWithout({ app: 'before-exit.cjs', env: silent }, (service) => service.get('/ok'));
    expect(bare.ended.stdout).toContain('beforeExit 1');
    expect(sonde).toEqual(bare);
    expect(receiver.requests).toEqual([]);
  });

  test('one that hangs holds up for a second in all a process whose own listener lets it end by itself', async () => {
    await endpoint('hanging');
    const service = await startService({ app: 'http.cjs', env: { ...env, APP_ON_SIGNAL: 'close' } });
    await service.sondeUrl();
    await service.get('/ok');
    const begun = performance.now();
    service.running.kill('SIGTERM');
    expect(await service.running.ended).toMatchObject({ code: 0, signal: null });
    expect(performance.now() - begun).toSatisfy((millis: number) => millis > 800 && millis < 1600);
  });

  describe('with listeners that care who else listens', () => {
    beforeEach(() => endpoint('up'));

    test.each<[string, string[]]>([
      ['loaded before Sonde', ['--require', LISTENER, '--require', REGISTER]],
      ['loaded after Sonde', ['--require', REGISTER, '--require', LISTENER]],
    ])('one that ends the process if it is the only one does so, %s', async (_when, flags) => {
      const service = await startService({ app: 'http.cjs', flags, env });
      await service.sondeUrl();
      await service.get('/ok');
      service.running.kill('SIGTERM');
      expect(await service.running.ended).toMatchObject({ signal: 'SIGTERM', stdout: expect.stringMatching(/cleaned up\n$/) });
    });

    test('one that goes on is called by every signal, and the process goes on', async () => {
      const { bare, sonde } = await withAndWithout({ app: 'http.cjs', env: { ...env, APP_ON_SIGNAL: 'print' } }, async (service) => {
        service.running.kill('SIGTERM');
        await service.running.seen(/got SIGTERM/);
        service.running.kill('SIGTERM');
        await service.running.seen(/(?:got SIGTERM\s+){2}/);
        return [await service.get('/ok'), await service.get('/close')];
      });
      expect(sonde).toEqual(bare);
    });

    test('a second signal ends at once a process that waits for a hanging endpoint', async () => {
      await receiver.close();
      await endpoint('hanging');
      const service = await startService({ app: 'http.cjs', env });
      await service.sondeUrl();
      await service.get('/ok');
      service.running.kill('SIGINT');
      while (receiver.requests.length === 0) await once(receiver.server, 'request');
      const begun = performance.now();
      service.running.kill('SIGINT');
      expect(await service.running.ended).toMatchObject({ signal: 'SIGINT' });
      expect(performance.now() - begun).toBeLessThan(500);
    });
  });
});

/** How long the process lives on after its last answer. */
async function millisFromCloseToEnd(flags: readonly string[]): Promise<number> {
  const service = await startService({ app: 'http.cjs', flags });
  if (flags.length > 0) await service.read('/debug/pprof/heap');
  await service.get('/close');
  const begun = performance.now();
  await service.running.ended;
  return performance.now() - begun;
}
