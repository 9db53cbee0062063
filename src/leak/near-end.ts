// Sees the end of the process's memory come and writes the evidence before it: V8's limit of the old generation, after each
// major collection, and the container's, once a second. Built by the composition, which hands in what the evidence is
// made of. A crossing blocks the event loop for some 1 to 5 ms, an ordinary second for 0.1; nothing where nothing is near.
import type { MemoryLimit } from '../core/cgroup.ts';
import { memoryLimit } from '../core/cgroup.ts';
import type { Clock } from '../core/clock.ts';
import type { Diag } from '../core/diag.ts';
import { onExit } from '../core/exit.ts';
import type { Guard, Timer } from '../core/guard.ts';
import { describeDeath, evidenceText, headline } from './evidence.ts';
import type { Evidence, EvidenceProcess, HeapSite, InFlightRequest, NearEndReason } from './evidence.ts';
import type { EvidenceDirectory } from './evidence-directory.ts';
import type { LeakVerdict } from './finding.ts';
import { oldGenerationBytes } from './heap-limit.ts';
import { Watermark } from './watermark.ts';

/** A look costs 0.1 ms. */
const INTERVAL_MILLIS = 1000;

/** From half of the container's limit on: 100 MB/s go from 70 % of 256 MiB to the end in 0.8 s. */
const CLOSE_SHARE = 0.5;
const CLOSE_INTERVAL_MILLIS = 200;

/** Said in full from here on; below, and once recovered, services live for weeks. Without a directory the text is all there is. */
const FULL_TEXT_SHARE = 0.9;
const FULL_TEXT_SHARE_ALONE = 0.8;

/** Texts in the life of a process, in case its memory goes up and down for ever. */
const TEXTS_MAX = 10;

/** Evidence of a level that was there before is not written again for this long, and holds for as long after a recovery. */
const QUIET_MILLIS = 60_000;

/** A forecast that is this near counts as a crossing; and no longer when it is this far. */
const FORECAST_SECONDS = 60;
const FORECAST_PAST_SECONDS = 600;

/** The state for the exporter is written anew at most so often: at the end collections come ten a second. */
const STATE_MILLIS = 1000;

/** Without a collection, when the old generation has grown by so much of its limit, garbage or not. */
const STATE_GROWTH_SHARE = 0.1;

/** And anew while nothing is near, for V8 may run out of memory in one turn; or after so many times what that took. */
const STATE_REFRESH_MILLIS = 5000;
const STATE_PAUSE_FACTOR = 500;

/** An old generation that has risen by so much of its limit since the last look may be full before the next. */
const FAST_SHARE = 0.1;

const REQUESTS_MAX = 50;

/** The live heap of one moment. */
export interface LiveHeap {
  /** The heaviest functions, heaviest first. */
  readonly sites: readonly HeapSite[];
  /** The same by the sources that the code was compiled from, and the whole as gzipped pprof. Takes its time. */
  finish(): Promise<{ readonly sites: readonly HeapSite[]; readonly gzippedPprof: Uint8Array }>;
}

export interface NearEndSources {
  readonly verdict: () => Pick<LeakVerdict, 'level' | 'findings'> | undefined;
  readonly requests: () => readonly InFlightRequest[];
  readonly liveHeap: () => Promise<LiveHeap | undefined>;
  /** The limit that is met first at the present rate. */
  readonly forecast?: () => { readonly reason: NearEndReason; readonly seconds: number } | undefined;
}

