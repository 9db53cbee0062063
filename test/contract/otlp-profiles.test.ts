// What protobufjs makes of our profiles with the official definitions (test/fixtures/otlp/proto), field by field, and that the
// JSON says the same.
import path from 'node:path';
import protobuf from 'protobufjs';
import { afterEach, describe, expect, it } from 'vitest';
import { otlpProfilesExporter, type OtlpProfilesOptions } from '../../src/export/otlp-profiles.ts';
import type { OtlpProtocol } from '../../src/export/otlp.ts';
import { distinctName } from '../../src/profile/frame.ts';
import type { Profile } from '../../src/profile/profile.ts';
import { describeDelivery } from '../helpers/delivery-contract.ts';
import { otlpDeps, RESOURCE, startReceiver, type Receiver } from '../helpers/otlp.ts';
import { CPU, cpuProfile, heapProfile, OfferedProfiles, profileOf, SAMPLES, SPAN_ID, TRACE_ID, wallProfile } from '../helpers/profiles.ts';

type Decoded = Record<string, any>;

const PROTO = path.join(import.meta.dirname, '../fixtures/otlp/proto');
const SCOPE = { name: 'sonde', version: '0.1.0' };

const root = new protobuf.Root();
root.resolvePath = (_origin, target) => path.join(PROTO, target);
root.loadSync('opentelemetry/proto/collector/profiles/v1development/profiles_service.proto');
const REQUEST = root.lookupType('opentelemetry.proto.collector.profiles.v1development.ExportProfilesServiceRequest');
const RESPONSE = root.lookupType('opentelemetry.proto.collector.profiles.v1development.ExportProfilesServiceResponse');

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

function options(url: string, overrides: Partial<OtlpProfilesOptions> = {}): OtlpProfilesOptions {
  return {
    url,
    headers: {},
    protocol: 'http/protobuf',
    compression: 'none',
    timeoutMillis: 10_000,
    intervalMillis: 60_000,
    ...overrides,
  };
}

async function receiver(body?: Buffer): Promise<Receiver> {
  const started = await startReceiver((response) => response.end(body));
  closers.push(started.close);
  return started;
}

/** The one request for these profiles, as it came. */
async function push(profiles: readonly Profile[], protocol: OtlpProtocol): Promise<Receiver['requests'][number]> {
  const { url, requests } = await receiver();
  const source = new OfferedProfiles();
  const exporter = otlpProfilesExporter(options(url, { protocol }), { ...otlpDeps(), source, scope: SCOPE, functionName: distinctName });
  source.offer(...profiles);
  await exporter.shutdown(60_000);
  expect(requests).toHaveLength(1);
  return requests[0]!;
}

/** Decoded by the definitions: 64-bit integers as text, bytes as hex, and fields with their default value too. */
function decode(body: Buffer): Decoded {
  const message = REQUEST.decode(body);
  // It holds nothing that the definitions do not know: written by them it is the same bytes.
  expect(Buffer.compare(REQUEST.encode(message).finish(), body)).toBe(0);
  return hex(REQUEST.toObject(message, { longs: String, defaults: true }));
}

function hex(value: unknown): any {
  if (Buffer.isBuffer(value) || value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(hex);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, hex(inner)]));
}

