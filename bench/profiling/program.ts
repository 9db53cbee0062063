// The process whose profiling is switched on and off: an application of the benchmark, and the profile engine as sdk.ts has it, with
// the watch for leaks where that is measured. Bundled with src by profiling.mjs, which asks `profile` and `rest` over IPC. What is
// active is known to the application in both: that is tracing's, and labels only read it.
import { subscribe } from 'node:diagnostics_channel';
import { createRequire } from 'node:module';
import path from 'node:path';
import { readConfig } from '../../src/config.ts';
import { SystemClock } from '../../src/core/clock.ts';
import { StderrDiag } from '../../src/core/diag.ts';
import { Guard } from '../../src/core/guard.ts';
import { LeakWatch } from '../../src/leak-watch.ts';
import { RuntimeMetrics } from '../../src/metrics/runtime.ts';
import { ProfileEngine } from '../../src/profile/engine.ts';
import type { SampleLabels } from '../../src/profile/labels.ts';
import { active, createActive, createLabels } from '../labels.ts';

/** What profiling.mjs hands over as JSON. */
interface Plan {
  /** File of the application. */
  readonly file: string;
  /** Of its requests; empty where no framework knows one. */
  readonly route: string;
  /** CPU samples a second. */
  readonly hz: number;
  readonly cpu: boolean;
  readonly heap: boolean;
  readonly leaks: boolean;
  /** Mean bytes between two samples. */
  readonly heapIntervalBytes: number;
}

const MEBIBYTE = 1_048_576;

const { file, route, hz, cpu, heap, leaks, heapIntervalBytes } = JSON.parse(process.argv[2]!) as Plan;
const diag = new StderrDiag('warn');
const guard = new Guard(diag);
const clock = new SystemClock();

let requests = 0;
let labels: SampleLabels | undefined;
let engine: ProfileEngine | undefined;
let watch: LeakWatch | undefined;

subscribe('http.server.request.start', () => {
  const request = createActive(requests++, route);
  active.enterWith(request);
  labels?.begun(request);
  labels?.routed(route);
});

if (leaks) {
  // There in both states, as in a service: the metrics of the runtime look for collections anyway.
  const runtime = new RuntimeMetrics(guard);
  runtime.onMajorGc(() => watch?.majorGc());
  runtime.start();
}

const require = createRequire(file);
const { answers } = require(path.join(path.dirname(file), 'control.cjs')) as { answers: Record<string, () => unknown> };

answers['profile'] = async () => {
  labels = cpu ? createLabels(guard, diag) : undefined;
  engine = new ProfileEngine({
    guard,
    diag,
    clock,
    cpu,
    heap,
    heapIntervalBytes,
    hz,
    history: { seconds: 900, bytes: 8 * MEBIBYTE },
    // Starting again and again is no usual cost.
    budget: { cpu: 1, bytes: 32 * MEBIBYTE },
    ownDirectory: path.dirname(__filename),
    labels,
    stalls: { thresholdMillis: 100, onBlock: () => {} },
  });
  if (leaks) watch = createWatch(engine);
  watch?.prepare();
  await engine.start();
  watch?.start();
  return {};
};

answers['rest'] = () => {
  watch?.stop();
  engine?.stop();
  engine = labels = watch = undefined;
  return {};
};

require(file);

/** Watching from its start on, which is more than a service has: there it looks more seldom the longer it runs. */
function createWatch(profiles: ProfileEngine): LeakWatch {
  const { config } = readConfig({}, {});
  return new LeakWatch({
    config: { ...config, leakSettings: { ...config.leakSettings, warmUpSeconds: 0 } },
    guard,
    diag,
    clock,
    engine: profiles,
    sourceMaps: undefined,
    ownDirectory: path.dirname(__filename),
    requests: { traffic: () => ({ requests, active: 0 }), recordOf: () => undefined },
    service: 'bench',
    nodeOptions: '',
    logs: () => undefined,
    flush: () => Promise.resolve(),
    isToldOfSignals: () => true,
  });
}
