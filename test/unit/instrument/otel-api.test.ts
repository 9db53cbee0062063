// Code that uses @opentelemetry/api finds Sonde, whichever 1.x copy of the api it has, and its spans join the trace of
// the request they are made in.
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { EventEmitter, once } from 'node:events';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { setImmediate as immediate } from 'node:timers/promises';
import type * as Api from '@opentelemetry/api';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import * as esm110 from 'otel-api-1.10';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { activeSpan } from '../../../src/core/context.ts';
import type { Diag } from '../../../src/core/diag.ts';
import { instrumentHttpServer } from '../../../src/instrument/http-server.ts';
import { registerApi, SondeContextManager, type ApiProviders } from '../../../src/instrument/otel-api.ts';
import { W3CPropagator } from '../../../src/trace/propagation.ts';
import { Harness, request, Servers } from '../../helpers/harness.ts';

const require = createRequire(import.meta.url);
const cjs19 = require('@opentelemetry/api') as typeof Api;
const cjs110 = require('otel-api-1.10') as typeof Api;

let harness: Harness;
let servers: Servers;
let providers: ApiProviders;
let said: string[];
let undo: (() => void)[];

const diag: Diag = {
  warn: (_key, message) => void said.push(message),
  notice: () => {},
  info: () => {},
  debug: () => {},
  announce: () => {},
};

beforeEach(() => {
  harness = new Harness();
  servers = new Servers();
  said = [];
  undo = [];
  providers = {
    trace: harness.provider,
    context: new SondeContextManager(),
    propagation: new W3CPropagator({ traceContext: true, baggage: true }),
    metrics: new MeterProvider(),
  };
});

afterEach(async () => {
  for (const stop of undo.toReversed()) stop();
  await servers.close();
  expect(harness.lines).toEqual([]);
});

function register(): void {
  undo.push(registerApi(providers, diag), instrumentHttpServer(harness.requests, harness.guard));
}