/** A request with its references followed, sample by sample: what it says, however its tables are arranged. */
function resolve({ resourceProfiles, dictionary }: Decoded): Decoded[] {
  const text = (index: number): string => dictionary['stringTable'][index];
  const type = (valueType: Decoded): string => `${text(valueType['typeStrindex'])}:${text(valueType['unitStrindex'])}`;
  const attribute = (index: number): [string, string] => {
    const { keyStrindex, value } = dictionary['attributeTable'][index];
    return [text(keyStrindex), value.stringValue];
  };
  return resourceProfiles[0].scopeProfiles[0].profiles.map((profile: Decoded) => ({
    type: type(profile['sampleType']),
    samples: profile['samples'].map(({ stackIndex, attributeIndices = [], linkIndex = 0, values }: Decoded) => ({
      stack: dictionary['stackTable'][stackIndex].locationIndices.map((index: number) => {
        const { lines, attributeIndices: ofLocation } = dictionary['locationTable'][index];
        const { nameStrindex, filenameStrindex, startLine } = dictionary['functionTable'][lines[0].functionIndex];
        const place = `${text(filenameStrindex)}:${startLine}`;
        return `${text(nameStrindex)} ${place} ${lines[0].line}:${lines[0].column} ${ofLocation.map((at: number) => attribute(at).join('='))}`;
      }),
      attributes: Object.fromEntries(attributeIndices.map(attribute)),
      link: linkIndex === 0 ? undefined : dictionary['linkTable'][linkIndex],
      values,
    })),
  }));
}

const LABELLED = cpuProfile([
  [['main', 'work'], [2, 20_202_000], { 'http.route': '/orders/{id}', trace_id: TRACE_ID, span_id: SPAN_ID, thread: 'main' }],
  [['main', 'work'], [1, 10_101_000], { 'http.route': '/orders/{id}', tenant: 'ü' }],
  [['main'], [0, -5000]],
  [
    ['main', 'never'],
    [1, 0],
  ],
]);

it('every field of a request, in its table and place', async () => {
  const { body } = await push([LABELLED], 'http/protobuf');

  const strings = [
    '',
    'profile.frame.type',
    'work',
    '/app/work.js',
    'main',
    '/app/main.js',
    'http.route',
    'thread.name',
    'tenant',
    'cpu',
    'nanoseconds',
  ];
  const at = (text: string): number => {
    const index = strings.indexOf(text);
    if (index === -1) throw new Error(text);
    return index;
  };
  const line = (functionIndex: number, lineNumber: string, column: string): Decoded => ({
    mappingIndex: 0,
    address: '0',
    lines: [{ functionIndex, line: lineNumber, column }],
    attributeIndices: [1],
  });
  const fn = (name: string, file: string, startLine: string): Decoded => ({
    nameStrindex: at(name),
    systemNameStrindex: at(name),
    filenameStrindex: at(file),
    startLine,
  });
  const attribute = (key: string, stringValue: string): Decoded => ({ keyStrindex: at(key), value: { stringValue }, unitStrindex: 0 });
  const sample = (stackIndex: number, attributeIndices: number[], linkIndex: number, value: string): Decoded => ({
    stackIndex,
    attributeIndices,
    linkIndex,
    values: [value],
    timestampsUnixNano: [],
  });
  const profileId = decode(body).resourceProfiles[0].scopeProfiles[0].profiles[0].profileId;
  expect(profileId).toMatch(/^(?!0{32})[0-9a-f]{32}$/);
  expect(decode(body)).toEqual({
    resourceProfiles: [
      {
        resource: {
          attributes: [
            { key: 'service.name', keyStrindex: 0, value: { stringValue: 'shop' } },
            { key: 'process.pid', keyStrindex: 0, value: { intValue: '4711' } },
          ],
          droppedAttributesCount: 0,
          entityRefs: [],
        },
        scopeProfiles: [
          {
            scope: { name: 'sonde', version: '0.1.0', attributes: [], droppedAttributesCount: 0 },
            profiles: [
              {
                sampleType: { typeStrindex: at('cpu'), unitStrindex: at('nanoseconds') },
                samples: [sample(1, [2, 3], 1, '20202000'), sample(1, [2, 4], 0, '10101000'), sample(2, [], 0, '-5000')],
                timeUnixNano: '1790000000123500000',
                durationNano: '15000000000',
                periodType: { typeStrindex: at('cpu'), unitStrindex: at('nanoseconds') },
                period: '10101000',
                profileId,
                droppedAttributesCount: 0,
                originalPayloadFormat: '',
                originalPayload: '',
                attributeIndices: [],
              },
            ],
            schemaUrl: '',
          },
        ],
        schemaUrl: '',
      },
    ],
    dictionary: {
      mappingTable: [{ memoryStart: '0', memoryLimit: '0', fileOffset: '0', filenameStrindex: 0, attributeIndices: [] }],
      locationTable: [{ mappingIndex: 0, address: '0', lines: [], attributeIndices: [] }, line(1, '40', '4'), line(2, '40', '4')],
      functionTable: [
        { nameStrindex: 0, systemNameStrindex: 0, filenameStrindex: 0, startLine: '0' },
        fn('work', '/app/work.js', '40'),
        fn('main', '/app/main.js', '40'),
      ],
      linkTable: [
        { traceId: '', spanId: '' },
        { traceId: TRACE_ID, spanId: SPAN_ID },
      ],
      stringTable: strings,
      attributeTable: [
        { keyStrindex: 0, value: null, unitStrindex: 0 },
        attribute('profile.frame.type', 'v8js'),
        attribute('http.route', '/orders/{id}'),
        attribute('thread.name', 'main'),
        attribute('tenant', 'ü'),
      ],
      // Innermost first.
      stackTable: [{ locationIndices: [] }, { locationIndices: [1, 2] }, { locationIndices: [2] }],
    },
  });
});

