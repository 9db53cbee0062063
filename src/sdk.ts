// Composition root: builds the parts, hands each what it needs of the others, starts and stops them. The only file
// that knows all. Two steps: `observe` (requests, spans, log ids; light, before the application loads) and `serve`
// (admin server, runtime metrics, profilers, push of metrics; once the application serves HTTP or asks for it).
import path from 'node:path';
import type { Span as ApiSpan } from '@opentelemetry/api';
import { ClientRequests } from './client-request.ts';
import { processEnvironment, readConfig, type Config } from './config.ts';
import type { OtlpConfig } from './config-otlp.ts';
import { SystemClock } from './core/clock.ts';
import {
  activeContext,
  activeIds,
  activeSpan,
  type ActiveSpan,
  followContext,
  idsOf,
  runSuppressed,
  runWith,
  SAMPLED,
  SPAN_KEY,
} from './core/context.ts';
import { StderrDiag, type Diag } from './core/diag.ts';
import { onExit } from './core/exit.ts';
import { Guard } from './core/guard.ts';
import { resource, type ProcessResource } from './core/resource.ts';
import { VERSION } from './core/version.ts';
import { OtlpMetricsExporter, OtlpTraceExporter } from './export/otlp.ts';
import { OtlpLogsExporter } from './export/otlp-logs.ts';
import type { ProfileExporter } from './export/profile-exporter.ts';
import { ExpressInstrumentation } from './instrument/express.ts';
import { fastifyObserver, instrumentFastify } from './instrument/fastify.ts';
import { instrumentHttpClient } from './instrument/http-client.ts';
import { describeClient, describeServer } from './instrument/http-semconv.ts';
import { instrumentHttpServer } from './instrument/http-server.ts';
import { observeListening } from './instrument/listen.ts';
import { ModuleHooks } from './instrument/modules.ts';
import { registerApi, SondeContextManager } from './instrument/otel-api.ts';
import { instrumentUndici } from './instrument/undici.ts';
import { LeakWatch } from './leak-watch.ts';
import type { LeakVerdict } from './leak/finding.ts';
import type { Profile } from './profile/profile.ts';
import { correlateBunyan } from './logs/bunyan.ts';
import { ConsoleCorrelation } from './logs/console.ts';
import { correlatePino } from './logs/pino.ts';
import { correlateWinston } from './logs/winston.ts';
import { OtelMetricsBridge, type MetricsSdk } from './metrics/bridges/otel.ts';
import { PromClientBridge, type PromClientExports } from './metrics/bridges/prom-client.ts';
import { LegacyMetrics } from './metrics/legacy.ts';
import { ProcessMetrics } from './metrics/process.ts';
import { Registry } from './metrics/registry.ts';
import { RuntimeMetrics } from './metrics/runtime.ts';
import { selfFamilies, type ProfileReading } from './metrics/self.ts';
import { StallMetrics } from './metrics/stalls.ts';
import { ConfigError, describeProblem, type Options } from './options.ts';
import { ProfileEngine } from './profile/engine.ts';
import { ClassHistograms } from './profile/class-histogram.ts';
import { HeapSnapshots } from './profile/heap-snapshot.ts';
import { SampleLabels } from './profile/labels.ts';
import { Stalls, type StallEvent } from './profile/stalls.ts';
import { averageObjectBytes } from './profile/snapshot-cost.ts';
import { READ_SECONDS_MAX } from './profile/timed-reads.ts';
import { V8ProfilerNext } from './profile/v8-profiler-next.ts';
import { SourceMaps } from './profile/source-maps.ts';
import { ServerRequests } from './request.ts';
import { Access } from './serve/access.ts';
import type { AdminServer } from './serve/admin.ts';
import { Endpoints } from './serve/endpoints.ts';
import type { Sonde } from './sonde.ts';
import { W3CPropagator } from './trace/propagation.ts';
import { TraceRing } from './trace/ring.ts';
import { createSampler } from './trace/sampling.ts';
import { Span } from './trace/span.ts';
import { SondeTracerProvider, Tracing } from './trace/tracer.ts';

