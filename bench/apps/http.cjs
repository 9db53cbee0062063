// The plainest handler: what any instrumentation adds is largest beside it.
const http = require('node:http');
const { countRequest, listening, middleware } = require('./control.cjs');

const body = JSON.stringify({ hello: 'world' });

function handle(req, res) {
  countRequest();
  res.setHeader('content-type', 'application/json');
  res.end(body);
}

const server = http.createServer(middleware ? middleware.http(handle) : handle);
server.listen(0, '127.0.0.1', () => listening(server));
