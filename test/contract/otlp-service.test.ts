// A service under the preload pushes to an OTLP receiver of somebody else: one trace through server, client and manual
// spans of both api versions, metrics beside it, and nothing about the push itself.
import { createRequire } from 'node:module';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { REGISTER, ROOT, run } from '../helpers/process.ts';

interface MockOtlpServer {
  readonly httpUrl: URL;
  start(): Promise<void>;
  close(): Promise<void>;
}

interface ReceivedSpan {
  readonly name: string;
  readonly kind: string | number;
  readonly traceId: unknown;
  readonly spanId: unknown;
  readonly parentSpanId: unknown;
  readonly attributes: readonly { readonly key: string; readonly value: Record<string, unknown> }[];
}

let server: MockOtlpServer;
let spans: ReceivedSpan[] = [];
let metrics: string[] = [];

beforeAll(async () => {
  const { MockOtlpServer: Server } = createRequire(import.meta.url)('@elastic/mockotlpserver') as {
    MockOtlpServer: new (options: Record<string, unknown>) => MockOtlpServer;
  };
  server = new Server({
    services: ['http'],
    httpHostname: '127.0.0.1',
    httpPort: 0,
    logLevel: 'error',
    onTrace: (message: any) => spans.push(...message.resourceSpans.flatMap((r: any) => r.scopeSpans.flatMap((s: any) => s.spans))),
    onMetrics: (message: any) =>
      metrics.push(...message.resourceMetrics.flatMap((r: any) => r.scopeMetrics.flatMap((s: any) => s.metrics.map((m: any) => m.name)))),
  });
  await server.start();
});

afterAll(() => server.close());

function id(value: unknown): string {
  return Buffer.isBuffer(value) ? value.toString('hex') : String(value ?? '');
}

describe.each(['http/protobuf', 'http/json'])('by %s', (protocol) => {
  test('spans of one request arrive as one trace, with its metrics, when the service is terminated', async () => {
    spans = [];
    metrics = [];
    const service = run({
      args: ['--require', REGISTER, path.join(ROOT, 'test/fixtures/apps/chain.cjs')],
      env: { SONDE_PORT: '0', OTEL_EXPORTER_OTLP_ENDPOINT: server.httpUrl.origin, OTEL_EXPORTER_OTLP_PROTOCOL: protocol },
    });
    const [, base] = await service.seen(/ready (http:\S+)/);
    await service.seen(/listening on/);
    const answer = await fetch(`${base}/start`, { headers: { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' } });
    expect(await answer.text()).toBe('done');
    service.kill('SIGTERM');
    expect(await service.ended).toMatchObject({ code: null, signal: 'SIGTERM' });

    const by = (name: string, kind: number): ReceivedSpan[] =>
      spans.filter(
        (span) =>
          span.name === name && [kind, ['', 'SPAN_KIND_INTERNAL', 'SPAN_KIND_SERVER', 'SPAN_KIND_CLIENT'][kind]].includes(span.kind),
      );
    expect(new Set(spans.map((span) => id(span.traceId)))).toEqual(new Set(['0af7651916cd43dd8448eb211c80319c']));
    const servers = by('GET', 2);
    const clients = by('GET', 3);
    const [oldApi] = by('old api', 1);
    const [newApi] = by('new api', 1);
    expect([servers.length, clients.length, spans.length]).toEqual([3, 2, 7]);
    const root = servers.find((span) => id(span.parentSpanId) === 'b7ad6b7169203331')!;
    expect(id(oldApi!.parentSpanId)).toBe(id(root.spanId));
    expect(id(newApi!.parentSpanId)).toBe(id(root.spanId));
    const parents = new Set(clients.map((span) => id(span.parentSpanId)));
    expect(parents).toEqual(new Set([id(oldApi!.spanId), id(newApi!.spanId)]));
    const inner = servers.filter((span) => span !== root).map((span) => id(span.parentSpanId));
    expect(new Set(inner)).toEqual(new Set(clients.map((span) => id(span.spanId))));

    expect(metrics).toEqual(
      expect.arrayContaining(['http.server.request.duration', 'http.client.request.duration', 'process.cpu.time', 'chain.runs']),
    );
  });
});