const FRAME = (name: string): string =>
  `${name} /app/${name}.js:${name.length * 10} ${name.length * 10}:${name.length} profile.frame.type=v8js`;

describe.each<OtlpProtocol>(['http/protobuf', 'http/json'])('over %s', (protocol) => {
  async function pushed(...profiles: readonly Profile[]): Promise<Decoded> {
    const { body } = await push(profiles, protocol);
    return protocol === 'http/json' ? JSON.parse(body.toString()) : decode(body);
  }

  it('there is a profile for each sample type but the count of hits, and one dictionary', async () => {
    const request = await pushed(cpuProfile(), wallProfile(), heapProfile());

    expect(resolve(request)).toEqual([
      {
        type: 'cpu:nanoseconds',
        samples: [{ stack: [FRAME('work'), FRAME('main')], attributes: {}, link: undefined, values: ['20202000'] }],
      },
      {
        type: 'wall:nanoseconds',
        samples: [{ stack: [FRAME('wait'), FRAME('main')], attributes: {}, link: undefined, values: ['30303000'] }],
      },
      {
        type: 'inuse_objects:count',
        samples: [{ stack: [FRAME('keep'), FRAME('main')], attributes: {}, link: undefined, values: ['7'] }],
      },
      {
        type: 'inuse_space:bytes',
        samples: [{ stack: [FRAME('keep'), FRAME('main')], attributes: {}, link: undefined, values: ['524288'] }],
      },
    ]);
    // Nothing twice: main is one function, the stack of both heap types one stack.
    const { functionTable, stackTable, stringTable } = request['dictionary'];
    expect([functionTable.length, stackTable.length]).toEqual([5, 4]);
    expect(new Set(stringTable).size).toBe(stringTable.length);
    const periods = request['resourceProfiles'][0].scopeProfiles[0].profiles.map(
      (profile: Decoded) => `${stringTable[profile['periodType'].typeStrindex]} ${profile['period']}`,
    );
    expect(periods).toEqual(['cpu 10101000', 'wall 10101000', 'inuse_space 524288', 'inuse_space 524288']);
  });

  it('a stack is one whatever profiles it is of, and stacks that are alike are several', async () => {
    const request = await pushed(
      cpuProfile([
        [
          ['main', 'work'],
          [1, 1],
        ],
        [
          ['work', 'main'],
          [1, 1],
        ],
        [['main'], [1, 1]],
        [
          ['main', 'main'],
          [1, 1],
        ],
      ]),
      heapProfile([
        [
          ['main', 'main'],
          [1, 1],
        ],
        [
          ['main', 'work'],
          [1, 1],
        ],
        [['work'], [1, 1]],
      ]),
    );

    const { stackTable, functionTable } = request['dictionary'];
    const [work, main] = [1, 2];
    expect(functionTable).toHaveLength(3);
    expect(stackTable.slice(1).map(({ locationIndices }: Decoded) => locationIndices)).toEqual([
      [work, main],
      [main, work],
      [main],
      [main, main],
      [work],
    ]);
    const [cpu, objects] = request['resourceProfiles'][0].scopeProfiles[0].profiles;
    expect(cpu.samples.map(({ stackIndex }: Decoded) => stackIndex)).toEqual([1, 2, 3, 4]);
    expect(objects.samples.map(({ stackIndex }: Decoded) => stackIndex)).toEqual([4, 1, 5]);
  });

  it('labels are attributes by their conventional names, and trace and span a link', async () => {
    const [cpu] = resolve(await pushed(LABELLED));

    expect(cpu!['samples'].map(({ attributes, link, values }: Decoded) => [attributes, link, values])).toEqual([
      [{ 'http.route': '/orders/{id}', 'thread.name': 'main' }, { traceId: TRACE_ID, spanId: SPAN_ID }, ['20202000']],
      [{ 'http.route': '/orders/{id}', tenant: 'ü' }, undefined, ['10101000']],
      [{}, undefined, ['-5000']],
    ]);
  });

  it.each([
    ['only a trace id', { trace_id: TRACE_ID }],
    ['a trace id of 31 digits', { trace_id: TRACE_ID.slice(1), span_id: SPAN_ID }],
    ['a span id of 17 digits', { trace_id: TRACE_ID, span_id: `${SPAN_ID}0` }],
    ['an id that is no hex', { trace_id: 'g'.repeat(32), span_id: SPAN_ID }],
    ['empty labels', { 'http.route': '' }],
  ])('%s makes neither a link nor an attribute', async (_what, labels) => {
    const [cpu] = resolve(await pushed(cpuProfile([[['main'], [1, 1], labels]])));

    expect(cpu!['samples'][0]).toMatchObject({ attributes: {}, link: undefined });
  });

  it('functions without a name are told apart by their place', async () => {
    const profile = profileOf([SAMPLES, CPU], [[['(anonymous)'], [1, 1]]]);

    const [cpu] = resolve(await pushed(profile));

    expect(cpu!['samples'][0].stack[0]).toMatch(/^\(anonymous \(anonymous\)\.js:110\) /);
  });

  it('of nothing there is no request', async () => {
    const { url, requests } = await receiver();
    const source = new OfferedProfiles();
    const exporter = otlpProfilesExporter(options(url, { protocol }), { ...otlpDeps(), source, scope: SCOPE, functionName: distinctName });
    source.offer(cpuProfile([]));

    await exporter.shutdown(5000);

    expect(requests).toHaveLength(0);
    expect(exporter.stats()).toEqual({ exported: 0, dropped: new Map(), queueSize: 0 });
  });

  it('what the receiver rejects is counted and said once', async () => {
    const partialSuccess = { rejectedProfiles: 1, errorMessage: 'no\nheap' };
    const answer = protocol === 'http/json' ? JSON.stringify({ partialSuccess }) : RESPONSE.encode({ partialSuccess }).finish();
    const { url } = await receiver(Buffer.from(answer as Uint8Array));
    const deps = otlpDeps();
    const source = new OfferedProfiles();
    const exporter = otlpProfilesExporter(options(url, { protocol }), { ...deps, source, scope: SCOPE, functionName: distinctName });

    for (let round = 0; round < 2; round++) {
      source.offer(cpuProfile(), heapProfile());
      await exporter.flush(5000);
    }

    expect(exporter.stats()).toEqual({ exported: 4, dropped: new Map([['rejected', 2]]), queueSize: 0 });
    expect(deps.lines).toEqual([`sonde: ${url} rejected 1 of 3 items of profiles: no heap`]);
    await exporter.shutdown(1);
  });
});

