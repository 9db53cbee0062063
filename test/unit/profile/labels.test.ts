// What the sampler would find at an instant, and what that says when the window ends: routes. Traces, spans and the
// application's labels are in frame-slot.test.ts, holder-slot.test.ts and own-labels.test.ts.
import { AsyncLocalStorage } from 'node:async_hooks';
import http from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { describeServer } from '../../../src/instrument/http-semconv.ts';
import type { SampleLabels } from '../../../src/profile/labels.ts';
import { ServerRequests } from '../../../src/request.ts';
import { Harness, request, Servers } from '../../helpers/harness.ts';
import { createLabels, Sampler, spanOf, type TestSpan } from './sampler.ts';

const lines: string[] = [];
let labels: SampleLabels;
let active: AsyncLocalStorage<TestSpan | undefined>;

function start(sampler: Sampler, store?: AsyncLocalStorage<object | undefined>): void {
  labels.start(sampler.native, store);
}

const routeAt = (context: object | undefined): string | undefined => context && labels.labelsOf(context)['http.route'];

beforeEach(() => {
  active = new AsyncLocalStorage();
  labels = createLabels(lines, { active: () => active.getStore() });
});

afterEach(() => {
  labels.stop();
  active.disable();
  expect(lines).toEqual([]);
});

describe('with AsyncContextFrame', () => {
  let store: AsyncLocalStorage<object | undefined>;
  let sampler: Sampler;

  beforeEach(() => {
    store = new AsyncLocalStorage();
    sampler = new Sampler(store);
    start(sampler, store);
  });

  afterEach(() => store.disable());

  /** What a request does, in a frame of its own. */
  const inRequest = <T>(fn: () => T): T => store.run(undefined, fn);

  test('a request has the label of its route from the moment it is named, over its awaits, and others have not', async () => {
    const seen = await inRequest(async () => {
      const before = sampler.sample();
      labels.routed('/a');
      const named = sampler.sample();
      await nextTurn();
      return [before, named, sampler.sample()].map(routeAt);
    });
    expect(seen).toEqual([undefined, '/a', '/a']);
    expect(inRequest(() => sampler.sample())).toBeUndefined();
  });

  test('a route has one native holder however often it is named', () => {
    for (let i = 0; i < 100; i++) inRequest(() => ['/a', '/a', '/b'].map((route) => labels.routed(route)));
    expect(sampler.holders).toBe(2);
  });

  test('the last name counts, and the empty one takes the label away', () => {
    const seen = inRequest(() =>
      ['/a', '/b', '', '/a'].map((route) => {
        labels.routed(route);
        return routeAt(sampler.sample());
      }),
    );
    expect(seen).toEqual(['/a', '/b', undefined, '/a']);
  });

  test('the thousandth route has a label, the next has none and is counted', () => {
    const label = (route: string): string | undefined =>
      inRequest(() => {
        labels.routed(route);
        return routeAt(sampler.sample());
      });
    for (let i = 1; i < 1000; i++) label(`/${i}`);
    expect(label('/1000')).toBe('/1000');
    expect(labels.overflowed).toBe(0);
    expect(inRequest(() => ['/1', '/1001'].map((route) => (labels.routed(route), routeAt(sampler.sample()))))).toEqual(['/1', undefined]);
    expect(labels.overflowed).toBe(1);
    expect(label('/1')).toBe('/1');
  });
});