export interface NearEndOptions {
  readonly guard: Guard;
  readonly diag: Diag;
  readonly clock: Clock;
  readonly process: EvidenceProcess;
  /** Undefined: evidence is only said and handed on. */
  readonly directory: EvidenceDirectory | undefined;
  /** Whether an exporter reads the state that is left in the directory. */
  readonly keepsState: boolean;
  /** Holds proc and sys (SONDE_CGROUP_ROOT). */
  readonly cgroupRoot: string;
  /** Whether `endedWell` is called before a signal ends the process: two who listen to signals cut each other's work short. */
  readonly isToldOfSignals: boolean;
  readonly oldGenerationLimitBytes: number;
  readonly sources: NearEndSources;
  /** Called at each crossing, for the push. */
  readonly onEvidence: (evidence: Evidence) => void;
  /** Called once with the evidence of each process that has died. */
  readonly onDeath: (evidence: Evidence) => void;
  /** For tests. */
  readonly oldGenerationBytes?: () => number;
  readonly intervalMillis?: number;
}

export class NearEnd {
  readonly #options: NearEndOptions;
  readonly #oldGenerationBytes: () => number;
  readonly #heap = new Watermark();
  readonly #container = new Watermark();
  #timer: Timer | undefined;
  #stopSignals: (() => void) | undefined;
  #closeTimer: Timer | undefined;
  #fastTimer: Timer | undefined;
  #lookedShare = 0;
  #isForecast = false;
  #evidence: Evidence | undefined;
  #file: string | undefined;
  #profile: string | null = null;
  #sites: readonly HeapSite[] = [];
  #writtenShare = 0;
  #writtenMillis = -Infinity;
  #touchedMillis = -Infinity;
  #stateMillis = -Infinity;
  #stateShare = 0;
  #stateDueMillis = Infinity;
  #recoveredMillis: number | undefined;
  #texts = 0;
  #work: Promise<unknown> = Promise.resolve();

  constructor(options: NearEndOptions) {
    this.#options = options;
    this.#oldGenerationBytes = options.oldGenerationBytes ?? oldGenerationBytes;
  }

  /** Begins to watch, and looks for what earlier processes have left. */
  start(): void {
    const { guard, intervalMillis = INTERVAL_MILLIS } = this.#options;
    this.#timer = guard.every('near end', intervalMillis, () => this.tick());
    process.on('exit', this.#onExit);
    // V8 may run out of memory in one turn of the loop, before anything was near.
    this.#writeState(0);
    this.#lookedShare = this.#heapShare();
    // Of what is to come in the first second nothing is known.
    this.#lookOften();
    void guard.runAsync('past evidence', () => this.#reportPast());
  }

  stop(): void {
    this.#timer?.stop();
    this.#closeTimer?.stop();
    this.#fastTimer?.stop();
    this.#stopSignals?.();
    process.removeListener('exit', this.#onExit);
    this.#options.directory?.dropState();
  }

  /** To be called shortly after each major collection: what is then in use is alive, but for what has been promoted since. */
  majorGc(): void {
    const share = this.#heapShare();
    const crossed = this.#heap.rise(share);
    if (crossed !== undefined) this.#near('heap-limit', crossed);
    else this.#leaveState(share);
    this.#lookAtContainer();
  }

  /** One look at what changes without a collection. */
  tick(): void {
    this.#lookAtContainer();
    this.#lookAtGrowth();
    this.#lookAtForecast();
    this.#lookAtRecovery();
  }

  /** The process ends, but not by its memory. */
  endedWell(): void {
    this.#options.directory?.over();
  }

  /** Resolves when everything of the crossings so far is written. */
  async settled(): Promise<void> {
    await this.#work;
  }

  #lookAtContainer(): void {
    const container = memoryLimit(this.#options.cgroupRoot);
    const share = container === undefined ? 0 : container.usedBytes / container.limitBytes;
    if (share < CLOSE_SHARE) {
      this.#closeTimer?.stop();
      this.#closeTimer = undefined;
    } else {
      this.#closeTimer ??= this.#options.guard.every('near end', CLOSE_INTERVAL_MILLIS, () => this.#lookAtContainer());
    }
    const crossed = this.#container.rise(share);
    if (crossed !== undefined) this.#near('container-limit', crossed);
  }

  #heapShare(): number {
    return this.#oldGenerationBytes() / this.#options.oldGenerationLimitBytes;
  }

  #lookAtGrowth(): void {
    const share = this.#heapShare();
    const isFast = share - this.#lookedShare >= FAST_SHARE;
    this.#lookedShare = share;
    if (this.#options.clock.monotonicMillis() >= this.#stateDueMillis) this.#writeState(share);
    else this.#leaveStateOfGrowth(share);
    if (isFast) this.#lookOften();
    else {
      this.#fastTimer?.stop();
      this.#fastTimer = undefined;
    }
  }

  /** As often as at a container that is close; for the state alone, so not where none is kept. */
  #lookOften(): void {
    const { guard, keepsState } = this.#options;
    if (keepsState) this.#fastTimer ??= guard.every('near end', CLOSE_INTERVAL_MILLIS, () => this.#leaveStateOfGrowth(this.#heapShare()));
  }

  /** At 60 MB/s a limit of 128 MiB was met without one collection that was told of in time: one of twenty on Node 22. */
  #leaveStateOfGrowth(share: number): void {
    if (share >= this.#stateShare + STATE_GROWTH_SHARE) this.#leaveState(share);
  }

  #lookAtForecast(): void {
    const forecast = this.#options.sources.forecast?.();
    const isNear = forecast !== undefined && forecast.seconds < FORECAST_SECONDS;
    if (isNear && !this.#isForecast) {
      this.#isForecast = true;
      this.#near(forecast.reason, this.#writtenShare, this.#writtenShare === 0 ? forecast.seconds : null);
    } else if (forecast === undefined || forecast.seconds > FORECAST_PAST_SECONDS) {
      this.#isForecast = false;
    }
  }

