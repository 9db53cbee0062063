// What every exporter does when its receiver is down, slow, refuses, wants to be left alone, or talks nonsense: one suite, run
// by the tests of each exporter with a few words about it. Time is the tests'; sockets have their own.
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { isSuppressed } from '../../src/core/context.ts';
import type { DeliveryStats } from '../../src/export/delivery.ts';
import { otlpDeps, startReceiver, until, type Receiver } from './otlp.ts';

const TIMEOUT_MILLIS = 10_000;

interface Exporter {
  flush(timeoutMillis: number): Promise<void>;
  shutdown(timeoutMillis: number): Promise<void>;
  stats(): DeliveryStats;
}

interface ContractSubject {
  readonly exporter: Exporter;
  /** Gives the exporter what makes one message of one item, to be sent at the next `intervalMillis`. */
  offer(): void;
  readonly intervalMillis: number;
}

export interface DeliveryContract {
  /** Makes an exporter whose messages have ten seconds each. */
  make(url: string, deps: ReturnType<typeof otlpDeps>): ContractSubject;
  /** What its items are called. */
  readonly signal: string;
  /** Statuses after which a message is given up at once, with what a line about it must say. */
  readonly refusals: readonly (readonly [status: number, advice: RegExp])[];
  /** Statuses after which it is tried again. */
  readonly retried: readonly number[];
  /** Said when nobody listens. */
  readonly unreachable: RegExp;
}

