// The shop's prices: plain node:http in CommonJS without a router, logs JSON lines with console.log.
// An ordinary, healthy service: nothing in it knows of Sonde, and nothing in it misbehaves.
'use strict';
const http = require('node:http');

const PORT = Number(process.env.PORT ?? 3002);
const PRICE_CACHE_MAX = 1000;
const BODY_BYTES_MAX = 64 * 1024;

/** Prices by product, the oldest leave first: bounded. */
const priceCache = new Map();

function priceCents(sku) {
  const cached = priceCache.get(sku);
  if (cached !== undefined) return cached;
  let cents = 500;
  for (const character of sku) cents = (cents * 31 + character.charCodeAt(0)) % 20_000;
  if (priceCache.size === PRICE_CACHE_MAX) priceCache.delete(priceCache.keys().next().value);
  priceCache.set(sku, cents);
  return cents;
}

async function readJson(req) {
  const chunks = [];
  let bytes = 0;
  for await (const chunk of req) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw new Error('body too large');
    chunks.push(chunk);
  }
  return JSON.parse(Buffer.concat(chunks).toString());
}

function send(res, status, body) {
  res.writeHead(status, { 'content-type': 'application/json' });
  res.end(JSON.stringify(body));
}

async function handle(req, res) {
  if (req.method === 'GET' && req.url.startsWith('/prices/')) {
    const sku = req.url.slice('/prices/'.length);
    return send(res, 200, { sku, cents: priceCents(sku) });
  }
  if (req.method === 'POST' && req.url === '/quotes') {
    const items = await readJson(req);
    const totalCents = items.reduce((sum, item) => sum + priceCents(item.sku) * item.quantity, 0);
    console.log(JSON.stringify({ level: 'info', message: 'quote given', items: items.length, totalCents }));
    return send(res, 200, { totalCents });
  }
  return send(res, 404, { message: 'not found' });
}

const server = http.createServer((req, res) => {
  handle(req, res).catch((error) => {
    console.log(JSON.stringify({ level: 'error', message: error.message }));
    send(res, 500, { message: 'internal error' });
  });
});

// Longer than any client keeps an idle connection, or a request meets a connection that is just being closed.
server.keepAliveTimeout = 65_000;
server.listen(PORT, '127.0.0.1', () => {
  console.log(JSON.stringify({ level: 'info', message: 'pricing listens', port: PORT }));
});
