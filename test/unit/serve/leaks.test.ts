// /debug/leaks and what is below it, over HTTP.
import { gunzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { Guard } from '../../../src/core/guard.ts';
import type { LeakVerdict } from '../../../src/leak/finding.ts';
import type { ClassHistogram } from '../../../src/profile/class-histogram.ts';
import { ProfileError } from '../../../src/profile/profile-error.ts';
import { AdminServer } from '../../../src/serve/admin.ts';
import type { ClassReads } from '../../../src/serve/classes.ts';
import type { LeakReads } from '../../../src/serve/leaks.ts';
import { ask, endpointsOf, heapProfile, Said } from './fixture.ts';

const VERDICT: LeakVerdict = {
  level: 'watching',
  findings: [],
  kinds: [{ kind: 'heap', level: 'watching', current: 5e6, perMinute: 0, heapLimit: null, containerLimit: null }],
  generations: [
    { index: 2, epochMillis: Date.UTC(2026, 10, 22, 1, 20, 3, 500), bytes: 4e6 },
    { index: 5, epochMillis: Date.UTC(2026, 10, 22, 1, 40), bytes: 5e6 },
  ],
  notes: [],
};

let server: AdminServer;

async function serve(reads: { leaks?: LeakReads; classes?: ClassReads }): Promise<string> {
  const { diag } = new Said();
  const guard = new Guard(diag);
  server = new AdminServer(endpointsOf({ guard, ...reads }), { host: '127.0.0.1', port: 0, portIsExplicit: true }, { guard, diag });
  return `${(await server.listen())!.url}/debug/leaks`;
}

afterEach(() => server.close());

const asked: number[] = [];
const leaks = (verdict: LeakVerdict = VERDICT): LeakReads => ({
  verdict: () => Promise.resolve(verdict),
  generation: (index) => {
    asked.push(index);
    return Promise.resolve(index === 5 ? heapProfile() : undefined);
  },
});

describe('/debug/leaks', () => {
  it.each([
    ['', undefined, 'json'],
    ['?format=json', 'text/plain', 'json'],
    ['?format=text', 'application/json', 'text'],
    ['', 'text/plain', 'text'],
    ['', 'text/plain, application/json', 'json'],
    ['', '*/*', 'json'],
  ])('answers %s to Accept: %s as %s', async (query, accept, expected) => {
    const url = await serve({ leaks: leaks() });
    const { status, body, headers } = await ask(url + query, { headers: accept === undefined ? {} : { accept } });
    expect(status).toBe(200);
    if (expected === 'json') {
      expect(JSON.parse(body.toString())).toEqual(VERDICT);
    } else {
      expect(headers['content-type']).toBe('text/plain; charset=utf-8');
      // The address is the one that was asked for, to be copied.
      expect(body.toString()).toContain(`go tool pprof -diff_base '${url}/heap?generation=first' '${url}/heap?generation=last'`);
    }
  });

  it.each([
    ['?format=xml', 'invalid value for "format" - must be json or text'],
    ['?limit=1', 'unknown parameter "limit" - there are format'],
  ])('refuses %s and says what is accepted', async (query, message) => {
    const { status, body } = await ask((await serve({ leaks: leaks() })) + query);
    expect([status, body.toString()]).toEqual([400, `${message}\n`]);
  });
});

describe('/debug/leaks/heap', () => {
  it.each(['', '?generation=last', '?generation=5'])('answers a kept profile as a file for go tool pprof: %s', async (query) => {
    const { status, headers, body } = await ask(`${await serve({ leaks: leaks() })}/heap${query}`);
    expect(status).toBe(200);
    expect(headers['content-disposition']).toBe('attachment; filename="leak-heap-2026-11-22T01-40-00Z.pb.gz"');
    expect(gunzipSync(body).toString('latin1')).toContain('/shop/store.js');
  });

  it('answers it as a flame graph too', async () => {
    const { headers, body } = await ask(`${await serve({ leaks: leaks() })}/heap?format=svg`);
    expect(headers['content-type']).toBe('image/svg+xml');
    expect(body.toString()).toContain('<svg');
  });

  it('reads nothing for HEAD', async () => {
    asked.length = 0;
    const { status } = await ask(`${await serve({ leaks: leaks() })}/heap`, { method: 'HEAD' });
    expect([status, asked]).toEqual([200, []]);
  });

  it.each([
    ['?generation=1', 404, 'there is no generation 1: there are 2, 5'],
    // It has been replaced between the two reads.
    ['?generation=first', 404, 'there is no generation first: there are 2, 5'],
    ['?generation=-1', 400, 'invalid value for "generation" - must be first, last or the index of one, which /debug/leaks lists'],
    ['?format=cpuprofile', 400, 'invalid value for "format" - must be one of pprof, folded, speedscope, svg'],
    ['?seconds=3', 400, 'unknown parameter "seconds" - there are generation, format'],
  ])('refuses %s with %i and words that go tool pprof shows', async (query, expected, message) => {
    const { status, headers, body } = await ask(`${await serve({ leaks: leaks() })}/heap${query}`);
    expect([status, body.toString()]).toEqual([expected, `${message}\n`]);
    expect(headers['x-go-pprof']).toBe('1');
  });

  it('says when the first will be there', async () => {
    const { status, body } = await ask(`${await serve({ leaks: leaks({ ...VERDICT, generations: [] }) })}/heap`);
    expect(status).toBe(404);
    expect(body.toString()).toContain('no live-heap profile has been kept yet');
  });
});

describe('/debug/leaks/classes', () => {
  const histogram: ClassHistogram = {
    tookSeconds: 0.7,
    objects: 3,
    classes: [{ className: 'Session', count: 2 }],
    otherClasses: 1,
    otherObjects: 1,
    emitters: [{ className: 'Bus', event: 'tick', listeners: 40, names: ['onTick'] }],
    collections: [{ kind: 'Map', className: 'Map', size: 2000, keyType: 'string', valueType: 'Session' }],
  };
  let taken: number;

  const classes = (refusal?: ProfileError): ClassReads => {
    taken = 0;
    return {
      estimate: () =>
        refusal === undefined
          ? Promise.resolve({ heapUsedBytes: 80e6, seconds: 1.7, memoryBytes: 220e6, nodeMajor: '24' })
          : Promise.reject(refusal),
      take: () => {
        taken += 1;
        return refusal === undefined ? Promise.resolve(histogram) : Promise.reject(refusal);
      },
    };
  };

  it('says what it would cost and how to have it, and takes nothing', async () => {
    const url = `${await serve({ classes: classes() })}/classes`;
    const { status, headers, body } = await ask(url);
    expect(status).toBe(409);
    expect(headers['x-sonde-estimated-seconds']).toBe('1.7');
    expect(headers['x-sonde-estimated-memory-bytes']).toBe('220000000');
    expect(body.toString()).toContain('For this heap of 80 MB that takes about 1.7 s and up to 220 MB of memory more.');
    expect(body.toString()).toContain(`  curl '${url}?confirm=1&format=json'\n`);
    expect(taken).toBe(0);
  });

  it('takes it when that is confirmed', async () => {
    const { status, body } = await ask(`${await serve({ classes: classes() })}/classes?confirm=1`);
    expect([status, JSON.parse(body.toString())]).toEqual([200, histogram]);
    expect(taken).toBe(1);
  });

  it('answers text to a person', async () => {
    const { body } = await ask(`${await serve({ classes: classes() })}/classes?confirm=1`, { headers: { accept: 'text/plain' } });
    const page = body.toString();
    expect(page).toContain('3 objects, counted in 0.7 s.');
    expect(page).toContain('\n         2  Session\n         1  objects of 1 other classes\n');
    expect(page).toContain('\n        40  Bus on tick: onTick\n');
    expect(page).toContain('\n      2000  Map of string to Session\n');
  });

  it('takes nothing for HEAD, nor for a page of another site', async () => {
    const url = `${await serve({ classes: classes() })}/classes?confirm=1`;
    expect((await ask(url, { method: 'HEAD' })).status).toBe(409);
    for (const site of ['cross-site', 'same-site']) expect((await ask(url, { headers: { 'sec-fetch-site': site } })).status).toBe(403);
    expect(taken).toBe(0);
    for (const site of ['none', 'same-origin']) expect((await ask(url, { headers: { 'sec-fetch-site': site } })).status).toBe(200);
  });

  it.each([
    ['?confirm=yes', 'invalid value for "confirm" - must be 1 to take it'],
    ['?format=svg', 'invalid value for "format" - must be json or text'],
    ['?comfirm=1', 'unknown parameter "comfirm" - there are confirm, format'],
  ])('refuses %s', async (query, message) => {
    const { status, body } = await ask(`${await serve({ classes: classes() })}/classes${query}`);
    expect([status, body.toString()]).toEqual([400, `${message}\n`]);
  });

  it.each(['', '?confirm=1'])('answers 503 with the reason where there is no room: %s', async (query) => {
    const refusal = new ProfileError(503, 'the container has 20 MB left');
    const { status, body } = await ask(`${await serve({ classes: classes(refusal) })}/classes${query}`);
    expect([status, body.toString()]).toEqual([503, 'the container has 20 MB left\n']);
  });
});
