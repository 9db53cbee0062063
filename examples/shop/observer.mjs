// Turns what Sonde's endpoints answer into the figures of one report: RED per route, runtime, hottest functions,
// leaks, a trace. Called by start.mjs at each interval. Computes over two scrapes; keeps only the first and the last.
import { redByRoute } from './red.mjs';
import { chooseTrace } from './sample-trace.mjs';
import { fetchLeaks, fetchMetrics, fetchProfile, fetchTraces } from './sonde-client.mjs';
import { hottestFunctions } from './hot-functions.mjs';

const HOTTEST_SHOWN = 3;

/** Watches the services from now on; see `observe`. */
export class Observer {
  #services;
  #first = new Map();
  #last = new Map();
  #delayMaxSeconds = new Map();

  constructor(services) {
    this.#services = services;
  }

  /** Takes the scrape that the first figures are counted from. */
  async begin() {
    for (const service of this.#services) {
      this.#first.set(service.name, await scrape(service));
      this.#last.set(service.name, this.#first.get(service.name));
    }
  }

  /** Scrapes, so that a short stall between two reports is not lost. */
  async look() {
    for (const service of this.#services) this.#keep(service, await scrape(service));
  }

  /**
   * Reads everything. Figures are those since the previous look, or with `sinceBegin` since the beginning.
   * Throws when a Sonde does not answer.
   */
  async observe({ sinceBegin }) {
    const observed = [];
    for (const service of this.#services) {
      const before = (sinceBegin ? this.#first : this.#last).get(service.name);
      const now = await scrape(service);
      this.#keep(service, now);
      const seconds = (now.atMillis - before.atMillis) / 1000;
      observed.push({
        name: service.name,
        sondeUrl: service.sondeUrl,
        routes: redByRoute(before.metrics, now.metrics, seconds),
        cpuShare: (cpuSeconds(now) - cpuSeconds(before)) / seconds,
        heapUsedBytes: sum(now.metrics, 'v8js_memory_heap_used_bytes'),
        delayP99Seconds: sum(now.metrics, 'nodejs_eventloop_delay_p99_seconds'),
        delayMaxSeconds: sinceBegin ? this.#delayMaxSeconds.get(service.name) : delayMaxSeconds(now),
        hottest: hottestFunctions(await fetchProfile(service.sondeUrl, Math.ceil(seconds))).slice(0, HOTTEST_SHOWN),
        leaks: await fetchLeaks(service.sondeUrl),
        traces: await fetchTraces(service.sondeUrl),
        output: service.output,
      });
    }
    return { services: observed, trace: chooseTrace(observed) };
  }

  #keep(service, scraped) {
    this.#last.set(service.name, scraped);
    const before = this.#delayMaxSeconds.get(service.name) ?? 0;
    this.#delayMaxSeconds.set(service.name, Math.max(before, delayMaxSeconds(scraped)));
  }
}

async function scrape(service) {
  return { metrics: await fetchMetrics(service.sondeUrl), atMillis: performance.now() };
}

function sum(metrics, name) {
  return (metrics.get(name) ?? []).reduce((total, { value }) => total + value, 0);
}

function cpuSeconds({ metrics }) {
  return sum(metrics, 'process_cpu_time_seconds_total');
}

function delayMaxSeconds({ metrics }) {
  return sum(metrics, 'nodejs_eventloop_delay_max_seconds');
}