/** Where two copies of the package meet: one process has one Sonde. */
const RUNNING = Symbol.for('sonde.running');
const globals = globalThis as { [RUNNING]?: SondeRuntime | undefined };

const PORT_DEFAULT = 9464;

/**
 * Starts Sonde, or returns the one that runs already (the preload's, or another copy's); its options then stay.
 * Throws `ConfigError` when an option or a variable of the environment cannot be used; without options (a middleware
 * is being mounted) problems are said, as under the preload.
 */
export function startRuntime(options?: Options): SondeRuntime {
  const running = globals[RUNNING];
  if (running !== undefined) {
    running.serve();
    return running;
  }
  const { config, problems } = readConfig(options ?? {}, processEnvironment());
  if (options !== undefined && problems.length > 0) throw new ConfigError(problems);
  const sonde = install(config, new StderrDiag(config.logLevel));
  sonde.problems = problems.map(describeProblem);
  sonde.serve();
  return sonde;
}

/** The preload: observes now, serves when the application does; problems are said and never thrown. */
export function preload(): void {
  if (globals[RUNNING] !== undefined) return;
  const { config, problems } = readConfig({}, processEnvironment());
  const diag = new StderrDiag(config.logLevel);
  if (!config.enabled) return;
  try {
    install(config, diag);
  } catch (error) {
    diag.warn('start', `could not start, the application runs without it: ${String(error)}`);
    return;
  }
  // A child that never serves says nothing, so problems wait until it is known that this process does.
  if (problems.length > 0) globals[RUNNING]!.problems = problems.map(describeProblem);
}

function install(config: Config, diag: Diag): SondeRuntime {
  const sonde = new SondeRuntime(config, diag);
  globals[RUNNING] = sonde;
  if (config.enabled) sonde.observe();
  return sonde;
}

/** What is asked of the leak detector, whether or not it runs yet. */
interface LeakReads {
  verdict(): LeakVerdict;
  generation(index: number): Promise<Profile | undefined>;
}

const NOT_WATCHED_YET: LeakVerdict = {
  level: 'watching',
  findings: [],
  kinds: [],
  generations: [],
  notes: ['leaks are watched from when the application listens'],
};

/** The parts and their life. */
export class SondeRuntime implements Sonde {
  /** What was wrong with the environment, said together with the start line. */
  problems: readonly string[] = [];
  readonly endpoints: Endpoints | undefined;
  readonly profile: ProfileEngine;
  readonly leaks: LeakReads | undefined;
  readonly stalls: Stalls | undefined;
  /** From functions that run to those of the sources, for whatever names functions to people. */
  readonly sourceMaps: SourceMaps | undefined;
  readonly #heapSnapshots: HeapSnapshots | undefined;
  readonly metrics: Registry;
  readonly traces: TraceRing;
  /** Observes a Fastify instance that was made before Sonde started. */
  readonly observeFastify: (fastify: unknown) => void;
  readonly #config: Config;
  readonly #diag: Diag;
  readonly #guard: Guard;
  readonly #clock = new SystemClock();
  readonly #resource: ProcessResource;
  readonly #tracing: Tracing;
  readonly #labels: SampleLabels | undefined;
  readonly #stallMetrics = new StallMetrics();
  readonly #requests: ServerRequests;
  readonly #clients: ClientRequests;
  readonly #runtime: RuntimeMetrics;
  readonly #process: ProcessMetrics;
  readonly #otelMetrics: OtelMetricsBridge;
  readonly #promClient: PromClientBridge;
  readonly #stops: (() => void)[] = [];
  #traceExporter: OtlpTraceExporter | undefined;
  #metricsExporter: OtlpMetricsExporter | undefined;
  #logsExporter: OtlpLogsExporter | undefined;
  #profileExporters: readonly ProfileExporter[] = [];
  #leakWatch: LeakWatch | undefined;
  #admin: AdminServer | undefined;
  #url: string | undefined;
  #serving = false;
  #collisions = 0;

