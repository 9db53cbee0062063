// The applications under test: which file, which request, at which fixed rate.

/** `ratePerSecond` is what even the slowest row can keep up with on one core. */
export const APPLICATIONS = [
  { name: 'http', title: 'plain node:http', file: 'http.cjs', method: 'GET', path: '/', ratePerSecond: 2000 },
  { name: 'express', title: 'Express 5', file: 'express.cjs', method: 'GET', path: '/items/7', ratePerSecond: 2000 },
  { name: 'fastify', title: 'Fastify 5', file: 'fastify.cjs', method: 'GET', path: '/items/7', ratePerSecond: 2000 },
  {
    name: 'realistic',
    title: 'realistic: Fastify 5, two outgoing calls, one pino line',
    file: 'realistic.cjs',
    method: 'POST',
    path: '/orders',
    body: JSON.stringify({
      customer: 'c42',
      items: [
        { product: 'apple', quantity: 3 },
        { product: 'plum', quantity: 1 },
      ],
    }),
    ratePerSecond: 1000,
    hasBackend: true,
    hasLog: true,
  },
];