it('JSON follows the OTLP JSON encoding: hex ids, camel case, 64-bit integers as text', async () => {
  const { request, body } = await push([LABELLED], 'http/json');

  expect(request.headers['content-type']).toBe('application/json');
  const { resourceProfiles, dictionary } = JSON.parse(body.toString());
  const [profile] = resourceProfiles[0].scopeProfiles[0].profiles;
  expect(profile).toMatchObject({ timeUnixNano: '1790000000123500000', durationNano: '15000000000', period: '10101000' });
  expect(profile.profileId).toMatch(/^[0-9a-f]{32}$/);
  expect(profile.samples[0]).toEqual({ stackIndex: 1, attributeIndices: [2, 3], linkIndex: 1, values: ['20202000'] });
  expect(dictionary.linkTable).toEqual([{}, { traceId: TRACE_ID, spanId: SPAN_ID }]);
  for (const table of ['mapping', 'location', 'function', 'link', 'attribute', 'stack']) expect(dictionary[`${table}Table`][0]).toEqual({});
  expect(dictionary.stringTable[0]).toBe('');
  expect(dictionary.locationTable[1]).toEqual({ lines: [{ functionIndex: 1, line: '40', column: '4' }], attributeIndices: [1] });
  // Somebody else's reader of proto3's JSON takes it; bytes are base64 for that one.
  delete profile.profileId;
  dictionary.linkTable.pop();
  expect(REQUEST.verify(REQUEST.fromObject({ resourceProfiles, dictionary }))).toBeNull();
});

