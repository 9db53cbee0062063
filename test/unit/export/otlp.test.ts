import type { ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { backoffMillis } from '../../../src/export/delivery.ts';
import { OtlpMetricsExporter, OtlpTraceExporter, type OtlpTraceOptions } from '../../../src/export/otlp.ts';
import type { EncodableSpan } from '../../../src/export/otlp-spans.ts';
import { describeDelivery } from '../../helpers/delivery-contract.ts';
import { metricsOptions, otlpDeps, plainSpans, RESOURCE, startReceiver, traceOptions, until } from '../../helpers/otlp.ts';

const SPANS: readonly EncodableSpan[] = plainSpans(40);
const TIMEOUT_MILLIS = 10_000;
const DELAY_MILLIS = 5000;

let deps: ReturnType<typeof otlpDeps>;
const closers: (() => unknown)[] = [];

// Only the timers that Guard makes: sockets have their own.
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
  deps = otlpDeps();
});

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
  vi.useRealTimers();
});

/** Moves the clock and the timers together. */
function advance(millis: number): void {
  deps.clock.advance(millis);
  vi.advanceTimersByTime(millis);
}

/** Lets everything happen that needs no more time to pass: longer than a loopback exchange takes. */
async function settle(): Promise<void> {
  const end = performance.now() + 30;
  await until(() => performance.now() > end);
}

async function receiver(answer: (response: ServerResponse, index: number) => void, port?: number): ReturnType<typeof startReceiver> {
  const started = await startReceiver(answer, port);
  closers.push(() => (started.server.listening ? started.close() : undefined));
  return started;
}

function makeExporter(url: string, overrides: Partial<OtlpTraceOptions> = {}): OtlpTraceExporter {
  const exporter = new OtlpTraceExporter(
    traceOptions(url, { scheduleDelayMillis: DELAY_MILLIS, timeoutMillis: TIMEOUT_MILLIS, ...overrides }),
    deps,
  );
  closers.push(() => shutDown(exporter));
  return exporter;
}

/** Shuts down without waiting for a receiver that hangs. */
async function shutDown(exporter: OtlpTraceExporter | OtlpMetricsExporter): Promise<void> {
  const done = exporter.shutdown(0);
  advance(0);
  await done;
}

function enqueue(exporter: OtlpTraceExporter, count: number): void {
  for (const span of SPANS.slice(0, count)) exporter.enqueue(span);
}

const accept = (response: ServerResponse): unknown => response.end();

describe('batches', () => {
  it('spans fewer than a batch wait for the schedule, a full batch is sent at once', async () => {
    const { url, requests } = await receiver(accept);
    const exporter = makeExporter(url, { maxExportBatchSize: 4 });

    enqueue(exporter, 3);
    advance(DELAY_MILLIS - 1);
    await settle();
    expect(requests).toHaveLength(0);
    advance(1);
    await until(() => exporter.stats().exported === 3);

    enqueue(exporter, 4);
    advance(0);
    await until(() => exporter.stats().exported === 7);
    expect(requests).toHaveLength(2);
  });

  it('no message holds more spans than a batch, and the schedule sends all that wait', async () => {
    const { url, requests } = await receiver(accept);
    const exporter = makeExporter(url, { maxExportBatchSize: 8, maxQueueSize: 40 });

    enqueue(exporter, 20);
    advance(DELAY_MILLIS);
    await until(() => exporter.stats().exported === 20);

    expect(requests).toHaveLength(3);
    expect(exporter.stats().queueSize).toBe(0);
  });

  it('one request at a time is under way, and what comes meanwhile is queued up to the limit', async () => {
    const { url, requests } = await receiver(() => {});
    const exporter = makeExporter(url, { maxExportBatchSize: 4, maxQueueSize: 8 });

    enqueue(exporter, 4);
    advance(0);
    await until(() => requests.length === 1);
    enqueue(exporter, 8);
    expect(exporter.stats()).toMatchObject({ queueSize: 12, dropped: new Map() });
    enqueue(exporter, 1);
    expect(exporter.stats()).toMatchObject({ queueSize: 12, dropped: new Map([['queue_full', 1]]) });

    advance(DELAY_MILLIS);
    await settle();
    expect(requests).toHaveLength(1);
    expect(deps.lines).toEqual([
      'sonde: spans were dropped because the export queue was full, raise OTEL_BSP_MAX_QUEUE_SIZE or sample fewer',
    ]);
  });

  it('a span that cannot be read is dropped alone', async () => {
    const { url } = await receiver(accept);
    const exporter = makeExporter(url, { maxExportBatchSize: 2 });
    const broken = Object.create(SPANS[0]!, {
      attributes: {
        get: () => {
          throw new Error('broken');
        },
      },
    }) as EncodableSpan;

    exporter.enqueue(broken);
    enqueue(exporter, 3);
    await exporter.flush(1000);

    expect(exporter.stats()).toEqual({ exported: 3, dropped: new Map([['serialization_failed', 1]]), queueSize: 0 });
    expect(deps.lines).toEqual([expect.stringContaining('broken')]);
  });
});

