// What is compared: how each row is launched, and by which effect a run of it is known to have done its work. The
// peers run with their defaults, but for what would go to the network or belongs to a signal that Sonde does not push.
import path from 'node:path';
import * as effects from './effects.mjs';
import { peerDirectory } from './peers.mjs';

const REGISTER = path.join(import.meta.dirname, '../dist/register.js');
const SONDE = { args: ['--require', REGISTER], env: { SONDE_PORT: '0' } };

/** Spans that a request makes, by application: the server's, the framework's own, one for each outgoing call. */
const SONDE_SPANS = { http: 1, express: 1, fastify: 1, realistic: 3 };
const OPENTELEMETRY_SPANS = { http: 1, express: 2, fastify: 3, realistic: 5 };

/**
 * In the order of the tables; `bare` is what the others are measured against. `launch` gets the Node, the application and
 * the sink; `whileRunning` and `afterEnd` throw when the effect is missing (see effects.mjs).
 */
export const ROWS = [
  { name: 'bare', title: 'bare', launch: () => ({ args: [], env: {} }) },
  {
    name: 'off',
    title: 'Sonde, switched off',
    launch: () => ({ args: SONDE.args, env: { SONDE_ENABLED: 'false' } }),
    whileRunning: [effects.sondeIsSilent],
  },
  {
    name: 'defaults',
    title: 'Sonde, every signal on (defaults)',
    launch: () => SONDE,
    whileRunning: [effects.sondeCounts, effects.sondeKeepsTraces, effects.sondeProfiles, effects.logLinesHaveIds('"trace_id":"')],
  },
  {
    name: 'unprofiled',
    title: 'Sonde without profiles and leaks',
    launch: () => ({ args: SONDE.args, env: { ...SONDE.env, SONDE_PROFILING: 'false', SONDE_LEAKS: 'false' } }),
    whileRunning: [effects.sondeCounts, effects.sondeKeepsTraces, effects.logLinesHaveIds('"trace_id":"')],
  },
  {
    name: 'otlp',
    title: 'Sonde, everything pushed by OTLP',
    launch: ({ sink }) => ({ args: SONDE.args, env: { ...SONDE.env, OTEL_EXPORTER_OTLP_ENDPOINT: sink.url } }),
    whileRunning: [effects.sondeCounts, effects.sondeProfiles, effects.logLinesHaveIds('"trace_id":"'), effects.spansArrive(SONDE_SPANS)],
    afterEnd: [effects.metricsArrive('http.server.request.duration')],
  },
  {
    name: 'prom-client',
    title: 'prom-client middleware',
    peer: () => 'prom-client',
    launch: () => ({ args: [], env: { BENCH_MIDDLEWARE: path.join(peerDirectory('prom-client'), 'middleware.cjs') } }),
    whileRunning: [effects.promClientCounts],
  },
  {
    name: 'pyroscope',
    title: 'Pyroscope client (profiles only)',
    peer: () => 'pyroscope',
    launch: ({ sink }) => ({
      args: ['--require', path.join(peerDirectory('pyroscope'), 'preload.cjs')],
      env: { PYROSCOPE_SERVER_ADDRESS: sink.url },
    }),
    afterEnd: [effects.profileArrives],
  },
  {
    name: 'dd-trace',
    title: 'dd-trace with runtime metrics',
    peer: ({ major }) => (major < 22 ? 'dd-trace-node20' : 'dd-trace'),
    launch: ({ node, sink }) => ({
      args: ['--require', path.join(peerDirectory(node.major < 22 ? 'dd-trace-node20' : 'dd-trace'), 'node_modules/dd-trace/init')],
      env: {
        DD_SERVICE: 'bench',
        DD_TRACE_AGENT_URL: sink.url,
        DD_DOGSTATSD_PORT: String(sink.statsdPort),
        DD_RUNTIME_METRICS_ENABLED: 'true',
        DD_LOGS_INJECTION: 'true',
        DD_INSTRUMENTATION_TELEMETRY_ENABLED: 'false',
        DD_REMOTE_CONFIGURATION_ENABLED: 'false',
        DD_TRACE_STARTUP_LOGS: 'false',
      },
    }),
    whileRunning: [effects.logLinesHaveIds('"dd":{"trace_id":"'), effects.tracesArrive],
  },
  {
    name: 'opentelemetry',
    title: 'OpenTelemetry agent, 100 %',
    peer: openTelemetryPeer,
    launch: launchOpenTelemetry,
    whileRunning: [effects.logLinesHaveIds('"trace_id":"'), effects.spansArrive(OPENTELEMETRY_SPANS)],
    afterEnd: [effects.metricsArrive('http.server.')],
  },
];

/** The newest line of the agent needs Node 22.15. */
function openTelemetryPeer({ major }) {
  return major < 22 ? 'opentelemetry-node20' : 'opentelemetry';
}

function launchOpenTelemetry({ node, application, sink }) {
  const directory = peerDirectory(openTelemetryPeer(node));
  const hasFastify = application.name === 'fastify' || application.name === 'realistic';
  const preloads = hasFastify ? ['fastify.cjs', 'preload.cjs'] : ['preload.cjs'];
  return {
    args: preloads.flatMap((file) => ['--require', path.join(directory, file)]),
    env: {
      OTEL_SERVICE_NAME: 'bench',
      OTEL_EXPORTER_OTLP_ENDPOINT: sink.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
      OTEL_TRACES_EXPORTER: 'otlp',
      OTEL_METRICS_EXPORTER: 'otlp',
      OTEL_LOGS_EXPORTER: 'none',
      // What the applications need and Sonde has too. Left to itself the agent makes the same spans of Express 5 twice.
      OTEL_NODE_ENABLED_INSTRUMENTATIONS: 'http,express,undici,pino,runtime-node',
      // The others ask a cloud's metadata service.
      OTEL_NODE_RESOURCE_DETECTORS: 'env,host,os,process,serviceinstance',
    },
  };
}
