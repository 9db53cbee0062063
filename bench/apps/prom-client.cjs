// The metrics middleware that services write by hand: one prom-client histogram with three labels.
const http = require('node:http');
const { Histogram } = require('prom-client');

const duration = new Histogram({
  name: 'http_request_duration_seconds',
  help: 'Duration.',
  labelNames: ['method', 'route', 'status_code'],
});
const { emit } = http.Server.prototype;

http.Server.prototype.emit = function (event, req, res) {
  if (event === 'request') {
    const end = duration.startTimer();
    res.on('finish', () => end({ method: req.method, route: '/', status_code: res.statusCode }));
  }
  return Reflect.apply(emit, this, arguments);
};