describe('a receiver that is down', () => {
  it('is said once, costs what exceeds the queue, and is exported to again when it is back', async () => {
    const down = await receiver(accept);
    await down.close();
    const exporter = makeExporter(down.url.replace('//', '//user:secret@'), { maxExportBatchSize: 4, maxQueueSize: 8 });

    enqueue(exporter, 4);
    advance(0);
    await until(() => deps.lines.length > 0);
    await settle();
    enqueue(exporter, 10);
    for (let i = 0; i < 4; i++) {
      advance(1200);
      await settle();
    }
    expect(exporter.stats()).toEqual({ exported: 0, dropped: new Map([['queue_full', 2]]), queueSize: 12 });

    const back = await receiver(accept, Number(new URL(down.url).port));
    advance(5000);
    await until(() => exporter.stats().exported === 12);
    expect(exporter.stats()).toEqual({ exported: 12, dropped: new Map([['queue_full', 2]]), queueSize: 0 });
    expect(back.requests).toHaveLength(3);
    expect(deps.lines).toEqual([
      expect.stringMatching(/^sonde: traces cannot be exported to http:\/\/127\.0\.0\.1:\d+\/v1\/traces: .*ECONNREFUSED.*collector/),
      expect.stringContaining('queue was full'),
      `sonde: ${down.url} accepts traces again`,
    ]);
    expect(deps.lines.join()).not.toContain('secret');
  });

  it('waits grow from a second to five, a fifth longer or shorter', () => {
    expect([1, 2, 3, 4, 5, 50].map((attempts) => backoffMillis(attempts, 0.5))).toEqual([1000, 1500, 2250, 3375, 5000, 5000]);
    expect(backoffMillis(1, 0)).toBeCloseTo(800);
    expect(backoffMillis(1, 1)).toBeCloseTo(1200);
  });
});

describe('an answer', () => {
  it.each([
    ['http/protobuf', Buffer.from([0x0a, 0x0b, 0x08, 0x02, 0x12, 0x07, ...Buffer.from('too\nold')])],
    ['http/json', Buffer.from('{"partialSuccess":{"rejectedSpans":"2","errorMessage":"too\\nold"}}')],
  ] as const)('with a partial success over %s counts what was rejected and is said once', async (protocol, body) => {
    const { url } = await receiver((response) => response.end(body));
    const exporter = makeExporter(url, { protocol });

    for (let round = 0; round < 2; round++) {
      enqueue(exporter, 5);
      await exporter.flush(1000);
    }

    expect(exporter.stats()).toEqual({ exported: 6, dropped: new Map([['rejected', 4]]), queueSize: 0 });
    expect(deps.lines).toEqual([`sonde: ${url} rejected 2 of 5 items of traces: too old`]);
  });
});

describe('flush and shutdown', () => {
  it('a flush sends what waits, and what was queued while a request was under way', async () => {
    let release: ServerResponse | undefined;
    const { url, requests } = await receiver((response, index) => (index === 0 ? (release = response) : response.end()));
    const exporter = makeExporter(url);
    enqueue(exporter, 3);
    advance(DELAY_MILLIS);
    await until(() => release !== undefined);

    enqueue(exporter, 2);
    const flushed = exporter.flush(1000);
    release!.end();
    await flushed;

    expect(exporter.stats()).toEqual({ exported: 5, dropped: new Map(), queueSize: 0 });
    expect(requests).toHaveLength(2);
  });

  it('a shutdown sends what waits, and drops and counts what comes later', async () => {
    const { url } = await receiver(accept);
    const exporter = makeExporter(url);
    advance(0);
    enqueue(exporter, 3);

    await exporter.shutdown(1000);
    enqueue(exporter, 2);
    await exporter.shutdown(1000);
    await exporter.flush(1000);

    expect(exporter.stats()).toEqual({ exported: 3, dropped: new Map([['shutdown', 2]]), queueSize: 0 });
    expect(vi.getTimerCount()).toBe(0);
  });

  it('a shutdown counts what it could not send, in the queue and under way', async () => {
    const { url, requests } = await receiver(() => {});
    const exporter = makeExporter(url, { maxExportBatchSize: 4 });
    enqueue(exporter, 10);
    const done = exporter.shutdown(100);
    await until(() => requests.length === 1);
    advance(100);
    await done;
    await settle();

    expect(exporter.stats()).toEqual({ exported: 0, dropped: new Map([['shutdown', 10]]), queueSize: 0 });
  });
});

