// The files that Chrome's DevTools open:
//
//   /debug/cpuprofile?seconds=30&interval=1000   CPU profile of the next seconds with a sample every so many microseconds
//                                                &deoptimize=1 names functions in long loops, on Node 22 and later
//   /debug/heapprofile?gc=1                      live memory by the place that allocated it; gc=1 collects garbage first
//   /debug/heapsnapshot                          every object and what holds it; only with SONDE_HEAP_SNAPSHOT=true
//
//   curl --compressed -OJ http://127.0.0.1:9464/debug/cpuprofile?seconds=10
//
// Which profiler made a file is in x-sonde-profiler; what a snapshot is expected to cost, in x-sonde-estimated-*, is sent
// before it is taken. HEAD checks everything and takes nothing. What cannot be served is text: 400 with what would be
// accepted, 404 with the switch, 503 with the reason.
import type { HeapSamples } from '../core/heap-samples.ts';
import { cpuProfileJson } from '../profile/recorded-cpu-profile.ts';
import type { CpuProfileRead, RecordedCpuProfile } from '../profile/devtools.ts';
import type { SnapshotEstimate } from '../profile/heap-snapshot.ts';
import { ProfileError } from '../profile/profile-error.ts';
import { text, type Answer, type Body } from './answer.ts';
import { readParameters, type Parameter } from './parameters.ts';
import type { Pieces } from './pieces.ts';

/** The engine's side of DevTools. A read that cannot be served throws a ProfileError. */
export interface DevtoolsReads {
  cpuProfile(read: CpuProfileRead): Promise<RecordedCpuProfile>;
  heapProfile(options: { readonly gc: boolean }): Promise<HeapSamples>;
}

/** Heap snapshots. Both throw a ProfileError when there is no room for one or one is being taken. */
export interface HeapSnapshotReads {
  estimate(): Promise<SnapshotEstimate>;
  take(estimate: SnapshotEstimate, signal: AbortSignal): Promise<Pieces>;
}

/** One request. */
interface DevtoolsRequest {
  readonly query: URLSearchParams;
  readonly headersOnly: boolean;
  /** Aborts when the client leaves, and when the answer has been sent. */
  readonly signal: AbortSignal;
  readonly secondsMax: number;
}

/** A file by its name below /debug/. */
export interface DevtoolsEndpoint {
  readonly path: string;
  readonly description: string;
  answer(request: DevtoolsRequest): Answer | Promise<Answer>;
}

const SECONDS_DEFAULT = 30;

const SWITCH: Parameter = { min: 0, max: 1, byDefault: 0, unit: '' };

/** DevTools' own. */
const INTERVAL_MICROS_DEFAULT = 1000;

/** At 10 kHz a profile costs a third of the CPU on top, at 1 kHz 4 to 9 % (measured); at 10 Hz there is little in it. */
const INTERVAL_MICROS_RANGE = [100, 100_000] as const;

/** Samples in one file: 300 s at DevTools' interval. Writing them takes V8 70 ms at the end. */
const SAMPLES_MAX = 300_000;

/** The endpoints; a part that is undefined is switched off. */
export function devtoolsEndpoints(
  devtools: DevtoolsReads | undefined,
  snapshots: HeapSnapshotReads | undefined,
  switchedOff: (name: string) => () => Answer,
): readonly DevtoolsEndpoint[] {
  const off = switchedOff('SONDE_PROFILING');
  return [
    {
      path: '/debug/cpuprofile',
      description: `CPU profile for Chrome DevTools. seconds=${SECONDS_DEFAULT}, interval=${INTERVAL_MICROS_DEFAULT} microseconds, deoptimize=1.`,
      answer: devtools === undefined ? off : (request) => cpuProfile(devtools, request),
    },
    {
      path: '/debug/heapprofile',
      description: 'Live memory by the place that allocated it, for Chrome DevTools. gc=1 collects garbage first.',
      answer: devtools === undefined ? off : (request) => heapProfile(devtools, request),
    },
    {
      path: '/debug/heapsnapshot',
      description:
        'Every object and what holds it, for Chrome DevTools. Stops the process for seconds, holds secrets: only with SONDE_HEAP_SNAPSHOT=true.',
      answer: snapshots === undefined ? () => SNAPSHOT_OFF : (request) => heapSnapshot(snapshots, request),
    },
  ];
}

