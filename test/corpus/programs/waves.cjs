// Traffic in waves, three in the run; each request holds 40 kB for a second.
const { setTimeout: wait } = require('node:timers/promises');

async function serveMap(id) {
  const tiles = Array.from({ length: 620 }, (_, tile) => ({ tile, height: tile * 0.7 + id }));
  await wait(1000);
  return tiles.length;
}

module.exports = {
  about: 'three sine waves of traffic, between 5 and 95 requests a second',
  leaks: false,
  boundShare: 0.05,
  route: '/map/:id',
  requestsPerSecond: (seconds, total) => 50 - 45 * Math.cos((seconds / total) * 6 * Math.PI),
  handle: ({ id }) => serveMap(id),
};
