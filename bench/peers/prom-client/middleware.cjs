// prom-client as services use it: by hand on node:http, express-prom-bundle on Express, fastify-metrics on Fastify.
// Each also answers GET /metrics. Loaded by bench/apps/control.cjs.
const { Histogram, register } = require('prom-client');

/** One histogram with three labels, observed when the response is finished. */
exports.http = (handle) => {
  const duration = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'Duration of HTTP requests.',
    labelNames: ['method', 'route', 'status_code'],
  });
  return (req, res) => {
    if (req.url === '/metrics') {
      register.metrics().then((text) => res.end(text));
      return;
    }
    const end = duration.startTimer();
    res.on('finish', () => end({ method: req.method, route: '/', status_code: res.statusCode }));
    handle(req, res);
  };
};

exports.express = (app) => {
  const promBundle = require('express-prom-bundle');
  app.use(promBundle({ includeMethod: true, includePath: true, includeStatusCode: true }));
};

exports.fastify = async (app) => {
  const { default: metrics } = require('fastify-metrics');
  await app.register(metrics, { endpoint: '/metrics' });
};