const SNAPSHOT_OFF = text(
  404,
  'heap snapshots are off, because one holds every string of the process, secrets included, and stops it for seconds:\n' +
    'set SONDE_HEAP_SNAPSHOT=true, or the option heapSnapshot, to have them. /debug/heapprofile needs no such switch.',
);

async function cpuProfile(devtools: DevtoolsReads, { query, headersOnly, signal, secondsMax }: DevtoolsRequest): Promise<Answer> {
  const [min, max] = INTERVAL_MICROS_RANGE;
  const interval = { min, max, byDefault: INTERVAL_MICROS_DEFAULT, unit: 'microseconds' };
  const seconds = { min: 1, max: secondsMax, byDefault: Math.min(SECONDS_DEFAULT, secondsMax), unit: 'seconds' };
  const asked = readParameters(query, { seconds, interval, deoptimize: SWITCH });
  if (typeof asked === 'string') return text(400, asked);
  const intervalMin = Math.ceil((asked.seconds * 1e6) / SAMPLES_MAX);
  if (asked.interval < intervalMin) {
    return text(
      400,
      `a profile holds at most ${SAMPLES_MAX} samples: with seconds=${asked.seconds} accepted is interval=${intervalMin} to ${max}`,
    );
  }
  return checked({ headersOnly, signal }, 'profile.cpuprofile', async () => {
    const anew = asked.deoptimize === 1;
    const read = { seconds: asked.seconds, intervalMicros: asked.interval, deoptimize: anew, signal };
    const { profiler, profile } = await devtools.cpuProfile(read);
    return { headers: { 'x-sonde-profiler': profiler }, body: cpuProfileJson(profile) };
  });
}

async function heapProfile(devtools: DevtoolsReads, { query, headersOnly, signal }: DevtoolsRequest): Promise<Answer> {
  const asked = readParameters(query, { gc: SWITCH });
  if (typeof asked === 'string') return text(400, asked);
  return checked({ headersOnly, signal }, 'heap.heapprofile', async () => {
    const body = JSON.stringify(await devtools.heapProfile({ gc: asked.gc === 1 }));
    return { headers: { 'x-sonde-profiler': 'inspector' }, body };
  });
}

async function heapSnapshot(snapshots: HeapSnapshotReads, { query, headersOnly, signal }: DevtoolsRequest): Promise<Answer> {
  const asked = readParameters(query, {});
  if (typeof asked === 'string') return text(400, asked);
  // Estimated for HEAD too: that is how to ask what it would cost.
  return checked({ headersOnly: false, signal }, 'heap.heapsnapshot', async () => {
    const estimate = await snapshots.estimate();
    const headers = {
      'x-sonde-profiler': estimate.profiler,
      'x-sonde-estimated-seconds': String(estimate.seconds),
      'x-sonde-estimated-memory-bytes': String(estimate.memoryBytes),
      'x-sonde-estimated-size-bytes': String(estimate.fileBytes),
    };
    return { headers, body: headersOnly ? '' : await snapshots.take(estimate, signal) };
  });
}

interface Content {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Body;
}

async function checked(
  { headersOnly, signal }: Pick<DevtoolsRequest, 'headersOnly' | 'signal'>,
  name: string,
  content: () => Promise<Content>,
): Promise<Answer> {
  const file = { 'content-type': 'application/json; charset=utf-8', 'content-disposition': `attachment; filename="${name}"` };
  if (headersOnly) return { status: 200, headers: file, body: '' };
  try {
    const { headers, body } = await content();
    return { status: 200, headers: { ...file, ...headers }, body };
  } catch (error) {
    // The engine stopped because the client left: nobody reads the answer.
    if (signal.aborted) return text(503, 'the client has left');
    if (error instanceof ProfileError) return text(error.status, error.message);
    throw error;
  }
}
