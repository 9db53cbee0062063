// The process that is soaked: bundled with src by soak.mjs, run by each Node with and without profiling. Its lives follow
// one another: one of the whole engine, on a clock that runs five times as fast, so that its own windows, its governor and
// its looks at the heap come five times as often; then one of the CPU profiler alone, at rates up to 500 Hz that change all
// the time. In each turn it works and cuts a window, while heap and CPU are read and worker threads come and are killed. Those are
// not profiled, as Sonde does not: a thread that is terminated may collect the addon's profiler together with its holders,
// which it then frees twice (Node 24, one in some two hundred).
import { setImmediate as nextTurn } from 'node:timers/promises';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import type { Clock } from '../../src/core/clock.ts';
import { StderrDiag } from '../../src/core/diag.ts';
import { Guard } from '../../src/core/guard.ts';
import { ContinuousProfile } from '../../src/profile/continuous.ts';
import { ProfileEngine } from '../../src/profile/engine.ts';
import type { SampleLabels } from '../../src/profile/labels.ts';
import { loadNativeProfilers, type NativeProfilers } from '../../src/profile/native.ts';
import { encodePprof } from '../../src/profile/pprof.ts';
import { ProfileError } from '../../src/profile/profile-error.ts';
import { active, createActive, createLabels } from '../labels.ts';
import { seeded, Work } from './work.ts';

/** What soak.mjs hands over as JSON. */
interface Plan {
  readonly turns: number;
  readonly isProfiled: boolean;
}

/** What it gets back. */
export interface SoakReport {
  readonly turns: number;
  readonly rotations: number;
  readonly lives: number;
  readonly workers: number;
  readonly reads: number;
  readonly rateChanges: number;
  readonly cpuRestarts: number;
  readonly heapRestarts: number;
  readonly seconds: number;
  /** Of the process, at a hundred points of its life and more. */
  readonly rssBytes: readonly number[];
  /** Of the event loop by a rotation, in all. */
  readonly rotationMillis: number;
  readonly failures: readonly string[];
}

/** Faster, and windows would be judged stuck in which there was no time for a sample. */
const CLOCK_FACTOR = 5;

/** By turns of the engine and of the profiler alone; the first is long enough for the governor to lower the rate twice. Shorter in a short soak. */
const TURNS_OF_LIVES = [1200, 250, 50, 250];
const WHOLE_TURNS = 3000;
const RSS_POINTS = 200;
const WORKERS_MAX = 2;

/** Between two samples of the CPU profiler: 99, 500, 19, 250, 49 Hz. It makes room for 60 s of each: 1.7 MB at 500 Hz. */
const INTERVALS_MICROS = [10_101, 2000, 52_632, 4000, 20_408];
const TURNS_OF_INTERVAL = 25;

const HISTORY = { seconds: 900, bytes: 2 * 1024 * 1024 };

class FastClock implements Clock {
  readonly #epoch = Date.now();

  monotonicMillis(): number {
    return performance.now() * CLOCK_FACTOR;
  }

  epochMillis(monotonicMillis: number): number {
    return this.#epoch + monotonicMillis;
  }
}

const failures: string[] = [];
// The governor and the restarts of samplers are said, and are no failures.
const diag = new StderrDiag('warn', (line) => /failed|is not running|are off/.test(line) && failures.push(line));
const guard = new Guard(diag);
const clock = new FastClock();

/** One of the lives: what is done in each of its turns, and how it ends. */
interface Life {
  turn(index: number): void;
  end(): void;
}

class Soak {
  readonly #work = new Work(seeded(7));
  readonly #random = seeded(11);
  readonly #workers = new Set<Worker>();
  readonly #reads = new Set<Promise<void>>();
  readonly #counts = { rotations: 0, workers: 0, reads: 0, rateChanges: 0, cpuRestarts: 0, heapRestarts: 0, rotationMillis: 0 };
  labels = createLabels(guard, diag);

