import type { ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { LogEvent } from '../../../src/export/otlp-log-records.ts';
import { OtlpLogsExporter, type OtlpLogsOptions } from '../../../src/export/otlp-logs.ts';
import { describeDelivery } from '../../helpers/delivery-contract.ts';
import { logsOptions, otlpDeps, startReceiver, until } from '../../helpers/otlp.ts';

const SCOPE = { name: 'sonde', version: '0.1.0' };

const event = (more: Partial<LogEvent> = {}): LogEvent => ({
  name: 'sonde.leak',
  severityNumber: 17,
  body: 'leak of heap',
  attributes: { 'sonde.leak.kind': 'heap' },
  epochMillis: 1_700_000_000_123,
  ...more,
});

describeDelivery('logs', {
  make: (url, handed) => {
    const intervalMillis = 1000;
    const exporter = new OtlpLogsExporter(logsOptions(url, { scheduleDelayMillis: intervalMillis }), { ...handed, scope: SCOPE });
    return { exporter, intervalMillis, offer: () => exporter.event(event()) };
  },
  signal: 'logs',
  refusals: [
    [307, /redirects are not followed, set the endpoint to the final address/],
    [400, /./],
    [401, /check OTEL_EXPORTER_OTLP_HEADERS/],
    [404, /check the path of the endpoint, or set OTEL_LOGS_EXPORTER=none/],
    [413, /./],
    [500, /./],
  ],
  retried: [429, 502, 503, 504],
  unreachable: /check that a collector is listening there/,
});

describe('log records', () => {
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

  async function settle(): Promise<void> {
    const end = performance.now() + 30;
    await until(() => performance.now() > end);
  }

  async function receiver(answer: (response: ServerResponse, index: number) => void): ReturnType<typeof startReceiver> {
    const started = await startReceiver(answer);
    closers.push(() => started.close());
    return started;
  }

  function make(url: string, overrides: Partial<OtlpLogsOptions> = {}): OtlpLogsExporter {
    const exporter = new OtlpLogsExporter(logsOptions(url, overrides), { ...deps, scope: SCOPE });
    closers.push(async () => {
      const done = exporter.shutdown(0);
      advance(0);
      await done;
    });
    return exporter;
  }

  const bodies = (request: { readonly body: Buffer }): string[] =>
    JSON.parse(request.body.toString()).resourceLogs[0].scopeLogs[0].logRecords.map(
      (record: { body: { stringValue: string } }) => record.body.stringValue,
    );

  it('schedule nothing while there is none', async () => {
    const { url } = await receiver((response) => response.end());
    make(url);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('wait for the schedule together, a full batch is sent at once', async () => {
    const { url, requests } = await receiver((response) => response.end());
    const exporter = make(url, { protocol: 'http/json', maxExportBatchSize: 3 });

    exporter.event(event({ body: 'a' }));
    advance(600);
    exporter.event(event({ body: 'b' }));
    advance(399);
    await settle();
    expect(requests).toHaveLength(0);
    advance(1);
    await until(() => exporter.stats().exported === 2);

    for (const body of ['c', 'd', 'e']) exporter.event(event({ body }));
    advance(0);
    await until(() => exporter.stats().exported === 5);
    expect(requests.map(bodies)).toEqual([
      ['a', 'b'],
      ['c', 'd', 'e'],
    ]);
  });

  it('that find the queue full are dropped and counted', async () => {
    const { url } = await receiver(() => {});
    const exporter = make(url, { maxQueueSize: 2, maxExportBatchSize: 2 });
    for (let i = 0; i < 3; i++) exporter.event(event());
    expect(exporter.stats()).toEqual({ exported: 0, dropped: new Map([['queue_full', 1]]), queueSize: 2 });
  });

  it('after the shutdown are counted as dropped', async () => {
    const { url, requests } = await receiver((response) => response.end());
    const exporter = make(url);
    exporter.event(event());
    await exporter.shutdown(1000);
    exporter.event(event());
    expect(exporter.stats()).toEqual({ exported: 1, dropped: new Map([['shutdown', 1]]), queueSize: 0 });
    expect(requests).toHaveLength(1);
  });

  it('that the receiver rejects are counted, with its reason', async () => {
    const answer = JSON.stringify({ partialSuccess: { rejectedLogRecords: '1', errorMessage: 'too old' } });
    const { url } = await receiver((response) => response.end(answer));
    const exporter = make(url, { protocol: 'http/json' });
    exporter.event(event());
    exporter.event(event());
    await exporter.flush(1000);
    expect(exporter.stats()).toMatchObject({ exported: 1, dropped: new Map([['rejected', 1]]) });
    expect(deps.lines).toEqual([expect.stringMatching(/rejected 1 of 2 items of logs: too old/)]);
  });

  it('have their name in the field that OTLP 1.5 made for it', async () => {
    const { url, requests } = await receiver((response) => response.end());
    const exporter = make(url);
    exporter.event(event());
    await exporter.flush(1000);
    // LogRecord.event_name: field 12, ten bytes.
    expect(requests[0]!.body.includes(Buffer.from('\x62\x0asonde.leak', 'latin1'))).toBe(true);
  });

  it.each([
    [1, 'TRACE'],
    [4, 'TRACE'],
    [5, 'DEBUG'],
    [9, 'INFO'],
    [13, 'WARN'],
    [16, 'WARN'],
    [17, 'ERROR'],
    [21, 'FATAL'],
    [24, 'FATAL'],
    [25, ''],
  ])('of severity %i are called %s', async (severityNumber, text) => {
    const { url, requests } = await receiver((response) => response.end());
    const exporter = make(url, { protocol: 'http/json' });
    exporter.event(event({ severityNumber }));
    await exporter.flush(1000);
    const [record] = JSON.parse(requests[0]!.body.toString()).resourceLogs[0].scopeLogs[0].logRecords;
    expect(record).toMatchObject({ severityNumber, severityText: text, eventName: 'sonde.leak' });
  });
});
