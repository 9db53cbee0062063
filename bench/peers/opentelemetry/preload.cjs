// OpenTelemetry's agent as its manual starts it.
require('@opentelemetry/auto-instrumentations-node/register');