  async run({ turns, isProfiled }: Plan): Promise<SoakReport> {
    const started = performance.now();
    const rssBytes: number[] = [];
    let lives = 0;
    let life: Life | undefined;
    let lifeEnd = 0;
    for (let turn = 0; turn < turns; turn++) {
      if (turn === lifeEnd) {
        life?.end();
        await Promise.all(this.#reads);
        if (isProfiled) life = lives % 2 === 0 ? await this.#engineLife() : await this.#samplerLife();
        lifeEnd += Math.ceil(TURNS_OF_LIVES[lives % TURNS_OF_LIVES.length]! * Math.min(1, turns / WHOLE_TURNS));
        lives += 1;
      }
      if (turn % Math.ceil(turns / RSS_POINTS) === 0) rssBytes.push(process.memoryUsage.rss());
      await this.#serve(turn);
      life?.turn(turn);
      if (this.#random() < 0.02 && this.#workers.size < WORKERS_MAX) this.#startWorker();
    }
    life?.end();
    await Promise.all([...this.#reads, ...Array.from(this.#workers, (worker) => worker.terminate())]);
    const seconds = (performance.now() - started) / 1000;
    return {
      turns,
      lives,
      seconds,
      rssBytes,
      failures: [...failures, ...Array.from(guard.failures(), ([part, count]) => `${part} failed ${count} times`)],
      ...this.#counts,
    };
  }

  /** A request: work, a wait, work. */
  async #serve(turn: number): Promise<void> {
    const request = createActive(turn, `/route/${turn % 20}`, turn % 4 === 0 ? 0 : 1);
    await active.run(request, async () => {
      await nextTurn();
      this.labels.begun(request);
      this.labels.routed(request.route);
      this.#work.turn();
      await nextTurn();
      this.labels.label({ tenant: String(turn % 5) }, () => this.#work.turn());
    });
  }

  /** The engine as sdk.ts has it, but for a budget that it must exceed. */
  async #engineLife(): Promise<Life> {
    const labels = createLabels(guard, diag);
    this.labels = labels;
    const engine = new ProfileEngine({
      guard,
      diag,
      clock,
      cpu: true,
      heap: true,
      heapIntervalBytes: 1_048_576,
      hz: 99,
      history: HISTORY,
      budget: { cpu: 0, bytes: HISTORY.bytes },
      ownDirectory: __dirname,
      labels,
      stalls: { thresholdMillis: 50 * CLOCK_FACTOR * 3, onBlock: () => {} },
    });
    await engine.start();
    const follower = engine.follow()!;
    let hz = engine.stats().samplingHz;
    const kinds = [
      () => engine.heap(),
      () => engine.allocs(),
      () => engine.heap({ seconds: 0.05 }),
      () => engine.cpu({ seconds: 0.05 }),
      () => engine.wall({ seconds: 0.1 }),
      () => engine.cpu({ lastSeconds: 60 }),
      () => engine.heapGeneration().then(() => undefined),
    ];
    return {
      turn: (index) => {
        follower.take();
        const { samplingHz } = engine.stats();
        if (samplingHz !== hz) this.#counts.rateChanges += 1;
        hz = samplingHz;
        if (index % 5 === 0)
          this.#read(async () => {
            const profile = await kinds[(index / 5) % kinds.length]!();
            if (profile !== undefined) await encodePprof(profile);
          });
      },
      end: () => {
        const { rotations, cpuRestarts, heapRestarts } = engine.stats();
        this.#counts.rotations += rotations;
        this.#counts.cpuRestarts += cpuRestarts;
        this.#counts.heapRestarts += heapRestarts;
        this.#counts.rotationMillis += (engine.ownCpuSeconds()!.rotation * 1000) / CLOCK_FACTOR;
        engine.stop();
      },
    };
  }

  /** Continuous profiling by itself, whose rate can be chosen. */
  async #samplerLife(): Promise<Life> {
    const labels = createLabels(guard, diag);
    this.labels = labels;
    const profile = createContinuous(loadNativeProfilers(), labels);
    const { windows } = profile;
    windows.start();
    const follower = windows.follow(async (profile) => profile);
    return {
      turn: (index) => {
        follower.take();
        if (index % 10 === 0) windows.stretch(100, 100);
        if (index % 7 === 0) this.#read(async () => void (await windows.collect(() => nextTurn())));
        if (index % TURNS_OF_INTERVAL !== 0) return;
        windows.changeInterval(INTERVALS_MICROS[(index / TURNS_OF_INTERVAL) % INTERVALS_MICROS.length]!);
        this.#counts.rateChanges += 1;
      },
      end: () => {
        this.#counts.rotations += windows.rotations;
        this.#counts.cpuRestarts += profile.restarts;
        this.#counts.rotationMillis += windows.rotationMillis / CLOCK_FACTOR;
        windows.stop();
      },
    };
  }

  /** Reads meanwhile; a refusal is an answer, anything else is a failure. */
  #read(read: () => Promise<void>): void {
    this.#counts.reads += 1;
    const done = read()
      .catch((error: unknown) => {
        if (!(error instanceof ProfileError)) failures.push(String((error as Error).stack ?? error));
      })
      .finally(() => this.#reads.delete(done));
    this.#reads.add(done);
  }

  /** A thread that is killed in the middle of its work, or ends by itself. */
  #startWorker(): void {
    this.#counts.workers += 1;
    const worker = new Worker(__filename, { workerData: 20 + this.#random() * 100 });
    this.#workers.add(worker);
    worker.once('error', (error) => failures.push(`worker: ${error.stack}`));
    worker.once('exit', () => this.#workers.delete(worker));
    if (this.#random() < 0.7) setTimeout(() => void worker.terminate(), 20 + this.#random() * 100);
  }
}

function createContinuous(native: NativeProfilers, labels: SampleLabels): ContinuousProfile {
  return new ContinuousProfile({
    native,
    guard,
    diag,
    clock,
    hz: 99,
    history: HISTORY,
    budget: { cpu: 1, bytes: HISTORY.bytes },
    ownDirectory: __dirname,
    labels,
  });
}

/** A worker's life: work until its time is over or it is killed. */
async function workInThread(millis: number): Promise<void> {
  const work = new Work(seeded(3));
  for (const until = performance.now() + millis; performance.now() < until;) {
    work.turn();
    await nextTurn();
  }
}

async function main(): Promise<void> {
  if (!isMainThread) return await workInThread(workerData as number);
  const report = await new Soak().run(JSON.parse(process.argv[2]!) as Plan);
  process.send!(report);
  process.disconnect();
}

void main();