  #lookAtRecovery(): void {
    if (this.#evidence === undefined) return;
    const nowMillis = this.#options.clock.monotonicMillis();
    if (this.#heap.level > 0 || this.#container.level > 0 || this.#isForecast) {
      this.#recoveredMillis = undefined;
      if (nowMillis - this.#touchedMillis < QUIET_MILLIS) return;
      this.#touchedMillis = nowMillis;
      this.#options.directory?.touch(this.#options.clock.epochMillis(nowMillis));
      return;
    }
    this.#recoveredMillis ??= nowMillis;
    if (nowMillis - this.#recoveredMillis < QUIET_MILLIS) return;
    this.#options.directory?.over();
    this.#evidence = undefined;
    this.#writtenShare = 0;
  }

  #near(reason: NearEndReason, share: number, forecastSeconds: number | null = null): void {
    const { clock, directory, guard, diag, onEvidence } = this.#options;
    const startMillis = clock.monotonicMillis();
    if (share <= this.#writtenShare && startMillis - this.#writtenMillis < QUIET_MILLIS) return;
    this.#writtenShare = Math.max(share, this.#writtenShare);
    this.#writtenMillis = startMillis;
    const evidence = this.#gather(reason, forecastSeconds);
    this.#evidence = evidence;
    this.#file = directory?.write(evidence);
    diag.debug(`evidence (${reason}, ${share}) written in ${(clock.monotonicMillis() - startMillis).toFixed(2)} ms`);
    // Ended by a signal it is not ended by its memory; until now the signals were none of our business.
    if (!this.#options.isToldOfSignals) this.#stopSignals ??= onExit(() => Promise.resolve(this.endedWell()), guard);
    this.#work = this.#work.then(() => guard.runAsync('near end heap', () => this.#addHeap(share)));
    onEvidence(evidence);
  }

  /** The live heap comes second: reading it costs more, and may fail. */
  async #addHeap(share: number): Promise<void> {
    const { sources, directory, diag, clock } = this.#options;
    const startMillis = clock.monotonicMillis();
    const heap = await sources.liveHeap().catch(() => undefined);
    if (this.#evidence === undefined) return;
    this.#sites = heap?.sites ?? this.#sites;
    this.#rewrite();
    this.#say(this.#evidence, share);
    if (heap === undefined || directory === undefined) return;
    const { sites, gzippedPprof } = await heap.finish();
    const writeMillis = clock.monotonicMillis();
    this.#sites = sites;
    this.#profile = directory.writeProfile(gzippedPprof) ?? null;
    this.#rewrite();
    const endMillis = clock.monotonicMillis();
    diag.debug(
      `evidence with its profile after ${(endMillis - startMillis).toFixed(2)} ms, of which writing ${(endMillis - writeMillis).toFixed(2)} ms`,
    );
  }

  /** The last evidence with what is known of the heap now. */
  #rewrite(): void {
    if (this.#evidence === undefined) return;
    this.#evidence = { ...this.#evidence, heap: this.#sites, profile: this.#profile };
    this.#file = this.#options.directory?.write(this.#evidence);
  }

  #say(evidence: Evidence, share: number): void {
    this.#texts += 1;
    if (this.#texts > TEXTS_MAX) return;
    const isWhole = share >= (this.#file === undefined ? FULL_TEXT_SHARE_ALONE : FULL_TEXT_SHARE);
    const line = `${headline(evidence)}${this.#file === undefined ? '' : `; evidence: ${this.#file}`}`;
    this.#options.diag.notice(isWhole ? evidenceText(evidence, this.#file) : line);
  }

  #leaveState(share: number): void {
    const nowMillis = this.#options.clock.monotonicMillis();
    if (share < CLOSE_SHARE || nowMillis - this.#stateMillis < STATE_MILLIS) return;
    this.#stateMillis = nowMillis;
    this.#writeState(share);
  }

  #writeState(share: number): void {
    const { keepsState, directory, clock } = this.#options;
    if (!keepsState) return;
    const startMillis = clock.monotonicMillis();
    this.#stateShare = share;
    directory?.writeState(this.#gather('v8-out-of-memory', null));
    const endMillis = clock.monotonicMillis();
    this.#stateDueMillis = endMillis + Math.max(STATE_REFRESH_MILLIS, STATE_PAUSE_FACTOR * (endMillis - startMillis));
  }

  #gather(reason: NearEndReason, forecastSeconds: number | null): Evidence {
    const { clock, guard, process: of, sources, oldGenerationLimitBytes: limitBytes, cgroupRoot } = this.#options;
    const epochMillis = clock.epochMillis(clock.monotonicMillis());
    // Evidence without the one is better than none.
    const verdict = guard.run('near end verdict', sources.verdict);
    const requests = guard.run('near end requests', sources.requests) ?? [];
    const oldGeneration: MemoryLimit = { usedBytes: this.#oldGenerationBytes(), limitBytes };
    return {
      ...of,
      reason,
      epochMillis,
      time: new Date(epochMillis).toISOString(),
      measuredEpochMillis: epochMillis,
      forecastSeconds,
      uptimeSeconds: process.uptime(),
      oldGeneration,
      container: memoryLimit(cgroupRoot) ?? null,
      memoryUsage: process.memoryUsage(),
      verdict: verdict === undefined ? null : { level: verdict.level, findings: verdict.findings },
      heap: this.#sites,
      requests: requests.slice(0, REQUESTS_MAX),
      profile: this.#profile,
    };
  }

  readonly #onExit = (code: number): void => {
    if (code === 0) this.endedWell();
    else this.#options.directory?.dropState();
  };

  async #reportPast(): Promise<void> {
    const { directory, process: own, clock, diag, onDeath } = this.#options;
    const past = await directory?.takePast(own.host, clock.epochMillis(clock.monotonicMillis()));
    for (const { evidence, file } of past ?? []) {
      // Nothing was near yet: whoever killed it had another reason.
      if (typeof evidence.forecastSeconds === 'number') continue;
      diag.notice(describeDeath(evidence, file));
      onDeath(evidence);
    }
  }
}
