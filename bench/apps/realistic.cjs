// What a service does: takes an order as JSON, asks a backend twice (by fetch and by node:http on a kept connection),
// writes one pino line, answers with JSON. The line goes to the file BENCH_LOG_FILE, where the driver reads it.
const http = require('node:http');
const Fastify = require('fastify');
const pino = require('pino');
const { countRequest, listening, middleware } = require('./control.cjs');

const backendUrl = process.env.BENCH_BACKEND_URL;
const log = pino(pino.destination({ dest: process.env.BENCH_LOG_FILE, sync: true }));
const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });

async function main() {
  const app = Fastify();
  // fastify-metrics only counts routes that are declared after it has loaded.
  await middleware?.fastify(app);
  app.post('/orders', takeOrder);
  await app.listen({ port: 0, host: '127.0.0.1' });
  listening(app.server);
}

async function takeOrder(request) {
  countRequest();
  const { customer, items } = request.body;
  const discounts = await (await fetch(`${backendUrl}/discounts`)).json();
  const prices = await getJson(`${backendUrl}/prices`);
  const total = items.reduce((sum, item) => sum + item.quantity * (prices[item.product] ?? 0), 0) * (1 - discounts.share);
  log.info({ customer, items: items.length }, 'order taken');
  return { customer, total };
}

function getJson(url) {
  return new Promise((resolve, reject) => {
    const request = http.get(url, { agent }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => (text += chunk));
      response.on('end', () => resolve(JSON.parse(text)));
    });
    request.on('error', reject);
  });
}

main();
