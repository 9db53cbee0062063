// Sockets kept: a connection to the stock server for each request, and each waits in a set for an end that nobody asks for.
const net = require('node:net');

const connections = new Set();

function openConnection(id, port) {
  const socket = net.connect(port, '127.0.0.1').on('error', () => {});
  const stock = Array.from({ length: 1360 }, (_, shelf) => ({ shelf, id, weight: shelf * 0.3 }));
  connections.add({ socket, stock }); // leaks
}

module.exports = {
  about: 'a connection to another server per request, never ended',
  leaks: { kinds: ['heap', 'resources'], function: ['openConnection'], bytesPerUnit: 100_000 },
  route: '/stock/:id',
  handle({ id, plan }) {
    openConnection(id, plan.upstreamPort);
    return { connections: connections.size };
  },
};
