// What the realistic application asks: small JSON answers, no work. A process of its own, on the core of the load.
const http = require('node:http');
const { listening } = require('./control.cjs');

const answers = {
  '/discounts': JSON.stringify({ share: 0.1 }),
  '/prices': JSON.stringify({ apple: 3, pear: 4, plum: 5 }),
};

const server = http.createServer((req, res) => {
  res.setHeader('content-type', 'application/json');
  res.end(answers[req.url]);
});
// An idle connection that is closed while the application sends on it would fail a request of the load.
server.keepAliveTimeout = 600_000;
server.listen(0, '127.0.0.1', () => listening(server));
