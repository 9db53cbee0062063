// The process whose profiling is switched on and off: an application of the benchmark, and the profile engine as sdk.ts has it.
// Bundled with src by profiling.mjs, which asks `profile` and `rest` over IPC. What is active is known to the application in
// both: that is tracing's, and labels only read it.
import { subscribe } from 'node:diagnostics_channel';
import { createRequire } from 'node:module';
import path from 'node:path';
import { SystemClock } from '../../src/core/clock.ts';
import { StderrDiag } from '../../src/core/diag.ts';
import { Guard } from '../../src/core/guard.ts';
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
  /** Mean bytes between two samples. */
  readonly heapIntervalBytes: number;
}

const MEBIBYTE = 1_048_576;

const { file, route, hz, cpu, heap, heapIntervalBytes } = JSON.parse(process.argv[2]!) as Plan;
const diag = new StderrDiag('warn');
const guard = new Guard(diag);

let requests = 0;
let labels: SampleLabels | undefined;
let engine: ProfileEngine | undefined;

subscribe('http.server.request.start', () => {
  const request = createActive(requests++, route);
  active.enterWith(request);
  labels?.begun(request);
  labels?.routed(route);
});

const require = createRequire(file);
const { answers } = require(path.join(path.dirname(file), 'control.cjs')) as { answers: Record<string, () => unknown> };

answers['profile'] = async () => {
  labels = cpu ? createLabels(guard, diag) : undefined;
  engine = new ProfileEngine({
    guard,
    diag,
    clock: new SystemClock(),
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
  await engine.start();
  return {};
};

answers['rest'] = () => {
  engine?.stop();
  engine = labels = undefined;
  return {};
};

require(file);
