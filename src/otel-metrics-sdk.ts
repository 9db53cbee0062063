// The OpenTelemetry metrics SDK, as far as metrics/bridges/otel.ts uses it. A file of the build of its own, because it is
// loaded synchronously, by the first meter that the application asks for; it needs @opentelemetry/api, which such an
// application has.
export { AggregationTemporality, AggregationType, DataPointType, MeterProvider } from '@opentelemetry/sdk-metrics';
