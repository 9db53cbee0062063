// The endpoints over small real parts, and a client that sees what goes over the wire.
import { request, type IncomingHttpHeaders } from 'node:http';
import { SystemClock } from '../../../src/core/clock.ts';
import { StderrDiag } from '../../../src/core/diag.ts';
import type { Guard } from '../../../src/core/guard.ts';
import { Registry } from '../../../src/metrics/registry.ts';
import { ProfileBuilder, type Profile } from '../../../src/profile/profile.ts';
import { Access } from '../../../src/serve/access.ts';
import { Endpoints, type EndpointDeps } from '../../../src/serve/endpoints.ts';

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** What Sonde said on standard error, by line. */
export class Said {
  readonly lines: string[] = [];
  readonly diag: StderrDiag = new StderrDiag('warn', (line) => this.lines.push(line));
}

/** One family with one gauge, as every registry has many. */
export function registryOf(guard: Guard, series = 1): Registry {
  const registry = new Registry(guard);
  const points = Array.from({ length: series }, (_, i) => ({ labels: { 'shop.shelf': String(i) }, value: i }));
  registry.register('shop', () => [{ type: 'gauge', name: 'shop.items', unit: '{item}', description: 'Items.', points }]);
  return registry;
}

/** A heap profile of two stacks: main > keep 3 objects of 1,500 bytes, main > cache 1 of 4,000. */
export function heapProfile(): Profile {
  const builder = new ProfileBuilder(2);
  const main = builder.node(-1, builder.frame('main', '/shop/app.js', 1));
  const rows = [
    { name: 'keep', line: 12, objects: 3, bytes: 1500 },
    { name: 'cache', line: 30, objects: 1, bytes: 4000 },
  ];
  for (const { name, line, objects, bytes } of rows) {
    const node = builder.node(main, builder.frame(name, '/shop/store.js', line));
    builder.add(node, 0, objects);
    builder.add(node, 1, bytes);
  }
  return builder.build({
    sampleTypes: [
      { type: 'inuse_objects', unit: 'count' },
      { type: 'inuse_space', unit: 'bytes' },
    ],
    defaultSampleType: 'inuse_space',
    periodType: { type: 'space', unit: 'bytes' },
    period: 524_288,
    startEpochMillis: 1_700_000_000_000,
    durationMillis: 0,
  });
}

/** Endpoints with everything but the metrics switched off, unless told otherwise. */
export function endpointsOf(deps: Partial<EndpointDeps> & { guard: Guard }): Endpoints {
  return new Endpoints({
    clock: new SystemClock(),
    access: new Access({ token: undefined, host: '127.0.0.1' }),
    title: 'sonde 0.1.0 shop',
    metrics: { collect: () => registryOf(deps.guard).collect(), resource: {}, onDropped: () => {} },
    profiles: undefined,
    devtools: undefined,
    heapSnapshots: undefined,
    traces: undefined,
    stalls: undefined,
    leaks: undefined,
    classes: undefined,
    config: () => ({}),
    isReady: () => true,
    ignore: () => {},
    ...deps,
  });
}

/** Sends one request over a connection of its own and reads the whole reply. */
export function ask(url: string, options: { method?: string; headers?: IncomingHttpHeaders; path?: string } = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const req = request(url, { agent: false, ...options }, (res) => {
      const chunks: Buffer[] = [];
      res.on('data', (chunk: Buffer) => chunks.push(chunk));
      res.on('end', () => resolve({ status: res.statusCode ?? 0, headers: res.headers, body: Buffer.concat(chunks) }));
      res.on('error', reject);
    });
    req.on('error', reject).end();
  });
}