export function describeDelivery(name: string, contract: DeliveryContract): void {
  describe(`delivery of ${name}`, () => {
    let deps: ReturnType<typeof otlpDeps>;
    const closers: (() => unknown)[] = [];

    beforeEach(() => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
      deps = otlpDeps();
    });

    afterEach(async () => {
      for (const close of closers.splice(0).toReversed()) await close();
      vi.useRealTimers();
    });

    function advance(millis: number): void {
      deps.clock.advance(millis);
      vi.advanceTimersByTime(millis);
    }

    /** Lets everything happen that needs no more time to pass: longer than a loopback exchange takes. */
    async function settle(): Promise<void> {
      const end = performance.now() + 40;
      await until(() => performance.now() > end);
    }

    async function receiver(answer: (response: ServerResponse, index: number) => void, port?: number): Promise<Receiver> {
      const started = await startReceiver(answer, port);
      closers.push(() => (started.server.listening ? started.close() : undefined));
      return started;
    }

    function make(url: string): ContractSubject & { send(): void } {
      const subject = contract.make(url, deps);
      closers.push(async () => {
        const done = subject.exporter.shutdown(0);
        advance(0);
        await done;
      });
      const send = (): void => {
        subject.offer();
        advance(subject.intervalMillis);
      };
      return { ...subject, send };
    }

    const accept = (response: ServerResponse): unknown => response.end();

    it('is counted, one request a message', async () => {
      const { url, requests } = await receiver(accept);
      const { exporter, send } = make(url);

      for (let sent = 1; sent <= 3; sent++) {
        send();
        await until(() => exporter.stats().exported === sent);
      }

      expect(requests).toHaveLength(3);
      expect(exporter.stats()).toEqual({ exported: 3, dropped: new Map(), queueSize: 0 });
      expect(deps.lines).toEqual([]);
    });

    it('asks not to be traced or measured', async () => {
      const { url } = await receiver(accept);
      const suppressed: boolean[] = [];
      const onStart = (): number => suppressed.push(isSuppressed());
      subscribe('http.client.request.start', onStart);
      const { exporter, send, offer } = make(url);

      send();
      await until(() => exporter.stats().exported === 1);
      offer();
      await exporter.flush(1000);
      unsubscribe('http.client.request.start', onStart);

      expect(suppressed).toEqual([true, true]);
      expect(isSuppressed()).toBe(false);
    });

    it('to nobody is said once, kept, and done when somebody is there', async () => {
      const down = await receiver(accept);
      await down.close();
      const { exporter, send } = make(down.url.replace('//', '//user:secret@'));

      send();
      await until(() => deps.lines.length > 0);
      await settle();
      for (let i = 0; i < 3; i++) {
        advance(1200);
        await settle();
      }
      expect(exporter.stats()).toEqual({ exported: 0, dropped: new Map(), queueSize: 1 });

      await receiver(accept, Number(new URL(down.url).port));
      advance(5000);
      await until(() => exporter.stats().exported === 1);
      expect(deps.lines).toEqual([
        expect.stringMatching(contract.unreachable),
        expect.stringMatching(new RegExp(`^sonde: http://127\\.0\\.0\\.1:\\d+/\\S* accepts ${contract.signal} again$`)),
      ]);
      expect(deps.lines[0]).toMatch(
        new RegExp(`^sonde: ${contract.signal} cannot be exported to http://127\\.0\\.0\\.1:\\d+/.*ECONNREFUSED`),
      );
      expect(deps.lines.join()).not.toContain('secret');
    });

    it.each(contract.retried)('after HTTP %i is tried again until its time is over, up to five times, and said once', async (status) => {
      const { url, requests } = await receiver((response) => response.writeHead(status).end());
      const { exporter, send } = make(url);
      send();

      // Where an exchange takes long, because the machine is busy, there are fewer.
      while (exporter.stats().queueSize > 0 || requests.length === 0) {
        await settle();
        advance(500);
      }

      expect(exporter.stats()).toEqual({ exported: 0, dropped: new Map([['export_failed', 1]]), queueSize: 0 });
      expect([2, 3, 4, 5]).toContain(requests.length);
      expect(deps.lines).toHaveLength(1);
    });

    it.each(contract.refusals)('after HTTP %i is not tried again, however often it happens', async (status, advice) => {
      const { url, requests } = await receiver((response) => response.writeHead(status, { location: '/elsewhere' }).end());
      const { exporter, send } = make(url);

      for (let round = 1; round <= 7; round++) {
        send();
        await until(() => exporter.stats().dropped.get('export_failed') === round);
      }
      advance(TIMEOUT_MILLIS);
      await settle();

      expect(requests).toHaveLength(7);
      expect(deps.lines).toEqual([expect.stringMatching(advice)]);
      expect(deps.lines[0]).toContain(`HTTP ${status}`);
      expect(deps.guard.failures().size).toBe(0);
    });

    it('after 429 with Retry-After leaves the receiver alone for that long, in a flush too', async () => {
      const { url, requests } = await receiver((response, index) =>
        index === 0 ? response.writeHead(429, { 'retry-after': '4' }).end() : response.end(),
      );
      const { exporter, send } = make(url);
      send();
      await until(() => deps.lines.length === 1);
      await settle();

      advance(3999);
      await exporter.flush(1000);
      expect(requests).toHaveLength(1);
      advance(1);
      await until(() => exporter.stats().exported === 1);
      expect(requests).toHaveLength(2);
    });

    it('after a Retry-After beyond its time is given up, and the next waits', async () => {
      const { url, requests } = await receiver((response, index) =>
        index === 0 ? response.writeHead(503, { 'retry-after': '600' }).end() : response.end(),
      );
      const { exporter, send, offer } = make(url);
      send();
      await until(() => exporter.stats().dropped.get('export_failed') === 1);

      offer();
      // Five minutes are as long as it can be silenced for.
      advance(299_999);
      await settle();
      expect(requests).toHaveLength(1);
      advance(60_000);
      await until(() => exporter.stats().exported === 1);
    });

    it('to a receiver that hangs is given up at the time limit and tried again', async () => {
      const { url, requests } = await receiver((response, index) => (index === 0 ? undefined : response.end()));
      const { exporter, send } = make(url);
      send();
      await until(() => requests.length === 1);
      await settle();
      advance(TIMEOUT_MILLIS);
      await until(() => deps.lines.length === 1);
      expect(deps.lines[0]).toMatch(/no answer within \d+ ms/);

      send();
      await until(() => exporter.stats().exported === 1);
      expect(exporter.stats()).toEqual({ exported: 1, dropped: new Map([['export_failed', 1]]), queueSize: 0 });
    });

    it('to a slow receiver takes its time', async () => {
      let release: ServerResponse | undefined;
      const { url } = await receiver((response) => (release = response));
      const { exporter, send } = make(url);
      send();
      await until(() => release !== undefined);
      advance(TIMEOUT_MILLIS - 1);
      release!.end();

      await until(() => exporter.stats().exported === 1);
      expect(deps.lines).toEqual([]);
    });

    it.each([
      ['an HTML page', '<html>\xff\xff\xff\xff</html>'],
      ['half a protobuf message', '\x0a\x7f\x08'],
      ['JSON of another kind', '{"partialSuccess":[]}'],
    ])('that is answered with 200 and %s is accepted, and breaks nothing', async (_what, body) => {
      const { url } = await receiver((response) => response.end(Buffer.from(body, 'latin1')));
      const { exporter, offer } = make(url);

      for (let round = 0; round < 7; round++) {
        offer();
        await exporter.flush(1000);
      }

      expect(exporter.stats().exported).toBe(7);
      expect(deps.lines).toEqual([]);
      expect(deps.guard.failures().size).toBe(0);
    });

    describe('by a flush', () => {
      it('includes what came while a request was under way', async () => {
        let release: ServerResponse | undefined;
        const { url, requests } = await receiver((response, index) => (index === 0 ? (release = response) : response.end()));
        const { exporter, send, offer } = make(url);
        send();
        await until(() => release !== undefined);

        offer();
        const flushed = exporter.flush(1000);
        release!.end();
        await flushed;

        expect(exporter.stats()).toEqual({ exported: 2, dropped: new Map(), queueSize: 0 });
        expect(requests).toHaveLength(2);
      });

      it('ends at its time limit when the receiver hangs', async () => {
        const { url, requests } = await receiver(() => {});
        const { exporter, offer } = make(url);
        offer();
        let isDone = false;
        const flushed = exporter.flush(500).then(() => (isDone = true));
        await until(() => requests.length === 1);

        advance(499);
        await settle();
        expect(isDone).toBe(false);
        advance(1);
        await flushed;
        expect(exporter.stats().queueSize).toBe(1);
      });

      it('is tried once, and what was turned away is kept', async () => {
        const { url, requests } = await receiver((response) => response.writeHead(503).end());
        const { exporter, offer } = make(url);
        offer();

        await exporter.flush(60_000);
        await exporter.flush(60_000);

        expect(requests).toHaveLength(2);
        expect(exporter.stats()).toEqual({ exported: 0, dropped: new Map(), queueSize: 1 });
      });
    });

    describe('at a shutdown', () => {
      it('includes what waits, leaves no timer, and is over', async () => {
        const { url, requests } = await receiver(accept);
        const { exporter, offer } = make(url);
        advance(0);
        offer();

        await exporter.shutdown(1000);
        await exporter.shutdown(1000);
        await exporter.flush(1000);

        expect(exporter.stats()).toMatchObject({ exported: 1, queueSize: 0 });
        expect(requests).toHaveLength(1);
        expect(vi.getTimerCount()).toBe(0);
      });

      it('counts what it could not send', async () => {
        const { url, requests } = await receiver(() => {});
        const { exporter, offer } = make(url);
        offer();
        const done = exporter.shutdown(100);
        await until(() => requests.length === 1);
        advance(100);
        await done;
        await settle();

        expect(exporter.stats()).toEqual({ exported: 0, dropped: new Map([['shutdown', 1]]), queueSize: 0 });
      });
    });
  });
}
