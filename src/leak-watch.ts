// Puts together what watches for leaks: the detector, the live heap it compares, who else names what grows, and who is
// told. Built by sdk.ts, started once the profilers run.
import { readFile } from 'node:fs/promises';
import { isMainThread } from 'node:worker_threads';
import type { Config } from './config.ts';
import type { Clock } from './core/clock.ts';
import type { Diag } from './core/diag.ts';
import type { Guard } from './core/guard.ts';
import type { OtlpLogsExporter } from './export/otlp-logs.ts';
import { CreationNaming } from './leak/creation-naming.ts';
import { LeakDetector } from './leak/detector.ts';
import { enclosingFunction } from './leak/enclosing-function.ts';
import type { NearEndReason } from './leak/evidence.ts';
import { evidenceEvent } from './leak/evidence-event.ts';
import { LEAK_KINDS, LEAK_LEVELS, type LeakFinding, type LeakVerdict } from './leak/finding.ts';
import type { Named } from './leak/findings.ts';
import { type HeapLimitInputs, heapLimitInputs, oldGenerationLimitBytes } from './leak/heap-limit.ts';
import { HeapNaming } from './leak/heap-naming.ts';
import { leakEvent } from './leak/leak-event.ts';
import { leakSentence } from './leak/leak-text.ts';
import { ListenerWarnings } from './leak/listener-warnings.ts';
import { MemoryReader } from './leak/memory.ts';
import { ANONYMOUS, ownerOf, type Site } from './leak/site.ts';
import type { Family } from './metrics/family.ts';
import { LeakMetrics } from './metrics/leaks.ts';
import { createNearEnd, type NearEndWatch } from './near-end.ts';
import type { ProfileEngine } from './profile/engine.ts';
import { frameOf } from './profile/frame.ts';
import type { Profile } from './profile/profile.ts';
import type { SourceMaps } from './profile/source-maps.ts';
import type { ServerRequests } from './request.ts';

export interface LeakWatchDeps {
  readonly config: Config;
  readonly guard: Guard;
  readonly diag: Diag;
  readonly clock: Clock;
  readonly engine: ProfileEngine;
  readonly sourceMaps: SourceMaps | undefined;
  /** Where Sonde's own files are. */
  readonly ownDirectory: string;
  readonly requests: Pick<ServerRequests, 'traffic' | 'recordOf'>;
  readonly service: string;
  /** The variable NODE_OPTIONS. */
  readonly nodeOptions: string;
  /** Where changes of level are pushed to; undefined where there is no receiver. */
  readonly logs: () => OtlpLogsExporter | undefined;
  /** Sends what is queued for all receivers. */
  readonly flush: () => Promise<void>;
  /** Whether `endedWell` is called before a signal ends the process. */
  readonly isToldOfSignals: () => boolean;
}

/** A leaking function is looked for in the CPU samples of so many seconds, and again after so many. */
const ROUTE_SECONDS = 60;

/** No limit holds them but that of descriptors, which is 1,024 to a million: a service with so many of one type is in trouble. */
const RESOURCES_LIMIT = 10_000;

/** Frames of a stack whose route is asked for, 1 ms each. */
const ROUTE_FRAMES_MAX = 8;

/** Sites whose route and name are remembered. */
const REMEMBERED_MAX = 64;

export class LeakWatch {
  readonly detector: LeakDetector;
  readonly #deps: LeakWatchDeps;
  readonly #metrics = new LeakMetrics(LEAK_KINDS, LEAK_LEVELS);
  readonly #heapNaming: HeapNaming;
  readonly #listenerWarnings: ListenerWarnings;
  readonly #limitInputs: HeapLimitInputs;
  readonly #heapLimitBytes: number;
  #nearEnd: NearEndWatch | undefined;
  readonly #enclosings = new Map<string, string | undefined>();
  readonly #routes = new Map<string, { readonly route: string | null; readonly atMillis: number }>();

