// What all applications of the benchmark share: the count of requests, where they listen, and the answers to the
// driver's questions over IPC. Count and CPU time are read in the same instant, so they belong to the same window.
const { monitorEventLoopDelay } = require('node:perf_hooks');
const v8 = require('node:v8');

const PAUSE_RESOLUTION_MILLIS = 1;

/** The middleware of a metrics library, where the row has one: what its users write into their application. */
exports.middleware = process.env.BENCH_MIDDLEWARE ? require(process.env.BENCH_MIDDLEWARE) : undefined;

let requests = 0;

/** Called once by each handler. */
exports.countRequest = () => {
  requests++;
};

/** Tells the driver the port on which the application listens. */
exports.listening = (server) => process.send({ port: server.address().port });

let collector;
let heapUsedBytes;
let pauses;

const answers = (exports.answers = {
  usage() {
    const { user, system } = process.cpuUsage();
    return { requests, cpuMicros: user + system, rssBytes: process.memoryUsage.rss() };
  },
  startAllocations() {
    collector = new v8.GCProfiler();
    collector.start();
    heapUsedBytes = v8.getHeapStatistics().used_heap_size;
    return { requests };
  },
  /** What was allocated is what the heap grew by between the collections. */
  stopAllocations() {
    const end = v8.getHeapStatistics().used_heap_size;
    let allocatedBytes = 0;
    for (const { gcType, beforeGC, afterGC } of collector.stop().statistics) {
      if (gcType !== 'Scavenge' && gcType !== 'MarkSweepCompact') continue;
      allocatedBytes += beforeGC.heapStatistics.usedHeapSize - heapUsedBytes;
      heapUsedBytes = afterGC.heapStatistics.usedHeapSize;
    }
    return { requests, allocatedBytes: allocatedBytes + end - heapUsedBytes };
  },
  startPauses() {
    pauses = monitorEventLoopDelay({ resolution: PAUSE_RESOLUTION_MILLIS });
    pauses.enable();
    return {};
  },
  /** The histogram holds the time from one firing of its timer to the next, the timer's own interval included. */
  stopPauses() {
    pauses.disable();
    return { longestPauseMillis: Math.max(0, pauses.max / 1e6 - PAUSE_RESOLUTION_MILLIS) };
  },
});

process.on('message', async (question) => process.send(await answers[question]()));
