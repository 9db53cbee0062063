// The shop's orders: Fastify 5 as an ES module, logs with Fastify's own pino logger, calls the pricing service
// with node:http. An ordinary service: nothing in it knows of Sonde. Two of its routes misbehave for the
// demonstration: checkout fails now and then, /orders/export stalls the event loop (buildExport).
import http from 'node:http';
import Fastify from 'fastify';

const PORT = Number(process.env.PORT ?? 3001);
const PRICING_URL = process.env.PRICING_URL ?? 'http://127.0.0.1:3002';

const ORDERS_MAX = 5000;
const SEEDED_ORDERS = 200;
const CHECKOUTS_PER_FAILURE = 12;
const EXPORT_COPIES = 2_500;

/** The latest orders by id, the oldest leave first: bounded, healthy. */
const orders = new Map();
let orderCount = 0;
let checkoutCount = 0;

function storeOrder(order) {
  orderCount += 1;
  const stored = { orderId: `o${orderCount}`, status: 'open', ...order };
  if (orders.size === ORDERS_MAX) orders.delete(orders.keys().next().value);
  orders.set(stored.orderId, stored);
  return stored;
}

for (let i = 0; i < SEEDED_ORDERS; i++) {
  storeOrder({ userId: `u${i}`, items: [{ sku: `p${i}`, quantity: 1 }], totalCents: 1000 + i });
}

const agent = new http.Agent({ keepAlive: true });

/** Asks the pricing service; resolves to the decoded JSON answer. */
function askPricing(method, path, payload) {
  return new Promise((resolve, reject) => {
    const request = http.request(`${PRICING_URL}${path}`, { method, agent }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => resolve(JSON.parse(Buffer.concat(chunks).toString())));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(payload === undefined ? undefined : JSON.stringify(payload));
  });
}

/** Charges the card of an order; the payment provider fails for every twelfth. */
function chargeCard(order) {
  checkoutCount += 1;
  if (checkoutCount % CHECKOUTS_PER_FAILURE === 0) throw new Error(`payment provider timed out for ${order.orderId}`);
  return { ...order, status: 'paid' };
}

/** Checksums an export of the seeded orders, many times over without a pause: the event loop stands still for some 200 ms. */
function buildExport() {
  const text = JSON.stringify(Array.from(orders.values()).slice(0, SEEDED_ORDERS));
  let checksum = 0;
  for (let copy = 0; copy < EXPORT_COPIES; copy++) {
    for (let at = 0; at < text.length; at++) checksum = (Math.imul(checksum, 31) + text.charCodeAt(at) + copy) | 0;
  }
  return { orders: orders.size, checksum };
}

const app = Fastify({ logger: true });

app.register(
  async (routes) => {
    routes.get('/export', async () => buildExport());

    routes.get('/:orderId', async (request, reply) => {
      const order = orders.get(request.params.orderId);
      if (order === undefined) return reply.code(404).send({ message: 'no such order' });
      const price = await askPricing('GET', `/prices/${order.items[0].sku}`);
      return { ...order, currentPriceCents: price.cents };
    });

    routes.post('/', async (request, reply) => {
      const quote = await askPricing('POST', '/quotes', request.body.items);
      const order = storeOrder({ ...request.body, totalCents: quote.totalCents });
      request.log.info({ orderId: order.orderId }, 'order stored');
      return reply.code(201).send(order);
    });

    routes.post('/:orderId/checkout', async (request) => chargeCard(orders.get(request.params.orderId)));
  },
  { prefix: '/orders' },
);

process.once('SIGTERM', () => app.close());
await app.listen({ port: PORT, host: '127.0.0.1' });