describeDelivery('traces', {
  make: (url, handed) => {
    const intervalMillis = 6000;
    const exporter = new OtlpTraceExporter(traceOptions(url, { scheduleDelayMillis: intervalMillis }), handed);
    return { exporter, intervalMillis, offer: () => exporter.enqueue(SPANS[0]!) };
  },
  signal: 'traces',
  refusals: [
    [307, /redirects are not followed, set the endpoint to the final address/],
    [400, /./],
    [401, /check OTEL_EXPORTER_OTLP_HEADERS/],
    [404, /check the path of the endpoint/],
    [413, /lower OTEL_BSP_MAX_EXPORT_BATCH_SIZE/],
    [415, /check OTEL_EXPORTER_OTLP_PROTOCOL/],
    [500, /./],
  ],
  retried: [429, 502, 503, 504],
  unreachable: /check that a collector is listening there/,
});

describeDelivery('metrics', {
  make: (url, handed) => {
    const intervalMillis = 60_000;
    let isOffered = false;
    const registry = {
      collect: async () => {
        const points = isOffered ? [{ labels: {}, value: 1 }] : [];
        isOffered = false;
        return [{ type: 'counter', name: 'jobs', unit: '', description: '', points }] as const;
      },
    };
    const exporter = new OtlpMetricsExporter(metricsOptions(url, { intervalMillis }), { ...handed, registry, scope: { name: 'sonde' } });
    exporter.start();
    return { exporter, intervalMillis, offer: () => (isOffered = true) };
  },
  signal: 'metrics',
  refusals: [
    [307, /redirects are not followed/],
    [400, /./],
    [413, /./],
    [500, /./],
  ],
  retried: [429, 502, 503, 504],
  unreachable: /check that a collector is listening there/,
});

describe('metrics', () => {
  let reading = 0;
  const registry = {
    collect: async () =>
      [{ type: 'counter', name: 'jobs', unit: '', description: '', points: [{ labels: {}, value: ++reading }] }] as const,
  };

  function makeMetricsExporter(url: string): OtlpMetricsExporter {
    const exporter = new OtlpMetricsExporter(metricsOptions(url, { protocol: 'http/json', intervalMillis: 60_000 }), {
      ...deps,
      registry,
      resource: RESOURCE,
      scope: { name: 'sonde' },
    });
    closers.push(() => shutDown(exporter));
    return exporter;
  }

  function valueOf(body: Buffer): number {
    return JSON.parse(body.toString()).resourceMetrics[0].scopeMetrics[0].metrics[0].sum.dataPoints[0].asDouble;
  }

  beforeEach(() => {
    reading = 0;
  });

  it('are read and sent at every interval once started, and once more at shutdown', async () => {
    const { url, requests } = await receiver(accept);
    const exporter = makeMetricsExporter(url);
    advance(120_000);
    await settle();
    expect(reading).toBe(0);

    exporter.start();
    advance(59_999);
    await settle();
    expect(requests).toHaveLength(0);
    advance(1);
    await until(() => exporter.stats().exported === 1);
    advance(60_000);
    await until(() => exporter.stats().exported === 2);
    await exporter.shutdown(1000);
    advance(60_000);
    await settle();

    expect(requests.map(({ body }) => valueOf(body))).toEqual([1, 2, 3]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('that could not be sent are sent again, then followed by a fresh reading', async () => {
    const { url, requests } = await receiver((response, index) => response.writeHead(index === 0 ? 503 : 200).end());
    const exporter = makeMetricsExporter(url);

    await exporter.flush(1000);
    await exporter.flush(1000);

    expect(requests.map(({ body }) => valueOf(body))).toEqual([1, 1, 2]);
    expect(exporter.stats()).toEqual({ exported: 2, dropped: new Map(), queueSize: 0 });
  });
});