it('the types of the request are as the protocol says, and its headers ours', async () => {
  const { request } = await push([cpuProfile()], 'http/protobuf');

  expect(request.headers).toMatchObject({ 'content-type': 'application/x-protobuf', 'user-agent': 'sonde' });
});

describe.each<OtlpProtocol>(['http/protobuf', 'http/json'])('10,000 stacks over %s', (protocol) => {
  it('are encoded in turns, and all arrive', async () => {
    const rows = Array.from({ length: 10_000 }, (_, i) => {
      const stack = [i % 100, Math.floor(i / 100), 5].map((digit) => `f${digit}`);
      return [stack, [1, 1000 + i]] as const;
    });
    const profile = cpuProfile(rows);
    let turns = 0;
    let isDone = false;
    const count = (): void => {
      turns += 1;
      if (!isDone) setImmediate(count);
    };
    setImmediate(count);

    const { body } = await push([profile], protocol);
    isDone = true;

    // Some 10,000 rows and 40,000 frames and stacks to enter, and to write.
    expect(turns).toBeGreaterThan(5);
    const { resourceProfiles, dictionary } = (protocol === 'http/json' ? JSON.parse(body.toString()) : REQUEST.decode(body)) as Decoded;
    const { samples } = resourceProfiles[0].scopeProfiles[0].profiles[0];
    expect(samples).toHaveLength(10_000);
    expect(samples.reduce((sum: number, { values }: Decoded) => sum + Number(values[0]), 0)).toBe(10_000 * 1000 + (10_000 * 9999) / 2);
    const stacks = dictionary['stackTable'].map(({ locationIndices = [] }: Decoded) => locationIndices.join());
    expect(new Set(stacks).size).toBe(10_001);
    expect(new Set(samples.map(({ stackIndex }: Decoded) => stackIndex)).size).toBe(10_000);
  });
});

describeDelivery('profiles by OTLP', {
  make: (url, deps) => {
    const source = new OfferedProfiles();
    const exporter = otlpProfilesExporter(options(url), { ...deps, resource: RESOURCE, source, scope: SCOPE, functionName: distinctName });
    exporter.start();
    return { exporter, intervalMillis: 60_000, offer: () => source.offer(cpuProfile()) };
  },
  signal: 'profiles',
  refusals: [
    [307, /redirects are not followed/],
    [400, /./],
    [401, /check OTEL_EXPORTER_OTLP_HEADERS/],
    [404, /--feature-gates=\+service\.profilesSupport/],
    [413, /./],
    [500, /./],
  ],
  retried: [429, 502, 503, 504],
  unreachable: /check that a collector is listening there/,
});
