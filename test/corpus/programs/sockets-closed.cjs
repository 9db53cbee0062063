// A connection to another server per request, ended when the request is done.
const net = require('node:net');
const { once } = require('node:events');

async function askStock(id, port) {
  const socket = net.connect(port, '127.0.0.1').on('error', () => {});
  const stock = Array.from({ length: 620 }, (_, shelf) => ({ shelf, id, weight: shelf * 0.3 }));
  await once(socket, 'connect');
  socket.destroy();
  return stock.length;
}

module.exports = {
  about: 'a connection to another server per request, closed again',
  leaks: false,
  boundShare: 0.02,
  framework: 'fastify',
  route: '/stock/:id',
  handle: ({ id, plan }) => askStock(id, plan.upstreamPort),
};
