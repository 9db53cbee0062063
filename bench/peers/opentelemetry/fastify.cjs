// The agent does not bring an instrumentation of Fastify any more; this is the one of Fastify's own authors, which
// registers itself with each Fastify that is made. Preloaded before the agent.
const { FastifyOtelInstrumentation } = require('@fastify/otel');

module.exports = new FastifyOtelInstrumentation({ registerOnInitialization: true });