describe('without AsyncContextFrame', () => {
  let sampler: Sampler;

  beforeEach(() => {
    sampler = new Sampler();
    start(sampler);
    labels.begun(spanOf(''));
  });

  /** A request that is sampled at each of its turns but the first; resolves to what was found. */
  function serve(span: TestSpan, turns: number): Promise<(object | undefined)[]> {
    return active.run(span, async () => {
      const found: (object | undefined)[] = [];
      for (let i = 0; i < turns; i++) {
        await nextTurn();
        found.push(sampler.sample());
      }
      return found;
    });
  }

  test('each sample has the route of the request whose turn it was, whatever comes between', async () => {
    const [a, b] = await Promise.all([serve(spanOf('/a'), 4), serve(spanOf('/b'), 3)]);
    expect(a.map(routeAt)).toEqual(['/a', '/a', '/a', '/a']);
    expect(b.map(routeAt)).toEqual(['/b', '/b', '/b']);
    await nextTurn();
    const outside = sampler.sample();
    await nextTurn();
    expect(routeAt(outside)).toBeUndefined();
  });

  test('samples in a callback, a timer and the code after an await of it are of the same request', async () => {
    const found: (object | undefined)[] = [];
    await active.run(spanOf('/a'), async () => {
      await new Promise<void>((resolve) =>
        setTimeout(() => {
          found.push(sampler.sample());
          process.nextTick(() => {
            found.push(sampler.sample());
            resolve();
          });
        }, 1),
      );
      found.push(sampler.sample());
    });
    await nextTurn();
    expect(found.map(routeAt)).toEqual(['/a', '/a', '/a']);
  });

  test('what becomes active in a turn counts for all of it', async () => {
    let found: object | undefined;
    await new Promise<void>((resolve) =>
      setImmediate(() => {
        found = sampler.sample();
        active.enterWith(spanOf('/a'));
        resolve();
      }),
    );
    expect(routeAt(found)).toBe('/a');
  });

  test('a route that is found late is right for the samples before', async () => {
    const span = spanOf('');
    const found = await serve(span, 3);
    expect(found.map(routeAt)).toEqual([undefined, undefined, undefined]);
    span.route = '/late';
    expect(found.map(routeAt)).toEqual(['/late', '/late', '/late']);
  });

  test('a new holder is made for a sample, not for a turn', async () => {
    const holders = new Set<object>();
    for (let i = 0; i < 50; i++) {
      await active.run(spanOf('/a'), () => nextTurn());
      holders.add(sampler.context!);
    }
    expect(holders.size).toBe(1);
    sampler.sample();
    await nextTurn();
    holders.add(sampler.context!);
    expect(holders.size).toBe(2);
  });

  test('a sample of the window before keeps its own, though the counter comes to the same number again', async () => {
    const [before] = await serve(spanOf('/a'), 1);
    const count = sampler.state[0]!;
    sampler.restart(labels);
    sampler.state[0] = count - 1;
    const [after] = await serve(spanOf('/b'), 1);
    expect([before, after].map(routeAt)).toEqual(['/a', '/b']);
  });

  test('a window that ends in the middle of a turn knows whose turn it was, and the next one too', async () => {
    const found = await active.run(spanOf('/a'), async () => {
      await nextTurn();
      const before = sampler.sample();
      sampler.restart(labels);
      return [before, sampler.sample()];
    });
    await nextTurn();
    expect(found.map(routeAt)).toEqual(['/a', '/a']);
  });

  test('nothing is looked at until there is a request', async () => {
    labels.stop();
    sampler = new Sampler();
    start(sampler);
    labels.routed('/a');
    const [before] = await serve(spanOf('/a'), 1);
    expect(sampler.context).toBe(before);
    labels.begun(spanOf(''));
    await nextTurn();
    const [after] = await serve(spanOf('/a'), 1);
    await nextTurn();
    expect(sampler.context).not.toBe(before);
    expect(routeAt(after)).toBe('/a');
  });

  test('what it makes active that fails is no concern of the application', async () => {
    labels.stop();
    labels = createLabels(lines, {
      active: () => {
        throw new Error('broken');
      },
    });
    start(sampler);
    labels.begun(spanOf(''));
    await nextTurn();
    const found = sampler.sample();
    await nextTurn();
    expect(routeAt(found)).toBeUndefined();
    labels.stop();
    expect(lines.splice(0)).toEqual([expect.stringContaining('profile labels failed')]);
  });
});

test('before the profiler runs and after it has stopped, routes are named to nobody', () => {
  labels.routed('/a');
  const sampler = new Sampler();
  start(sampler);
  labels.stop();
  labels.routed('/a');
  expect(labels.labelsOf({ active: spanOf('/a') })).toEqual({});
});

test('a request says each route that it gets, and that it has none after all', async () => {
  const said: string[] = [];
  const harness = new Harness();
  const { guard, clock, tracing } = harness;
  const requests = new ServerRequests(
    { knownMethods: ['GET'], seriesLimit: 10 },
    {
      guard,
      clock,
      tracing,
      describer: describeServer({ knownMethods: ['GET'] }),
      labels: { begun: () => said.push('begun'), routed: (route) => said.push(route) },
    },
  );
  const servers = new Servers();
  const url = await servers.listen((req, res) => {
    requests.named(res, '/before');
    requests.begin(req, res);
    requests.named(res, '/a');
    requests.named(res, `/${'x'.repeat(256)}`);
    requests.unrouted(res);
    res.end();
  });
  await request(url, { agent: new http.Agent() });
  await servers.close();
  expect(said).toEqual(['begun', '/a', `/${'x'.repeat(255)}`, '']);
});