  constructor(deps: LeakWatchDeps) {
    const { config, guard, clock, engine, ownDirectory } = deps;
    this.#deps = deps;
    this.#limitInputs = heapLimitInputs(deps.nodeOptions);
    this.#heapLimitBytes = oldGenerationLimitBytes(this.#limitInputs);
    this.#heapNaming = new HeapNaming({
      clock,
      readHeap: () => engine.heapGeneration(),
      readsCollect: () => engine.stats().heap === 'inspector',
      ownership: { ownDirectory },
      sampleBytes: config.heapIntervalBytes,
    });
    this.#listenerWarnings = new ListenerWarnings({ guard, clock, ownership: { ownDirectory } });
    const memory = new MemoryReader(config.cgroupRoot);
    this.detector = new LeakDetector({
      guard,
      clock,
      settings: config.leakSettings,
      memory: () => memory.read(),
      traffic: () => deps.requests.traffic(),
      heapLimitBytes: () => this.#heapLimitBytes,
      resourceLimit: () => RESOURCES_LIMIT,
      heapNaming: this.#heapNaming,
      creations: new CreationNaming({ guard, clock, ownership: { ownDirectory }, arrayBufferBytes }),
      describe: (named) => this.#describe(named),
      collectGarbage: () => engine.collectGarbage(),
      onChange: (finding) => this.#tell(finding),
      notes: () => this.#notes(),
    });
  }

  /** To be called before the heap sampler starts, which is told what to run when V8 runs out of memory. Of a process there is one, on its main thread. */
  prepare(): void {
    if (isMainThread) this.#nearEnd = this.#deps.guard.run('near end', () => this.#createNearEnd());
  }

  get outOfMemoryCommand(): readonly string[] | undefined {
    return this.#nearEnd?.outOfMemoryCommand;
  }

  start(): void {
    this.#nearEnd?.nearEnd.start();
    this.#listenerWarnings.start();
    this.detector.start();
  }

  stop(): void {
    this.#nearEnd?.nearEnd.stop();
    this.#listenerWarnings.stop();
    this.detector.stop();
  }

  /** The process ends as it should: what was near is no death. */
  endedWell(): void {
    this.#nearEnd?.nearEnd.endedWell();
  }

  majorGc(): void {
    this.detector.majorGc();
    this.#nearEnd?.nearEnd.majorGc();
  }

  verdict(): LeakVerdict {
    return this.detector.verdict();
  }

  /** `sonde_leak_*`. */
  families(): Family[] {
    return this.#metrics.families(this.verdict());
  }

  /** A live heap that was kept, with the names of the sources. */
  async generation(index: number): Promise<Profile | undefined> {
    const heap = this.#heapNaming.heap(index) as Profile | undefined;
    return heap && (await this.#deps.engine.mapped(heap));
  }

  /** What the samples of the heap lack. */
  #notes(): readonly string[] {
    const { heap, heapRestarts, heapBorrowed } = this.#deps.engine.stats();
    return [
      ...(heap === 'off' ? ['the heap is not sampled, so nothing on it can be named'] : []),
      ...(heap === 'inspector' ? ['without @datadog/pprof nothing on the heap is named above 256 MiB'] : []),
      ...(heapBorrowed ? ['the samples of the heap are those of another profiler in this process, at its rate'] : []),
      ...(heapRestarts > 0
        ? [`another profiler in this process has stopped the heap sampler ${heapRestarts} times; what was known by then is lost`]
        : []),
    ];
  }

  #createNearEnd(): NearEndWatch {
    const { config, logs, flush } = this.#deps;
    return createNearEnd({
      ...this.#deps,
      limitInputs: this.#limitInputs,
      oldGenerationLimitBytes: this.#heapLimitBytes,
      dumpDirectory: config.dumpDirectory,
      cgroupRoot: config.cgroupRoot,
      isToldOfSignals: this.#deps.isToldOfSignals(),
      verdict: () => this.verdict(),
      forecast: () => this.#soonestLimit(),
      onEvidence: (evidence) => {
        logs()?.event(evidenceEvent('sonde.memory_limit_near', evidence));
        void flush();
      },
      onDeath: (evidence) => logs()?.event(evidenceEvent('sonde.out_of_memory', evidence)),
    });
  }

  /** Of what is a leak: the rate of a suspect is of few readings yet. */
  #soonestLimit(): { readonly reason: NearEndReason; readonly seconds: number } | undefined {
    const forecasts = this.verdict()
      .findings.filter(({ level }) => level === 'leak')
      .flatMap(({ heapLimit, containerLimit }) => [
        ...(heapLimit === null ? [] : [{ reason: 'heap-limit' as const, seconds: heapLimit.seconds }]),
        ...(containerLimit === null ? [] : [{ reason: 'container-limit' as const, seconds: containerLimit.seconds }]),
      ]);
    return forecasts.toSorted((a, b) => a.seconds - b.seconds)[0];
  }

  async #describe(found: Named): Promise<Named> {
    if (found.site === null) return found;
    const named = { ...found, route: this.#routeOf(found), note: found.note || this.#listenersOf(found) };
    return await this.#inSources(named, found.site);
  }

  /** The same in the words of the sources. */
  async #inSources(named: Named, ran: Site): Promise<Named> {
    const namer = named.namer ?? ran;
    const [site, mappedNamer, ...others] = await this.#mapped([ran, namer, ...named.stack, ...named.leaves.map((leaf) => leaf.site)]);
    if (site === undefined || mappedNamer === undefined) return named;
    const isNameless = named.isNameless ?? ran.function === ANONYMOUS;
    const name = (isNameless ? await this.#enclosing(site) : undefined) ?? mappedNamer.function;
    const stack = others.slice(0, named.stack.length);
    const leaves = named.leaves.map((leaf, i) => ({ ...leaf, site: others[named.stack.length + i] ?? leaf.site }));
    return { ...named, site: { ...site, function: name }, stack, leaves };
  }

  /** The function that a callback is written in, by the text of its file; undefined where that cannot be read. */
  async #enclosing({ file, line, column }: Site): Promise<string | undefined> {
    const key = `${file}:${line}:${column}`;
    if (!this.#enclosings.has(key)) {
      if (this.#enclosings.size >= REMEMBERED_MAX) this.#enclosings.clear();
      const text = await readFile(file, 'utf8').catch(() => '');
      this.#enclosings.set(key, enclosingFunction(text, line, column));
    }
    return this.#enclosings.get(key);
  }

  async #mapped(sites: readonly Site[]): Promise<readonly Site[]> {
    const { sourceMaps } = this.#deps;
    if (sourceMaps === undefined) return sites;
    const frames = await sourceMaps.locate(sites.map(({ function: name, file, line, column }) => frameOf(name, file, line, column)));
    return frames.map(({ name, file, line, column }) => ({ function: name, file, line, column }));
  }

  /** What Node has warned of where listeners were added in a function on the stack. */
  #listenersOf({ site, stack }: Named): string {
    const functions = [site, ...stack].map((at) => at && `${at.file} ${at.function}`);
    const warning = this.#listenerWarnings.list().find(({ site: at }) => at !== null && functions.includes(`${at.file} ${at.function}`));
    if (warning === undefined) return '';
    const { event, emitterClass, count, site: at } = warning;
    return `${count} listeners of '${event}' on one ${emitterClass}, added at ${at!.file}:${at!.line}`;
  }

  /** The route that runs the site most; the innermost caller that was ever sampled tells where the site was not. */
  #routeOf({ keys: [key = ''], stack }: Named): string | null {
    const { clock, engine } = this.#deps;
    const nowMillis = clock.monotonicMillis();
    const known = this.#routes.get(key);
    if (known !== undefined && nowMillis - known.atMillis < ROUTE_SECONDS * 1000) return known.route;
    let route: string | null = null;
    const own = stack.filter(({ file }) => ownerOf(file, {}) === 'application').slice(0, ROUTE_FRAMES_MAX);
    for (const { function: name, file, line, column } of own) {
      const samples = [...engine.samplesByRoute(frameOf(name, file, line, column), ROUTE_SECONDS)];
      if (samples.length === 0) continue;
      route = samples.reduce((best, entry) => (entry[1] > best[1] ? entry : best))[0];
      break;
    }
    if (this.#routes.size >= REMEMBERED_MAX) this.#routes.clear();
    this.#routes.set(key, { route, atMillis: nowMillis });
    return route;
  }

  #tell(finding: LeakFinding): void {
    const { config, guard, diag, logs } = this.#deps;
    this.#metrics.changed(finding);
    const line = `${leakSentence(finding)}; see /debug/leaks`;
    // What grows may be a cache, and there are many of those.
    if (finding.level === 'growing') diag.info(line);
    else diag.notice(line);
    logs()?.event(leakEvent(finding));
    const { onLeak } = config;
    if (onLeak !== undefined) void guard.runAsync('onLeak', async () => onLeak(finding));
  }
}

function arrayBufferBytes(): number {
  return process.memoryUsage().arrayBuffers;
}