describe.each<{ copy: string; api: typeof Api }>([
  { copy: '1.9 as CommonJS', api: cjs19 },
  { copy: '1.10 as CommonJS', api: cjs110 },
  { copy: '1.10 as ES module', api: esm110 as unknown as typeof Api },
])('the api $copy', ({ api }) => {
  /** Runs `handler` in a request and returns its server span and those ended in it, by name. */
  async function inRequest(handler: () => unknown, headers: Record<string, string> = {}): Promise<Map<string, Harness['spans'][number]>> {
    register();
    let failure: unknown;
    const url = await servers.listen(async (_req, res) => {
      try {
        await handler();
      } catch (error) {
        failure = error;
      }
      res.end();
    });
    await request(url, { headers });
    while (!harness.spans.some(({ kind }) => kind === 1)) await immediate();
    if (failure !== undefined) throw failure as Error;
    return new Map(harness.spans.map((span) => [span.name, span]));
  }

  it('gives spans that are children of the request they are made in', async () => {
    const spans = await inRequest(() => {
      const tracer = api.trace.getTracer('app', '1.0.0');
      tracer.startSpan('plain').end();
      tracer.startActiveSpan('two', (span) => span.end());
      tracer.startActiveSpan('three', { attributes: { a: 1 } }, (span) => span.end());
      tracer.startActiveSpan('four', {}, api.context.active(), (span) => span.end());
      tracer.startActiveSpan('outside', {}, api.ROOT_CONTEXT, (span) => span.end());
    });
    const server = spans.get('GET')!;
    for (const name of ['plain', 'two', 'three', 'four']) {
      expect(spans.get(name)).toMatchObject({ traceId: server.traceId, parentSpanContext: { spanId: server.spanId } });
    }
    expect(spans.get('three')!.attributes).toEqual({ a: 1 });
    expect(spans.get('outside')!.traceId).not.toBe(server.traceId);
    expect(spans.get('plain')!.instrumentationScope).toMatchObject({ name: 'app', version: '1.0.0' });
  });

  it('answers what the function returns or throws, and the span is active in it and below it', async () => {
    await inRequest(async () => {
      const tracer = api.trace.getTracer('app');
      const value = await tracer.startActiveSpan('outer', async (outer) => {
        expect(api.trace.getActiveSpan()).toBe(outer);
        await immediate();
        expect(api.trace.getActiveSpan()).toBe(outer);
        tracer.startActiveSpan('inner', (inner) => {
          expect(api.trace.getActiveSpan()).toBe(inner);
          inner.end();
        });
        expect(api.trace.getActiveSpan()).toBe(outer);
        outer.end();
        return 42;
      });
      expect(value).toBe(42);
      const error = new Error('mine');
      expect(() =>
        tracer.startActiveSpan('throws', () => {
          throw error;
        }),
      ).toThrow(error);
    });
    const [inner, outer] = ['inner', 'outer'].map((name) => harness.spans.find((span) => span.name === name)!);
    expect(inner!.parentSpanContext?.spanId).toBe(outer!.spanId);
  });

  it("has the request's span active, with the baggage it came with", async () => {
    let seen: unknown[] = [];
    const spans = await inRequest(
      () => {
        seen = [
          api.trace.getActiveSpan(),
          api.propagation.getActiveBaggage()?.getEntry('user')?.value,
          api.isSpanContextValid(api.trace.getSpanContext(api.context.active())!),
        ];
      },
      { baggage: 'user=Am%C3%A9lie' },
    );
    expect(seen).toEqual([spans.get('GET'), 'Amélie', true]);
  });

  it('keeps the active context through timers, promises, streams and emitters', async () => {
    const seen: unknown[] = [];
    const note = (): unknown => seen.push(api.trace.getActiveSpan());
    const spans = await inRequest(async () => {
      note();
      await new Promise((resolve) => setTimeout(resolve, 1));
      note();
      await new Promise<void>((resolve) => process.nextTick(resolve));
      note();
      const stream = new PassThrough();
      stream.end('x');
      for await (const _chunk of stream) note();
      const emitter = new EventEmitter();
      setImmediate(() => emitter.emit('done'));
      await once(emitter, 'done');
      note();
    });
    expect(seen).toEqual(Array(5).fill(spans.get('GET')));
  });

  it('has with, bind and the values of contexts', () => {
    register();
    const key = api.createContextKey('k');
    const context = api.context.active().setValue(key, 'v');
    const owner = { name: 'this' };
    const read = function (this: unknown, ...args: unknown[]): unknown[] {
      return [this, api.context.active().getValue(key), ...args];
    };
    expect(api.context.with(context, read, owner, 1, 2)).toEqual([owner, 'v', 1, 2]);
    expect(api.context.bind(context, read).call(owner, 3)).toEqual([owner, 'v', 3]);
    expect(api.context.bind(context, read)).toHaveLength(read.length);
    expect(api.context.active().getValue(key)).toBeUndefined();
    const deleted = context.deleteValue(key);
    expect([context.getValue(key), deleted.getValue(key)]).toEqual(['v', undefined]);
    expect(() =>
      api.context.with(context, () => {
        throw new RangeError('mine');
      }),
    ).toThrow(RangeError);
    expect(api.context.active().getValue(key)).toBeUndefined();
    for (const value of [undefined, null, 5, 'text', {}]) expect(api.context.bind(context, value)).toBe(value);
  });

  it('binds the listeners of an emitter, and lets them be removed', () => {
    register();
    const key = api.createContextKey('k');
    const emitter = api.context.bind(api.context.active().setValue(key, 'bound'), new EventEmitter());
    const seen: unknown[] = [];
    const listener = (): unknown => seen.push(api.context.active().getValue(key));
    emitter.on('e', listener);
    emitter.once('e', listener);
    emitter.prependListener('e', listener);
    emitter.emit('e');
    expect(seen).toEqual(['bound', 'bound', 'bound']);
    expect(emitter.listenerCount('e')).toBe(2);
    emitter.off('e', listener);
    emitter.removeListener('e', listener);
    expect(emitter.listenerCount('e')).toBe(0);
    expect(() => emitter.on('e', 5 as never)).toThrow(TypeError);
    expect(() => emitter.off('e', undefined as never)).toThrow(TypeError);
    emitter.once('never', listener);
    emitter.off('never', listener);
    expect(emitter.listenerCount('never')).toBe(0);
  });

  it('has the propagator and the meter provider', async () => {
    await inRequest(() => {
      const carrier: Record<string, string> = {};
      api.propagation.inject(api.context.active(), carrier);
      expect(carrier['traceparent']).toBe(
        `00-${api.trace.getActiveSpan()!.spanContext().traceId}-${api.trace.getActiveSpan()!.spanContext().spanId}-01`,
      );
    });
    const meter = api.metrics.getMeter('app');
    expect(meter.constructor.name).toBe((providers.metrics as MeterProvider).getMeter('x').constructor.name);
  });

  it('is back to nothing afterwards', () => {
    register();
    for (const stop of undo.splice(0).toReversed()) stop();
    const span = api.trace.getTracer('later').startSpan('span');
    expect(span.isRecording()).toBe(false);
    expect(api.context.active()).toBe(api.ROOT_CONTEXT);
  });
});

