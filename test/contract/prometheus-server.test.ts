// A real Prometheus scrapes a real service under the preload: text by default, OpenMetrics with exemplars when it asks.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run, type Running } from '../helpers/process.ts';
import { REGISTER, ROOT } from '../helpers/process.ts';
import { requirePeer } from '../helpers/require-peer.ts';

let directory: string;
let service: Running;
let prometheus: Running | undefined;
let api: string;

beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'sonde-prometheus-'));
  service = run({
    args: ['--require', REGISTER, path.join(ROOT, 'test/fixtures/apps/express-api.cjs')],
    env: { SONDE_PORT: '0', OTEL_SERVICE_NAME: 'orders' },
  });
  const [, base] = await service.seen(/ready (http:\S+)/);
  const [, sonde] = await service.seen(/listening on http:\/\/(\S+)/);
  for (let i = 0; i < 20; i++) await (await fetch(`${base}/api/orders/${i}`)).text();
  await (await fetch(`${base}/api/orders/7/fail`)).text();
  writeFileSync(
    path.join(directory, 'prometheus.yml'),
    `global: { scrape_interval: 1s }\nscrape_configs:\n  - job_name: sonde\n    static_configs: [{ targets: ['${sonde}'] }]\n`,
  );
});

afterAll(async () => {
  prometheus?.kill('SIGKILL');
  service.kill('SIGKILL');
  await Promise.all([service.ended, prometheus?.ended]);
  rmSync(directory, { recursive: true, force: true });
});

async function startPrometheus(): Promise<void> {
  if (prometheus !== undefined) return;
  const port = 19_000 + (process.pid % 900);
  api = `http://127.0.0.1:${port}/api/v1`;
  prometheus = run({
    node: 'prometheus',
    args: [
      `--config.file=${directory}/prometheus.yml`,
      `--storage.tsdb.path=${directory}/data`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--enable-feature=exemplar-storage',
    ],
  });
  await prometheus.seen(/Server is ready to receive web requests/);
}

async function ask(pathAndQuery: string): Promise<any> {
  return ((await (await fetch(`${api}/${pathAndQuery}`)).json()) as { data: unknown }).data;
}

/** Asks until the answer is not empty, for at most 20 s: the first scrape is due within a second or two. */
async function eventually<T>(read: () => Promise<T[]>): Promise<T[]> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const found = await read();
    if (found.length > 0 || Date.now() > deadline) return found;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

test('a Prometheus server scrapes the service and counts its requests by route', async (context) => {
  requirePeer(context, 'prometheus');
  await startPrometheus();
  const query = 'http_server_request_duration_seconds_count{http_route="/api/orders/:orderId"}';
  const [series] = await eventually(async () => (await ask(`query?query=${encodeURIComponent(query)}`)).result as any[]);
  expect(series.value[1]).toBe('20');
  expect(series.metric).toMatchObject({ http_request_method: 'GET', http_response_status_code: '200', url_scheme: 'http' });
  const failed = 'http_server_request_duration_seconds_count{error_type="TypeError",http_response_status_code="500"}';
  const [failure] = await eventually(async () => (await ask(`query?query=${encodeURIComponent(failed)}`)).result as any[]);
  expect(failure.metric.http_route).toBe('/api/orders/:orderId/fail');
});

test('the scrapes themselves are not counted as requests of the application', async (context) => {
  requirePeer(context, 'prometheus');
  await startPrometheus();
  const query = 'sum(http_server_request_duration_seconds_count)';
  const [total] = await eventually(async () => (await ask(`query?query=${encodeURIComponent(query)}`)).result as any[]);
  expect(total.value[1]).toBe('21');
});

test('the target is healthy and its scrape has no error', async (context) => {
  requirePeer(context, 'prometheus');
  await startPrometheus();
  const [target] = await eventually(async () =>
    ((await ask('targets')).activeTargets as any[]).filter(({ health }) => health !== 'unknown'),
  );
  expect(target).toMatchObject({ health: 'up', lastError: '' });
});

test('exemplars of the latency buckets can be queried and name a trace', async (context) => {
  requirePeer(context, 'prometheus');
  await startPrometheus();
  const now = Date.now() / 1000;
  const query = `query_exemplars?query=http_server_request_duration_seconds_bucket&start=${now - 600}&end=${now + 60}`;
  const [series] = await eventually(async () => (await ask(query)) as any[]);
  expect(series.exemplars[0].labels).toMatchObject({
    trace_id: expect.stringMatching(/^[0-9a-f]{32}$/),
    span_id: expect.stringMatching(/^[0-9a-f]{16}$/),
  });
});
