// The shop's front door: Express 5 in CommonJS, logs with winston, calls the orders service with fetch.
// An ordinary service: nothing in it knows of Sonde. Two of its routes misbehave for the demonstration:
// POST /login leaks (rememberSession), GET /recommendations/:userId burns CPU (renderRecommendations).
'use strict';
const { randomUUID } = require('node:crypto');
const express = require('express');
const winston = require('winston');

const PORT = Number(process.env.PORT ?? 3000);
const ORDERS_URL = process.env.ORDERS_URL ?? 'http://127.0.0.1:3001';

const SEARCH_CACHE_MAX = 500;
const VIEWED_PER_SESSION = 800;

const log = winston.createLogger({
  format: winston.format.combine(winston.format.timestamp(), winston.format.json()),
  transports: [new winston.transports.Console()],
});

const catalogue = Array.from({ length: 400 }, (_, index) => ({
  productId: `p${index}`,
  name: `Product ${index}`,
  features: Float64Array.from({ length: 64 }, (_unused, at) => Math.sin(index * 64 + at)),
}));

/** Sessions by id. Nothing ever removes one: this is the leak. */
const sessions = new Map();

/** Opens a session and keeps it, some 100 kB each. */
function rememberSession(userId) {
  const session = { sessionId: randomUUID(), userId, viewed: [] };
  for (let i = 0; i < VIEWED_PER_SESSION; i++) {
    session.viewed.push({ productId: `p${i % catalogue.length}`, rank: i, score: Math.random(), viewedAt: Date.now() });
  }
  sessions.set(session.sessionId, session);
  return session;
}

/** Scores the whole catalogue against a taste made from the user id; some ten milliseconds of arithmetic. */
function renderRecommendations(userId) {
  const taste = catalogue[0].features.map((_, at) => Math.cos(userId + at));
  const best = [];
  for (const product of catalogue) {
    let score = 0;
    for (let pass = 0; pass < 4; pass++) {
      for (let at = 0; at < taste.length; at++) {
        score += Math.abs(taste[at] - product.features[at]) ** 1.5 / (1 + pass);
      }
    }
    best.push({ productId: product.productId, score });
  }
  return best.toSorted((a, b) => a.score - b.score).slice(0, 10);
}

/** Results by query, the oldest leaves first when there are SEARCH_CACHE_MAX: bounded, healthy. */
const searchCache = new Map();

function searchCatalogue(query) {
  const cached = searchCache.get(query);
  if (cached !== undefined) return cached;
  const found = catalogue.filter((product) => product.name.includes(query)).map((product) => product.name);
  if (searchCache.size === SEARCH_CACHE_MAX) searchCache.delete(searchCache.keys().next().value);
  searchCache.set(query, found);
  return found;
}

/** Asks the orders service and passes its answer on; an error of it becomes a 502. */
async function askOrders(path, init) {
  const response = await fetch(`${ORDERS_URL}${path}`, init);
  const body = await response.json();
  if (response.status >= 500) {
    throw Object.assign(new Error(`orders answered ${response.status}: ${body.message}`), { status: 502 });
  }
  return { status: response.status, body };
}

// Orders of one user, mounted below /users/:userId.
const orders = express.Router({ mergeParams: true });

orders.get('/:orderId', async (req, res) => {
  const { status, body } = await askOrders(`/orders/${req.params.orderId}`);
  res.status(status).json(body);
});

orders.post('/', async (req, res) => {
  const { status, body } = await askOrders('/orders', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ userId: req.params.userId, items: req.body.items }),
  });
  log.info('order placed', { userId: req.params.userId, orderId: body.orderId });
  res.status(status).json(body);
});

orders.post('/:orderId/checkout', async (req, res) => {
  const { status, body } = await askOrders(`/orders/${req.params.orderId}/checkout`, { method: 'POST' });
  res.status(status).json(body);
});

const app = express();
app.disable('x-powered-by');
app.use(express.json());
app.use('/users/:userId/orders', orders);

app.get('/products/:productId', (req, res) => {
  const product = catalogue[Number(req.params.productId.slice(1))];
  if (product === undefined) return res.status(404).json({ message: 'no such product' });
  return res.json({ productId: product.productId, name: product.name });
});

app.get('/search', (req, res) => {
  res.json(searchCatalogue(String(req.query.q ?? '')));
});

app.get('/recommendations/:userId', (req, res) => {
  res.json(renderRecommendations(Number(req.params.userId)));
});

app.post('/login', (req, res) => {
  const session = rememberSession(req.body.userId);
  res.status(201).json({ sessionId: session.sessionId });
});

app.get('/exports/orders', async (_req, res) => {
  const { status, body } = await askOrders('/orders/export');
  res.status(status).json(body);
});

// Express knows an error handler by its four parameters.
app.use((error, _req, res, _next) => {
  log.error(error.message);
  res.status(error.status ?? 500).json({ message: error.message });
});

const server = app.listen(PORT, '127.0.0.1', () => log.info('gateway listens', { port: PORT }));
// Longer than any client keeps an idle connection, or a request meets a connection that is just being closed.
server.keepAliveTimeout = 65_000;