describe('a keep-alive connection', () => {
  it('shows each request its own span and nothing of the one before', async () => {
    register();
    const seen: unknown[] = [];
    const url = await servers.listen((_req, res) => {
      seen.push(activeSpan());
      res.end();
    });
    const { Agent } = await import('node:http');
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let i = 0; i < 5; i++) await request(url, { agent });
    agent.destroy();
    expect(seen).toEqual(await harness.ended(5));
    expect(new Set(seen).size).toBe(5);
    expect(activeSpan()).toBeUndefined();
  });
});

describe('a start after the application has asked the api already', () => {
  it.each(['@opentelemetry/api', 'otel-api-1.10'])('serves the tracers that were handed out before: %s', (name) => {
    // A copy under the name that applications have it by, because what the tests have it by is an alias.
    const directory = mkdtempSync(path.join(os.tmpdir(), 'sonde-api-'));
    const copy = path.join(directory, 'node_modules/@opentelemetry/api');
    cpSync(path.resolve(import.meta.dirname, '../../../node_modules', name), copy, { recursive: true });
    try {
      const api = require(copy) as typeof Api;
      const early = api.trace.getTracer('early');
      early.startSpan('lost').end();
      register();
      const span = early.startSpan('found');
      span.end();
      expect(harness.spans.map((ended) => ended.name)).toEqual(['found']);
      expect(span.spanContext().traceId).toBe(harness.spans[0]!.traceId);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('says so and leaves another SDK where it is', () => {
    const other = new Harness();
    expect(cjs19.trace.setGlobalTracerProvider(other.provider)).toBe(true);
    undo.push(() => cjs19.trace.disable());
    register();
    cjs19.trace.getTracer('app').startSpan('span').end();
    expect([other.spans.length, harness.spans.length]).toEqual([1, 0]);
    expect(said).toEqual([expect.stringContaining('already registered')]);
  });

  it('keeps what somebody else had put into the api besides tracing', () => {
    const logger = { verbose() {}, debug() {}, info() {}, warn() {}, error() {} };
    const slot = Symbol.for('opentelemetry.js.api.1');
    const globals = globalThis as { [slot]?: Record<string, unknown> };
    const before = globals[slot];
    globals[slot] = { version: '1.9.0', diag: logger };
    undo.push(() => {
      if (before === undefined) delete globals[slot];
      else globals[slot] = before;
    });
    register();
    expect(globals[slot]).toMatchObject({ diag: logger, trace: harness.provider });
  });
});
