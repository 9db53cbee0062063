// The plainest handler: what any instrumentation adds is largest beside it. Answers its own cost over IPC.
const http = require('node:http');

if (process.env.BENCH_PROM_CLIENT) require('./prom-client.cjs');

const body = JSON.stringify({ hello: 'world' });
const server = http.createServer((req, res) => {
  res.setHeader('content-type', 'application/json');
  res.end(body);
});

server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));
process.on('message', () => {
  const { user, system } = process.cpuUsage();
  process.send({ cpuMicros: user + system, rssBytes: process.memoryUsage.rss() });
});