  constructor(config: Config, diag: Diag) {
    this.#config = config;
    this.#diag = diag;
    const clock = this.#clock;
    const guard = new Guard(diag);
    this.#guard = guard;
    this.#resource = resource({ serviceName: config.serviceName, attributes: config.resourceAttributes, sdkVersion: VERSION });
    this.traces = new TraceRing();
    this.#tracing = new Tracing({
      clock,
      sampler: config.traces ? createSampler(config.sampler, config.samplerRatio) : () => false,
      limits: config.spanLimits,
      propagation: config.propagation,
      resource: this.#resource,
      keep: config.traces ? (root) => this.traces.offer(root) : undefined,
      push: undefined,
    });
    const { knownMethods, seriesLimit } = config;
    const labels = config.profiling ? this.#sampleLabels() : undefined;
    this.#labels = labels;
    const describer = describeServer({ knownMethods, isProfiled: config.profiling && config.pyroscope !== undefined });
    this.#requests = new ServerRequests({ knownMethods, seriesLimit }, { guard, clock, tracing: this.#tracing, describer, labels });
    this.#clients = new ClientRequests({
      clock,
      tracing: this.#tracing,
      describer: describeClient({ knownMethods }),
      knownMethods,
      seriesLimit,
    });
    this.observeFastify = fastifyObserver(this.#requests, guard);
    this.#runtime = new RuntimeMetrics(guard, () => this.profile.stats().lostIdleMillis);
    this.#process = new ProcessMetrics({ guard, clock });
    this.#otelMetrics = new OtelMetricsBridge(guard, () => require('./otel-metrics-sdk.js') as MetricsSdk);
    this.#promClient = new PromClientBridge(guard);
    this.metrics = this.#registry();
    if (config.sourceMaps) {
      this.sourceMaps = new SourceMaps({ guard, diag, workerFile: path.join(__dirname, 'profile/source-map-worker.js') });
    }
    if (config.profiling) this.stalls = this.#stalls();
    const directories = [() => path.dirname(process.argv[1] ?? ''), () => process.cwd(), () => __dirname];
    const v8ProfilerNext = new V8ProfilerNext({ diag, directories });
    this.profile = this.#profileEngine(v8ProfilerNext);
    if (config.heapSnapshot) this.#heapSnapshots = this.#createHeapSnapshots(v8ProfilerNext);
    if (config.leaks) this.leaks = this.#leakReads();
    if (config.enabled) this.endpoints = this.#endpoints();
  }

  get url(): string | undefined {
    return this.#url;
  }

  /** Begins to see requests, spans and log lines. Light: this is what the application's start-up pays for. */
  observe(): void {
    const guard = this.#guard;
    const { logs, metrics, traces, otlpTraces, otlpMetrics, batch } = this.#config;
    const modules = new ModuleHooks(guard, this.#diag);
    const express = new ExpressInstrumentation(this.#requests, guard);
    modules.onLoad('express', (exports) => express.express(exports));
    modules.onLoad('finalhandler', (exports) => express.finalhandler(exports));
    for (const name of ['prom-client', '@prometheus-io/client']) {
      modules.onLoad(name, (exports) => this.#promClient.add(exports as PromClientExports));
    }
    if (logs) this.#correlateLogs(modules);
    modules.install();
    if (this.#labels !== undefined) this.#followContext(this.#labels);
    this.#stops.push(
      () => modules.uninstall(),
      instrumentHttpServer(this.#requests, guard),
      instrumentHttpClient(this.#clients, guard),
      instrumentUndici(this.#clients, guard),
      instrumentFastify(this.observeFastify),
      observeListening(() => this.serve(), guard),
      registerApi(
        {
          trace: new SondeTracerProvider(this.#tracing),
          context: new SondeContextManager(),
          propagation: new W3CPropagator(this.#config.propagation),
          metrics: this.#otelMetrics,
        },
        this.#diag,
      ),
    );
    if (traces && otlpTraces !== undefined) {
      const deps = { guard, diag: this.#diag, clock: this.#clock, resource: this.#resource };
      const exporter = new OtlpTraceExporter({ ...otlpTraces, ...batch }, deps);
      this.#traceExporter = exporter;
      this.#tracing.push = (span) => exporter.enqueue(span);
    }
    if (metrics && otlpMetrics !== undefined) this.#metricsExporter = this.#createMetricsExporter(otlpMetrics);
    if (this.#flushesAtExit) this.#stops.push(onExit((timeoutMillis) => this.#flushAtExit(timeoutMillis), guard));
  }

  /** Opens the admin server, and starts what a service has and a one-off process does not need. Once. */
  serve(): void {
    if (this.#serving || !this.#config.enabled) return;
    this.#serving = true;
    for (const problem of this.problems) this.#diag.warn(`config:${problem}`, `${problem}; the default is used`);
    runSuppressed(() => {
      this.#runtime.start();
      this.#process.start();
      this.#metricsExporter?.start();
      // The application is in the middle of its own start; opening a port and 60 to 135 ms of native profiler can wait.
      this.#guard.after('serve', 0, () => void this.#guard.runAsync('serve', () => this.#listen()));
    });
  }

  trace<R>(name: string, fn: (span: ApiSpan) => R): R {
    const context = activeContext();
    const span = this.#tracing.start({ name: 'sonde', version: VERSION }, name, {}, context);
    const failed = (error: unknown): never => {
      span.recordException(error instanceof Error ? error : String(error));
      span.setStatus({ code: 2, message: error instanceof Error ? error.message : String(error) });
      span.end();
      throw error;
    };
    let result: R;
    try {
      result = runWith(context.setValue(SPAN_KEY, span), () => fn(span));
    } catch (error) {
      return failed(error);
    }
    if (!(result instanceof Promise)) {
      span.end();
      return result;
    }
    return result.then((value: unknown) => {
      span.end();
      return value;
    }, failed) as R;
  }

  async flush(timeoutMillis = 5000): Promise<void> {
    const profiles = this.#profileExporters.map((exporter) => exporter.flush(timeoutMillis));
    await Promise.all([
      this.#traceExporter?.flush(timeoutMillis),
      this.#metricsExporter?.flush(timeoutMillis),
      this.#logsExporter?.flush(timeoutMillis),
      ...profiles,
    ]);
  }

  async #flushAtExit(timeoutMillis: number): Promise<void> {
    this.#leakWatch?.endedWell();
    await this.flush(timeoutMillis);
  }

  async shutdown(timeoutMillis = 5000): Promise<void> {
    if (globals[RUNNING] === this) globals[RUNNING] = undefined;
    for (const stop of this.#stops.splice(0)) this.#guard.run('shutdown', stop);
    this.#tracing.push = undefined;
    await this.#guard.runAsync('shutdown', async () => {
      const profiles = this.#profileExporters.map((exporter) => exporter.shutdown(timeoutMillis));
      await Promise.all([
        this.#traceExporter?.shutdown(timeoutMillis),
        this.#metricsExporter?.shutdown(timeoutMillis),
        this.#logsExporter?.shutdown(timeoutMillis),
        ...profiles,
      ]);
      this.#admin?.close();
      this.#leakWatch?.stop();
      this.profile.stop();
      this.#runtime.stop();
      this.#process.stop();
    });
    this.#url = undefined;
  }

  #followContext(labels: SampleLabels): void {
    followContext({
      entering: this.#guard.wrap('profile labels', (active: object | undefined) => labels.entering(active)),
      left: this.#guard.wrap('profile labels', (active: object | undefined, before: unknown) => labels.left(active, before)),
    });
    this.#stops.push(() => followContext(undefined));
  }

  #correlateLogs(modules: ModuleHooks): void {
    const guard = this.#guard;
    modules.onLoad('pino', (exports) => correlatePino(exports, activeIds, guard));
    modules.onLoad('winston', (exports) => correlateWinston(exports, activeIds, guard));
    modules.onLoad('bunyan', (exports) => correlateBunyan(exports, activeIds, guard));
    const lines = new ConsoleCorrelation({ mode: this.#config.console, activeIds, guard });
    lines.install();
    this.#stops.push(() => lines.uninstall());
  }

  #registry(): Registry {
    const registry = new Registry(this.#guard);
    registry.register('http', () => [...this.#requests.families(), ...this.#clients.families()]);
    registry.register('runtime', this.#runtime.collector);
    registry.register('process', this.#process.collector);
    if (this.#config.promClientMetrics) {
      const legacy = new LegacyMetrics({ runtime: this.#runtime, process: this.#process, isTaken: (name) => this.#promClient.has(name) });
      registry.register('prom-client-defaults', legacy.collector);
    }
    registry.register('sonde', () =>
      selfFamilies({
        failures: this.#guard.failures(),
        dropped: this.#dropped(),
        profile: this.#config.profiling ? this.#profileReading() : undefined,
      }),
    );
    if (this.#config.leaks) registry.register('leaks', () => this.#leakWatch?.families() ?? []);
    if (this.#config.profiling) registry.register('stalls', () => this.#stallMetrics.families());
    registry.register('application:opentelemetry', this.#otelMetrics.collector);
    registry.register('application:prom-client', this.#promClient.collector);
    return registry;
  }

  #dropped(): ReadonlyMap<string, number> {
    const dropped = new Map<string, number>([
      ['series_limit', this.#requests.overflowed + this.#clients.overflowed],
      ['metric_collision', this.#collisions],
      ['prom_client_unreadable', this.#promClient.failed],
      ['profile_labels', this.#labels?.overflowed ?? 0],
      ['profile_windows', this.profile.stats().droppedWindows],
    ]);
    for (const [signal, exporter] of [
      ['spans', this.#traceExporter],
      ['metrics', this.#metricsExporter],
      ['logs', this.#logsExporter],
      ...this.#profileExporters.map((profiles) => ['profiles', profiles] as const),
    ] as const) {
      for (const [reason, count] of exporter?.stats().dropped ?? []) {
        const name = `${signal}_${reason}`;
        dropped.set(name, (dropped.get(name) ?? 0) + count);
      }
    }
    return dropped;
  }

  #profileReading(): ProfileReading {
    const { samplingHz, historySeconds, historyBytes, profilerBytes, cpuSecondsByRoute, cpuRestarts, heapRestarts } = this.profile.stats();
    const ownCpuSeconds = this.profile.ownCpuSeconds();
    return {
      samplingHz,
      historySeconds,
      cpuSecondsByRoute,
      ownCpuSeconds: new Map([
        ['code', ownCpuSeconds?.code ?? 0],
        ['sampling', ownCpuSeconds?.sampling ?? 0],
        ['rotation', ownCpuSeconds?.rotation ?? 0],
        ['sampling_thread', ownCpuSeconds?.samplingThread ?? 0],
      ]),
      ownBytes: new Map([
        ['profile_history', historyBytes],
        ['profilers', profilerBytes],
      ]),
      restarts: new Map([
        ['cpu', cpuRestarts],
        ['heap', heapRestarts],
      ]),
    };
  }

  #sampleLabels(): SampleLabels {
    return new SampleLabels({
      guard: this.#guard,
      diag: this.#diag,
      active: activeSpan,
      idsOf: (span) => idsOf(span as ActiveSpan),
      routeOf,
      monotonicMillis: () => this.#clock.monotonicMillis(),
      prepare: () => this.profile.prepare(),
    });
  }

  #profileEngine(v8ProfilerNext: V8ProfilerNext): ProfileEngine {
    const { profiling, profilingHz, heapIntervalBytes, profileHistoryBytes, overheadCpuPercent, overheadMemoryBytes, stallMillis } =
      this.#config;
    const { stalls } = this;
    const engine = new ProfileEngine({
      guard: this.#guard,
      diag: this.#diag,
      clock: this.#clock,
      cpu: profiling,
      hz: profilingHz,
      heap: profiling || this.#config.leaks,
      heapIntervalBytes,
      outOfMemoryCommand: () => this.#leakWatch?.outOfMemoryCommand,
      history: { seconds: READ_SECONDS_MAX, bytes: profileHistoryBytes },
      budget: { cpu: overheadCpuPercent / 100, bytes: overheadMemoryBytes },
      ownDirectory: __dirname,
      labels: this.#labels,
      v8ProfilerNext,
      sourceMaps: this.sourceMaps,
      stalls: stalls && { thresholdMillis: stallMillis, onBlock: (block) => stalls.add(block) },
    });
    // What blocks the loop and answers at once would have ended when the loop turns again.
    const check = this.#guard.wrap('stalls', () => engine.checkStall());
    if (stalls !== undefined) this.#tracing.watchSlow(stallMillis, check);
    return engine;
  }

  #stalls(): Stalls {
    const stalls = new Stalls({
      guard: this.#guard,
      diag: this.#diag,
      clock: this.#clock,
      thresholdMillis: this.#config.stallMillis,
      ownDirectory: __dirname,
      observe: ({ durationMillis, cause, traceId, spanId, startEpochMillis }, endMillis) => {
        const span = traceId === undefined || spanId === undefined ? undefined : { traceId, spanId, traceFlags: SAMPLED, startEpochMillis };
        this.#stallMetrics.observe(durationMillis / 1000, cause, { span, endMillis });
      },
      addEvent: this.#guard.wrap('stall events', addStallEvent),
      nameOf: (span) => (span instanceof Span ? (span.root ?? span).name : ''),
      mapFrames: this.sourceMaps && ((frames) => this.sourceMaps!.locate(frames)),
    });
    this.#runtime.onGc((_type, durationSeconds, startMillis) => stalls.collected(startMillis, durationSeconds * 1000));
    return stalls;
  }

  #leakReads(): LeakReads {
    return {
      verdict: () => this.#leakWatch?.verdict() ?? NOT_WATCHED_YET,
      generation: (index) => this.#leakWatch?.generation(index) ?? Promise.resolve(undefined),
    };
  }

  /** Before the heap sampler starts, which is told what to run when V8 runs out of memory. */
  #createLeakWatch(): void {
    const watch = new LeakWatch({
      config: this.#config,
      guard: this.#guard,
      diag: this.#diag,
      clock: this.#clock,
      engine: this.profile,
      sourceMaps: this.sourceMaps,
      ownDirectory: __dirname,
      requests: this.#requests,
      service: String(this.#resource.attributes['service.name']),
      nodeOptions: processEnvironment()['NODE_OPTIONS'] ?? '',
      logs: () => this.#logsExporter,
      flush: () => this.flush(),
      isToldOfSignals: () => this.#flushesAtExit,
    });
    watch.prepare();
    this.#runtime.onMajorGc(() => watch.majorGc());
    this.#leakWatch = watch;
  }

  #createHeapSnapshots(addon: V8ProfilerNext): HeapSnapshots {
    return new HeapSnapshots({ diag: this.#diag, addon, objectBytes: () => this.#objectBytes() });
  }

  #createClassHistograms(): ClassHistograms {
    return new ClassHistograms({ diag: this.#diag, objectBytes: () => this.#objectBytes() });
  }

  async #objectBytes(): Promise<number | undefined> {
    // A sampler that does not run, or has been stolen, is no reason to refuse: the estimate is then the larger one.
    const profile = await this.profile?.heap().catch(() => undefined);
    return profile === undefined ? undefined : averageObjectBytes(profile);
  }

  #sayCollision(name: string): void {
    this.#collisions += 1;
    this.#diag.warn(
      `metric:${name}`,
      `the metric ${name} exists twice with different types or the same labels; the second is left out of /metrics`,
    );
  }

  #endpoints(): Endpoints {
    const { metrics, traces, host, token } = this.#config;
    return new Endpoints({
      guard: this.#guard,
      clock: this.#clock,
      access: new Access({ host, token }),
      title: this.#title(),
      metrics: metrics
        ? { collect: () => this.metrics.collect(), resource: this.#resource.labels, onDropped: (name) => this.#sayCollision(name) }
        : undefined,
      profiles: this.#config.profiling ? this.profile : undefined,
      devtools: this.#config.profiling ? this.profile?.devtools : undefined,
      heapSnapshots: this.#heapSnapshots,
      traces: traces ? this.traces : undefined,
      stalls: this.stalls,
      leaks: this.leaks,
      classes: this.#config.profiling ? this.#createClassHistograms() : undefined,
      config: () => this.#config,
      isReady: () => true,
      ignore: (res) => this.#requests.ignore(res),
    });
  }

  #title(): string {
    return `sonde ${VERSION} ${String(this.#resource.attributes['service.name'])}`;
  }

  #createMetricsExporter(options: OtlpConfig): OtlpMetricsExporter {
    return new OtlpMetricsExporter(
      { ...options, intervalMillis: this.#config.metricExportIntervalMillis },
      {
        guard: this.#guard,
        diag: this.#diag,
        clock: this.#clock,
        registry: this.metrics,
        resource: this.#resource,
        scope: { name: 'sonde', version: VERSION },
      },
    );
  }

  get #pushesProfiles(): boolean {
    const { profiling, pyroscope, otlpProfiles } = this.#config;
    return profiling && (pyroscope !== undefined || otlpProfiles !== undefined);
  }

  get #flushesAtExit(): boolean {
    return this.#traceExporter !== undefined || this.#metricsExporter !== undefined || this.#pushesProfiles || this.#pushesEvents;
  }

  /** What happens to the process, leaks for one, goes out as log events. */
  get #pushesEvents(): boolean {
    return this.#config.leaks && this.#config.otlpLogs !== undefined;
  }

  #pushEvents(): void {
    const { otlpLogs, logBatch } = this.#config;
    if (!this.#pushesEvents || otlpLogs === undefined) return;
    const deps = { guard: this.#guard, diag: this.#diag, clock: this.#clock, resource: this.#resource };
    this.#logsExporter = new OtlpLogsExporter({ ...otlpLogs, ...logBatch }, { ...deps, scope: { name: 'sonde', version: VERSION } });
  }

  async #pushProfiles(): Promise<void> {
    if (!this.#pushesProfiles) return;
    const { startProfilePush } = await import('./profile-push.ts');
    // It may have been shut down meanwhile.
    if (globals[RUNNING] !== this) return;
    const deps = { guard: this.#guard, diag: this.#diag, clock: this.#clock, resource: this.#resource, engine: this.profile };
    this.#profileExporters = startProfilePush(this.#config, deps);
  }

  async #listen(): Promise<void> {
    const { AdminServer } = await import('./serve/admin.ts');
    const { host, port } = this.#config;
    this.#admin = new AdminServer(
      this.endpoints!,
      { host, port: port ?? PORT_DEFAULT, portIsExplicit: port !== undefined },
      { guard: this.#guard, diag: this.#diag },
    );
    const address = await this.#admin.listen();
    this.#url = address?.url;
    if (this.#config.leaks) this.#guard.run('leak', () => this.#createLeakWatch());
    else if (this.#config.dumpDirectory !== undefined) {
      this.#diag.warn('leak:dump-directory', 'SONDE_DUMP_DIR gets no evidence while SONDE_LEAKS is false: the watch for leaks writes it');
    }
    await this.#guard.runAsync('profile', async () => this.profile.start());
    await this.#guard.runAsync('profile push', () => this.#pushProfiles());
    this.#guard.run('event push', () => this.#pushEvents());
    this.#leakWatch?.start();
    // Last: whoever waits for the line may ask for a profile at once.
    if (address !== undefined) this.#diag.announce(`${this.#title()} listening on ${address.url}`);
  }
}

/** On the span that was active, or on the request's when that one has ended. */
function addStallEvent(active: object, { name, attributes, epochMillis }: StallEvent): void {
  if (active instanceof Span) {
    const span = active.isRecording() ? active : active.root;
    span?.addEvent(name, attributes, Math.max(epochMillis, span.startEpochMillis));
  } else {
    (active as Partial<ApiSpan>).addEvent?.(name, attributes, epochMillis);
  }
}

/** Route of the request that a span belongs to. */
function routeOf(span: object): string {
  return span instanceof Span ? (span.root ?? span).route : '';
}
